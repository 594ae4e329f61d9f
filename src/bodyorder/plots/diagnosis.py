"""What *ab initio* orders depend on, which states sub-clusters are in, where methods fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bodyorder.analysis.factors import Series
from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.plots.style import (
    RESOLVED,
    Theme,
    figure_legend,
    group_title,
    is_wide,
    order_axis,
    panels,
    plain_ticks,
    shifts_of,
    styled,
    symmetric_logarithm,
)
from bodyorder.results.variables import VARIABLES

#: Colours of multiplicities from the singlet on: the lowest spins pale, so that the others are seen.
STATE_COLOURS = ("#D6E6F2", "#A9CCE3", "#E69F00", "#D55E00", "#CC79A7", "#882255", "#009E73", "#999933", "#333333")

#: Errors of sub-clusters below this (eV) are drawn at the foot of the axis.
_FOOT = 1e-4

#: Characters in a line of the title of a small panel.
_TITLE = 28

#: What may differ at most, each in a row of its own.
_MOST_ROWS = 6


def shown(lines: Sequence[Series]) -> list[Series]:
    """The longest series of each factor: what figures show."""
    first: dict[str, Series] = {}
    for line in lines:
        first.setdefault(line.factor, line)
    return list(first.values())[:_MOST_ROWS]


@styled
def factor_figure(convergence: xr.Dataset, lines: Sequence[Series], theme: Theme) -> Figure:
    """Order totals per body of the sources that differ in one factor: a row for each factor, a column for each group.

    :param convergence: of :func:`bodyorder.analysis.group_convergence`
    :return: means over the structures of a group
    """
    groups = [str(name) for name in convergence["group"].values]
    figure, axes = panels(len(lines) * len(groups), len(groups), (10.4 / max(len(groups), 2), 3.0))
    for place, line in enumerate(lines):
        row = axes[place * len(groups) :]
        values = convergence["group_contribution"].sel(source=list(line.sources)).transpose("group", "source", "order")
        for axis, name in zip(row, groups, strict=False):
            means = values.sel(group=name).values
            _lines(axis, convergence["order"].values, means, line, theme)
            axis.set_title(_title(line, name), fontsize=9)
            _scale(axis, means)
        _legend_and_label(row[0], theme.axis("group_contribution"))
    return figure


@styled
def change_figure(changes: xr.Dataset, lines: Sequence[Series], theme: Theme) -> Figure:
    """Changes of order totals per body from the anchor of each series: a row for each factor, a column for each group.

    :param changes: of :func:`bodyorder.analysis.order_changes`
    :return: mean changes, and a band around zero that reaches to twice their noise
    """
    groups = [str(name) for name in changes["group"].values]
    orders = changes["order"].values
    figure, axes = panels(len(lines) * len(groups), len(groups), (10.4 / max(len(groups), 2), 3.0))
    for place, line in enumerate(lines):
        row = axes[place * len(groups) :]
        for axis, name in zip(row, groups, strict=False):
            part = changes.sel(group=name)
            means = np.array([_from_anchor(part, line, source) for source in line.sources])
            inside = np.isin(part["from_source"].values, line.sources) & np.isin(part["to_source"].values, line.sources)
            noise = SIGNIFICANT * part["change_noise"].isel(pair=inside).fillna(0.0).max("pair").values
            axis.fill_between(orders, -noise, noise, step="mid", color="#888888", alpha=0.2, linewidth=0)
            _lines(axis, orders, means, line, theme)
            anchor = line.values[line.sources.index(line.anchor)]
            axis.set_title(_title(line, name, f", against {anchor}"), fontsize=9)
            _scale(axis, means)
        _legend_and_label(row[0], theme.axis("change_mean"))
    return figure


@styled
def multiplicity_figure(states: xr.Dataset, names: Mapping[str, str]) -> Figure:
    """Fractions of the sub-clusters of each order that have each multiplicity: a panel for each source and group.

    :param states: of :func:`bodyorder.analysis.multiplicities`
    :param names: short names of sources
    :return: stacked bars; above them the number of sub-clusters that are neither singlets nor doublets
    """
    sources, groups = free(states), [str(name) for name in states["group"].values]
    n_columns = len(groups) * (2 if len(groups) <= 2 and len(sources) > 1 else 1)
    figure, axes = panels(len(sources) * len(groups), n_columns, (10.4 / max(n_columns, 3), 2.3), sharey=True)
    grid = iter(axes)
    known = [int(value) for value in states["multiplicity"].values]
    orders = states["order"].values
    unknown_anywhere = False
    for source in sources:
        for group in groups:
            axis = next(grid)
            part = states.sel(source=source, group=group)
            counts = np.column_stack([part["n_states"].transpose("order", "multiplicity").values, part["n_unknown"]])
            fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            bottom = np.zeros(len(orders))
            for place, multiplicity in enumerate(known):
                axis.bar(orders, fractions[:, place], 0.8, bottom, color=_colour(multiplicity), linewidth=0)
                bottom += fractions[:, place]
            if counts[:, -1].any():
                unknown_anywhere = True
                axis.bar(orders, fractions[:, -1], 0.8, bottom, color="white", edgecolor="#999999", hatch="///")
            _write_high_spins(axis, orders, counts, known)
            order_axis(axis, orders)
            axis.set_ylim(0, 1.14)
            axis.set_yticks([0, 0.5, 1])
            axis.set_title(f"{fill(names[source], _TITLE)}\n{group_title(group)}".strip(), fontsize=8.5)
    for axis in axes[::n_columns]:
        axis.set_ylabel("fraction")
    present = [value for value in known if bool((states["n_states"].sel(source=sources, multiplicity=value) > 0).any())]
    handles = [Patch(color=_colour(value), label=state_name(value)) for value in present]
    if unknown_anywhere:
        handles.append(Patch(facecolor="white", edgecolor="#999999", hatch="///", label="not known"))
    figure_legend(figure, handles)
    return figure


@styled
def error_figure(errors: xr.Dataset, theme: Theme, names: Mapping[str, str]) -> Figure:
    """Errors of the energies of sub-clusters by size, and below them the spin contamination, a column for each group.

    :param errors: of :func:`bodyorder.analysis.single_reference_errors`
    :param names: short names of sources
    :return: root mean squares with a line up to the largest error on a logarithmic axis; mean contamination
    """
    groups, orders = [str(name) for name in errors["group"].values], errors["order"].values
    own = theme.only([str(name) for name in errors["source"].values])
    contaminated = bool(errors["mean_contamination"].notnull().any())
    n_rows = 2 if contaminated else 1
    width = 10.4 / max(len(groups), 2)
    figure, axes = panels(n_rows * len(groups), len(groups), (width, 3.2 if n_rows == 1 else 2.7), sharey="row")
    tolerance = errors.attrs["tolerance"]
    sizes = abs(errors["error_largest"])
    top = 3 * max(float(sizes.max()) if bool(sizes.notnull().any()) else 0.0, tolerance)
    shifts = shifts_of(len(own.sources))
    for column, group in enumerate(groups):
        axis = axes[column]
        axis.set_title(group_title(group))
        axis.set_yscale("log")
        axis.set_ylim(_FOOT, top)
        axis.axhline(tolerance, color="#555555", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        for (name, style), shift in zip(own.sources.items(), shifts, strict=True):
            part = errors.sel(source=name, group=group)
            rms, largest = part["error_rms"].values, np.abs(part["error_largest"].values)
            seen = rms > _FOOT
            axis.vlines((orders + shift)[seen], rms[seen], largest[seen], color=style.colour, linewidth=0.9, alpha=0.6)
            axis.plot(orders + shift, np.where(seen, rms, np.nan), **style.line())
            below = rms <= _FOOT
            if below.any():
                axis.plot(
                    orders[below] + shift, np.full(below.sum(), _FOOT), clip_on=False, zorder=3,
                    **style.line(marker="v", linestyle="none", markerfacecolor="white"),
                )  # fmt: skip
            if contaminated:
                axes[len(groups) + column].plot(orders + shift, part["mean_contamination"].values, **style.line())
        order_axis(axis, orders)
        plain_ticks(axis)
        if contaminated:
            order_axis(axes[len(groups) + column], orders)
    axes[0].set_ylabel(own.axis("error_rms"))
    if contaminated:
        axes[len(groups)].set_ylabel(f"${VARIABLES['mean_contamination'].symbol}$")
    handles = [Line2D([], [], label=names[name], **style.line()) for name, style in own.sources.items()]
    figure_legend(figure, handles)
    return figure


def free(states: xr.Dataset) -> list[str]:
    """Sources in which sub-clusters of one order have several multiplicities; all if there is no such source."""
    several = (states["n_states"] > 0).any("group").sum("multiplicity").max("order") > 1
    known = (states["n_states"] > 0).any(("group", "order", "multiplicity"))
    sources = [str(name) for name in states["source"].values[several.values]]
    return sources or [str(name) for name in states["source"].values[known.values]]


def state_name(multiplicity: int) -> str:
    """What a multiplicity is called."""
    names = ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet", "octet", "nonet")
    return names[multiplicity - 1] if multiplicity <= len(names) else f"2S+1 = {multiplicity}"


def _lines(axis: Axes, orders: np.ndarray, values: np.ndarray, line: Series, theme: Theme) -> None:
    axis.axhline(0, color="#333333", linewidth=0.8, zorder=1)
    shifts = shifts_of(len(line.sources))
    for own, source, label, shift in zip(values, line.sources, line.values, shifts, strict=True):
        if np.isfinite(own).any():
            axis.plot(orders + shift, own, label=label, **theme.sources[source].line(linewidth=1.0))
    order_axis(axis, orders)


def _scale(axis: Axes, values: np.ndarray) -> None:
    if is_wide(values):
        symmetric_logarithm(axis, values)
        return
    known = values[np.isfinite(values)]
    if len(known) and np.abs(known).max() < RESOLVED:
        axis.set_ylim(-2 * RESOLVED, 2 * RESOLVED)
    axis.yaxis.set_major_locator(MaxNLocator(6))
    plain_ticks(axis)


def _legend_and_label(axis: Axes, label: str) -> None:
    axis.set_ylabel(label)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8, loc="best", frameon=True, framealpha=0.85, edgecolor="none")


def _title(line: Series, group: str, against: str = "") -> str:
    return f"{line.factor} in {line.common}{against}" + (f"\n{group_title(group)}" if group_title(group) else "")


def _from_anchor(part: xr.Dataset, line: Series, source: str) -> np.ndarray:
    """Mean change from the anchor of a series to one of its sources, whichever way round the pair is kept."""
    starts, ends = part["from_source"].values.astype(str), part["to_source"].values.astype(str)
    for first, last, sign in ((line.anchor, source, 1.0), (source, line.anchor, -1.0)):
        rows = np.flatnonzero((starts == first) & (ends == last))
        if len(rows):
            return sign * part["change_mean"].transpose("pair", "order").values[rows[0]]
    return np.full(part.sizes["order"], np.nan)


def _write_high_spins(axis: Axes, orders: np.ndarray, counts: np.ndarray, known: Sequence[int]) -> None:
    high = counts[:, [place for place, value in enumerate(known) if value > 2]].sum(axis=1)
    for order, number in zip(orders, high, strict=True):
        if number:
            axis.text(
                order, 1.01, str(int(number)), horizontalalignment="center", verticalalignment="bottom", fontsize=7
            )


def _colour(multiplicity: int) -> str:
    return STATE_COLOURS[min(multiplicity, len(STATE_COLOURS)) - 1]
