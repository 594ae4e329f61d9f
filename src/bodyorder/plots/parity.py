"""Contributions of sources against those of a reference, order by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bodyorder._checks import check_choice
from bodyorder.analysis.aligned import SeveralResults, align
from bodyorder.analysis.alignment import groups as groups_of
from bodyorder.plots.style import RESOLVED, Theme, look, on_axes, panels, plain_number, styled
from bodyorder.results.variables import VARIABLES

#: Contributions that are all smaller than this (eV) are shown in meV.
_IN_MILLI = 0.1

#: Errors below this (eV) are not worth a number.
_NEGLIGIBLE = 1e-4

#: Width of the text of an error, as a fraction of its panel.
_TEXT_WIDTH = 0.34

#: More points than this in one panel are drawn as an image, so that the page stays small.
_MANY_POINTS = 500


def parity(
    results: SeveralResults,
    reference: str,
    ax: Axes | None = None,
    *,
    order: int | None = None,
    group: str | None = None,
    theme: Theme | None = None,
) -> Axes:
    """Contributions of every other source against those of a reference; on the line they agree.

    :param results: of several sources, whatever :func:`bodyorder.analysis.align` takes
    :param reference: name of the source on the horizontal axis
    :param ax: axes to draw on; None makes new ones
    :param order: whose contributions are shown; None shows all from order 2 on together
    :param group: structures that are shown; None shows all
    :param theme: how sources are drawn; None gives them their colours by their order
    :return: the axes. Each sub-cluster is a point where results hold subsets, else each structure (per body); eV, or meV where
        that reads better
    :raises InputError: if there is no such reference, order or group
    """
    data = align(results).data
    names = [str(name) for name in data["source"].values]
    check_choice("reference", reference, names)
    known = [int(number) for number in data["order"].values]
    if order is not None:
        check_choice("order", str(order), [str(number) for number in known])
    shown = [number for number in known if (number > 1 if order is None else number == order)]
    members = groups_of(data)
    rows = np.concatenate(list(members.values())) if group is None else members[check_choice("group", group, members)]
    theme = theme or Theme.of(names, reference, Theme.body_of(data))
    others = [source for source in theme.sources if source != reference]
    with look(ax):
        axis = on_axes(ax, (4.4, 4.2))
        unit = _draw(axis, _values(data, rows, shown), reference, others, theme)
        symbol = f"${VARIABLES[variable_of(data)].symbol}$"
        axis.set_xlabel(f"{symbol} of {reference}  ({unit})")
        axis.set_ylabel(f"{symbol}  ({unit})")
        axis.legend()
        return axis


@styled
def parity_figure(results: xr.Dataset, comparison: xr.Dataset, group: str, theme: Theme) -> Figure:
    """Contributions of every source against those of the reference, a panel for each order.

    :param results: side by side (:class:`bodyorder.analysis.Aligned`)
    :param comparison: of :func:`bodyorder.analysis.compare`; names the reference
    :param group: whose structures are drawn
    :return: each subset a point where the results hold subsets, else each structure; RMSE written in
    """
    reference = comparison.attrs["reference"]
    rows, name = groups_of(results)[group], variable_of(results)
    score = comparison["subset_rmse" if name == "subset_contribution" else "order_rmse"].sel(group=group)
    known = score.notnull().any("source")
    orders = [int(order) for order in results["order"].values if bool(known.sel(order=order))] or [1]
    n_columns = min(len(orders), 4)
    figure, axes = panels(len(orders), n_columns, (2.75, 2.85))
    others = [source for source in theme.sources if source != reference]
    for axis, order in zip(axes, orders, strict=True):
        unit = _draw(axis, _values(results, rows, [order]), reference, others, theme)
        _write_errors(axis, {source: float(score.sel(source=source, order=order)) for source in others}, theme)
        axis.set_title(f"$n = {order}$  ({unit})", fontweight="normal")
    symbol = f"${VARIABLES[name].symbol}$"
    for axis in axes[::n_columns]:
        axis.set_ylabel(f"{symbol} of each source")
    for axis in axes[-n_columns:]:
        axis.set_xlabel(f"{symbol} of {reference}")
    theme.legend(figure, others)
    return figure


def variable_of(results: xr.Dataset) -> str:
    """The variable that points stand for: contributions of sub-clusters, or of structures where there are none."""
    return "subset_contribution" if "subset_contribution" in results else "contribution_per_body"


def _draw(axis: Axes, values: xr.DataArray, reference: str, others: Sequence[str], theme: Theme) -> str:
    """Draw points and the line of agreement, and give their unit."""
    scale, unit = _scale(values.values, theme.unit(str(values.name)))
    truth, guesses = scale * values.sel(source=reference).values, scale * values.sel(source=list(others)).values
    _diagonal(axis, truth, guesses, RESOLVED * scale)
    for source, guess in zip(others, guesses, strict=True):
        style = theme.sources[source]
        axis.plot(
            truth, guess, color=style.colour, marker=style.marker, linestyle="none", markersize=3.6, label=source,
            markeredgewidth=0, alpha=0.65, rasterized=len(truth) > _MANY_POINTS,
        )  # fmt: skip
    return unit


def _values(results: xr.Dataset, rows: np.ndarray, orders: Sequence[int]) -> xr.DataArray:
    """Contributions of some orders in the structures ``rows``, dims (source, sample)."""
    if variable_of(results) == "subset_contribution":
        inside = np.isin(results["subset_structure"].values, rows) & np.isin(results["subset_order"].values, orders)
        return results["subset_contribution"].isel(subset=inside).transpose("source", "subset")
    totals = (results["contribution"] / results["n_bodies"]).rename("contribution_per_body")
    chosen = totals.isel(structure=rows).sel(order=list(orders))
    return chosen.stack(sample=("structure", "order"), create_index=False).transpose("source", "sample")


def _scale(values: np.ndarray, unit: str) -> tuple[float, str]:
    """Factor and unit in which values read best: eV or meV."""
    largest = np.abs(values[np.isfinite(values)]).max(initial=0)
    return (1e3, f"m{unit}") if 0 < largest < _IN_MILLI else (1.0, unit)


def _diagonal(axis: Axes, truth: np.ndarray, guesses: np.ndarray, smallest: float) -> None:
    """Equal axes that hold all points, and the line of agreement."""
    known = np.concatenate([truth[np.isfinite(truth)], guesses[np.isfinite(guesses)]])
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    margin = 0.08 * (high - low) if high - low > smallest else max(0.05 * abs(high), smallest)
    limits = (low - margin, high + margin)
    axis.plot(limits, limits, color="#999999", linewidth=0.9, zorder=1)
    axis.set_xlim(limits)
    axis.set_ylim(limits)
    axis.set_aspect("equal")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(4))
        side.set_major_formatter(FuncFormatter(plain_number))


def _write_errors(axis: Axes, errors: Mapping[str, float], theme: Theme) -> None:
    """RMSE of each source in the corner, above or below the diagonal, that holds fewer points."""
    low, high = axis.get_xlim()
    height = 0.08 * len(errors) + 0.05
    points = [(np.asarray(line.get_xydata()) - low) / (high - low) for line in axis.get_lines()[1:]]
    x, y = np.concatenate(points).T if points else np.empty((2, 0))
    above = int(((x < _TEXT_WIDTH) & (y > 1 - height)).sum())
    below = int(((x > 1 - _TEXT_WIDTH) & (y < height)).sum())
    top, side, place = (0.97, "left", 0.03) if above <= below else (height, "right", 0.98)
    for row, (source, error) in enumerate(errors.items()):
        axis.text(
            place, top - 0.08 * row, _short(error), color=theme.sources[source].colour, transform=axis.transAxes,
            fontsize=7.5, verticalalignment="top", horizontalalignment=side,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _short(energy: float) -> str:
    """An RMSE in eV with three digits, in meV where that reads better."""
    if not np.isfinite(energy):
        return "—"
    if energy < _NEGLIGIBLE:
        return f"< {1e3 * _NEGLIGIBLE:g} meV"
    return f"{1e3 * energy:.3g} meV" if energy < 1 else f"{energy:.3g} eV"
