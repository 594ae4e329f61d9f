"""The figures of a report. Each takes the datasets of the analyses and draws; nothing is computed from energies here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

from bodyorder.engine.noise import SIGNIFICANT
from bodyorder.report.style import RESOLVED, Theme, order_axis, panels, plain_ticks, styled
from bodyorder.report.wording import group_title

#: Values that span fewer decades than this stand on a linear axis.
_LINEAR_DECADES = 2


@styled
def order_totals_figure(convergence: xr.Dataset, theme: Theme) -> Figure:
    """Order totals per body of every source side by side, a panel for each group.

    :param convergence: of :func:`bodyorder.analysis.group_convergence`
    :return: points with the spread over structures as bars, and a band around zero in which totals drown in noise
    """
    groups = [str(name) for name in convergence["group"].values]
    orders = convergence["order"].values
    figure, axes = panels(len(groups), min(len(groups), 2), (5.2, 3.7), sharey=True)
    everything = convergence["group_contribution"].values
    shifts = shifts_of(len(theme.sources))
    for axis, group in zip(axes, groups, strict=True):
        axis.set_title(group_title(group))
        axis.axhline(0, color="#333333", linewidth=0.8, zorder=1)
        for (name, style), shift in zip(theme.sources.items(), shifts, strict=True):
            part = convergence.sel(group=group, source=name)
            noise = SIGNIFICANT * part["group_noise"].values
            axis.fill_between(orders, -noise, noise, step="mid", color=style.colour, alpha=0.12, linewidth=0)
            spread = part["group_spread"].values if int(part["group_size"]) > 1 else None
            values = part["group_contribution"].values
            axis.plot(orders + shift, values, color=style.colour, linestyle=style.dash, linewidth=0.9, alpha=0.5)
            axis.errorbar(orders + shift, values, spread, capsize=2, elinewidth=0.9, **style.line(linestyle="none"))
        order_axis(axis, orders)
        if is_wide(everything):
            symmetric_logarithm(axis, everything)
    for axis in axes[:: min(len(groups), 2)]:
        axis.set_ylabel(theme.axis("group_contribution"))
    theme.legend(figure)
    return figure


@styled
def truncation_figure(convergence: xr.Dataset, theme: Theme) -> Figure:
    """Error of the expansion cut off at each order, a panel for each group.

    :param convergence: of :func:`bodyorder.analysis.group_convergence`
    :return: root mean square over structures on a logarithmic axis; open triangles at its foot are values below it
    """
    groups = [str(name) for name in convergence["group"].values]
    orders = convergence["order"].values
    figure, axes = panels(len(groups), min(len(groups), 2), (5.2, 3.5), sharey=True)
    errors = convergence["group_truncation_error"].values
    tolerance = convergence.attrs["tolerance"]
    foot = min(RESOLVED, tolerance) / 10
    top = 3 * max(errors[np.isfinite(errors)].max(initial=0), tolerance)
    shifts = shifts_of(len(theme.sources))
    for axis, group in zip(axes, groups, strict=True):
        axis.set_title(group_title(group))
        axis.set_yscale("log")
        axis.set_ylim(foot, top)
        axis.axhline(tolerance, color="#555555", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        for (name, style), shift in zip(theme.sources.items(), shifts, strict=True):
            error = convergence["group_truncation_error"].sel(group=group, source=name).values
            noise = SIGNIFICANT * convergence["group_truncation_noise"].sel(group=group, source=name).values
            axis.fill_between(orders, foot, np.maximum(noise, foot), color=style.colour, alpha=0.07, linewidth=0)
            axis.plot(orders + shift, np.where(error > foot, error, np.nan), **style.line())
            below = error <= foot
            if below.any():
                axis.plot(
                    (orders + shift)[below], np.full(below.sum(), foot), clip_on=False, zorder=3,
                    **style.line(marker="v", linestyle="none", markerfacecolor="white"),
                )  # fmt: skip
        order_axis(axis, orders)
        plain_ticks(axis)
    axes[0].annotate(
        f"{1e3 * tolerance:.3g} meV per {theme.body}", (0.99, tolerance), (0, 2),
        xycoords=axes[0].get_yaxis_transform(), textcoords="offset points", horizontalalignment="right", fontsize=8,
        color="#555555", zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
    )  # fmt: skip
    for axis in axes[:: min(len(groups), 2)]:
        axis.set_ylabel(theme.axis("group_truncation_error"))
    theme.legend(figure)
    return figure


@styled
def one_body_figure(energies: xr.DataArray, reference: str | None, theme: Theme) -> Figure:
    """Energy of an isolated atom in every source, a panel for each element.

    :param energies: of :func:`bodyorder.analysis.one_body_energies`
    :param reference: source whose energy is drawn as a line, and from which deviations are given
    """
    elements = energies["element"].values
    names = list(theme.sources)
    n_columns = min(len(elements), 2)
    figure, axes = panels(len(elements), n_columns, (8.4 / n_columns + 1.6, 0.34 * len(names) + 1.1), sharey=True)
    for axis, element in zip(axes, elements, strict=True):
        values = energies.sel(element=element)
        truth = np.nan if reference is None else float(values.sel(source=reference))
        if np.isfinite(truth):
            axis.axvline(truth, color="#555555", linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        for place, name in enumerate(names):
            value = float(values.sel(source=name))
            if np.isfinite(value):
                axis.plot([value], [place], **theme.sources[name].line(linestyle="none", markersize=7))
                text = f"{value:.3f}" + (f" ({value - truth:+.3f})" if name != reference and np.isfinite(truth) else "")
                axis.annotate(
                    text.replace("-", "−"), (value, place), (8, 0), textcoords="offset points",
                    verticalalignment="center", fontsize=8.5,
                )  # fmt: skip
        known = values.values[np.isfinite(values.values)]
        if len(known):
            width = max(float(np.ptp(known)), 0.1)
            middle = (known.min() + known.max()) / 2
            axis.set_xlim(middle - 0.65 * width, middle + 0.85 * width)
        axis.set_title(chemical_symbols[int(element)])
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_xlabel(theme.axis("one_body_energy"))
    return figure


@styled
def loss_figure(curves: Mapping[str, Mapping[str, Any]], theme: Theme) -> Figure:
    """Loss against epoch for each trained model.

    :param curves: for each model ``epoch``, ``training`` and ``validation`` (a dataset or a mapping of sequences);
        ``validation`` may be missing
    """
    n_columns = min(len(curves), 3)
    figure, axes = panels(len(curves), n_columns, (10.4 / n_columns if n_columns > 1 else 6.0, 2.6), sharey=True)
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        colour = theme.sources[name].colour if name in theme.sources else "#333333"
        epochs = np.asarray(curve["epoch"])
        axis.plot(epochs, np.asarray(curve["training"]), color=colour, linestyle=":")
        if "validation" in curve:
            axis.plot(epochs, np.asarray(curve["validation"]), color=colour, linestyle="-")
        axis.set_yscale("log")
        plain_ticks(axis)
        axis.set_title(name, fontsize=9.5)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axis in axes[::n_columns]:
        axis.set_ylabel("loss")
    handles = [
        Line2D([], [], color="#333333", linestyle=":", label="training"),
        Line2D([], [], color="#333333", linestyle="-", label="validation"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def is_wide(values: np.ndarray) -> bool:
    """Whether values span so many decades that a linear axis would hide the small ones."""
    sizes = np.abs(values[np.isfinite(values) & (np.abs(values) > RESOLVED)])
    return len(sizes) > 0 and sizes.max() / sizes.min() > 10**_LINEAR_DECADES


def symmetric_logarithm(axis: Axes, values: np.ndarray) -> None:
    """An energy axis that is logarithmic on both sides of zero, and linear where nothing matters."""
    axis.set_yscale("symlog", linthresh=RESOLVED, linscale=0.7)
    axis.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=RESOLVED))
    axis.yaxis.set_minor_locator(SymmetricalLogLocator(base=10, linthresh=RESOLVED, subs=range(2, 10)))
    axis.tick_params(axis="y", which="minor", length=1.5)
    plain_ticks(axis)
    axis.axhspan(-RESOLVED, RESOLVED, color="#f2f2f2", zorder=0, linewidth=0)
    known = values[np.isfinite(values)]
    axis.set_ylim(min(2 * known.min(), -2 * RESOLVED), max(2 * known.max(), 2 * RESOLVED))


def shifts_of(n_sources: int) -> np.ndarray:
    """Small shifts along the order axis, so that sources do not hide each other."""
    return (np.arange(n_sources) - (n_sources - 1) / 2) * min(0.12, 0.6 / max(n_sources, 1))
