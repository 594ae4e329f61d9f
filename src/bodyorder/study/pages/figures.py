"""Figures of what models have learnt. Each takes the trainings and draws; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from bodyorder.analysis.seeds import SPREAD
from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.plots.style import (
    SourceStyle,
    figure_legend,
    group_title,
    is_wide,
    logarithmic,
    order_axis,
    panels,
    plain_ticks,
    shifts_of,
    styled,
    symmetric_logarithm,
)
from bodyorder.study.pages.trainings import PRETRAINED, Trainings, label

#: Width in inches of figures of several columns, and of those of one.
_WIDTH, _SINGLE = 10.4, 6.6

#: How far models are spread out on both sides of a whole number at most, and how far apart they are if they are few.
_DODGE, _STEP = 0.33, 0.15

#: How far the bars of the reference reach to both sides.
_HALF = 0.42

#: Behind what a training set has no cluster of.
UNSEEN = "#f3f1ea"


@styled
def error_figure(trainings: Trainings) -> Figure:
    """Errors of energies on every group of clusters, a panel for each; models side by side on each training set.

    :return: root mean square over structures in meV per body on a logarithmic axis, with the spread over seeds as bars
    """
    groups, sets, n_seen = trainings.groups, trainings.sets, len(trainings.seen_anywhere)
    n_columns = min(len(groups), n_seen if n_seen in (2, 3) else 2)
    size = (_width(n_columns), 2.6 if len(groups) > n_columns else 3.2)
    figure, axes = panels(len(groups), n_columns, size, sharey="col")
    for axis, group in zip(axes, groups, strict=True):
        for place, training_set in enumerate(sets):
            if group not in trainings.seen[training_set]:
                axis.axvspan(place - 0.5, place + 0.5, color=UNSEEN, linewidth=0, zorder=0)
            for model, held in trainings.parts(training_set):
                at = np.array([place + _dodged(trainings)[model]])
                look = trainings.theme.sources[model].line(linestyle="none")
                _points(axis, at, held.sel(group=[group]), "total_rmse", look, 1e3)
        for place in range(1, len(sets)):
            axis.axvline(place - 0.5, color="#d0d0d0", linewidth=0.7, zorder=1)
        axis.set_xticks(range(len(sets)), [fill(name or PRETRAINED, 14) for name in sets])
        axis.set_xlim(-0.5, len(sets) - 0.5)
        axis.grid(visible=False, axis="x")
        axis.tick_params(axis="x", length=0)
        axis.set_title(group_title(group))
    for column in range(n_columns):
        _logarithm(axes[column::n_columns], trainings.whole.sel(group=groups[column::n_columns]), "total_rmse", 1e3)
    for axis in axes[::n_columns]:
        axis.set_ylabel(f"RMSE of $E/N$  (meV per {trainings.theme.body})")
    figure_legend(figure, _markers(trainings))
    return figure


@styled
def learning_figure(trainings: Trainings) -> Figure:
    """Errors of energies against the number of training clusters, a row for each training set, a column for each group in it.

    :return: root mean square over structures in meV per body, both axes logarithmic, with the spread over seeds as bars
    """
    means = trainings.means
    sets = list(dict.fromkeys(means["training_set"].values[~means["whole"].values.astype(bool)].tolist()))
    groups = [group for group in trainings.seen_anywhere if any(group in trainings.seen[name] for name in sets)]
    figure, axes = panels(len(sets) * len(groups), len(groups), (_width(len(groups)), 3.2))
    for index, axis in enumerate(axes):
        training_set, group = sets[index // len(groups)], groups[index % len(groups)]
        own = means.isel(training=means["training_set"].values == training_set).sel(group=group)
        for model in trainings.models:
            curve = own.isel(training=own["model"].values == model).sortby("n_clusters")
            look = trainings.theme.sources[model].line(linewidth=0.9)
            _points(axis, curve["n_clusters"].values, curve, "total_rmse", look, 1e3)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(np.unique(own["n_clusters"].values).tolist()))
        axis.xaxis.set_minor_locator(NullLocator())
        plain_ticks(axis, "x")
        _logarithm([axis], own, "total_rmse", 1e3)
        axis.set_title(", ".join(filter(None, (group_title(group), label(training_set)))))
        axis.set_xlabel("training clusters of each group")
        axis.set_ylabel(f"RMSE of $E/N$  (meV per {trainings.theme.body})" if index % len(groups) == 0 else "")
    trainings.theme.legend(figure, trainings.models)
    return figure


@styled
def order_figure(trainings: Trainings) -> Figure:
    """Order totals per body of every model and of the reference: a row for each training set, a column for each group.

    :return: means over the structures of a group, those of the reference as bars across the models, which have their spread
        over seeds as bars, and bands around zero that reach to twice their noise
    """
    reference, sources = trainings.reference, trainings.theme.sources
    black = sources[trainings.name].colour

    def draw(axis: Axes, training_set: str, group: str) -> None:
        axis.axhline(0, color="#333333", linewidth=0.8, zorder=1)
        own = reference["group_contribution"].sel(group=group).dropna("order")
        orders = own["order"].values
        _band(axis, reference.sel(group=group, order=orders), sources[trainings.name])
        axis.hlines(own.values, orders - _HALF, orders + _HALF, color=black, linewidth=1.8)
        for model, held in trainings.parts(training_set):
            part = held.sel(group=group, order=orders)
            _band(axis, part, sources[model])
            _points(
                axis,
                orders + _dodged(trainings)[model],
                part,
                "group_contribution",
                sources[model].line(linestyle="none"),
            )
        order_axis(axis, orders)
        for place in orders[1:]:
            axis.axvline(place - 0.5, color="#e4e4e4", linewidth=0.7, zorder=0.5)

    def scale(axes: Sequence[Axes], group: str) -> None:
        parts = (trainings.whole, reference)
        values = np.concatenate([part["group_contribution"].sel(group=group).values.ravel() for part in parts])
        for axis in axes:
            symmetric_logarithm(axis, values) if is_wide(values) else plain_ticks(axis)

    figure = _rows(trainings, draw, scale, trainings.theme.axis("group_contribution"))
    figure_legend(figure, [Line2D([], [], label=trainings.name, color=black, linewidth=1.8), *_markers(trainings)])
    return figure


@styled
def size_figure(trainings: Trainings) -> Figure:
    """Errors of energies of sub-clusters by their size: a row for each training set, a column for each group.

    :return: root mean squares per body on a logarithmic axis, with the spread over seeds as bars
    """
    shifts = dict(zip(trainings.models, shifts_of(len(trainings.models)) / 2, strict=True))
    bodies = "atoms" if trainings.theme.body == "atom" else "bodies"

    def draw(axis: Axes, training_set: str, group: str) -> None:
        known = trainings.whole["size_error"].sel(group=group).notnull().any("training")
        sizes = known["size"].values[known.values]
        for model, held in trainings.parts(training_set):
            part = held.sel(group=group, size=sizes)
            _points(axis, sizes + shifts[model], part, "size_error", trainings.theme.sources[model].line(linewidth=0.9))
        if len(sizes):
            order_axis(axis, sizes)
        axis.set_xlabel(f"{bodies} in the sub-cluster")

    def scale(axes: Sequence[Axes], group: str) -> None:
        _logarithm(axes, trainings.whole.sel(group=group), "size_error")

    figure = _rows(trainings, draw, scale, trainings.theme.axis("size_error"))
    trainings.theme.legend(figure, trainings.models)
    return figure


def _rows(
    trainings: Trainings,
    draw: Callable[[Axes, str, str], None],
    scale: Callable[[Sequence[Axes], str], None],
    axis_label: str,
) -> Figure:
    """A row of panels for each training set, a column for each group that is drawn, which has one scale."""
    groups, sets = trainings.drawn, trainings.sets
    size = (_width(len(groups)), 2.7 if len(sets) > 1 else 3.4)
    figure, axes = panels(len(groups) * len(sets), len(groups), size, sharex="col", sharey="col")
    for place, axis in enumerate(axes):
        training_set, group = sets[place // len(groups)], groups[place % len(groups)]
        draw(axis, training_set, group)
        if group not in trainings.seen[training_set]:
            axis.set_facecolor(UNSEEN)
        if place + len(groups) < len(axes):
            axis.set_xlabel("")
        axis.set_title(", ".join(filter(None, (group_title(group), label(training_set)))))
        axis.set_ylabel("" if place % len(groups) else axis_label)
    for column, group in enumerate(groups):
        scale(axes[column :: len(groups)], group)
    return figure


def _points(axis: Axes, at: np.ndarray, part: xr.Dataset, name: str, look: dict[str, Any], scale: float = 1.0) -> None:
    """A measure of one model, with its spread over seeds where there is one."""
    if bool(part[name].notnull().any()):
        values, spread = scale * part[name].values, scale * part[f"{name}{SPREAD}"].values
        bars = spread if np.isfinite(spread).any() else None
        axis.errorbar(at, values, bars, capsize=1.8, elinewidth=0.9, **({"markersize": 4.5} | look))


def _band(axis: Axes, part: xr.Dataset, style: SourceStyle) -> None:
    """Where order totals of a source are not above their noise."""
    if "group_noise" in part:
        noise = SIGNIFICANT * part["group_noise"].fillna(0.0).values
        orders = part["order"].values
        axis.fill_between(orders, -noise, noise, step="mid", color=style.colour, alpha=0.12, linewidth=0)


def _dodged(trainings: Trainings) -> dict[str, float]:
    """Where each model stands beside a whole number."""
    half = min(_DODGE, _STEP * (len(trainings.models) - 1) / 2)
    return dict(zip(trainings.models, np.linspace(-half, half, len(trainings.models)), strict=True))


def _markers(trainings: Trainings) -> list[Line2D]:
    """Handles of the models where no lines join their points."""
    sources = trainings.theme.sources
    return [Line2D([], [], label=model, **sources[model].line(linestyle="none")) for model in trainings.models]


def _width(n_columns: int) -> float:
    """Of one panel."""
    return _WIDTH / n_columns if n_columns > 1 else _SINGLE


def _logarithm(axes: Sequence[Axes], part: xr.Dataset, name: str, scale: float = 1.0) -> None:
    """A logarithmic axis with room for all values and their bars, which may reach down to nothing."""
    values, bars = scale * part[name].values, scale * np.nan_to_num(part[f"{name}{SPREAD}"].values)
    reach = np.concatenate([np.maximum(values - bars, values / 3).ravel(), (values + bars).ravel()])
    known = reach[np.isfinite(reach) & (reach > 0)]
    logarithmic(axes, *((known.min() / 1.6, known.max() * 1.6) if len(known) else (0.1, 1.0)))
