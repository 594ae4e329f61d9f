"""The grid of a study: every model on every training set, of every size, with every seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from bodyorder.config import MakeUpOptions, StudyOptions
from bodyorder.training.models import MODELS


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
        return f"{self.training}/seed={self.seed}" if self.several else self.training

    @property
    def training(self) -> str:
        """What it has in common with those that differ in their seed alone: ``pet/all/n=60``."""
        parts = [self.model]
        if self.makeup is not None:
            parts.append(self.makeup)
        if self.n_parents is not None:
            parts.append(f"n={self.n_parents}")
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


@dataclass(frozen=True)
class Lesson:
    """One explicit model that learns from one teacher.

    :param student: the cell that the student would be if it learnt from the reference
    :param teacher: name of the teacher's cell; None where the reference teaches
    """

    student: Cell
    teacher: str | None

    def in_grid(self, options: StudyOptions) -> bool:
        """Whether the student is a cell of the grid itself: the reference teaches that."""
        return self.teacher is None and self.student.model in options.models

    def name(self, reference: str) -> str:
        """What its stage is called: ``distill/soap-linear/high/of/pet/high``."""
        return f"distill/{self.student.name}/of/{self.teacher or reference}"


def lessons(options: StudyOptions) -> Iterator[Lesson]:
    """What explicit models learn of others in a study: one seed of everything before the next, low orders first."""
    wanted = options.distill
    if wanted is None:
        return
    makeups = tuple(options.makeups) if wanted.makeups is None else wanted.makeups
    implicit = [model for model in options.models if not MODELS[model].explicit]
    teachers = (*implicit, *options.pretrained) if wanted.teachers is None else wanted.teachers
    students = sorted(wanted.students, key=lambda name: MODELS[name].nominal_order or 0)
    seeds = range(options.seed, options.seed + options.seeds)
    for makeup, seed, teacher, student in product(makeups, seeds, (None, *teachers), students):
        cell = Cell(student, makeup, None, seed, options.seeds > 1)
        if teacher is None:
            yield Lesson(cell, None)
        elif teacher in options.models:
            yield Lesson(cell, replace(cell, model=teacher).name)
        elif seed == options.seed:  # a model that is trained already has one seed
            yield Lesson(cell, teacher)
