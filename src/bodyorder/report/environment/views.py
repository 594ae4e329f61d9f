"""Orders in their environment as figures, tables and sentences read them: which groups are shown, and who learnt from whom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import xarray as xr

from bodyorder.analysis.seeds import over_seeds
from bodyorder.plots.style import Theme
from bodyorder.report.generalization.trainings import Trainings

#: What explicit models miss of those that they learn from.
SHARED = "distilled_rmse"

#: Errors of the ways to use few bodies: cut off in vacuum, the best approximation of each cluster, functions that all share.
ERRORS = ("group_truncation_error", "group_environment_rms", SHARED)

#: Errors of best approximations where each sub-cluster is predicted from the others.
LEFT_OUT = "group_environment_left_out"

#: And where each size is predicted from the others.
VALIDATION = "group_environment_validation"

#: Standard deviation of the energies of a group per body, if a study measures it.
TOTAL_SPREAD = "group_total_deviation"

#: Means over the terms of one distance, in their environment and in vacuum.
TERM, VACUUM = "term_mean", "vacuum_mean"


class Row(NamedTuple):
    """What a row of a figure shows.

    :param group: group of clusters; None if only what models learnt from each other is known
    :param training_set: training set of its models; None if none are shown
    :param distilled: training set of the explicit models that learn from others; None if none are shown
    """

    group: str | None
    training_set: str | None
    distilled: str | None


class Function(NamedTuple):
    """A function of distances, such as the pairs of order 2 of H-H."""

    name: str
    species: str


@dataclass(frozen=True)
class Environment:
    """Everything that is known.

    :param trainings: models and the reference; None if only distilled are known
    :param distilled: means over seeds of what explicit models miss of those that they learn from; None if there are none
    :param name: of the reference
    :param theme: how models are drawn, and the reference
    """

    trainings: Trainings | None
    distilled: xr.Dataset | None
    name: str
    theme: Theme

    @classmethod
    def of(cls, table: xr.Dataset | None, distilled: xr.Dataset | None, body: str) -> Environment | None:
        """All that is known of tables as a study writes them; None if nothing is."""
        if distilled is not None and not _known(distilled, SHARED):
            distilled = None
        source = table if table is not None else distilled
        if source is None:
            return None
        name = str(source.attrs["reference"])
        trainings = None if table is None else Trainings.of(table, body) or _reference_alone(table, body)
        models = [] if trainings is None else list(trainings.models)
        if distilled is not None:
            models += [str(teacher) for teacher in distilled["teacher"].values]
        others = [model for model in dict.fromkeys(models) if model != name]
        distilled = None if distilled is None else over_seeds(distilled)
        return cls(trainings, distilled, name, Theme.of(others, name, body))

    @cached_property
    def rows(self) -> list[Row]:
        """Groups of which all orders are known, those that models were trained on first; without any, what models learnt."""
        if self.trainings is None:
            return [Row(None, None, training_set) for training_set in self.distilled_sets]
        return [
            Row(group, self._of_group(group, self.trainings.training_sets), self._of_group(group, self.distilled_sets))
            for group in self.trainings.drawn
        ]

    @cached_property
    def ways(self) -> list[str]:
        """Of which ways to use few bodies errors are known."""
        known = [name for name in ERRORS[:2] if any(self.measure(row, name) for row in self.rows)]
        return known + [SHARED] * any(self.teachers(row.distilled) for row in self.rows)

    @property
    def has_models(self) -> bool:
        """Whether orders in models are shown."""
        return any(row.training_set is not None for row in self.rows)

    @cached_property
    def shown_sources(self) -> set[str]:
        """Sources of which errors are shown."""
        found = {source for row in self.rows for name in ERRORS[:2] for source in self.implicit(row, name)}
        return found | {teacher for row in self.rows for teacher in self.teachers(row.distilled)}

    def measure(self, row: Row, name: str) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
        """Means and spreads over seeds of a measure in a group: those of the reference, then of each model that is shown."""
        if self.trainings is None or row.group is None:
            return {}
        found = {}
        if _known(self.trainings.reference, name):
            own = self.trainings.reference[name].sel(group=row.group)
            found[self.name] = (own, xr.full_like(own, np.nan))
        if row.training_set is not None and self.trainings.knows(name):
            for training, held in self.trainings.parts([row.training_set]):
                part = held.sel(group=row.group)
                found[training.model] = (part[name], part[f"{name}_spread"])
        return {source: pair for source, pair in found.items() if bool(pair[0].notnull().any())}

    def implicit(self, row: Row, name: str) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
        """The same without models that have no high orders by construction, if there are others."""
        found = self.measure(row, name)
        explicit = set() if self.trainings is None else self.trainings.explicit
        others = {source: pair for source, pair in found.items() if source not in explicit}
        return others if len(others) > 1 else found

    def of_reference(self, row: Row, name: str) -> xr.DataArray | None:
        """A measure of the reference in a group, if it is known."""
        found = self.measure(row, name).get(self.name)
        return None if found is None else found[0]

    def total_spread(self, row: Row) -> float:
        """Standard deviation of the energies of a group, eV per body: what a constant misses. NaN if unknown."""
        spread = self.of_reference(row, TOTAL_SPREAD)
        return np.nan if spread is None else float(spread)

    def n_bodies(self, row: Row) -> int:
        """Bodies of the clusters of a group: the last order of their best approximations; 0 if none is known."""
        errors = self.of_reference(row, "group_environment_rms")
        return 0 if errors is None else int(errors.dropna("order")["order"].max())

    @cached_property
    def distilled_sets(self) -> list[str]:
        """Training sets of the explicit models that learn from others."""
        return (
            []
            if self.distilled is None
            else [str(name) for name in dict.fromkeys(self.distilled["training_set"].values)]
        )

    @cached_property
    def students(self) -> dict[str, int]:
        """Explicit models that learn from others, and their orders, the lowest first."""
        if self.distilled is None:
            return {}
        pairs = zip(self.distilled["student"].values, self.distilled["student_order"].values, strict=True)
        return {str(name): int(order) for name, order in sorted(pairs, key=lambda pair: int(pair[1]))}

    def teachers(self, training_set: str | None) -> list[str]:
        """Those that explicit models learn from on one training set, the reference first."""
        if self.distilled is None or training_set is None:
            return []
        known = (self.distilled["training_set"].values == training_set) & self.distilled[SHARED].notnull().values
        found = set(self.distilled["teacher"].values[known].tolist())
        return [source for source in self.theme.sources if source in found]

    @cached_property
    def distilled_pairs(self) -> list[tuple[str, str]]:
        """Training sets and whom explicit models learn from on them."""
        return [
            (training_set, teacher) for training_set in self.distilled_sets for teacher in self.teachers(training_set)
        ]

    def distilled_part(self, training_set: str, teacher: str) -> xr.Dataset:
        """What is missed of one teacher, ordered by the orders of its students."""
        assert self.distilled is not None
        own = (self.distilled["training_set"].values == training_set) & (self.distilled["teacher"].values == teacher)
        part = self.distilled.isel(training=own).sortby("student_order")
        return part.isel(training=part[SHARED].notnull().values)

    def own_error(self, training_set: str, teacher: str) -> tuple[float, float]:
        """Error of a teacher against the reference and its spread over seeds, eV per body; NaN if unknown."""
        part = self.distilled_part(training_set, teacher)
        if teacher == self.name or "teacher_rmse" not in part or not part.sizes["training"]:
            return np.nan, np.nan
        # the same for all students, if all were trained with the same seeds
        return float(part["teacher_rmse"].mean()), float(part["teacher_rmse_spread"].mean())

    def enough(self, training_set: str, teacher: str) -> int | None:
        """Lowest order of explicit models that miss less of a teacher than it misses of the reference; None if none does.

        Less by more than the spreads over seeds of both, if these are known.
        """
        part = self.distilled_part(training_set, teacher)
        own, own_spread = self.own_error(training_set, teacher)
        spread = np.hypot(np.nan_to_num(part[f"{SHARED}_spread"].values), np.nan_to_num(own_spread))
        orders = part["student_order"].values[part[SHARED].values + spread < own]
        return int(orders.min()) if len(orders) else None

    @cached_property
    def one_kind(self) -> bool:
        """Whether all pairs are of the same elements."""
        return len({function.species for function in self.functions if function.species.count("-") == 1}) < 2

    @cached_property
    def functions(self) -> list[Function]:
        """Functions of distances of which the reference has terms, those of the commonest elements first."""
        if self.trainings is None or not self.rows or "n_terms" not in self.trainings.reference:
            return []
        if not _known(self.trainings.reference, TERM):
            return []
        counts = self.trainings.reference["n_terms"].sel(group=[row.group for row in self.rows]).sum(("group", "bin"))
        by_species = counts.max("function")
        ordered = [str(kind) for kind in by_species["species"].values[np.argsort(-by_species.values, kind="stable")]]
        return [
            Function(str(name), kind)
            for kind in sorted(ordered, key=lambda kind: kind.count("-"))
            for name in counts["function"].values
            if float(counts.sel(function=name, species=kind)) > 0
        ]

    @cached_property
    def deviations(self) -> xr.Dataset | None:
        """Root mean squares over all terms of how functions of models are off those of the reference, means over seeds.

        :return: ``term_mean`` and ``vacuum_mean`` in eV with dims (training, function, group, species), and their spreads
        """
        if self.trainings is None or not self.functions or not self.trainings.models:
            return None
        cells, reference = self.trainings.runs, self.trainings.reference
        if not _known(cells, TERM):
            return None
        weights = reference["n_terms"].fillna(0.0)
        found = xr.Dataset()
        for name in [name for name in (TERM, VACUUM) if name in cells]:
            squares = (cells[name] - reference[name].reset_coords(drop=True)) ** 2
            known = weights.where(squares.notnull())
            found[name] = ((known * squares).sum("bin") / known.sum("bin").where(lambda total: total > 0)) ** 0.5
        kept = {key: cells[key] for key in ("training", "model", "training_set", "whole")}
        return over_seeds(found.drop_vars(kept, errors="ignore").assign_coords(kept))

    def off(self, row: Row, function: Function, name: str) -> dict[str, tuple[float, float]]:
        """How the functions of the models that a row shows are off those of the reference (eV), and the spread over seeds."""
        if self.deviations is None or row.training_set is None or name not in self.deviations:
            return {}
        own = (self.deviations["training_set"].values == row.training_set) & self.deviations["whole"].values.astype(
            bool
        )
        part = self.deviations.isel(training=own).sel(group=row.group, function=function.name, species=function.species)
        triples = zip(part["model"].values, part[name].values, part[f"{name}_spread"].values, strict=True)
        return {str(model): (float(mean), float(spread)) for model, mean, spread in triples if np.isfinite(mean)}

    def spread(self, row: Row, function: Function, name: str) -> float:
        """Root mean square over all terms of how far those of the reference at one distance are apart (eV)."""
        spread, counts = (self.of_reference(row, key) for key in (name.replace("mean", "spread"), "n_terms"))
        if spread is None or counts is None:
            return np.nan
        where = {"function": function.name, "species": function.species}
        known, weights = spread.sel(where), counts.sel(where).where(spread.sel(where).notnull())
        total = float(weights.sum())
        return float((weights * known**2).sum() / total) ** 0.5 if total else np.nan

    @property
    def has_spread(self) -> bool:
        """Whether models were trained with several seeds."""
        return self.has_models and self.trainings is not None and self.trainings.has_spread

    @property
    def distilled_has_spread(self) -> bool:
        """Whether explicit models learnt with several seeds."""
        return self.distilled is not None and bool((self.distilled["n_seeds"] > 1).any())

    def _of_group(self, group: str, training_sets: list[str]) -> str | None:
        """The training set that is called like a group, else the first that draws from it, else that of trained models."""
        assert self.trainings is not None
        if group in training_sets:
            return group
        trained = self.trainings.trained_on(group)
        # of a training set that no model shown is trained on, only its name tells what it draws from
        elsewhere = {*self.trainings.training_sets, *self.trainings.groups, ""}
        drawn = [
            training_set for training_set in training_sets if training_set in trained or training_set not in elsewhere
        ]
        return drawn[0] if drawn else "" if "" in training_sets else None


def _known(dataset: xr.Dataset, name: str) -> bool:
    """Whether anything is known of a measure."""
    return name in dataset and bool(dataset[name].notnull().any())


def _reference_alone(table: xr.Dataset, body: str) -> Trainings:
    """The reference without any models."""
    cells = table.isel(run=[])
    means = cells.drop_vars(["run", "training"], errors="ignore").rename_dims(run="training")
    means["n_seeds"] = ("training", np.array([], dtype=int))
    name = str(table.attrs["reference"])
    return Trainings(cells, means, table.isel(run=0), Theme.of([], name, body))
