"""Tables of orders in their environment: means over seeds ± standard deviations, in meV unless they say otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import xarray as xr

from bodyorder.report.environment.views import (
    ERRORS,
    LEFT_OUT,
    SHARED,
    TERM,
    VACUUM,
    VALIDATION,
    Environment,
    Function,
    Row,
)
from bodyorder.report.tables import MISSING, Table
from bodyorder.report.wording import NEGLIGIBLE, group_title, power_of_ten, with_spread
from bodyorder.subsets import count_terms, predictable_sizes, size_weights

#: Rows of the reference: measures, of which the first that is known is shown, what they are of, and whether they are noise.
_ROWS = (
    ((ERRORS[0],), "whole, vacuum", False),
    (("group_vacuum_noise", "group_truncation_noise"), "noise of it", True),
    (("group_environment_residual",), "whole, environment", False),
    (("group_environment_noise",), "noise of it", True),
    ((ERRORS[1],), "sub-clusters", False),
    ((LEFT_OUT,), "each left out", False),
    ((VALIDATION,), "sizes left out", False),
)

#: Noise (eV per body) below this is rounding.
_ROUNDING = 1e-16


def order_table(environment: Environment) -> Table:
    """Errors by order, of the reference those in vacuum and in environment, of models those of all sub-clusters."""
    rows = environment.rows
    orders = range(1, max((environment.n_bodies(row) for row in rows), default=0) + 1)
    seeds = " Of models: means over seeds ± standard deviation." if environment.has_spread else ""
    table = Table(
        f"Errors of terms of up to <i>n</i> bodies, in meV per {environment.theme.body}. Whole, vacuum: the expansion cut off, "
        "of whole clusters. Whole, environment: the best approximation of all sub-clusters of a cluster, of the cluster itself. "
        "Sub-clusters: of all of them. Each left out: of each of them, predicted by the terms fitted to all others. Sizes left "
        "out: of all of one size, predicted by those fitted to all other sizes; “7 of 8”: over so many sizes, as the others need "
        "the rest. Noise: what 1σ of errors of the single energies makes of a residual. 0: less than 0.001. "
        f"{_parameters(environment)}{seeds}",
        ["source", "error", *(f"<i>n</i> = {order}" for order in orders)],
        2,
    )  # fmt: skip
    for row in rows:
        title = _title(row, environment)
        for names, label, is_noise in _ROWS:
            known = [own for name in names if (own := environment.of_reference(row, name)) is not None]
            if known:
                cells = [_noise(value) if is_noise else _error(value) for value in _along(known[0], orders)]
                if VALIDATION in names:
                    cells = _with_sizes(cells, environment.n_bodies(row))
                table.rows.append([escape(environment.name), label, *cells])
                table.groups.append(title)
        for source, (values, spread) in environment.measure(row, ERRORS[1]).items():
            if source != environment.name:
                pairs = zip(_along(values, orders), _along(spread, orders), strict=True)
                table.rows.append([escape(source), "sub-clusters", *(_error(*pair) for pair in pairs)])
                table.groups.append(title)
    return table


def distilled_table(environment: Environment) -> Table:
    """What explicit models miss of those that they learn from."""
    students = environment.students
    table = Table(
        f"What explicit models miss of whom they learn from, on test clusters of the training set, in meV per "
        f"{environment.theme.body}. Learning from {escape(environment.name)} they are ordinary models of their order. Own error: "
        f"that of the model they learn from, against {escape(environment.name)}. Enough: the lowest order whose error is below "
        "that by more than the spreads of both."
        f"{' Means over seeds ± standard deviation.' if environment.distilled_has_spread else ''}",
        [
            "learnt from", *(f"{escape(name)}<br>order {order}" for name, order in students.items()), "own error", "enough",
        ],
    )  # fmt: skip
    for training_set, teacher in environment.distilled_pairs:
        part = environment.distilled_part(training_set, teacher)
        triples = zip(part["student"].values, part[SHARED].values, part[f"{SHARED}_spread"].values, strict=True)
        held = {str(student): _error(float(mean), float(spread)) for student, mean, spread in triples}
        own, spread = environment.own_error(training_set, teacher)
        cells = [held.get(name, MISSING) for name in students]
        enough = environment.enough(training_set, teacher)
        last = MISSING if np.isnan(own) else str(enough) if enough else f"none up to {max(students.values())}"
        table.rows.append([escape(teacher), *cells, _error(own, spread), last])
        table.groups.append(escape(f"trained on {training_set}"))
    return table


def function_table(environment: Environment, functions: Sequence[Function]) -> Table:
    """How functions of models are off those of the reference, and how far its own terms at one distance are apart."""
    vacuum = _vacuum_of(functions)
    columns = [f"{escape(function.name)}, {escape(function.species)}" for function in functions]
    columns += [f"{escape(function.species)} in vacuum" for function in vacuum]
    table = Table(
        f"How functions of distance of models are off those of {escape(environment.name)}, root mean squares over all terms, in "
        "eV: mean terms of best approximations, and mean contributions in vacuum. First: how far terms of "
        f"{escape(environment.name)} at one distance are apart (standard deviation), which no function of distance can know."
        f"{' Means over seeds ± standard deviation.' if environment.has_spread else ''}",
        ["source", *columns],
    )
    for row in environment.rows:
        spreads = [environment.spread(row, function, TERM) for function in functions]
        spreads += [environment.spread(row, function, VACUUM) for function in vacuum]
        _add(table, _title(row, environment), f"{environment.name}, spread", [(value, np.nan) for value in spreads])
        found = [environment.off(row, function, TERM) for function in functions]
        found += [environment.off(row, function, VACUUM) for function in vacuum]
        for model in dict.fromkeys(name for held in found for name in held):
            cells = [held.get(model, (np.nan, np.nan)) for held in found]
            _add(table, _title(row, environment), model, cells)
    return table


def _with_sizes(cells: Sequence[str], n_bodies: int) -> list[str]:
    """Errors over sizes that are left out, by order, with how many sizes these are where not all."""
    weights = size_weights(n_bodies)
    counts = [len(predictable_sizes(weights, order)) for order in range(1, n_bodies + 1)]
    return [
        cell if cell == MISSING or count == n_bodies else f"{cell} ({count} of {n_bodies})"
        for cell, count in zip(cells, counts + [0] * (len(cells) - n_bodies), strict=True)
    ]


def _vacuum_of(functions: Sequence[Function]) -> list[Function]:
    """One function of each kind: in vacuum they do not depend on the order."""
    return list({function.species: function for function in reversed(functions)}.values())[::-1]


def _add(table: Table, group: str, source: str, pairs: Sequence[tuple[float, float]]) -> None:
    if any(np.isfinite(mean) for mean, _ in pairs):
        cells = [with_spread(mean, spread) if np.isfinite(mean) else MISSING for mean, spread in pairs]
        table.rows.append([escape(source), *cells])
        table.groups.append(group)


def _parameters(environment: Environment) -> str:
    """How many terms there are for how many energies."""
    sizes = sorted({size for row in environment.rows if (size := environment.n_bodies(row))})
    return " ".join(
        f"Of {size} bodies there are {', '.join(str(count_terms(size, order)) for order in range(1, size + 1))} terms of up to "
        f"1 … {size} bodies, and {count_terms(size, size)} energies of sub-clusters."
        for size in sizes
    )


def _title(row: Row, environment: Environment) -> str:
    trained = f"models trained on {row.training_set}" if row.training_set and environment.has_models else ""
    return escape(", ".join(part for part in (group_title(row.group or ""), trained) if part))


def _along(values: xr.DataArray, orders: range) -> list[float]:
    return [float(value) for value in values.reindex(order=list(orders)).values]


def _error(value: float, spread: float = np.nan) -> str:
    """An error in meV."""
    if not np.isfinite(value):
        return MISSING
    return "0" if value < NEGLIGIBLE else with_spread(1e3 * value, 1e3 * spread)


def _noise(value: float) -> str:
    """Noise in meV."""
    return MISSING if not np.isfinite(value) else "0" if value < _ROUNDING else power_of_ten(1e3 * value)
