"""The grid of trainings as figures, tables and sentences read it: means over seeds, by training set and model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bodyorder.analysis.seeds import SPREAD, over_seeds
from bodyorder.plots.style import Theme
from bodyorder.report.wording import NEGLIGIBLE, capitalized, group_words

#: What the training set of models that are trained already is called.
PRETRAINED = "trained already"

#: Groups that figures of orders show at most, side by side.
_MOST_DRAWN = 2


class Training(NamedTuple):
    """A model on one training set; the training set is empty where it is trained already."""

    training_set: str
    model: str


@dataclass(frozen=True)
class Trainings:
    """All trainings of a grid.

    :param runs: what is measured of each training with each seed
    :param means: of :func:`bodyorder.analysis.seeds.over_seeds`, of those
    :param reference: what is measured of the reference itself
    :param theme: how models are drawn, and the reference
    """

    runs: xr.Dataset
    means: xr.Dataset
    reference: xr.Dataset
    theme: Theme

    @classmethod
    def of(cls, table: xr.Dataset, body: str) -> Trainings | None:
        """Those of a table of cells, as a study writes it; None if there are none."""
        name = str(table.attrs["reference"])
        own = (table["model"].values == name) & (table["training_set"].values == "")
        if own.all():
            return None
        runs = table.isel(run=~own)
        models = [str(model) for model in dict.fromkeys(runs["model"].values)]
        reference = table.isel(run=int(np.flatnonzero(own)[0]))
        return cls(runs, over_seeds(runs), reference, Theme.of(models, name, body))

    @property
    def name(self) -> str:
        """Of the reference."""
        return str(self.reference["model"].item())

    @cached_property
    def models(self) -> list[str]:
        """All models."""
        return [name for name in self.theme.sources if name != self.name]

    @cached_property
    def training_sets(self) -> list[str]:
        """All training sets, that of models which are trained already last."""
        return sorted(
            dict.fromkeys(training_set for training_set, _ in self._rows), key=lambda training_set: not training_set
        )

    @cached_property
    def groups(self) -> list[str]:
        """All groups of clusters that models are tested on."""
        return [str(group) for group in self.means["group"].values]

    @cached_property
    def _rows(self) -> dict[Training, int]:
        keys = zip(
            self.means["training_set"].values, self.means["model"].values, self.means["whole"].values, strict=True
        )
        return {
            Training(str(training_set), str(model)): row
            for row, (training_set, model, whole) in enumerate(keys)
            if whole
        }

    @cached_property
    def _parts(self) -> dict[Training, xr.Dataset]:
        return {training: self.means.isel(training=row) for training, row in self._rows.items()}

    def part(self, training: Training) -> xr.Dataset:
        """Means of one training on a whole set."""
        return self._parts[training]

    def parts(self, training_sets: Sequence[str] | None = None) -> Iterator[tuple[Training, xr.Dataset]]:
        """Means of all trainings on whole sets, training set by training set, or of some training sets alone."""
        for training_set in self.training_sets if training_sets is None else training_sets:
            for model in self.models:
                training = Training(training_set, model)
                if training in self._parts:
                    yield training, self.part(training)

    def curve(self, training_set: str, model: str) -> xr.Dataset:
        """Means of the trainings on ever more clusters, the whole set last."""
        own = (self.means["training_set"].values == training_set) & (self.means["model"].values == model)
        return self.means.isel(training=own).sortby("n_clusters")

    @cached_property
    def curve_training_sets(self) -> list[str]:
        """training sets of which there are trainings on fewer clusters."""
        return list(dict.fromkeys(self.means["training_set"].values[~self.means["whole"].values.astype(bool)].tolist()))

    def knows(self, name: str) -> bool:
        """Whether anything is known of a measure."""
        return name in self.means and bool(self.means[name].notnull().any())

    def seen(self, training_set: str) -> list[str]:
        """Groups that a training set draws from.

        They are those that the coordinate ``groups`` names, with commas between. Without it a training set that is called like a
        group draws from that one, and any other from all that are not called like a variety of another (``low-h10`` is one of
        ``low``).
        """
        if not training_set:
            return []
        if "groups" in self.runs.coords:
            named = str(self.runs["groups"].values[self.runs["training_set"].values == training_set][0]).split(",")
            return [group for group in self.groups if group in named]
        if training_set in self.groups:
            return [training_set]
        return [group for group in self.groups if self.parent(group) is None]

    def trained_on(self, group: str) -> list[str]:
        """training sets that draw from a group."""
        return [training_set for training_set in self.training_sets if group in self.seen(training_set)]

    def parent(self, group: str) -> str | None:
        """The group that another is a variety of, by their names."""
        return next((other for other in self.groups if group.startswith(f"{other}-")), None)

    @cached_property
    def seen_anywhere(self) -> list[str]:
        """Groups that any training set draws from."""
        found = {group for training_set in self.training_sets for group in self.seen(training_set)}
        return [group for group in self.groups if group in found]

    @cached_property
    def complete(self) -> list[str]:
        """Groups of which all orders are known: those of the reference add up to its energy."""
        found = []
        for group in self.groups:
            part = self.reference.sel(group=group)
            if "group_contribution" not in part or not bool(part["group_contribution"].notnull().any()):
                continue
            errors = part["group_truncation_error"].values if "group_truncation_error" in part else np.array([])
            known = errors[np.isfinite(errors)]
            if not len(known) or known[-1] < NEGLIGIBLE:
                found.append(group)
        return found

    @cached_property
    def drawn(self) -> list[str]:
        """Groups that figures of orders show: complete ones, those that models were trained on first."""
        first = [group for group in self.complete if group in self.seen_anywhere]
        others = [group for group in self.complete if group not in first]
        return [group for group in self.groups if group in (first + others)[:_MOST_DRAWN]]

    def constant_cancellation(self, group: str) -> float:
        """How errors of orders cancel in a source that knows the mean energy of a group alone; NaN if unknown."""
        if "constant_cancellation" not in self.runs:
            return np.nan
        values = self.runs["constant_cancellation"].sel(group=group).values
        # the same in all cells that have been compared with the reference
        return float(values[np.isfinite(values)][0]) if np.isfinite(values).any() else np.nan

    @cached_property
    def explicit(self) -> set[str]:
        """Models that have no order above their nominal one by construction."""
        if "explicit" not in self.runs.coords:
            return set()
        return set(self.runs["model"].values[self.runs["explicit"].values.astype(bool)].tolist())

    @cached_property
    def has_spread(self) -> bool:
        """Whether anything was trained with several seeds."""
        return bool((self.means["n_seeds"] > 1).any())


def title_of(training_set: str) -> str:
    """What a training set is called."""
    return training_set or PRETRAINED


def whose(training_set: str) -> str:
    """What models of a training set are within a sentence."""
    return f"trained on {training_set}" if training_set else PRETRAINED


def panel_title(group: str, training_set: str) -> str:
    """Of a panel that shows one group in models of one training set."""
    return capitalized(", ".join(part for part in (group_words(group), whose(training_set)) if part))


def values_of(part: xr.Dataset, name: str, **where: Any) -> tuple[np.ndarray, np.ndarray]:
    """Means and spreads of a measure somewhere."""
    return part[name].sel(where).values, part[f"{name}{SPREAD}"].sel(where).values


def size_of_orders(reference: xr.Dataset) -> xr.DataArray:
    """Root mean square of the order totals per body of the reference over the structures of a group."""
    size = reference["group_contribution"] ** 2
    if "group_spread" in reference:
        size = size + reference["group_spread"].fillna(0.0) ** 2
    return size**0.5
