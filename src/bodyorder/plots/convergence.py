"""How orders converge: their totals, what truncations miss, and the noise of both as bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bodyorder._checks import check_choice
from bodyorder.analysis.aligned import Aligned, SeveralResults, align
from bodyorder.analysis.alignment import UNGROUPED
from bodyorder.analysis.convergence import TOLERANCE, group_convergence
from bodyorder.engine.noise import ROUNDING, SIGNIFICANT
from bodyorder.plots.style import (
    DASHES,
    RESOLVED,
    SourceStyle,
    Theme,
    figure_legend,
    group_title,
    is_wide,
    look,
    on_axes,
    order_axis,
    panels,
    plain_ticks,
    shifts_of,
    styled,
    symmetric_logarithm,
)

#: More groups than this have no panels of their own in one figure of everything.
MOST_PANELS = 3


class Line(NamedTuple):
    """What one line on an axis shows, and how.

    :param label: in the legend
    :param source: by name
    :param group: of structures, by name
    :param style: colour, marker and dashes
    """

    label: str
    source: str
    group: str
    style: SourceStyle


def orders(
    results: SeveralResults,
    ax: Axes | None = None,
    *,
    group: str | None = None,
    reference: str | None = None,
    theme: Theme | None = None,
) -> Axes:
    """Order totals per body (eV): means over structures with their spread as bars, and their noise as a band around zero.

    A line for each source; of one source alone, a line for each group. Totals inside the band, which reaches to twice the noise
    (1σ), mean nothing.

    :param results: whatever :func:`bodyorder.analysis.align` takes
    :param ax: axes to draw on; None makes new ones
    :param group: structures that are shown; None shows all groups
    :param reference: source drawn in black
    :param theme: how sources are drawn; None gives them their colours by their order
    :return: the axes
    :raises InputError: if there is no such group or reference
    """
    aligned, theme = _themed(results, reference, theme)
    return _drawn("orders", group_convergence(aligned), theme, group, ax)


def truncation(
    results: SeveralResults,
    ax: Axes | None = None,
    *,
    group: str | None = None,
    reference: str | None = None,
    tolerance: float = TOLERANCE,
    theme: Theme | None = None,
) -> Axes:
    """Error of the expansion cut off at each order (eV per body), root mean square over structures, on a logarithmic axis.

    Open triangles at the foot of the axis are values below it. Shaded: up to twice the noise of the sum. Dashed: the tolerance.

    :param tolerance: in eV per body
    :return: the axes; other parameters and errors as of :func:`orders`
    """
    aligned, theme = _themed(results, reference, theme)
    return _drawn("truncation", group_convergence(aligned, tolerance), theme, group, ax)


def noise(
    results: SeveralResults,
    ax: Axes | None = None,
    *,
    group: str | None = None,
    reference: str | None = None,
    theme: Theme | None = None,
) -> Axes:
    """Size of the order totals per body (eV) above their noise, on a logarithmic axis.

    Bands reach up to twice the noise (1σ); open markers are totals that are not above it.

    :return: the axes; parameters and errors as of :func:`orders`
    """
    aligned, theme = _themed(results, reference, theme)
    return _drawn("noise", group_convergence(aligned), theme, group, ax)


def lines_of(convergence: xr.Dataset, theme: Theme, group: str | None = None) -> list[Line]:
    """A line for each source and group: sources tell their colours apart, or groups if there is one source.

    :raises InputError: if there is no such group
    """
    names = [str(name) for name in convergence["group"].values]
    groups = names if group is None else [check_choice("group", group, names)]
    sources = [name for name in theme.sources if name in convergence["source"].values]
    if len(sources) == 1 and len(groups) > 1:
        looks = Theme.of(names).sources
        return [Line(name, sources[0], name, looks[name]) for name in groups]
    return [
        Line(
            source if len(groups) == 1 else f"{source}, {name}",
            source,
            name,
            SourceStyle(own.colour, own.marker, DASHES[place % len(DASHES)]) if len(groups) > 1 else own,
        )
        for place, name in enumerate(groups)
        for source, own in theme.sources.items()
        if source in sources
    ]


def draw_orders(axis: Axes, convergence: xr.Dataset, lines: Sequence[Line]) -> None:
    """Draw order totals of :func:`bodyorder.analysis.group_convergence`, and the noise as a band around zero."""
    orders = convergence["order"].values
    axis.axhline(0, color="#333333", linewidth=0.8, zorder=1)
    for line, shift in zip(lines, shifts_of(len(lines)), strict=True):
        part, style = convergence.sel(group=line.group, source=line.source), line.style
        band = SIGNIFICANT * part["group_noise"].values
        axis.fill_between(orders, -band, band, step="mid", color=style.colour, alpha=0.12, linewidth=0)
        spread = part["group_spread"].values if int(part["group_size"]) > 1 else None
        values = part["group_contribution"].values
        axis.plot(orders + shift, values, color=style.colour, linestyle=style.dash, linewidth=0.9, alpha=0.5)
        axis.errorbar(
            orders + shift, values, spread, capsize=2, elinewidth=0.9, label=line.label, **style.line(linestyle="none")
        )
    order_axis(axis, orders)
    everything = convergence["group_contribution"].values
    if is_wide(everything):
        symmetric_logarithm(axis, everything)


def draw_truncation(axis: Axes, convergence: xr.Dataset, lines: Sequence[Line]) -> None:
    """Draw truncation errors of :func:`bodyorder.analysis.group_convergence` on a logarithmic axis."""
    orders = convergence["order"].values
    errors = convergence["group_truncation_error"].values
    tolerance = convergence.attrs["tolerance"]
    foot = min(RESOLVED, tolerance) / 10
    axis.set_yscale("log")
    axis.set_ylim(foot, 3 * max(errors[np.isfinite(errors)].max(initial=0), tolerance))
    axis.axhline(tolerance, color="#555555", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    if "whole" in convergence.attrs and all(
        convergence["group_truncation_error"].sel(group=line.group, source=line.source).isnull().all() for line in lines
    ):
        said = "energies of whole structures\nwere not asked for"
        axis.text(0.5, 0.5, said, transform=axis.transAxes, horizontalalignment="center", color="#555555")
    for line, shift in zip(lines, shifts_of(len(lines)), strict=True):
        part, style = convergence.sel(group=line.group, source=line.source), line.style
        error = part["group_truncation_error"].values
        band = np.maximum(SIGNIFICANT * part["group_truncation_noise"].values, foot)
        axis.fill_between(orders, foot, band, color=style.colour, alpha=0.07, linewidth=0)
        axis.plot(orders + shift, np.where(error > foot, error, np.nan), label=line.label, **style.line())
        below = error <= foot
        if below.any():
            axis.plot(
                (orders + shift)[below], np.full(below.sum(), foot), clip_on=False, zorder=3,
                **style.line(marker="v", linestyle="none", markerfacecolor="white"),
            )  # fmt: skip
    order_axis(axis, orders)
    plain_ticks(axis)


def draw_noise(axis: Axes, convergence: xr.Dataset, lines: Sequence[Line]) -> None:
    """Draw sizes of order totals of :func:`bodyorder.analysis.group_convergence` above bands of their noise."""
    orders = convergence["order"].values
    sizes, bands = abs(convergence["group_contribution"]), SIGNIFICANT * convergence["group_noise"]
    known = np.concatenate([sizes.values.ravel(), bands.values.ravel()])
    known = known[known > ROUNDING]
    foot, top = (known.min() / 3, known.max() * 3) if len(known) else (RESOLVED, 1.0)
    axis.set_yscale("log")
    axis.set_ylim(foot, top)
    for line, shift in zip(lines, shifts_of(len(lines)), strict=True):
        where = {"group": line.group, "source": line.source}
        size, band = sizes.sel(where).values, bands.sel(where).values
        # orders that no structure has are zero exactly, and those are not drawn
        size = np.where((size == 0) & (band == 0), np.nan, np.maximum(size, foot))
        axis.fill_between(orders, foot, band, step="mid", color=line.style.colour, alpha=0.12, linewidth=0)
        axis.plot(orders + shift, size, label=line.label, **line.style.line())
        lost = size <= band
        axis.plot((orders + shift)[lost], size[lost], **line.style.line(linestyle="none", markerfacecolor="white"))
    order_axis(axis, orders)


#: What is drawn of how orders converge, and what the axis is called.
_KINDS: dict[str, tuple[Callable[[Axes, xr.Dataset, Sequence[Line]], None], str, str]] = {
    "orders": (draw_orders, "group_contribution", ""),
    "truncation": (draw_truncation, "group_truncation_error", ""),
    "noise": (draw_noise, "group_contribution", r"|E^{(n)}|/N"),
}


@styled
def convergence_figure(kind: str, convergence: xr.Dataset, theme: Theme) -> Figure:
    """How orders converge, a panel for each group.

    :param kind: ``orders``, ``truncation`` or ``noise``: what the functions of these names draw
    :param convergence: of :func:`bodyorder.analysis.group_convergence`
    """
    draw, variable, symbol = _KINDS[kind]
    groups = [str(name) for name in convergence["group"].values]
    figure, axes = panels(len(groups), min(len(groups), 2), (5.2, 3.5), sharey=True)
    for axis, group in zip(axes, groups, strict=True):
        draw(axis, convergence, lines_of(convergence, theme, group))
        axis.set_title(group_title(group))
    if kind == "truncation":
        _write_tolerance(axes[0], convergence, theme)
    for axis in axes[:: min(len(axes), 2)]:
        axis.set_ylabel(theme.axis(variable, symbol))
    if len(theme.sources) > 1:
        theme.legend(figure)
    return figure


@styled
def overview_figure(convergence: xr.Dataset, theme: Theme, leading: str) -> Figure:
    """Order totals beside, or above, the errors of truncations; of many groups those of the leading source alone.

    :param convergence: of :func:`bodyorder.analysis.group_convergence`
    :param leading: source that is shown where groups are too many for panels of their own
    """
    groups: list[str | None] = [str(name) for name in convergence["group"].values]
    theme_shown = theme
    if len(groups) > MOST_PANELS:
        groups, theme_shown = [None], theme.only([leading])
    known = bool(convergence["group_truncation_error"].notnull().any())
    kinds = [draw_orders, draw_truncation] if known else [draw_orders]
    labels = [theme.axis(name) for name in ("group_contribution", "group_truncation_error")]
    beside = len(groups) == 1
    n_columns = len(kinds) if beside else len(groups)
    sharing: dict[str, Any] = {} if beside else {"sharey": "row"}
    figure, axes = panels(len(kinds) * len(groups), n_columns, (10.4 / max(n_columns, 2), 3.2), **sharing)
    for place, axis in enumerate(axes):
        kind, column = (place, 0) if beside else divmod(place, len(groups))
        lines = lines_of(convergence, theme_shown, groups[column])
        kinds[kind](axis, convergence, lines)
        axis.set_title("" if groups[column] is None or (kind and not beside) else group_title(str(groups[column])))
        if beside or column == 0:
            axis.set_ylabel(labels[kind])
        if kind and (beside or column == 0):
            _write_tolerance(axis, convergence, theme)
    shown = lines_of(convergence, theme_shown, groups[0])
    if len(shown) > 1:
        figure_legend(figure, [Line2D([], [], label=line.label, **line.style.line()) for line in shown])
    return figure


def _themed(results: SeveralResults, reference: str | None, theme: Theme | None) -> tuple[Aligned, Theme]:
    aligned = align(results).several
    names = [str(name) for name in aligned.data["source"].values]
    if reference is not None:
        check_choice("reference", reference, names)
    return aligned, theme or Theme.of(names, reference, Theme.body_of(aligned.data))


def _drawn(kind: str, convergence: xr.Dataset, theme: Theme, group: str | None, ax: Axes | None) -> Axes:
    """One kind of figure on given or new axes."""
    draw, variable, symbol = _KINDS[kind]
    with look(ax):
        axis = on_axes(ax)
        draw(axis, convergence, lines_of(convergence, theme, group))
        if kind == "truncation":
            _write_tolerance(axis, convergence, theme)
        axis.set_ylabel(theme.axis(variable, symbol))
        if len([text for text in axis.get_legend_handles_labels()[1] if text != UNGROUPED]) > 1:
            axis.legend()
        return axis


def _write_tolerance(axis: Axes, convergence: xr.Dataset, theme: Theme) -> None:
    tolerance = convergence.attrs["tolerance"]
    axis.annotate(
        f"{1e3 * tolerance:.3g} meV per {theme.body}", (0.99, tolerance), (0, 2),
        xycoords=axis.get_yaxis_transform(), textcoords="offset points", horizontalalignment="right", fontsize=8,
        color="#555555", zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
    )  # fmt: skip
