"""What potentials of few bodies can learn of a potential: explicit ones are trained on its own energies, order by order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from bodyorder.config import StudyOptions
from bodyorder.results.variables import describe
from bodyorder.sources import load_source
from bodyorder.sources.registry import SourceLike
from bodyorder.study.data import Data
from bodyorder.study.grid import Grid, read_errors, train_and_test
from bodyorder.study.runs import Run
from bodyorder.study.stages import Stage, in_own_process
from bodyorder.training.errors import predictions
from bodyorder.training.job import TrainingJob
from bodyorder.training.models import MODELS


@dataclass(frozen=True)
class DistilledRun:
    """The training of one explicit model, the student, on the energies of another one, its teacher.

    :param student: the run that it would be if it learnt from the reference
    :param teacher: name of the teacher's run; None where the reference teaches
    """

    student: Run
    teacher: str | None

    def in_grid(self, options: StudyOptions) -> bool:
        """Whether the student is a run of the grid itself: the reference teaches that."""
        return self.teacher is None and self.student.model in options.models

    def name(self, reference: str) -> str:
        """What its stage is called: ``distill/soap-linear/high/of/pet/high``."""
        return f"distill/{self.student.name}/of/{self.teacher or reference}"


def distilled_runs(options: StudyOptions) -> Iterator[DistilledRun]:
    """What explicit models learn of others in a study: one seed of everything before the next, low orders first."""
    wanted = options.distill
    if wanted is None:
        return
    training_sets = tuple(options.training_sets) if wanted.training_sets is None else wanted.training_sets
    implicit = [model for model in options.models if not MODELS[model].explicit]
    teachers = (*implicit, *options.pretrained) if wanted.teachers is None else wanted.teachers
    students = sorted(wanted.students, key=lambda name: MODELS[name].nominal_order or 0)
    seeds = range(options.seed, options.seed + options.seeds)
    for training_set, seed, teacher, student in product(training_sets, seeds, (None, *teachers), students):
        run = Run(student, training_set, None, seed, options.seeds > 1)
        if teacher is None:
            yield DistilledRun(run, None)
        elif teacher in options.models:
            yield DistilledRun(run, replace(run, model=teacher).name)
        elif seed == options.seed:  # a model that is trained already has one seed
            yield DistilledRun(run, teacher)


class Distillation:
    """Explicit models that are trained on the energies and forces of other models, as stages.

    A teacher's training, validation and test clusters are its students' too, with its own energies and forces in place of
    those of the reference. What students of n bodies miss on the test clusters is what terms of n bodies, the same for all
    clusters, cannot say of the teacher: at most so much, as a richer model of that order might do better.

    :param data: of the study
    :param grid: its runs
    """

    def __init__(self, data: Data, grid: Grid):
        self._data = data
        self._grid = grid
        #: The stage of each student, the cheapest orders first.
        self.stages: dict[DistilledRun, Stage] = {}
        for run in distilled_runs(data.options):
            if run.in_grid(data.options):
                self.stages[run] = grid.trainings[run.student.name]
                continue
            learnt = () if run.teacher is None else grid.resolutions[run.teacher].needs
            # a model that is trained already is what its resolution says it is
            source = None if run.teacher is None else grid.resolutions[run.teacher].settings.get("source")
            self.stages[run] = Stage(
                run.name(data.reference_name),
                grid.training_settings(run.student) | ({} if source is None else {"teacher": source}),
                partial(self._distill, run),
                (*data.training_labels, *learnt),
            )

    @property
    def chains(self) -> list[list[Stage]]:
        """The stages of the students of each teacher that are not in the grid themselves."""
        own: dict[str | None, list[Stage]] = {}
        for run, stage in self.stages.items():
            if not run.in_grid(self._data.options):
                own.setdefault(run.teacher, []).append(stage)
        return list(own.values())

    def table(self) -> xr.Dataset | None:
        """Errors of all students that are trained by now; None if there are none.

        :return: dimension ``run``; ``distilled_rmse`` (eV per body) and ``distilled_force_rmse`` (eV/Å), errors of a student
            against its teacher, and ``teacher_rmse`` (eV per body), those of the teacher against the reference (zero for the
            reference itself), on the test clusters of the training set; coordinates ``teacher``, ``training_set``, ``student``,
            ``student_order``, ``seed`` and, what a run is without its seed, ``training``
        """
        root = self._data.root
        rows = []
        for run, stage in self.stages.items():
            if not stage.finished(root):
                continue
            student, errors = run.student, read_errors(stage.folder(root))
            teacher, own = self._data.reference_name, 0.0
            if run.teacher is not None:
                teacher = self._grid.runs[run.teacher].model
                trained = self._grid.trainings.get(run.teacher)
                own = np.nan if trained is None else read_errors(trained.folder(root))["energy_rmse"]
            rows.append(
                {
                    "teacher": teacher,
                    "training_set": student.training_set,
                    "student": student.model,
                    "student_order": MODELS[student.model].nominal_order,
                    "seed": student.seed,
                    "training": f"{student.training} of {teacher}",
                    # errors of trainings are in meV
                    "distilled_rmse": 1e-3 * errors["energy_rmse"],
                    "distilled_force_rmse": 1e-3 * errors["force_rmse"],
                    "teacher_rmse": 1e-3 * own,
                }
            )
        if not rows:
            return None
        table = xr.Dataset({name: ("run", np.array([row[name] for row in rows])) for name in rows[0]})
        measured = ("distilled_rmse", "distilled_force_rmse", "teacher_rmse")
        return describe(table.set_coords([name for name in rows[0] if name not in measured]))

    def _distill(self, run: DistilledRun, folder: Path) -> None:
        job, executor = self._grid.job(run.student, folder), self._data.options.executor
        if run.teacher is None:
            in_own_process(executor, train_and_test, job)
        else:
            in_own_process(executor, distill, self._grid.source(run.teacher), job)


def distill(source: SourceLike, job: TrainingJob) -> None:
    """Train and test a model on the energies and forces of another.

    :param source: the teacher
    :param job: the training of the student; its clusters get the labels of the teacher
    """
    teacher = load_source(source)
    training, validation, test = (predictions(teacher, part) for part in (job.training, job.validation, job.test))
    train_and_test(replace(job, training=training, validation=validation, test=test, atom_energies=None))
