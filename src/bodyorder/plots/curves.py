"""Figures of two-body curves and three-body maps. Each takes datasets of the analyses and draws."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bodyorder._checks import InputError, did_you_mean
from bodyorder._files import replacing
from bodyorder.analysis.curves import Curves, combine_curves, density_of, pair_wells
from bodyorder.plots.style import RESOLVED, SourceStyle, Theme, figure_legend, panels, plain_number, plain_ticks, styled

#: Formats of figures in files, by the end of their names.
FORMATS = (".svg", ".png", ".pdf")

#: How far the energy axis reaches above zero, in depths of the well of the reference, and below zero, in depths of the deepest.
_ABOVE, _BELOW = 0.8, 1.15

#: Wells deeper than so many times that of the reference are cut off.
_DEEPEST = 10

#: The energy axis of curves without a well reaches to this share of their sizes.
_QUANTILE = 0.7

#: The colours of maps reach to the size that this share of the contributions stay below.
_ROBUST = 0.98

#: They are linear in energy up to this share of that size, and logarithmic beyond: contributions fall off by decades.
_LINEAR = 0.05

_REFERENCE_DASH = (0, (4, 2))

#: Colour of what has no energy.
_FAILED = "#d9d9d9"

#: Characters in a line of the name of a source beside its maps.
_LABEL = 24


@styled
def pair_curve_figure(curves: Curves, density: xr.Dataset | None = None, theme: Theme | None = None) -> Figure:
    """Two-body curves of all sources, the reference in black and dashed; below them how many training pairs there are.

    :param curves: see :func:`bodyorder.analysis.curves.combine_curves`
    :param density: of :func:`bodyorder.analysis.curves.distance_density`
    :param theme: how sources are drawn, these and others; None gives them their colours by their order
    :return: the energy axis is limited to the wells and somewhat more, so that repulsive walls leave it at the top
    """
    combined = combine_curves(curves)
    reference = combined.attrs.get("reference")
    names = [str(name) for name in combined["source"].values]
    theme = theme.only(names) if theme else Theme.of(names, reference)
    grid = combined["distance"].values
    if density is None:
        figure, axes = panels(1, 1, (6.6, 3.7))
    else:
        figure, axes = panels(2, 1, (6.6, 2.4), sharex=True, height_ratios=(3.4, 1))
    axes[0].axhline(0, color="#333333", linewidth=0.8, zorder=1)
    looks = {name: _line(style, name == reference) for name, style in theme.sources.items()}
    for name, look in looks.items():
        values = combined["pair_contribution"].sel(source=name).values
        # dashes on top, so that what agrees with them is seen between
        axes[0].plot(grid, values, zorder=3 if name == reference else 2, **look)
    axes[0].set_ylim(_energy_limits(combined, reference))
    if len(grid) > 1:
        axes[0].set_xlim(grid.min(), grid.max())
    axes[0].set_ylabel(theme.axis("pair_contribution"))
    axes[0].set_title("–".join(combined.attrs["species"].split()))
    plain_ticks(axes[0])
    if density is not None:
        _draw_density(axes[1], combined.attrs["species"], density)
    axes[-1].set_xlabel(theme.axis("distance"))
    figure_legend(figure, [Line2D([], [], label=name, **look) for name, look in looks.items()])
    return figure


@styled
def triple_map_figure(maps: Curves) -> Figure:
    """Three-body maps: a row for each source, a column for each angle, all in the same colours.

    :param maps: see :func:`bodyorder.analysis.curves.combine_curves`
    :return: white is zero, red costs energy, grey has none. Colours reach to the size that 98 % of the contributions of the
        reference (of all sources without one) stay below, linear in energy up to a twentieth of it, logarithmic beyond.
    """
    combined = combine_curves(maps)
    reference = combined.attrs.get("reference")
    theme = Theme.of([str(name) for name in combined["source"].values], reference)
    # the reference on top, as in legends
    names = list(theme.sources)
    angles = combined["angle"].values
    side = 2.1 if len(angles) > 2 else 2.75
    # room for the titles above all rows and the labels below them
    size = (side + 0.25, side + 0.5 / len(names))
    figure, axes = panels(len(names) * len(angles), len(angles), size, sharex=True, sharey=True)
    limit = _colour_limit(combined["triple_contribution"], reference)
    for place, axis in enumerate(axes):
        row, column = divmod(place, len(angles))
        part = combined["triple_contribution"].sel(source=names[row]).isel(angle=column)
        mesh = _draw_map(axis, part.transpose("second", "first"), limit)
        if row == 0:
            axis.set_title(f"{angles[column]:g}°")
        if row == len(names) - 1:
            axis.set_xlabel(theme.axis("first"))
        if column == 0:
            own = " (reference)" if names[row] == reference else ""
            axis.set_ylabel(f"{fill(names[row] + own, _LABEL)}\n{theme.axis('second')}")
    bar = figure.colorbar(mesh, ax=axes, extend="both", extendfrac=0.03, aspect=14 * len(names), pad=0.015)
    bar.set_label(theme.axis("triple_contribution"))
    bar.set_ticks(_ticks(limit), minor=False)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(plain_number))
    return figure


@styled
def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Figure:
    """Write a figure to a file, whole or not at all, in the format that its name ends with: one of :data:`FORMATS`.

    :return: the figure
    :raises InputError: if the name ends otherwise, or the file cannot be written
    """
    kind = check_format(path)
    # dates would make the same figure another file
    no_date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}[kind]
    with replacing(path, "figure") as partial:
        figure.savefig(partial, format=kind[1:], metadata=no_date, dpi=200)
    return figure


def check_format(path: str | os.PathLike[str]) -> str:
    """The format of a figure, by the end of its file's name.

    :raises InputError: if it is none of :data:`FORMATS`
    """
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(
            f"figures must be files that end in {', '.join(FORMATS)}, got {path}{did_you_mean(ending, FORMATS)}"
        )
    return ending


def _line(style: SourceStyle, is_reference: bool) -> dict[str, Any]:
    """How a curve is drawn: a line without markers."""
    if is_reference:
        return style.line(marker="", linestyle=_REFERENCE_DASH, linewidth=1.6)
    return style.line(marker="")


def _energy_limits(curves: xr.Dataset, reference: str | None) -> tuple[float, float]:
    """Lowest and highest energy that is shown: all wells, and some energy above zero beside that of the reference."""
    wells = pair_wells(curves)["well_depth"]
    own = wells if reference is None else wells.sel(source=[reference])
    usual = own if bool(own.notnull().any()) else wells
    if not bool(usual.notnull().any()):
        values = curves["pair_contribution"].values
        values = values[np.isfinite(values)]
        size = max(float(np.quantile(np.abs(values), _QUANTILE)) if len(values) else 0.0, RESOLVED)
        return (-size if values.min(initial=0.0) < -RESOLVED else -0.1 * size), size
    depth = max(float(usual.median()), RESOLVED)
    deepest = min(max(float(wells.max()), depth), _DEEPEST * depth)
    return -_BELOW * deepest, max(_ABOVE * depth, 0.25 * deepest)


def _draw_density(axis: Axes, species: str, density: xr.Dataset) -> None:
    """How many pairs the training structures have at each distance, as filled steps."""
    half = density["bin_width"].values / 2
    edges = np.append(density["bin"].values - half, density["bin"].values[-1] + half[-1])
    pairs = density_of(species, density)
    axis.stairs(pairs, edges, fill=True, color="#b8c4cf", linewidth=0)
    axis.set_ylim(0, 1.1 * max(float(pairs.max(initial=0)), 1e-3))
    axis.set_ylabel("training pairs\nper Å")
    plain_ticks(axis)
    if not pairs.any():
        axis.text(0.5, 0.5, "none in the training structures", transform=axis.transAxes, horizontalalignment="center")


def _colour_limit(contribution: xr.DataArray, reference: str | None) -> float:
    """Largest size (eV) that has a colour of its own."""
    sizes = np.abs((contribution if reference is None else contribution.sel(source=reference)).values)
    known = sizes[np.isfinite(sizes)]
    return max(float(np.quantile(known, _ROBUST)) if len(known) else 0.0, RESOLVED)


def _ticks(limit: float) -> list[float]:
    """Zero and the powers of ten that stand apart from it."""
    powers = [10.0**power for power in range(int(np.floor(np.log10(limit))), -10, -1)]
    shown = [power for power in powers if power > 1.5 * _LINEAR * limit]
    return [*(-power for power in shown), 0.0, *reversed(shown)]


def _draw_map(axis: Axes, part: xr.DataArray, limit: float) -> QuadMesh:
    axis.set_facecolor(_FAILED)
    axis.grid(visible=False)
    axis.set_aspect("equal")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(4))
    return axis.pcolormesh(
        part["first"].values, part["second"].values, np.ma.masked_invalid(part.values), cmap="RdBu_r",
        norm=AsinhNorm(_LINEAR * limit, -limit, limit), shading="nearest", rasterized=True,
    )  # fmt: skip
