"""What potentials of few bodies can learn of a potential: explicit ones are trained on its own energies, order by order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from bodyorder.results.variables import describe
from bodyorder.sources import load_source
from bodyorder.sources.registry import SourceLike
from bodyorder.study.cells import Cells, read_errors, train_and_test
from bodyorder.study.data import Data
from bodyorder.study.elsewhere import run_elsewhere
from bodyorder.study.grid import Lesson, lessons
from bodyorder.study.stages import Stage
from bodyorder.training.errors import predictions
from bodyorder.training.job import TrainingJob
from bodyorder.training.models import MODELS


class Distillation:
    """Explicit models that are trained on the energies and forces of other models, as stages.

    A teacher's training, validation and test clusters are its students' too, with its own energies and forces in place of
    those of the reference. What students of n bodies miss on the test clusters is what terms of n bodies, the same for all
    clusters, cannot say of the teacher: at most so much, as a richer model of that order might do better.

    :param data: of the study
    :param cells: its grid
    """

    def __init__(self, data: Data, cells: Cells):
        self._data = data
        self._cells = cells
        #: For each cell the stages of the students that it teaches, the cheapest orders first.
        self.stages: dict[Lesson, Stage] = {}
        for lesson in lessons(data.options):
            student = lesson.student
            if lesson.in_grid(data.options):
                self.stages[lesson] = cells.trainings[student.name]
                continue
            learnt = () if lesson.teacher is None else cells.resolutions[lesson.teacher].needs
            # a model that is trained already is what its resolution says it is
            source = None if lesson.teacher is None else cells.resolutions[lesson.teacher].settings.get("source")
            taught = {} if source is None else {"teacher": source}
            self.stages[lesson] = Stage(
                lesson.name(data.reference_name),
                cells.training_settings(student) | taught,
                partial(self._teach, lesson),
                (*data.training_labels, *learnt),
            )

    @property
    def chains(self) -> list[list[Stage]]:
        """The stages of the students of each teacher that are not in the grid themselves."""
        own: dict[str | None, list[Stage]] = {}
        for lesson, stage in self.stages.items():
            if not lesson.in_grid(self._data.options):
                own.setdefault(lesson.teacher, []).append(stage)
        return list(own.values())

    def table(self) -> xr.Dataset | None:
        """Errors of all students that are trained by now, one cell for each; None if there are none.

        :return: ``distilled_rmse`` (eV per body) and ``distilled_force_rmse`` (eV/Å), those of the student against its
            teacher, and ``teacher_rmse`` (eV per body), that of the teacher against the reference (zero for the reference
            itself), on the test clusters of the make-up; coordinates along ``cell``: ``teacher``, ``makeup``, ``student``,
            ``student_order``, ``seed`` and, what a cell is without its seed, ``training``
        """
        root = self._data.root
        rows = []
        for lesson, stage in self.stages.items():
            if not stage.finished(root):
                continue
            student, errors = lesson.student, read_errors(stage.folder(root))
            teacher, own = self._data.reference_name, 0.0
            if lesson.teacher is not None:
                teacher = self._cells.cells[lesson.teacher].model
                trained = self._cells.trainings.get(lesson.teacher)
                own = np.nan if trained is None else read_errors(trained.folder(root))["energy_rmse"]
            rows.append(
                {
                    "teacher": teacher,
                    "makeup": student.makeup,
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
        table = xr.Dataset({name: ("cell", np.array([row[name] for row in rows])) for name in rows[0]})
        measured = ("distilled_rmse", "distilled_force_rmse", "teacher_rmse")
        return describe(table.set_coords([name for name in rows[0] if name not in measured]))

    def _teach(self, lesson: Lesson, folder: Path) -> None:
        job = self._cells.job(lesson.student, folder)
        if lesson.teacher is None:
            run_elsewhere(self._data.options.executor, train_and_test, job)
        else:
            run_elsewhere(self._data.options.executor, teach, self._cells.source(lesson.teacher), job)


def teach(source: SourceLike, job: TrainingJob) -> None:
    """Train and test a model on the energies and forces of another.

    :param source: the teacher
    :param job: the training of the student; its clusters get the labels of the teacher
    """
    teacher = load_source(source)
    training, validation, test = (predictions(teacher, part) for part in (job.training, job.validation, job.test))
    train_and_test(replace(job, training=training, validation=validation, test=test, atom_energies=None))
