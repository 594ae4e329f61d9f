"""The grid of a study: every model on every training set, of every size, with every seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from bodyorder.config import MakeUpOptions, StudyOptions


@dataclass(frozen=True)
class Cell:
    """One training of the grid, or one model that is trained already.

    :param model: name of the model
    :param makeup: name of the training set, None for a model that is trained already
    :param n_parents: clusters of each group that it is drawn from where this is a point of a learning curve, else None
    :param seed: of initial weights, of the order of batches and of what is drawn
    :param several: whether there are other seeds, which the name must tell apart
    """

    model: str
    makeup: str | None = None
    n_parents: int | None = None
    seed: int = 0
    several: bool = False

    @property
    def name(self) -> str:
        """What its stages and results are called: ``pet/all``, ``pet/all/n=60/seed=2``."""
        parts = [self.model]
        if self.makeup is not None:
            parts.append(self.makeup)
        if self.n_parents is not None:
            parts.append(f"n={self.n_parents}")
        if self.several:
            parts.append(f"seed={self.seed}")
        return "/".join(parts)

    def content(self, options: StudyOptions) -> MakeUpOptions:
        """What its training set is made of."""
        assert self.makeup is not None
        content = options.makeups[self.makeup]
        return content if self.n_parents is None else content.model_copy(update={"n_parents": self.n_parents})


def trained_cells(options: StudyOptions) -> list[Cell]:
    """All trainings of a study. What is wanted first comes first: one seed of everything before the next."""
    seeds = range(options.seed, options.seed + options.seeds)
    cells = [
        Cell(model, makeup, None, seed, options.seeds > 1)
        for seed, makeup, model in product(seeds, options.makeups, options.models)
    ]
    return cells + [
        Cell(model, makeup, size, seed, options.seeds > 1)
        for seed in seeds
        for makeup, sizes in options.training_sizes.items()
        for size, model in product(sizes, options.models)
    ]


def pretrained_cells(options: StudyOptions) -> list[Cell]:
    """Models that are trained already."""
    return [Cell(name) for name in options.pretrained]
