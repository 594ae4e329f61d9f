"""The table of a study as its page reads it: means over seeds, laid out by training set and model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from bodyorder.analysis.seeds import KNOWN, SPREAD, over_seeds
from bodyorder.analysis.trainings import split_reference
from bodyorder.plots.style import Theme, group_title
from bodyorder.report.numbers import MISSING, NEGLIGIBLE, with_spread

#: What the training set of models that are trained already is called.
PRETRAINED = "trained already"

#: Groups that figures of orders show at most, side by side.
_MOST_DRAWN = 2


@dataclass(frozen=True)
class Trainings:
    """All trainings of a study, and its reference.

    :param runs: what is measured of each training with each seed
    :param reference: what is measured of the reference
    :param theme: how models are drawn, and the reference
    """

    runs: xr.Dataset
    reference: xr.Dataset
    theme: Theme

    @classmethod
    def of(cls, table: xr.Dataset, body: str = "atom") -> Trainings:
        """Those of :func:`bodyorder.study.measures.run_table`."""
        runs, reference = split_reference(table)
        models = [str(model) for model in dict.fromkeys(runs["model"].values)]
        return cls(runs, reference, Theme.of(models, str(reference["model"].item()), body))

    @property
    def name(self) -> str:
        """Of the reference."""
        return str(self.reference["model"].item())

    @cached_property
    def models(self) -> list[str]:
        """All models."""
        return [name for name in self.theme.sources if name != self.name]

    @cached_property
    def means(self) -> xr.Dataset:
        """Of all trainings, points of learning curves among them: see :func:`bodyorder.analysis.seeds.over_seeds`."""
        return over_seeds(self.runs)

    @cached_property
    def whole(self) -> xr.Dataset:
        """Means of the trainings on whole sets."""
        return self.means.isel(training=self.means["whole"].values.astype(bool)) if self.models else self.runs

    @cached_property
    def sets(self) -> list[str]:
        """All training sets; last, empty, that of models which are trained already."""
        found = dict.fromkeys(str(name) for name in self.whole["training_set"].values)
        return sorted(found, key=lambda name: not name)

    @cached_property
    def groups(self) -> list[str]:
        """All groups of clusters that models are tested on."""
        return [str(group) for group in self.reference["group"].values]

    @cached_property
    def seen(self) -> dict[str, list[str]]:
        """Groups that each training set draws from."""
        named = dict(zip(self.whole["training_set"].values, self.whole["groups"].values, strict=True))
        return {name: [group for group in self.groups if group in str(named[name]).split(",")] for name in self.sets}

    @cached_property
    def seen_anywhere(self) -> list[str]:
        """Groups that any training set draws from."""
        return [group for group in self.groups if any(group in seen for seen in self.seen.values())]

    @cached_property
    def complete(self) -> list[str]:
        """Groups of which all orders are known: those of the reference add up to its energy."""
        errors = self.reference["group_truncation_error"]
        last = {group: errors.sel(group=group).dropna("order").values[-1:] for group in self.groups}
        return [group for group, error in last.items() if len(error) and error[0] < NEGLIGIBLE]

    @cached_property
    def drawn(self) -> list[str]:
        """Complete groups that figures of orders show: those that models were trained on first."""
        first = sorted(self.complete, key=lambda group: group not in self.seen_anywhere)[:_MOST_DRAWN]
        return [group for group in self.groups if group in first]

    def parts(self, training_set: str) -> Iterator[tuple[str, xr.Dataset]]:
        """Models of one training set, and their means."""
        own = self.whole.isel(training=self.whole["training_set"].values == training_set)
        for model in self.models:
            if (place := np.flatnonzero(own["model"].values == model)).size:
                yield model, own.isel(training=place[0])

    def trained_on(self, group: str) -> list[str]:
        """Training sets that draw from a group."""
        return [name for name in self.sets if group in self.seen[name]]

    @cached_property
    def has_spread(self) -> bool:
        """Whether anything was trained with several seeds."""
        return bool(self.models) and bool((self.means["n_seeds"] > 1).any())

    def knows(self, name: str) -> bool:
        """Whether anything is known of a measure."""
        return bool(self.models) and name in self.means and bool(self.means[name].notnull().any())


def seed_frame(means: xr.Dataset, name: str, columns: str, scale: float = 1.0) -> pd.DataFrame:
    """Means over seeds ± their spread as text, "2 of 3" where only so many seeds have a value.

    :param means: of :func:`bodyorder.analysis.seeds.over_seeds`, along ``training`` with its training set and model
    :param columns: dimension that becomes the columns
    :return: rows by training set (and whatever other dimension there is) and model; none of which nothing is known
    """
    mean, spread, known = xr.broadcast(means[name], means[f"{name}{SPREAD}"], means[f"{name}{KNOWN}"])
    seeds = means["n_seeds"].broadcast_like(mean)
    others = [str(dim) for dim in mean.dims if dim not in ("training", columns)]
    values = [part.transpose(*others, "training", columns).values for part in (mean, spread, known, seeds)]
    text = np.vectorize(_text, otypes=[object])(scale * values[0], scale * values[1], *values[2:])
    rows = []
    for *rest, place in np.ndindex(text.shape[:-1]):
        held = [group_title(str(mean[dim].values[at])) for dim, at in zip(others, rest, strict=True)]
        trained = label(str(means["training_set"].values[place]))
        rows.append((", ".join([*filter(None, held), trained]), str(means["model"].values[place])))
    titles = [group_title(str(value)) or "all" if columns == "group" else value for value in mean[columns].values]
    index = pd.MultiIndex.from_tuples(rows, names=["group", "model"])
    frame = pd.DataFrame(text.reshape(-1, text.shape[-1]), index=index, columns=titles)
    known = frame != ""
    return frame.loc[known.any(axis=1), known.any()].replace("", MISSING)


def frame_of(cells: Mapping[tuple[str, ...], Mapping[str, str]], *names: str) -> pd.DataFrame:
    """A table of texts by their row headings and columns, both in the order in which they first appear.

    :param names: of the row headings
    """
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    index = pd.MultiIndex.from_tuples(list(cells), names=names).to_frame().set_index(list(names)).index
    held = [[row.get(column, MISSING) for column in columns] for row in cells.values()]
    frame = pd.DataFrame(held, index=index, columns=columns, dtype=object)
    return frame.loc[:, (frame != MISSING).any()]


def label(training_set: str) -> str:
    """What models of a training set are within a sentence."""
    return f"trained on {training_set}" if training_set else PRETRAINED


def _text(mean: float, spread: float, known: float, seeds: float) -> str:
    if not np.isfinite(mean):
        return ""
    return with_spread(mean, spread) + (f" ({known:.0f} of {seeds:.0f})" if known < seeds else "")
