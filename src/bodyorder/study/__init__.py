"""The whole study as resumable stages: clusters, reference energies, trained models, their body orders, one report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bodyorder._files import replacing
from bodyorder.config import StudyOptions
from bodyorder.study.stages import Progress, open_root, record_of, run_stages
from bodyorder.study.steps import REPORT, Steps

__all__ = ["run_study", "train_models"]


def run_study(options: StudyOptions, say: Callable[[str], None] = print) -> Path:
    """Run a study, or what of it is not finished.

    :param options: of the study
    :param say: told one line about each stage
    :return: the report
    :raises InputError: if the options cannot work
    :raises ComputationError: if stages failed; everything that does not build on them is done. The report shows the models that
        are there; without the reference energies of every cluster there is none.
    """
    steps, progress = Steps(options), Progress(say)
    with open_root(steps.root) as root:
        _run_to_trainings(steps, progress)
        run_stages(list(steps.resolutions.values()), root, progress)
        comparison, report = steps.closing()
        for stage in (comparison, report):
            run_stages([stage], root, progress)
        if report.finished(root):
            with replacing(root / REPORT, "reports") as partial:
                partial.write_bytes((report.folder(root) / REPORT).read_bytes())
        record = record_of([*steps.stages, comparison, report], root)
        with replacing(root / "study.json", "records") as partial:
            partial.write_text(json.dumps(record, indent=2) + "\n")
    progress.raise_if_failed()
    return steps.root / REPORT


def train_models(options: StudyOptions, say: Callable[[str], None] = print) -> list[Path]:
    """Run a study as far as its trained models.

    :param options: of the study
    :param say: told one line about each stage
    :return: the folders of the trainings
    :raises InputError: if the options cannot work
    :raises ComputationError: if stages failed
    """
    steps, progress = Steps(options), Progress(say)
    with open_root(steps.root):
        _run_to_trainings(steps, progress)
    progress.raise_if_failed()
    return [stage.folder(steps.root) for stage in steps.trainings.values()]


def _run_to_trainings(steps: Steps, progress: Progress) -> None:
    run_stages(steps.samples, steps.root, progress)
    run_stages(steps.labels, steps.root, progress)
    # Each training waits for a process of its own, so several may run side by side.
    run_stages(list(steps.trainings.values()), steps.root, progress, workers=steps.options.trainings)
