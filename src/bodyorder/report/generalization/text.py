"""Errors of trained models in plain language. Every number is computed from the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bodyorder.report.generalization.trainings import Training, Trainings, values_of, whose
from bodyorder.report.wording import and_, energy, extremes, place, sentence, two_digits, with_spread


def of_errors(trainings: Trainings) -> list[str]:
    """Which models are best on what they were trained on, on what they were not, and on further groups of clusters."""
    seen = trainings.seen_anywhere
    best = {group: _best(trainings, group, trainings.trained_on(group)) for group in seen}
    own = [_winner(trainings, group, found) for group, found in best.items() if found]
    said = [f"The smallest errors of energies where models were trained are {and_(own)}."] if own else []
    beyond = []
    for training_set in trainings.training_sets:
        for group in seen:
            found, known = _best(trainings, group, [training_set]), best[group]
            if training_set and found and known and group not in trainings.seen(training_set):
                ratio = _total(trainings, group, found) / _total(trainings, group, known)
                beyond.append(f"{_winner(trainings, group, found)}, {two_digits(ratio)} times the smallest there")
    if beyond:
        said.append(f"On clusters that their training set had none of, the best are {and_(beyond)}.")
    further = []
    for group in trainings.groups:
        found = None if group in seen else _best(trainings, group, trainings.training_sets)
        if found:
            parent = trainings.parent(group)
            first = best.get(parent) if parent else None
            other = ""
            if parent and first and first != found:
                other = f", where {trained(first)}, the best {place(parent)}, has {_error(trainings, group, first)}"
            further.append(f"{_winner(trainings, group, found)}{other}")
    if further:
        said.append(f"On clusters of no training set, the smallest errors are {and_(further)}.")
    return said


def of_learning(trainings: Trainings) -> list[str]:
    """How much more training clusters help."""
    said = []
    for training_set in trainings.curve_training_sets:
        for group in trainings.seen(training_set):
            gains: dict[str, float] = {}
            sizes: set[int] = set()
            for model in trainings.models:
                curve = trainings.curve(training_set, model)
                values, numbers = curve["total_rmse"].sel(group=group).values, curve["n_clusters"].values
                known = np.isfinite(values)
                if known.sum() > 1:
                    gains[model] = values[known][0] / values[known][-1]
                    sizes |= {int(numbers[known][0]), int(numbers[known][-1])}
            if gains:
                factors = extremes(gains, two_digits)
                text = (
                    f"from {min(sizes)} to {max(sizes)} training clusters of each group, errors of models trained on "
                    f"{training_set} fall by a factor of {factors}"
                )
                said.append(sentence(place(group), text))
    return said


def of_sizes(trainings: Trainings) -> list[str]:
    """How wrong the energies of sub-clusters are, by training set, and what that costs in the energies of whole clusters."""
    said = []
    for group in trainings.drawn:
        found: dict[str, tuple[float, Training]] = {}
        for training, held in trainings.parts():
            parts = held["size_error"].sel(group=group).dropna("size").isel(size=slice(0, -1))
            if parts.sizes["size"]:
                worst = float(parts.max())
                found[training.training_set] = min(
                    found.get(training.training_set, (np.inf, training)), (worst, training)
                )
        if not found:
            continue
        listed = [
            f"{energy(error, trainings.theme.body)} ({trained(training)})" for error, training in sorted(found.values())
        ]
        text = f"the error of sub-clusters, at the size where it is largest, is {and_(listed)}"
        if len(found) > 1:
            text = f"in the best model of each training set, {text}"
        said.append(sentence(place(group), text) + _cost(trainings, group, min(found.values())[1].training_set))
    return said


def trained(training: Training) -> str:
    """A training within a sentence."""
    return f"{training.model} {whose(training.training_set)}"


def _best(trainings: Trainings, group: str, training_sets: Sequence[str]) -> Training | None:
    """The training with the smallest error of energies in a group."""
    errors = {
        training: float(held["total_rmse"].sel(group=group))
        for training, held in trainings.parts(training_sets)
        if "total_rmse" in held and np.isfinite(held["total_rmse"].sel(group=group))
    }
    return min(errors, key=lambda training: errors[training], default=None)


def _total(trainings: Trainings, group: str, training: Training) -> float:
    return float(trainings.part(training)["total_rmse"].sel(group=group))


def _winner(trainings: Trainings, group: str, training: Training) -> str:
    """The error of one training in a group."""
    where = f" {place(group)}" if place(group) else ""
    return f"{_error(trainings, group, training)} meV per {trainings.theme.body}{where} ({trained(training)})"


def _error(trainings: Trainings, group: str, training: Training) -> str:
    mean, spread = values_of(trainings.part(training), "total_rmse", group=group)
    return with_spread(1e3 * float(mean), 1e3 * float(spread))


def _cost(trainings: Trainings, group: str, training_set: str) -> str:
    """That the training set which is best for sub-clusters is not for whole clusters, if so."""
    own, best = (_best(trainings, group, training_sets) for training_sets in ([training_set], trainings.training_sets))
    if own is None or best is None or own.training_set == best.training_set:
        return ""
    errors = [
        f"{energy(_total(trainings, group, found), trainings.theme.body)} ({trained(found)})" for found in (best, own)
    ]
    return f" Whole clusters are best in other models: {errors[0]}, against {errors[1]}."
