"""Body orders of trained models in plain language. Every number is computed from the data."""

from __future__ import annotations

from collections import Counter

import numpy as np
import xarray as xr

from bodyorder.analysis.convergence import TOLERANCE
from bodyorder.analysis.nominal import EQUAL, HIGHER, LOST, LOWER
from bodyorder.analysis.seeds import KNOWN
from bodyorder.report.generalization.tables import highest_orders, largest_beyond, nominal_of, ordered, span, verdicts
from bodyorder.report.generalization.text import trained
from bodyorder.report.generalization.trainings import Training, Trainings, size_of_orders, whose
from bodyorder.report.wording import and_, capitalized, energy, extremes, place, power_of_ten, sentence, two_digits

#: An order is followed where its RMS error is below this share of the root mean square of that order in the reference.
FOLLOWED = 0.1

#: Models that are named one by one, at most.
_NAMED = 3


def of_orders(trainings: Trainings) -> list[str]:
    """Up to which order models follow the reference, and how much larger errors of orders are than those of the energy."""
    return [
        text
        for group in trainings.drawn
        for text in (_of_followed(trainings, group), _of_ratios(trainings, group))
        if text
    ]


def of_cancellation(trainings: Trainings, training_set: str, group: str) -> list[str]:
    """How much of the errors of orders is left in the energy, and how neighbouring orders go with each other.

    :param training_set: whose correlations are shown
    :param group: where they are
    """
    said = []
    for name in trainings.drawn:
        left = {
            training: float(held["cancellation"].sel(group=name))
            for training, held in trainings.parts(trainings.trained_on(name))
            if np.isfinite(held["cancellation"].sel(group=name))
        }
        if left:
            text = f"κ of models trained there is {extremes(left, _small, trained)}"
            text += "; errors of orders that know nothing of each other would give 1"
            constant = trainings.constant_cancellation(name)
            if np.isfinite(constant):
                text += f", and a constant that is right in the mean energy alone gives {_small(constant)}"
            said.append(sentence(place(name), text))
    neighbours: dict[str, float] = {}
    for training, held in trainings.parts([training_set]):
        values = np.diagonal(held["error_correlation"].sel(group=group).transpose("order", "other_order").values, 1)
        if np.isfinite(values).any():
            neighbours[training.model] = float(np.nanmean(values))
    if neighbours:
        found = f"a mean correlation of {extremes(neighbours, _signed)} in models {whose(training_set)}"
        text = f"errors of neighbouring orders have {found}"
        said.append(sentence(place(group), text))
    return said


def of_nominal(trainings: Trainings) -> list[str]:
    """Whether models have the orders that their construction promises."""
    cells = {model: trainings.runs.isel(run=trainings.runs["model"].values == model) for model in ordered(trainings)}
    nominal = {model: nominal_of(own) for model, own in cells.items()}
    equal, free, single = [], [], []
    for model, own in cells.items():
        counts = verdicts(own)
        decided = sum(counts.get(verdict, 0) for verdict in (EQUAL, LOWER, LOST, HIGHER))
        if not decided:
            free += [model] * (len(highest_orders(trainings, model)) > 0)
            continue
        named, beyond = f"{model} (nominal {nominal[model]:g})", power_of_ten(largest_beyond(own)[0])
        if counts.get(HIGHER):
            single.append(
                f"{named}: {HIGHER} in {counts[HIGHER]} of {_cases(decided)}; orders up to "
                f"{highest_orders(trainings, model).max():g} are found, and above the nominal one up to {beyond} eV."
            )
        elif counts.get(LOWER) or counts.get(LOST):
            zero, lost = counts.get(LOWER, 0), counts.get(LOST, 0)
            where = and_([f"zero in {zero}"] * bool(zero) + [f"lost in noise in {lost}"] * bool(lost))
            single.append(
                f"{named}: order {nominal[model]:g} is {where} of {_cases(decided)}, else {EQUAL}; above it at most {beyond} eV."
            )
        else:
            equal.append(model)
    if equal:
        largest = power_of_ten(max(largest_beyond(cells[model])[0] for model in equal))
        count = sum(verdicts(cells[model])[EQUAL] for model in equal)
        names = ", ".join(f"{model}: {nominal[model]:g}" for model in equal)
        text = f"{EQUAL} in all {_cases(count)} ({names}); above it there is at most {largest} eV."
        single.insert(0, capitalized(text))
    if free:
        found = np.concatenate([highest_orders(trainings, model) for model in free])
        names = ", ".join(f"{model} ({_nominal(nominal[model])})" for model in free)
        single.append(
            f"{names}: no order that was resolved is above a nominal one; the highest found is {span(found)}."
        )
    return single


def of_effective(trainings: Trainings) -> list[str]:
    """From which order on expansions are converged, in the reference and in models."""
    said = []
    for group in trainings.drawn:
        found: dict[str, list[float]] = {}
        cases, without = Counter[str](), Counter[str]()
        known = trainings.reference.get("group_body_order")
        if known is not None:
            own = float(known.sel(group=group))
            found[trainings.name] = [own] if np.isfinite(own) else []
        for training, held in trainings.parts(trainings.trained_on(group)):
            order = float(held["group_body_order"].sel(group=group))
            kind = (
                "explicit models trained there"
                if training.model in trainings.explicit
                else "implicit models trained there"
            )
            found.setdefault(kind, []).extend([order] if np.isfinite(order) else [])
            cases[kind] += (seeds := int(held["n_seeds"]))
            without[kind] += seeds - int(held[f"group_body_order{KNOWN}"].sel(group=group))
        listed = [
            f"{_span(orders)} in {name}"
            + (f" ({without[name]} of {cases[name]} trainings have none)" if orders and without[name] else "")
            for name, orders in found.items()
        ]
        tolerance = f"{1e3 * TOLERANCE:g} meV per {trainings.theme.body}"
        if len(listed) > 1:
            said.append(sentence(place(group), f"the effective body order ({tolerance}) is {and_(listed)}"))
    return said


def followed(part: xr.Dataset, reference: xr.Dataset) -> int | None:
    """Up to which order a model follows the reference in one group; 0 if at no order, None if nothing is known."""
    share = part["order_rmse"] / size_of_orders(reference)
    if not bool(share.notnull().any()):
        return None
    inside = (share < FOLLOWED).values
    reached = len(inside) if inside.all() else int(np.argmin(inside))
    return int(share["order"].values[reached - 1]) if reached else 0


def _of_followed(trainings: Trainings, group: str) -> str:
    reached: dict[str, dict[str, int]] = {}
    for training, held in trainings.parts():
        order = followed(held.sel(group=group), trainings.reference.sel(group=group))
        if order is not None:
            reached.setdefault(training.training_set, {})[training.model] = order
    if not reached:
        return ""
    parts = []
    for training_set in sorted(reached, key=lambda name: -max(reached[name].values())):
        most = max(reached[training_set].values())
        names = [model for model, order in reached[training_set].items() if order == most]
        count = len(reached[training_set])
        which = "all models" if len(names) == count > 1 else f"{len(names)} of {count} models"
        which = and_(names) if len(names) <= min(_NAMED, count - 1) or count == 1 else which
        where = f"up to order {most} in {which}" if most else "at no order in any model"
        parts.append(f"{where} {whose(training_set)}")
    return sentence(place(group), f"orders are within {100 * FOLLOWED:g} % of the reference (RMS) {and_(parts)}")


def _of_ratios(trainings: Trainings, group: str) -> str:
    """How much larger the error of the worst order is than that of the energy."""
    ratios: dict[Training, float] = {}
    for training, held in trainings.parts(trainings.trained_on(group)):
        own = held.sel(group=group)
        ratio = float(own["order_rmse"].max() / own["total_rmse"]) if "total_rmse" in own else np.nan
        if np.isfinite(ratio):
            ratios[training] = ratio
    if not ratios:
        return ""
    worst = max(ratios, key=lambda training: ratios[training])
    own = trainings.part(worst).sel(group=group)
    at = int(own["order_rmse"].idxmax("order"))
    errors = [energy(float(value), trainings.theme.body) for value in (own["order_rmse"].max(), own["total_rmse"])]
    least = f"{two_digits(min(ratios.values()))} to " if len(ratios) > 1 else ""
    factor = f"{least}{two_digits(max(ratios.values()))} times"
    return sentence(
        place(group),
        f"the largest error of a single order is {factor} that of the energy in models trained there; "
        f"most in {trained(worst)}, {errors[0]} at order {at} against {errors[1]}",
    )


def _cases(count: int) -> str:
    return f"{count} case{'s' if count != 1 else ''}"


def _nominal(order: float) -> str:
    return f"nominal {order:g}" if np.isfinite(order) else "no nominal order"


def _span(orders: list[float]) -> str:
    """Range of orders that are means over seeds."""
    if not orders:
        return "not reached"
    low, high = (f"{order:.2g}" for order in (min(orders), max(orders)))
    return low if low == high else f"{low} to {high}"


def _small(value: float) -> str:
    return f"{value:.1g}" if value >= 1e-4 else power_of_ten(value)


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
