"""Figures of what trained models have learnt. Each takes the trainings and draws; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.plots.style import (
    SourceStyle,
    Theme,
    figure_legend,
    is_wide,
    logarithmic,
    order_axis,
    panels,
    plain_ticks,
    shifts_of,
    styled,
    symmetric_logarithm,
)
from bodyorder.report.generalization.trainings import Trainings, panel_title, title_of, values_of
from bodyorder.report.wording import group_title

#: Width in inches of figures of several columns, and of those of one.
_WIDTH, _SINGLE = 10.4, 6.6

#: How far models are spread out on both sides of a whole number at most, and how far apart they are if they are few.
_DODGE, _STEP = 0.33, 0.15

#: How far the bars of the reference reach to both sides.
_HALF = 0.42

#: Behind what a training set has no cluster of.
UNSEEN = "#f3f1ea"

#: Colours of correlations from −1 to 1, and of those that are not known.
_COLOURS, _UNKNOWN = "RdBu_r", "#d9d9d9"

#: Characters in a line of the name of a training set.
_LABEL = 14


@styled
def error_figure(trainings: Trainings) -> Figure:
    """Errors of energies on every group of clusters, a panel for each; models side by side on each training set.

    :return: root mean square over structures in meV per body on a logarithmic axis, with the spread over seeds as bars
    """
    groups, training_sets = trainings.groups, trainings.training_sets
    n_seen = len(trainings.seen_anywhere)
    n_columns = min(len(groups), n_seen if n_seen in (2, 3) else 2)
    figure, axes = panels(
        len(groups), n_columns, (_width(n_columns), 2.6 if len(groups) > n_columns else 3.2), sharey="col"
    )
    shifts = _dodged(trainings)
    for axis, group in zip(axes, groups, strict=True):
        for place, training_set in enumerate(training_sets):
            if group not in trainings.seen(training_set):
                axis.axvspan(place - 0.5, place + 0.5, color=UNSEEN, linewidth=0, zorder=0)
        for model, shift in shifts.items():
            own = {training_set: held for (training_set, name), held in trainings.parts() if name == model}
            measured = [values_of(held, "total_rmse", group=group) for held in own.values()]
            values, spread = 1e3 * np.array(measured, dtype=float).reshape(-1, 2).T
            at = np.array([training_sets.index(training_set) + shift for training_set in own])
            _points(axis, at, values, spread, trainings.theme.sources[model].line(linestyle="none"))
        for place in range(1, len(training_sets)):
            axis.axvline(place - 0.5, color="#d0d0d0", linewidth=0.7, zorder=1)
        axis.set_xticks(
            range(len(training_sets)), [fill(title_of(training_set), _LABEL) for training_set in training_sets]
        )
        axis.set_xlim(-0.5, len(training_sets) - 0.5)
        axis.grid(visible=False, axis="x")
        axis.tick_params(axis="x", length=0)
        axis.set_title(group_title(group))
    for column in range(n_columns):
        found = [1e3 * _spans(trainings, "total_rmse", group) for group in groups[column::n_columns]]
        _logarithm(axes[column::n_columns], np.concatenate(found))
    for axis in axes[::n_columns]:
        axis.set_ylabel(_energy_label(trainings.theme))
    figure_legend(figure, _markers(trainings))
    return figure


@styled
def learning_figure(trainings: Trainings) -> Figure:
    """Errors of energies against the number of training clusters, a row for each training set, a column for each group in it.

    :return: root mean square over structures in meV per body, both axes logarithmic, with the spread over seeds as bars
    """
    training_sets = trainings.curve_training_sets
    groups = [
        group for group in trainings.seen_anywhere if any(group in trainings.seen(name) for name in training_sets)
    ]
    figure, axes = panels(len(training_sets) * len(groups), len(groups), (_width(len(groups)), 3.2))
    for index, axis in enumerate(axes):
        training_set, group = training_sets[index // len(groups)], groups[index % len(groups)]
        curves = {model: trainings.curve(training_set, model) for model in trainings.models}
        found, counts = [np.array([])], set[int]()
        for model, held in curves.items():
            values, spread = (1e3 * part for part in values_of(held, "total_rmse", group=group))
            numbers = held["n_clusters"].values
            _points(axis, numbers, values, spread, trainings.theme.sources[model].line(linewidth=1.1))
            found.append(_reach(values, spread))
            counts |= {int(number) for number in numbers}
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(sorted(counts)))
        axis.xaxis.set_minor_locator(NullLocator())
        plain_ticks(axis, "x")
        axis.set_xlim(min(counts) / 1.15, max(counts) * 1.15)
        axis.set_xlabel("training clusters of each group")
        _logarithm([axis], np.concatenate(found))
        axis.set_title(panel_title(group, training_set))
    for axis in axes[:: len(groups)]:
        axis.set_ylabel(_energy_label(trainings.theme))
    trainings.theme.legend(figure, trainings.models)
    return figure


@styled
def order_figure(trainings: Trainings) -> Figure:
    """Order totals per body of every model and of the reference: a row for each training set, a column for each group.

    :return: means over the structures of a group, those of the reference as bars across the models, which have their spread
        over seeds as bars, and bands around zero in which they drown in noise
    """
    theme, reference, black = trainings.theme, trainings.reference, trainings.theme.sources[trainings.name].colour
    shifts = _dodged(trainings)

    def draw(axis: Axes, training_set: str, group: str) -> None:
        axis.axhline(0, color="#333333", linewidth=0.8, zorder=1)
        own = reference["group_contribution"].sel(group=group).dropna("order")
        orders, values = own["order"].values, own.values
        _band(axis, reference, group, orders, theme.sources[trainings.name])
        axis.hlines(values, orders - _HALF, orders + _HALF, color=black, linewidth=1.8)
        for (_, model), held in trainings.parts([training_set]):
            _band(axis, held, group, orders, theme.sources[model])
            means, spread = values_of(held, "group_contribution", group=group, order=orders)
            _points(axis, orders + shifts[model], means, spread, theme.sources[model].line(linestyle="none"))
        order_axis(axis, orders)
        for place in orders[1:]:
            axis.axvline(place - 0.5, color="#e4e4e4", linewidth=0.7, zorder=0.5)

    def scale(axes: list[Axes], group: str) -> None:
        values = [held["group_contribution"].sel(group=group).values for _, held in trainings.parts()]
        everything = np.concatenate([*values, reference["group_contribution"].sel(group=group).values])
        for axis in axes:
            if is_wide(everything):
                symmetric_logarithm(axis, everything)
            else:
                plain_ticks(axis)

    figure = _rows(trainings, draw, scale, theme.axis("group_contribution"))
    figure_legend(figure, [Line2D([], [], label=trainings.name, color=black, linewidth=1.8), *_markers(trainings)])
    return figure


@styled
def size_figure(trainings: Trainings) -> Figure:
    """Errors of energies of sub-clusters by their size: a row for each training set, a column for each group.

    :return: root mean squares per body on a logarithmic axis, with the spread over seeds as bars
    """
    shifts = dict(zip(trainings.models, shifts_of(len(trainings.models)) / 2, strict=True))

    def draw(axis: Axes, training_set: str, group: str) -> None:
        sizes = _sizes(trainings, group)
        for (_, model), held in trainings.parts([training_set]):
            style = trainings.theme.sources[model].line(linewidth=0.9)
            _points(axis, sizes + shifts[model], *values_of(held, "size_error", group=group, size=sizes), style)
        if len(sizes):
            order_axis(axis, sizes)
        bodies = "atoms" if trainings.theme.body == "atom" else "bodies"
        axis.set_xlabel(f"{bodies} in the sub-cluster")

    def scale(axes: list[Axes], group: str) -> None:
        _logarithm(axes, _spans(trainings, "size_error", group))

    figure = _rows(trainings, draw, scale, trainings.theme.axis("size_error"))
    trainings.theme.legend(figure, trainings.models)
    return figure


@styled
def cancellation_figure(trainings: Trainings, training_set: str, group: str) -> Figure:
    """How the errors of orders of every model of one training set go with each other in one group, a panel for each model.

    :return: Pearson's r of the errors of two orders, the mean over seeds; grey where there is none
    """
    parts = [
        (model, held["error_correlation"].sel(group=group)) for (_, model), held in trainings.parts([training_set])
    ]
    n_columns = min(len(parts), 4)
    figure, axes = panels(len(parts), n_columns, (_WIDTH / 4, 2.6), sharex=True, sharey=True)
    known = trainings.reference["group_contribution"].sel(group=group).notnull().values
    orders = trainings.reference["order"].values[known]
    for axis, (model, held) in zip(axes, parts, strict=True):
        values = held.transpose("order", "other_order").values[np.ix_(known, known)]
        axis.set_facecolor(_UNKNOWN)
        mesh = axis.pcolormesh(orders, orders, np.ma.masked_invalid(values), cmap=_COLOURS, vmin=-1, vmax=1)
        axis.set_xticks(orders)
        axis.set_yticks(orders)
        axis.grid(visible=False)
        axis.set_title(model, fontsize=9.5)
    for place, axis in enumerate(axes):
        if place + n_columns >= len(axes):
            axis.set_xlabel("body order $n$")
            axis.tick_params(labelbottom=True)
    for axis in axes[::n_columns]:
        axis.set_ylabel("body order $m$")
    bar = figure.colorbar(mesh, ax=axes, aspect=14 * -(-len(parts) // n_columns), pad=0.015)
    bar.set_label("correlation $r$ of errors")
    bar.set_ticks([-1, -0.5, 0, 0.5, 1])
    plain_ticks(bar.ax)
    return figure


def _rows(
    trainings: Trainings,
    draw: Callable[[Axes, str, str], None],
    scale: Callable[[list[Axes], str], None],
    label: str,
) -> Figure:
    """A row of panels for each training set, a column for each group that is drawn, which has one scale."""
    groups, training_sets = trainings.drawn, trainings.training_sets
    size = (_width(len(groups)), 2.7 if len(training_sets) > 1 else 3.4)
    figure, axes = panels(len(groups) * len(training_sets), len(groups), size, sharex="col", sharey="col")
    for place, axis in enumerate(axes):
        row, column = divmod(place, len(groups))
        draw(axis, training_sets[row], groups[column])
        if groups[column] not in trainings.seen(training_sets[row]):
            axis.set_facecolor(UNSEEN)
        if row < len(training_sets) - 1:
            axis.set_xlabel("")
        axis.set_title(panel_title(groups[column], training_sets[row]))
    for column, group in enumerate(groups):
        scale(axes[column :: len(groups)], group)
    for axis in axes[:: len(groups)]:
        axis.set_ylabel(label)
    return figure


def _points(axis: Axes, at: np.ndarray, values: np.ndarray, spread: np.ndarray, style: dict[str, Any]) -> None:
    """Values of one model, with its spread over seeds where there is one."""
    if np.isfinite(values).any():
        known = spread if np.isfinite(spread).any() else None
        axis.errorbar(at, values, known, capsize=1.8, elinewidth=0.9, **({"markersize": 4.5} | style))


def _band(axis: Axes, part: xr.Dataset, group: str, orders: np.ndarray, style: SourceStyle) -> None:
    """Where order totals of a source drown in noise."""
    if "group_noise" in part:
        noise = SIGNIFICANT * part["group_noise"].sel(group=group, order=orders).fillna(0.0).values
        axis.fill_between(orders, -noise, noise, step="mid", color=style.colour, alpha=0.12, linewidth=0)


def _dodged(trainings: Trainings) -> dict[str, float]:
    """Where each model stands beside a whole number."""
    half = min(_DODGE, _STEP * (len(trainings.models) - 1) / 2)
    return dict(zip(trainings.models, np.linspace(-half, half, len(trainings.models)), strict=True))


def _markers(trainings: Trainings) -> list[Line2D]:
    """Handles of the models where no lines join their points."""
    sources = trainings.theme.sources
    return [Line2D([], [], label=model, **sources[model].line(linestyle="none")) for model in trainings.models]


def _sizes(trainings: Trainings, group: str) -> np.ndarray:
    known = trainings.means["size_error"].sel(group=group).notnull().any("training")
    return known["size"].values[known.values]


def _spans(trainings: Trainings, name: str, group: str) -> np.ndarray:
    """What an axis must hold of a measure in a group."""
    whole = trainings.means.isel(training=trainings.means["whole"].values.astype(bool))
    return _reach(*values_of(whole, name, group=group))


def _reach(values: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Values with their bars, which on a logarithmic axis may reach down to nothing."""
    bars = np.nan_to_num(spread)
    return np.concatenate([np.maximum(values - bars, values / 3).ravel(), (values + bars).ravel()])


def _width(n_columns: int) -> float:
    """Of one panel."""
    return _WIDTH / n_columns if n_columns > 1 else _SINGLE


def _logarithm(axes: list[Axes], values: np.ndarray) -> None:
    """A logarithmic axis with room for all values."""
    known = values[np.isfinite(values) & (values > 0)]
    low, high = (known.min() / 1.6, known.max() * 1.6) if len(known) else (0.1, 1.0)
    logarithmic(axes, low, high)


def _energy_label(theme: Theme) -> str:
    return f"RMSE of $E/N$  (meV per {theme.body})"
