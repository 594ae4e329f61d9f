"""Contributions of sources against those of a reference, order by order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bodyorder.analysis.alignment import groups as groups_of
from bodyorder.report.style import RESOLVED, Theme, panels, styled
from bodyorder.report.wording import plain_number
from bodyorder.results.variables import VARIABLES

#: Contributions that are all smaller than this (eV) are shown in meV.
_IN_MILLI = 0.1

#: Errors below this (eV) are not worth a number.
_NEGLIGIBLE = 1e-4

#: Width of the text of an error, as a fraction of its panel.
_TEXT_WIDTH = 0.34

#: More points than this in one panel are drawn as an image, so that the page stays small.
_MANY_POINTS = 500


@styled
def scatter_figure(results: xr.Dataset, comparison: xr.Dataset, group: str, theme: Theme) -> Figure:
    """Contributions of every source against those of the reference, a panel for each order.

    :param results: of :func:`bodyorder.analysis.combine`
    :param comparison: of :func:`bodyorder.analysis.compare`; names the reference
    :param group: whose structures are drawn
    :return: each subset a point where the results hold subsets, else each structure; RMSE written in
    """
    reference = comparison.attrs["reference"]
    rows = groups_of(results)[group]
    by_subset = "subset_contribution" in results
    name = "subset_contribution" if by_subset else "contribution_per_body"
    score = comparison["subset_rmse" if by_subset else "order_rmse"].sel(group=group)
    orders = results["order"].values
    n_columns = min(len(orders), 4)
    figure, axes = panels(len(orders), n_columns, (2.75, 2.85))
    others = [source for source in theme.sources if source != reference]
    for axis, order in zip(axes, orders, strict=True):
        values = _values_of_order(results, rows, int(order), by_subset)
        scale, unit = _scale(values.values, theme.unit(name))
        truth, guesses = scale * values.sel(source=reference).values, scale * values.sel(source=others).values
        _diagonal(axis, truth, guesses, RESOLVED * scale)
        for source, guess in zip(others, guesses, strict=True):
            style = theme.sources[source]
            axis.plot(
                truth, guess, color=style.colour, marker=style.marker, linestyle="none", markersize=3.6,
                markeredgewidth=0, alpha=0.65, rasterized=len(truth) > _MANY_POINTS,
            )  # fmt: skip
        errors = {source: float(score.sel(source=source, order=order)) for source in others}
        _write_errors(axis, truth, guesses, errors, theme)
        axis.set_title(f"$n = {order}$  ({unit})", fontweight="normal")
    symbol = f"${VARIABLES[name].symbol}$"
    for axis in axes[::n_columns]:
        axis.set_ylabel(f"{symbol} of each source")
    for axis in axes[-n_columns:]:
        axis.set_xlabel(f"{symbol} of {reference}")
    theme.legend(figure, others)
    return figure


def _values_of_order(results: xr.Dataset, rows: np.ndarray, order: int, by_subset: bool) -> xr.DataArray:
    """Contributions of one order in the structures ``rows``, dims (source, sample)."""
    if by_subset:
        inside = np.isin(results["subset_structure"].values, rows) & (results["subset_order"].values == order)
        return results["subset_contribution"].isel(subset=inside).transpose("source", "subset")
    totals = results["contribution"].sel(order=order) / results["n_bodies"]
    return totals.isel(structure=rows).transpose("source", "structure")


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


def _write_errors(
    axis: Axes, truth: np.ndarray, guesses: np.ndarray, errors: Mapping[str, float], theme: Theme
) -> None:
    """RMSE of each source in the corner, above or below the diagonal, that holds fewer points."""
    low, high = axis.get_xlim()
    height = 0.08 * len(errors) + 0.05
    x = np.broadcast_to((truth - low) / (high - low), guesses.shape)
    y = (guesses - low) / (high - low)
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
