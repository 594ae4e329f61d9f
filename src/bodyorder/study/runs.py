"""The grid of a study: every model on every training set, of every size, with every seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from bodyorder.config import StudyOptions, TrainingSetOptions


@dataclass(frozen=True)
class Run:
    """One point of the grid: a model that is trained on one set with one seed, or one that is trained already.

    :param model: name of the model
    :param training_set: name of its training set, None for a model that is trained already
    :param n_clusters: clusters of each group that the set is drawn from where this is a point of a learning curve, else None
    :param seed: of initial weights, of the order of batches and of what is drawn
    :param several: whether there are other seeds, which the name must tell apart
    """

    model: str
    training_set: str | None = None
    n_clusters: int | None = None
    seed: int = 0
    several: bool = False

    @property
    def name(self) -> str:
        """What its stages and results are called: ``pet/all``, ``pet/all/n=60/seed=2``."""
        return f"{self.training}/seed={self.seed}" if self.several else self.training

    @property
    def training(self) -> str:
        """What it has in common with those that differ in their seed alone: ``pet/all/n=60``."""
        parts = [self.model]
        if self.training_set is not None:
            parts.append(self.training_set)
        if self.n_clusters is not None:
            parts.append(f"n={self.n_clusters}")
        return "/".join(parts)

    def set_options(self, options: StudyOptions) -> TrainingSetOptions:
        """What its training set consists of."""
        assert self.training_set is not None
        wanted = options.training_sets[self.training_set]
        return wanted if self.n_clusters is None else wanted.model_copy(update={"n_clusters": self.n_clusters})


def trained_runs(options: StudyOptions) -> list[Run]:
    """All trainings of a study. What is wanted first comes first: one seed of everything before the next."""
    seeds = range(options.seed, options.seed + options.seeds)
    runs = [
        Run(model, training_set, None, seed, options.seeds > 1)
        for seed, training_set, model in product(seeds, options.training_sets, options.models)
    ]
    return runs + [
        Run(model, training_set, size, seed, options.seeds > 1)
        for seed in seeds
        for training_set, sizes in options.training_sizes.items()
        for size, model in product(sizes, options.models)
    ]


def pretrained_runs(options: StudyOptions) -> list[Run]:
    """Models that are trained already."""
    return [Run(name) for name in options.pretrained]
