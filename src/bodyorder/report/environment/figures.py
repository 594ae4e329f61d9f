"""Figures of orders in their environment. Each takes what is known and draws; nothing is computed here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from bodyorder.plots.style import (
    SourceStyle,
    figure_legend,
    logarithmic,
    order_axis,
    panels,
    plain_ticks,
    shifts_of,
    styled,
)
from bodyorder.report.environment.views import ERRORS, LEFT_OUT, SHARED, TERM, VACUUM, Environment, Function, Row
from bodyorder.report.wording import capitalized, group_title

#: Width of all columns together in inches, and the height of a row.
_WIDTH, _HEIGHT = 10.4, 3.4

#: Errors (eV per body) below this are as good as zero: the axis does not reach to them, and marks them at its foot.
FOOT = 1e-5

#: What the columns show.
_TITLES = dict(zip(ERRORS, ("in vacuum", "in environment", "shared functions"), strict=True))

_DASHED = (0, (4, 2))

#: Where the errors of teachers stand side by side, in widths of the panel.
_MARKS = (0.88, 1.0)

#: Ranges of distance with fewer terms than this share of the most do not decide how far an energy axis reaches.
_FEW = 0.05

#: How far functions of models may widen an energy axis on each side, in heights of what the reference needs.
_BEYOND = 0.5

#: Height of the numbers of terms at the foot of a panel, in heights of the panel, and their colour.
STRIP, _STRIP_COLOUR = 0.13, "#d3dae0"

#: How the spread of energies is drawn, which a constant misses.
_SPREAD: dict[str, Any] = {"color": "#999999", "linestyle": ":", "linewidth": 1.4}

#: How dark the spread of the reference is.
_SHADE = 0.13


@styled
def order_figure(environment: Environment) -> Figure:
    """Errors by order: a row for each group, a column for each way to use few bodies, on logarithmic axes.

    In vacuum and in environment share an axis; functions that all clusters share have errors so alike that they need their own.

    :return: expansions cut off in vacuum; best approximations of all sub-clusters, dashed where each is predicted from the
        others; explicit models that learn from others, with the spread over seeds as bars and the errors of their teachers
        at the right edge. Open triangles: below the axis.
    """
    columns = environment.ways
    size = (_WIDTH / max(len(columns), 2), _HEIGHT)
    figure, axes = panels(len(environment.rows) * len(columns), len(columns), size)
    alike = [column for column in columns if column != SHARED]
    for place, row in enumerate(environment.rows):
        own = axes[place * len(columns) : (place + 1) * len(columns)]
        for group, names in ((own[: len(alike)], alike), (own[len(alike) :], columns[len(alike) :])):
            if names:
                _scale(group, np.concatenate([_drawn(environment, row, name) for name in names]))
        for axis in own[1 : len(alike)]:
            axis.tick_params(labelleft=False)
        for axis, name in zip(own, columns, strict=True):
            if name == SHARED:
                _distilled(axis, environment, row)
            else:
                _orders(axis, environment, row, name)
            axis.set_title(_title(environment, row, name))
        own[0].set_ylabel(f"error  (eV per {environment.theme.body})")
    figure_legend(figure, [*_handles(environment, environment.shown_sources), *_extra_handles(environment)])
    return figure


@styled
def function_figure(environment: Environment, functions: Sequence[Function]) -> Figure:
    """Mean terms by distance: a row for each function, a column for each group.

    :return: black the terms of the reference with their spread shaded, dashed its contributions in vacuum, in colour those of
        models, and at the foot how many terms there are. The axis holds the terms of the reference; others may leave it.
    """
    rows = environment.rows
    size = (_WIDTH / max(len(rows), 2), 2.8)
    figure, axes = panels(len(functions) * len(rows), len(rows), size)
    for place, axis in enumerate(axes):
        function, row = functions[place // len(rows)], rows[place % len(rows)]
        where = {"function": function.name, "species": function.species}
        _draw_function(axis, environment, row, where)
        heading = function.name if environment.one_kind else f"{function.species}, {function.name}"
        title = f"{group_title(row.group or '')}: {heading}".removeprefix(": ")
        axis.set_title(capitalized(title))
        three = function.species.count("-") > 1
        axis.set_xlabel("mean distance  (Å)" if three else "distance  (Å)")
    for axis in axes[:: len(rows)]:
        axis.set_ylabel(environment.theme.axis(TERM))
    drawn = {source for row in rows for source in environment.measure(row, TERM)}
    reference = environment.theme.sources[environment.name]
    extra: list[Line2D | Patch] = [
        Line2D([], [], label=f"{environment.name} in vacuum", color=reference.colour, linestyle=_DASHED),
        Patch(color=reference.colour, alpha=_SHADE, linewidth=0, label="spread of its terms"),
        Patch(color=_STRIP_COLOUR, linewidth=0, label="number of terms"),
    ]
    figure_legend(figure, [*_handles(environment, drawn, marker=""), *extra])
    return figure


def _orders(axis: Axes, environment: Environment, row: Row, name: str) -> None:
    """Errors of every source by order."""
    found = environment.implicit(row, name)
    for (source, (values, spread)), shift in zip(found.items(), shifts_of(len(found)) / 2, strict=True):
        known = values.notnull().values
        orders = values["order"].values[known] + shift
        _line(axis, orders, values.values[known], spread.values[known], _look(environment, source))
    if name == ERRORS[1] and (left := environment.of_reference(row, LEFT_OUT)) is not None:
        left = left.dropna("order")
        axis.plot(left["order"].values, left.values, **_left_out_look(environment))
    orders = [values["order"].values[values.notnull().values] for values, _ in found.values()]
    if orders:
        order_axis(axis, np.arange(1, max(own.max() for own in orders) + 1))


def _distilled(axis: Axes, environment: Environment, row: Row) -> None:
    """What explicit models miss of those that they learn from, by their order, and the errors of these."""
    teachers = environment.teachers(row.distilled)
    orders = np.array(sorted(set(environment.students.values())))
    slots = np.linspace(*_MARKS, len(teachers) + 1)
    for place, (teacher, shift) in enumerate(zip(teachers, shifts_of(len(teachers)) / 2, strict=True)):
        part, look = environment.distilled_part(row.distilled or "", teacher), _look(environment, teacher)
        values, spread = part[SHARED].values, part[f"{SHARED}_spread"].values
        _line(axis, part["student_order"].values + shift, values, spread, look)
        own, _ = environment.own_error(row.distilled or "", teacher)
        if own > 0:
            axis.hlines(
                own, *slots[place : place + 2], transform=axis.get_yaxis_transform(), color=look["color"], linewidth=2.4
            )
    if row.distilled == row.group and np.isfinite(environment.total_spread(row)):
        axis.axhline(environment.total_spread(row), zorder=1, **_SPREAD)
    order_axis(axis, orders)
    axis.set_xlim(orders.min() - 0.4, orders.max() + 0.4 + 0.15 * (np.ptp(orders) + 1))
    axis.set_xlabel("order of the explicit model")


def _line(axis: Axes, at: np.ndarray, values: np.ndarray, spread: np.ndarray, look: dict[str, Any]) -> None:
    """Errors of one source with their spread over seeds; of those below the axis in a row, the first is marked."""
    if not len(values):
        return
    seen, foot = values > FOOT, axis.get_ylim()[0]
    bars = np.where(seen, spread, np.nan)
    # on a logarithmic axis there is nothing below a bar that is longer than its value
    halves = np.array([np.where(bars < values, bars, 0.0), bars]) if np.isfinite(bars).any() else None
    axis.errorbar(at, np.where(seen, values, np.nan), halves, capsize=1.6, elinewidth=0.8, **look)
    first = ~seen & np.concatenate([[True], seen[:-1]])
    for place in np.flatnonzero(first):
        if place > 0:
            axis.plot(
                at[place - 1 : place + 1], [values[place - 1], foot], color=look["color"], linestyle=":",
                linewidth=look["linewidth"],
            )  # fmt: skip
    marks = look | {"marker": "v", "linestyle": "none", "markerfacecolor": "white", "zorder": 3, "clip_on": False}
    if first.any():
        axis.plot(at[first], np.full(first.sum(), foot), **marks)


def _draw_function(axis: Axes, environment: Environment, row: Row, where: dict[str, str]) -> None:
    """One function of every source."""
    name, own = environment.name, environment.of_reference(row, "n_terms")
    terms = {source: values.sel(where) for source, (values, _) in environment.measure(row, TERM).items()}
    axis.axhline(0, color="#333333", linewidth=0.8, zorder=1)
    if own is None or name not in terms or not float(own.sel(where).sum()):
        axis.set_axis_off()
        return
    counts, distance = own.sel(where).fillna(0.0).values, own["bin"].values
    spread = environment.of_reference(row, "term_spread")
    shade = np.zeros(len(counts)) if spread is None else spread.sel(where).fillna(0.0).values
    mean, colour = terms[name].values, environment.theme.sources[name].colour
    axis.fill_between(distance, mean - shade, mean + shade, color=colour, alpha=_SHADE, linewidth=0, zorder=1.5)
    for source, values in terms.items():
        style = environment.theme.sources[source]
        width, order = (1.8, 3) if source == name else (1.1, 2.5)
        axis.plot(distance, values.values, linewidth=width, zorder=order, **style.line(marker=".", markersize=2.5))
    vacuum = environment.of_reference(row, VACUUM)
    if vacuum is not None:
        halo = [withStroke(linewidth=3, foreground="white")]
        axis.plot(distance, vacuum.sel(where).values, color=colour, linestyle=_DASHED, zorder=3, path_effects=halo)
    half = np.median(np.diff(distance)) / 2 if len(distance) > 1 else 0.5
    edges = np.append(distance - half, distance[-1] + half)
    axis.stairs(
        STRIP * counts / counts.max(), edges, fill=True, color=_STRIP_COLOUR, linewidth=0, zorder=0.5,
        transform=axis.get_xaxis_transform(),
    )  # fmt: skip
    axis.set_xlim(distance[counts > 0].min() - 2 * half, distance[counts > 0].max() + 2 * half)
    enough = counts > _FEW * counts.max()
    others = np.concatenate([[], *(values.values[enough] for source, values in terms.items() if source != name)])
    axis.set_ylim(_limits((mean - shade)[enough], (mean + shade)[enough], others))
    axis.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    plain_ticks(axis)


def _limits(low: np.ndarray, high: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """An energy axis that holds the reference and, if they are not too far off, models; with room for a strip at the foot."""
    bottom, top = min(float(np.nanmin(low)), 0.0), max(float(np.nanmax(high)), 0.0)
    height = max(top - bottom, 1e-3)
    others = others[np.isfinite(others)]
    top = min(max(top, others.max(initial=top)), top + _BEYOND * height) + 0.05 * height
    bottom = max(min(bottom, others.min(initial=bottom)), bottom - _BEYOND * height) - 0.05 * height
    return bottom - STRIP / (1 - STRIP) * (top - bottom), top


def _scale(axes: Sequence[Axes], values: np.ndarray) -> None:
    """A logarithmic axis for all values that are not too small."""
    seen = values[np.isfinite(values) & (values > FOOT)]
    bottom, top = (max(FOOT, seen.min() / 2), 2 * seen.max()) if len(seen) else (FOOT, 10 * FOOT)
    logarithmic(axes, bottom, top)


def _drawn(environment: Environment, row: Row, name: str) -> np.ndarray:
    """All errors that a panel shows."""
    if name != SHARED:
        found = [values.values for values, _ in environment.implicit(row, name).values()]
        left = environment.of_reference(row, LEFT_OUT) if name == ERRORS[1] else None
        return np.concatenate([[], *found, *([] if left is None else [left.values])])
    distilled = [
        environment.distilled_part(row.distilled or "", teacher) for teacher in environment.teachers(row.distilled)
    ]
    own = [environment.own_error(row.distilled or "", teacher)[0] for teacher in environment.teachers(row.distilled)]
    constant = [environment.total_spread(row)] * (row.distilled == row.group)
    return np.concatenate(
        [constant, [error for error in own if error > 0], *(part[SHARED].values for part in distilled)]
    )


def _title(environment: Environment, row: Row, name: str) -> str:
    """Group and column, and the training set where it is not called like the group."""
    training_set = row.distilled if name == SHARED else row.training_set
    title = f"{group_title(row.group or '')}: {_TITLES[name]}".removeprefix(": ")
    named = training_set and training_set != row.group and (name == SHARED or environment.has_models)
    return capitalized(title) + (f"\n(trained on {training_set})" if named else "")


def _look(environment: Environment, source: str) -> dict[str, Any]:
    style: SourceStyle = environment.theme.sources[source]
    wide = source == environment.name
    return style.line(linewidth=1.8 if wide else 1.0, markersize=5.0 if wide else 4.2, zorder=2.8 if wide else 2.5)


def _left_out_look(environment: Environment) -> dict[str, Any]:
    style = environment.theme.sources[environment.name]
    return style.line(linestyle=_DASHED, linewidth=1.2, markerfacecolor="white", markersize=4.5)


def _handles(environment: Environment, names: Collection[str], **changes: Any) -> list[Line2D]:
    sources = environment.theme.sources
    return [Line2D([], [], label=name, **(style.line() | changes)) for name, style in sources.items() if name in names]


def _extra_handles(environment: Environment) -> list[Line2D]:
    """What there is beside the lines of sources."""
    handles = []
    if any(environment.of_reference(row, LEFT_OUT) is not None for row in environment.rows):
        handles.append(Line2D([], [], label="each sub-cluster left out", **_left_out_look(environment)))
    if any(
        np.isfinite(environment.own_error(training_set, teacher)[0])
        for training_set, teacher in environment.distilled_pairs
    ):
        handles.append(Line2D([], [], label="own error of a model", color="#777777", linewidth=2.4))
    if any(np.isfinite(environment.total_spread(row)) and row.distilled == row.group for row in environment.rows):
        handles.append(Line2D([], [], label="spread of energies", **_SPREAD))
    return handles
