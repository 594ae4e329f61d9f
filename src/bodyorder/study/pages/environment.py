"""Why few bodies are enough, as the page of a study shows it: what they miss in vacuum, in their environment, and shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bodyorder.analysis.environment_functions import known_functions
from bodyorder.analysis.seeds import SPREAD, over_seeds
from bodyorder.analysis.trainings import distilled_orders, term_deviations
from bodyorder.plots.style import (
    Theme,
    figure_legend,
    group_title,
    logarithmic,
    order_axis,
    panels,
    shifts_of,
    styled,
)
from bodyorder.report.numbers import MISSING, NEGLIGIBLE, energy, power_of_ten, with_spread
from bodyorder.study.pages.trainings import Trainings, frame_of, label
from bodyorder.subsets import count_terms, predictable_sizes, size_weights

#: Errors of the ways to use few bodies: cut off in vacuum, the best approximation of each cluster, functions that all share.
ERRORS = ("group_truncation_error", "group_environment_rms", "distilled_rmse")
VACUUM, INSIDE, SHARED = ERRORS
LEFT_OUT = "group_environment_left_out"
_TITLES = dict(zip(ERRORS, ("in vacuum", "in environment", "shared functions"), strict=True))

#: Rows of the reference in the table: measure, what it is of, and whether it is noise.
_ROWS = {
    VACUUM: ("whole, vacuum", False),
    "group_vacuum_noise": ("noise of it", True),
    "group_environment_residual": ("whole, environment", False),
    "group_environment_noise": ("noise of that", True),
    INSIDE: ("sub-clusters", False),
    LEFT_OUT: ("each left out", False),
    "group_environment_validation": ("sizes left out", False),
}

#: Width of all columns together in inches, and the height of a row.
_WIDTH, _HEIGHT = 10.4, 3.4

#: Errors (eV per body) below this are as good as zero, and marked at the foot of the axis.
FOOT = 1e-5

#: Noise (eV per body) below this is rounding.
_ROUNDING = 1e-16

_DASHED = (0, (4, 2))

#: Where the errors of teachers stand side by side, in widths of the panel.
_MARKS = (0.88, 1.0)

#: How the spread of energies is drawn, which a constant misses.
_SPREAD: dict[str, Any] = {"color": "#999999", "linestyle": ":", "linewidth": 1.4}

#: Order whose errors are said, where it is known.
_ORDER = 2


class Row(NamedTuple):
    """A group of clusters, and training sets of its models and of the explicit models that learn from others; None if none."""

    group: str
    models: str | None
    distilled: str | None


@dataclass(frozen=True)
class Environment:
    """What is known of orders in their environment.

    :param trainings: models and the reference
    :param distilled: of :meth:`bodyorder.study.distillation.Distillation.table`, None if nothing is distilled
    """

    trainings: Trainings
    distilled: xr.Dataset | None

    @cached_property
    def theme(self) -> Theme:
        """How models and their teachers are drawn, and the reference."""
        taught = [] if self.distilled is None else self.distilled["teacher"].values.tolist()
        names = dict.fromkeys([*self.trainings.models, *taught])
        return Theme.of([name for name in names if name != self.name], self.name, self.trainings.theme.body)

    @property
    def name(self) -> str:
        """Of the reference."""
        return self.trainings.name

    @cached_property
    def rows(self) -> list[Row]:
        """Groups that are drawn."""
        sets = [] if self.distilled is None else list(dict.fromkeys(self.distilled["training_set"].values.tolist()))
        return [
            Row(group, self._of(group, self.trainings.sets), self._of(group, sets)) for group in self.trainings.drawn
        ]

    @cached_property
    def ways(self) -> list[str]:
        """Of which ways to use few bodies errors are known."""
        known = [name for name in ERRORS[:2] if any(self.of_reference(row, name) is not None for row in self.rows)]
        return known + [SHARED] * any(self.teachers(row) for row in self.rows)

    def of_reference(self, row: Row, name: str) -> xr.DataArray | None:
        """A measure of the reference in a group, if it is known."""
        own = self.trainings.reference.get(name)
        found = None if own is None else own.sel(group=row.group)
        return None if found is None or not bool(found.notnull().any()) else found

    def of_models(self, row: Row, name: str) -> dict[str, xr.Dataset]:
        """The models of a row of which a measure is known; without explicit ones, whose orders end, if there are others."""
        if row.models is None or not self.trainings.knows(name):
            return {}
        found = {model: held.sel(group=row.group) for model, held in self.trainings.parts(row.models)}
        known = {model: held for model, held in found.items() if bool(held[name].notnull().any())}
        return {model: held for model, held in known.items() if not bool(held["explicit"])} or known

    @cached_property
    def students(self) -> xr.Dataset:
        """Means over seeds of what explicit models miss of their teachers."""
        assert self.distilled is not None
        means = over_seeds(self.distilled).sortby("student_order")
        return means.isel(training=means[SHARED].notnull().values)

    @cached_property
    def sufficient(self) -> xr.Dataset:
        """Of :func:`bodyorder.analysis.trainings.distilled_orders`."""
        assert self.distilled is not None
        return distilled_orders(self.distilled)

    def teachers(self, row: Row) -> dict[str, xr.Dataset]:
        """Those that explicit models learn from, the reference first, and what each of their students misses."""
        if self.distilled is None or row.distilled is None:
            return {}
        own = self.students.isel(training=self.students["training_set"].values == row.distilled)
        parts = {name: own.isel(training=own["teacher"].values == name) for name in self.theme.sources}
        return {name: part for name, part in parts.items() if part.sizes["training"]}

    def own_error(self, row: Row, teacher: str) -> float:
        """Error of a teacher against the reference, eV per body; NaN if unknown."""
        return float(self.sufficient["teacher_rmse"].sel(training_set=row.distilled, teacher=teacher))

    def constant(self, row: Row) -> float:
        """Standard deviation of the energies of a group, eV per body: what a constant misses of it; NaN if unknown."""
        own = self.of_reference(row, "group_total_deviation")
        return np.nan if own is None or row.distilled != row.group else float(own)

    @property
    def terms(self) -> dict[str, dict[str, xr.Dataset]]:
        """Functions of distance of the reference and of models in each group that is drawn."""
        own = self.trainings.reference
        return {
            row.group: {self.name: own.sel(group=row.group)} | self.of_models(row, "term_mean") for row in self.rows
        }

    @cached_property
    def functions(self) -> list[tuple[str, str]]:
        """Functions of distance of which the reference has terms, and their species, those of the commonest elements first."""
        reference = self.trainings.reference
        if "n_terms" not in reference or not self.rows:
            return []
        return known_functions(reference["n_terms"].sel(group=[row.group for row in self.rows]))

    def _of(self, group: str, sets: Sequence[str]) -> str | None:
        """The training set that is called like a group, else the first that draws from it, else that of pretrained models."""
        drawn = [name for name in sets if name == group] or [
            name for name in sets if group in self.trainings.seen.get(name, [group])
        ]
        return drawn[0] if drawn else "" if "" in sets else None


@styled
def order_figure(environment: Environment) -> Figure:
    """Errors by order: a row for each group, a column for each way to use few bodies, on logarithmic axes.

    In vacuum and in environment share an axis; functions that all clusters share have errors so alike that they need their own.

    :return: expansions cut off in vacuum; best approximations of all sub-clusters, dashed where each is predicted from the
        others; explicit models that learn from others, with the spread over seeds as bars and the errors of their teachers
        at the right edge. Open triangles: below the axis.
    """
    columns, rows = environment.ways, environment.rows
    figure, axes = panels(len(rows) * len(columns), len(columns), (_WIDTH / max(len(columns), 2), _HEIGHT))
    alike = [column for column in columns if column != SHARED]
    for place, row in enumerate(rows):
        own = axes[place * len(columns) : (place + 1) * len(columns)]
        for group, names in ((own[: len(alike)], alike), (own[len(alike) :], columns[len(alike) :])):
            values = np.concatenate([np.array([])] + [_drawn(environment, row, name) for name in names])
            seen = values[np.isfinite(values) & (values > FOOT)]
            logarithmic(group, *((max(FOOT, seen.min() / 2), 2 * seen.max()) if len(seen) else (FOOT, 10 * FOOT)))
        for axis, name in zip(own, columns, strict=True):
            (_draw_shared if name == SHARED else _draw_orders)(axis, environment, row, name)
            axis.set_title(_title(row, name))
            axis.tick_params(labelleft=name == SHARED or axis is own[0])
        own[0].set_ylabel(f"error  (eV per {environment.theme.body})")
    figure_legend(figure, _handles(environment))
    return figure


def _drawn(environment: Environment, row: Row, name: str) -> np.ndarray:
    """All errors that a panel shows."""
    if name == SHARED:
        taught = environment.teachers(row)
        errors = [environment.constant(row), *(environment.own_error(row, teacher) for teacher in taught)]
        return np.concatenate([errors, *(part[SHARED].values for part in taught.values())])
    known = [environment.of_reference(row, key) for key in (name, *([LEFT_OUT] if name == INSIDE else []))]
    known += [held[name] for held in environment.of_models(row, name).values()]
    return np.concatenate([[], *(held.values for held in known if held is not None)])


def _draw_orders(axis: Axes, environment: Environment, row: Row, name: str) -> None:
    """Errors of every source by order."""
    own, models = environment.of_reference(row, name), environment.of_models(row, name)
    parts = {} if own is None else {environment.name: (own, xr.full_like(own, np.nan))}
    parts |= {model: (held[name], held[f"{name}{SPREAD}"]) for model, held in models.items()}
    last = 1
    for (source, (values, spread)), shift in zip(parts.items(), shifts_of(len(parts)) / 2, strict=True):
        known = values.notnull().values
        orders = values["order"].values[known]
        last = max(last, orders.max())
        _line(axis, orders + shift, values.values[known], spread.values[known], _look(environment, source))
    if name == INSIDE and (left := environment.of_reference(row, LEFT_OUT)) is not None:
        left = left.dropna("order")
        axis.plot(left["order"].values, left.values, **_left_out_look(environment))
    order_axis(axis, np.arange(1, last + 1))


def _draw_shared(axis: Axes, environment: Environment, row: Row, name: str) -> None:
    """What explicit models miss of those that they learn from, by their order, and the errors of these."""
    taught = environment.teachers(row)
    if not taught:
        axis.set_axis_off()
        return
    orders = np.unique(np.concatenate([part["student_order"].values for part in taught.values()]))
    slots = np.linspace(*_MARKS, len(taught) + 1)
    for place, ((teacher, part), shift) in enumerate(zip(taught.items(), shifts_of(len(taught)) / 2, strict=True)):
        look = _look(environment, teacher)
        at = part["student_order"].values + shift
        _line(axis, at, part[name].values, part[f"{name}{SPREAD}"].values, look)
        if (own := environment.own_error(row, teacher)) > 0:
            across = {"transform": axis.get_yaxis_transform(), "color": look["color"], "linewidth": 2.4}
            axis.hlines(own, *slots[place : place + 2], **across)
    if np.isfinite(environment.constant(row)):
        axis.axhline(environment.constant(row), zorder=1, **_SPREAD)
    order_axis(axis, orders)
    axis.set_xlim(orders.min() - 0.4, orders.max() + 0.4 + 0.15 * (np.ptp(orders) + 1))
    axis.set_xlabel("order of the explicit model")


def _line(axis: Axes, at: np.ndarray, values: np.ndarray, spread: np.ndarray, look: dict[str, Any]) -> None:
    """Errors of one source with their spread over seeds; of those below the axis in a row, the first is marked."""
    seen, foot = values > FOOT, axis.get_ylim()[0]
    bars = np.where(seen, spread, np.nan)
    # on a logarithmic axis there is nothing below a bar that is longer than its value
    halves = np.array([np.where(bars < values, bars, 0.0), bars]) if np.isfinite(bars).any() else None
    axis.errorbar(at, np.where(seen, values, np.nan), halves, capsize=1.6, elinewidth=0.8, **look)
    first = np.flatnonzero(~seen & np.concatenate([[True], seen[:-1]]))
    for place in first[first > 0]:
        down = [values[place - 1], foot]
        axis.plot(at[place - 1 : place + 1], down, color=look["color"], linestyle=":", linewidth=look["linewidth"])
    if not len(first):  # nothing, drawn beyond the axis, has no place
        return
    marks = {"marker": "v", "linestyle": "none", "markerfacecolor": "white", "zorder": 3, "clip_on": False}
    axis.plot(at[first], np.full(len(first), foot), **(look | marks))


def _look(environment: Environment, source: str) -> dict[str, Any]:
    wide = source == environment.name
    sizes = {"linewidth": 1.8, "markersize": 5.0} if wide else {"linewidth": 1.0, "markersize": 4.2}
    return environment.theme.sources[source].line(zorder=2.8 if wide else 2.5, **sizes)


def _left_out_look(environment: Environment) -> dict[str, Any]:
    style = environment.theme.sources[environment.name]
    return style.line(linestyle=_DASHED, linewidth=1.2, markerfacecolor="white", markersize=4.5)


def _title(row: Row, name: str) -> str:
    """Group and column, and the training set where it is not called like the group."""
    training_set = row.distilled if name == SHARED else row.models
    title = f"{group_title(row.group)}: {_TITLES[name]}".removeprefix(": ")
    return title + (f"\n({label(training_set)})" if training_set is not None and training_set != row.group else "")


def _handles(environment: Environment) -> list[Line2D]:
    """Legend of the errors by order."""
    shown = {environment.name} | {model for row in environment.rows for model in environment.of_models(row, INSIDE)}
    shown |= {teacher for row in environment.rows for teacher in environment.teachers(row)}
    handles = [
        Line2D([], [], label=name, **style.line()) for name, style in environment.theme.sources.items() if name in shown
    ]
    if any(environment.of_reference(row, LEFT_OUT) is not None for row in environment.rows):
        handles.append(Line2D([], [], label="each sub-cluster left out", **_left_out_look(environment)))
    if SHARED in environment.ways:
        handles.append(Line2D([], [], label="own error of a model", color="#777777", linewidth=2.4))
    if any(np.isfinite(environment.constant(row)) for row in environment.rows):
        handles.append(Line2D([], [], label="spread of energies", **_SPREAD))
    return handles


def order_frame(environment: Environment) -> pd.DataFrame:
    """Errors by order in meV per body as text: of the reference each way, of models those of all sub-clusters."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in environment.rows:
        sizes = size_weights(_n_bodies(environment, row))
        for name, (what, is_noise) in _ROWS.items():
            if (own := environment.of_reference(row, name)) is not None:
                cells = {
                    f"n = {int(value['order'])}": _text(float(value), noise=is_noise) for value in own.dropna("order")
                }
                if name.endswith("validation"):
                    counts = [len(predictable_sizes(sizes, int(order))) for order in own.dropna("order")["order"]]
                    ends = ["" if count == len(sizes) else f" ({count} of {len(sizes)})" for count in counts]
                    cells = {key: cell + end for (key, cell), end in zip(cells.items(), ends, strict=True)}
                found[_heading(row), environment.name, what] = cells
        for model, held in environment.of_models(row, INSIDE).items():
            triples = zip(held["order"].values, held[INSIDE].values, held[f"{INSIDE}{SPREAD}"].values, strict=True)
            found[_heading(row), model, "sub-clusters"] = {f"n = {n}": _text(*pair) for n, *pair in triples}
    return frame_of(found, "group", "source", "error")


def distilled_frame(environment: Environment) -> pd.DataFrame:
    """What explicit models miss of their teachers, in meV per body as text, and the lowest order that suffices."""
    students = environment.students
    titles = [
        f"{name}, order {order:g}"
        for name, order in zip(students["student"].values, students["student_order"].values, strict=True)
    ]
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for place, title in enumerate(titles):
        part = students.isel(training=place)
        key = (label(part["training_set"].item()), part["teacher"].item())
        found.setdefault(key, dict.fromkeys(titles, MISSING))[title] = _text(
            float(part[SHARED]), float(part[f"{SHARED}{SPREAD}"])
        )
        own = environment.sufficient.sel(training_set=part["training_set"].item(), teacher=key[1])
        error, order = float(own["teacher_rmse"]), float(own["distilled_order"])
        enough = f"{order:g}" if np.isfinite(order) else f"none up to {students['student_order'].values.max():g}"
        last = {
            "own error": _text(error, float(own[f"teacher_rmse{SPREAD}"])),
            "enough": enough if error > 0 else MISSING,
        }
        found[key] |= last
    return frame_of(found, "group", "learnt from")


def function_frame(environment: Environment) -> pd.DataFrame:
    """How functions of distance of models are off those of the reference (eV), as text; first the scatter of its own terms."""
    deviations = term_deviations(environment.trainings.runs, environment.trainings.reference)
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in environment.rows:
        for name, species in environment.functions:
            part = deviations.sel(group=row.group, function=name, species=species)
            for kind, column in (("term", f"{species}, {name}"), ("vacuum", f"{species} in vacuum")):
                cells = [(f"{environment.name}, scatter", float(part[f"{kind}_scatter"]), np.nan)]
                if row.models is not None:
                    own = part.isel(
                        training=(part["training_set"] == row.models).values & part["whole"].values.astype(bool)
                    )
                    values = (
                        own["model"].values,
                        own[f"{kind}_deviation"].values,
                        own[f"{kind}_deviation{SPREAD}"].values,
                    )
                    cells += zip(*values, strict=True)
                for source, mean, spread in cells:
                    if np.isfinite(mean):
                        found.setdefault((_heading(row), source), {})[column] = with_spread(float(mean), float(spread))
    return frame_of(found, "group", "source")


def _heading(row: Row) -> str:
    """Of the part of a table that is about a row."""
    return ", ".join(
        filter(None, (group_title(row.group), "" if row.models is None else f"models {label(row.models)}"))
    )


def said(environment: Environment) -> list[dict[str, Any]]:
    """For each group what two bodies miss, as text of energies: in vacuum, in their environment, shared by all clusters."""
    found = []
    for row in environment.rows:
        values: dict[str, Any] = {"group": group_title(row.group), "vacuum": None, "inside": None, "shared": None}
        for key, name in {"vacuum": VACUUM, "inside": INSIDE}.items():
            own = environment.of_reference(row, name)
            if own is not None and _ORDER in own["order"].values and np.isfinite(own.sel(order=_ORDER)):
                values[key] = energy(float(own.sel(order=_ORDER)), environment.theme.body)
        part = environment.teachers(row).get(environment.name)
        if part is not None:
            at = int(np.argmin(np.abs(part["student_order"].values - _ORDER)))
            values["shared"] = energy(float(part[SHARED][at]), environment.theme.body)
            values["student"] = f"{part['student'].values[at]}, order {part['student_order'].values[at]:g}"
        found.append(values)
    return found


def _n_bodies(environment: Environment, row: Row) -> int:
    errors = environment.of_reference(row, INSIDE)
    return 0 if errors is None else int(errors.dropna("order")["order"].max())


def parameters(environment: Environment) -> list[tuple[int, list[int]]]:
    """For each size of a cluster how many terms of up to 1, 2 … bodies there are."""
    sizes = sorted({size for row in environment.rows if (size := _n_bodies(environment, row))})
    return [(size, [count_terms(size, order) for order in range(1, size + 1)]) for size in sizes]


def _text(value: float, spread: float = np.nan, noise: bool = False) -> str:
    """An error in meV, or noise."""
    if not np.isfinite(value):
        return MISSING
    if value < (_ROUNDING if noise else NEGLIGIBLE):
        return "0"
    return power_of_ten(1e3 * value) if noise else with_spread(1e3 * value, 1e3 * spread)
