"""Terms of few bodies by distance. Takes datasets of the analyses and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from bodyorder.plots.style import Theme, figure_legend, group_title, panels, plain_ticks, styled

#: Width of all columns together in inches, and the height of a row.
_WIDTH, _HEIGHT = 10.4, 2.8

#: Ranges of distance with fewer terms than this share of the most do not decide how far an energy axis reaches.
_FEW = 0.05

#: Room for models, and for the strip, above and below what the reference needs, in heights of that.
_ROOM = 0.25

#: Height of the numbers of terms at the foot of a panel, in heights of the panel, and their colour.
_STRIP, _STRIP_COLOUR = 0.13, "#d3dae0"

#: How dark the spread of the reference is.
_SHADE = 0.13

_DASHED = (0, (4, 2))


@styled
def term_figure(
    parts: Mapping[str, Mapping[str, xr.Dataset]], reference: str, functions: Sequence[tuple[str, str]], theme: Theme
) -> Figure:
    """Mean terms by distance: a row for each function, a column for each group.

    :param parts: for each group what :func:`~bodyorder.analysis.environment_functions.environment_functions` says there of the
        reference, and ``term_mean`` of models that are held against it, by name
    :param reference: its name
    :param functions: names of functions and their species
    :return: black the terms of the reference with their spread shaded, dashed its contributions in vacuum, in colour those of
        models, and at the foot how many terms there are. The axis holds the terms of the reference; others may leave it.
    """
    groups = list(parts)
    figure, axes = panels(len(functions) * len(groups), len(groups), (_WIDTH / max(len(groups), 2), _HEIGHT))
    for place, axis in enumerate(axes):
        (name, species), group = functions[place // len(groups)], groups[place % len(groups)]
        held = {source: part.sel(function=name, species=species) for source, part in parts[group].items()}
        _draw(axis, held.pop(reference), held, reference, theme)
        axis.set_title(f"{group_title(group)}: {species}, {name}".removeprefix(": "))
        axis.set_xlabel("mean distance  (Å)" if species.count("-") > 1 else "distance  (Å)")
        axis.set_ylabel("" if place % len(groups) else theme.axis("term_mean"))
    drawn = {reference}.union(*parts.values())
    colour = theme.sources[reference].colour
    handles: list[Line2D | Patch] = [
        *(
            Line2D([], [], label=name, **style.line(marker=""))
            for name, style in theme.sources.items()
            if name in drawn
        ),
        Line2D([], [], label=f"{reference} in vacuum", color=colour, linestyle=_DASHED),
        Patch(color=colour, alpha=_SHADE, linewidth=0, label="spread of its terms"),
        Patch(color=_STRIP_COLOUR, linewidth=0, label="number of terms"),
    ]
    figure_legend(figure, handles)
    return figure


def _draw(axis: Axes, own: xr.Dataset, models: Mapping[str, xr.Dataset], reference: str, theme: Theme) -> None:
    """One function of every source."""
    counts, distance, mean = own["n_terms"].fillna(0.0).values, own["bin"].values, own["term_mean"].values
    axis.axhline(0, color="#333333", linewidth=0.8, zorder=1)
    if not counts.sum():
        axis.set_axis_off()
        return
    shade, style = own["term_spread"].fillna(0.0).values, theme.sources[reference]
    axis.fill_between(distance, mean - shade, mean + shade, color=style.colour, alpha=_SHADE, linewidth=0, zorder=1.5)
    axis.plot(distance, mean, linewidth=1.8, zorder=3, **style.line(marker=".", markersize=2.5))
    for model, held in models.items():
        look = theme.sources[model].line(marker=".", markersize=2.5)
        axis.plot(distance, held["term_mean"].values, linewidth=1.1, zorder=2.5, **look)
    halo = [withStroke(linewidth=3, foreground="white")]
    vacuum = own["vacuum_mean"].values
    axis.plot(distance, vacuum, color=style.colour, linestyle=_DASHED, zorder=3, path_effects=halo)
    half = np.median(np.diff(distance)) / 2 if len(distance) > 1 else 0.5
    edges = np.append(distance - half, distance[-1] + half)
    axis.stairs(
        _STRIP * counts / counts.max(), edges, fill=True, color=_STRIP_COLOUR, linewidth=0, zorder=0.5,
        transform=axis.get_xaxis_transform(),
    )  # fmt: skip
    axis.set_xlim(distance[counts > 0].min() - 2 * half, distance[counts > 0].max() + 2 * half)
    enough = counts > _FEW * counts.max()
    low, high = min(np.nanmin((mean - shade)[enough]), 0.0), max(np.nanmax((mean + shade)[enough]), 0.0)
    axis.set_ylim(low - _ROOM * max(high - low, 1e-3), high + _ROOM * max(high - low, 1e-3))
    axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    plain_ticks(axis)
