"""Tables of what trained models have learnt: means over seeds ± standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from bodyorder.analysis.convergence import TOLERANCE
from bodyorder.analysis.nominal import EQUAL, HIGHER, LOST, LOWER, UNDECIDED
from bodyorder.analysis.seeds import KNOWN
from bodyorder.report.generalization.trainings import Trainings, values_of, whose
from bodyorder.report.tables import MISSING, Table
from bodyorder.report.wording import group_title, group_words, power_of_ten, with_spread

#: Verdicts on nominal orders in the order in which they are listed.
VERDICTS = (EQUAL, LOWER, LOST, HIGHER, UNDECIDED)


def energy_table(trainings: Trainings) -> Table:
    """Errors of energies."""
    return _by_group(
        trainings,
        "total_rmse",
        f"Errors of energies, RMSE in meV per {trainings.theme.body}{_over_seeds(trainings, 'total_rmse')}.",
        1e3,
    )


def force_table(trainings: Trainings) -> Table:
    """Errors of forces."""
    what = "Errors of the components of forces, RMSE in meV/Å"
    return _by_group(trainings, "force_rmse", f"{what}{_over_seeds(trainings, 'force_rmse')}.", 1e3)


def learning_table(trainings: Trainings) -> Table:
    """Errors of energies by the number of training clusters."""
    curves = {
        (training_set, model): trainings.curve(training_set, model)
        for training_set in trainings.curve_training_sets
        for model in trainings.models
    }
    sizes = sorted({int(size) for curve in curves.values() for size in curve["n_clusters"].values})
    table = Table(
        f"Errors of energies by the number of training clusters of each group, RMSE in meV per {trainings.theme.body}"
        f"{_over_seeds(trainings, 'total_rmse')}.",
        ["model", *map(str, sizes)],
    )
    for group in trainings.seen_anywhere:
        for (training_set, model), curve in curves.items():
            if group not in trainings.seen(training_set):
                continue
            cells = {
                int(size): _cell(curve.isel(training=place), "total_rmse", 1e3, group=group)
                for place, size in enumerate(curve["n_clusters"].values)
            }
            if any(cell != MISSING for cell in cells.values()):
                table.rows.append([escape(model), *(cells.get(size, MISSING) for size in sizes)])
                table.groups.append(escape(", ".join(part for part in (group_title(group), training_set) if part)))
    return table


def order_table(trainings: Trainings, group: str) -> Table:
    """Errors of the orders in one group, and of the energy."""
    orders = _known_orders(trainings, group)
    table = Table(
        f"Errors of the order totals{_inside(group)}, RMSE in eV per {trainings.theme.body}"
        f"{_over_seeds(trainings, 'order_rmse')}; last, the "
        "error of the energy.",
        ["model", *(f"<i>n</i> = {order}" for order in orders), "<i>E</i>/<i>N</i>"],
    )
    for (training_set, model), held in trainings.parts():
        cells = [_cell(held, "order_rmse", group=group, order=order) for order in orders]
        _add(
            table,
            training_set,
            model,
            [*cells, _cell(held, "total_rmse", group=group) if "total_rmse" in held else MISSING],
        )
    return table


def cancellation_table(trainings: Trainings) -> Table:
    """How much of the errors of orders is left in the energy."""
    table = _by_group(
        trainings, "cancellation",
        "What is left of the errors of orders in their sum, <i>κ</i>: the RMS error of the sum of all order totals over the root "
        "of their summed squared errors. 1 for errors that know nothing of each other, far below it where they cancel. First "
        "what a constant has that is right in the mean energy alone: its errors are the orders themselves, which cancel, too. "
        f"Groups of which all orders are known{_over_seeds(trainings, 'cancellation')}.",
        groups=trainings.complete,
    )  # fmt: skip
    values = [trainings.constant_cancellation(group) for group in trainings.complete]
    if np.isfinite(values).any() and len(values) == len(table.columns) - 1:
        table.rows.insert(0, ["constant", *(with_spread(value) if np.isfinite(value) else MISSING for value in values)])
        table.groups.insert(0, "no model")
    return table


def nominal_table(trainings: Trainings) -> Table:
    """The body order that each model is built for, and the highest that is found."""
    table = Table(
        "Nominal body order, and the highest order whose totals are not zero in groups of which all orders are known. Verdicts "
        "are on each training, seed and group. Above the nominal order: the largest order total of any cluster among all of "
        "them, and the threshold τ below which that one counts as zero, 10⁻⁹ eV; where noise is above that, the largest root "
        "mean square, and twice the noise.",
        ["model", "construction", "nominal", "highest found", "verdict (cases)", "above nominal (eV)", "τ (eV)"],
    )
    for model in ordered(trainings):
        own = trainings.runs.isel(run=trainings.runs["model"].values == model)
        found = highest_orders(trainings, model)
        if not len(found):
            continue
        nominal = nominal_of(own)
        beyond, threshold = largest_beyond(own)
        counts = verdicts(own)
        table.rows.append(
            [
                escape(model),
                "explicit" if bool(own["explicit"].values[0]) else "implicit",
                f"{nominal:g}" if np.isfinite(nominal) else "none",
                span(found),
                "; ".join(f"{verdict} ({count})" for verdict, count in counts.items()) or MISSING,
                *(power_of_ten(value) if np.isfinite(value) else MISSING for value in (beyond, threshold)),
            ]
        )
    return table


def effective_tables(trainings: Trainings) -> list[Table]:
    """Effective body orders, and how orders alternate and decay, in models and in the reference."""
    seeds = _over_seeds(trainings, "group_body_order", "group_alternation", "group_decay")
    captions = {
        "group_body_order": f"Effective body order: from it on, expansions cut off are within {1e3 * TOLERANCE:g} meV per "
        f"{trainings.theme.body} of the energy of the same source, median over structures{seeds}. {MISSING}: no known order.",
        "group_alternation": "Alternation: the fraction of steps from one order to the next, from 2 to the last that was "
        f"resolved, at which the sign changes{seeds}.",
        "group_decay": "Decay <i>λ</i>: orders from 2 to the last that was resolved fall like exp(−<i>λn</i>), and grow where it "
        f"is below zero{seeds}.",
    }
    return [
        _by_group(trainings, name, caption, reference=True)
        for name, caption in captions.items()
        if trainings.knows(name)
    ]


def ordered(trainings: Trainings) -> list[str]:
    """Models, those that have no order above their nominal one by construction first."""
    explicit = {
        str(model): bool(is_explicit)
        for model, is_explicit in zip(trainings.runs["model"].values, trainings.runs["explicit"].values, strict=True)
    }
    return sorted(trainings.models, key=lambda model: not explicit[model])


def highest_orders(trainings: Trainings, model: str) -> np.ndarray:
    """The highest orders of all trainings of a model on groups of which all orders are known, or on all if there are none."""
    own = trainings.runs["highest_order"].sel(group=trainings.complete or trainings.groups)
    values = own.isel(run=trainings.runs["model"].values == model).values
    return values[np.isfinite(values)]


def nominal_of(cells: xr.Dataset) -> float:
    """Nominal order of the model of some cells, NaN if it has none."""
    return float(cells["nominal_order"].values[0])


def largest_beyond(cells: xr.Dataset) -> tuple[float, float]:
    """Largest total above the nominal order and its threshold, in eV; NaN if none is known."""
    if not {"beyond_nominal", "beyond_threshold"} <= set(cells) or not bool(cells["beyond_nominal"].notnull().any()):
        return np.nan, np.nan
    beyond = cells["beyond_nominal"].values.ravel()
    threshold = cells["beyond_threshold"].values.ravel()
    worst = int(np.nanargmax(beyond))
    return float(beyond[worst]), float(threshold[worst])


def verdicts(cells: xr.Dataset) -> dict[str, int]:
    """How many cases there are of each verdict on the nominal order."""
    if "nominal_verdict" not in cells:
        return {}
    found = cells["nominal_verdict"].values.ravel().tolist()
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def span(values: np.ndarray) -> str:
    """The range of whole numbers."""
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"


def _by_group(
    trainings: Trainings,
    name: str,
    caption: str,
    scale: float = 1.0,
    groups: Sequence[str] | None = None,
    reference: bool = False,
) -> Table:
    """One measure of every training, a column for each group."""
    columns = trainings.groups if groups is None else groups
    columns = [group for group in columns if bool(trainings.means[name].sel(group=group).notnull().any())]
    table = Table(caption, ["model", *(escape(group_title(group)) or "all" for group in columns)])
    if reference and name in trainings.reference:
        values = [scale * float(trainings.reference[name].sel(group=group)) for group in columns]
        if np.isfinite(values).any():
            cells = [with_spread(value) if np.isfinite(value) else MISSING for value in values]
            table.rows.append([escape(trainings.name), *cells])
            table.groups.append("reference")
    for (training_set, model), held in trainings.parts():
        _add(table, training_set, model, [_cell(held, name, scale, group=group) for group in columns])
    return table


def _add(table: Table, training_set: str, model: str, cells: Sequence[str]) -> None:
    if any(cell != MISSING for cell in cells):
        table.rows.append([escape(model), *cells])
        table.groups.append(escape(whose(training_set)))


def _cell(part: xr.Dataset, name: str, scale: float = 1.0, **where: Any) -> str:
    mean, spread = (float(value) for value in values_of(part, name, **where))
    if not np.isfinite(mean):
        return MISSING
    known, seeds = int(part[f"{name}{KNOWN}"].sel(where)), int(part["n_seeds"])
    return with_spread(scale * mean, scale * spread) + (f" ({known} of {seeds})" if known < seeds else "")


def _known_orders(trainings: Trainings, group: str) -> list[int]:
    known = trainings.means["order_rmse"].sel(group=group).notnull().any("training")
    return [int(order) for order in known["order"].values[known.values]]


def _inside(group: str) -> str:
    return f" ({escape(group_words(group))})" if group_words(group) else ""


def _over_seeds(trainings: Trainings, *names: str) -> str:
    """That numbers are means over seeds, and over how many where some seeds have none."""
    if not trainings.has_spread:
        return ""
    means = trainings.means
    known = [means[f"{name}{KNOWN}"] for name in names if f"{name}{KNOWN}" in means]
    partial = any(bool(((count > 0) & (count < means["n_seeds"])).any()) for count in known)
    return "; means over seeds ± standard deviation" + ", “2 of 3” where only so many have a value" * partial
