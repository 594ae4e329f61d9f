"""The whole study as resumable stages: clusters, reference energies, trained models, their body orders, one report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bodyorder._files import replacing
from bodyorder.config import StudyOptions
from bodyorder.study.stages import Progress, make_root, record_of, run_stages
from bodyorder.study.steps import REPORT, Plan

__all__ = ["run_study", "train_models"]


def run_study(options: StudyOptions, say: Callable[[str], None] = print) -> Path:
    """Run a study, or what of it is not finished.

    :param options: of the study
    :param say: told one line about each stage
    :return: the report
    :raises InputError: if the options cannot work
    :raises ComputationError: if stages failed; everything that does not build on them is done, the report included
    """
    root = make_root(options.output)
    plan, progress = Plan(options, root), Progress(say)
    _run_to_trainings(plan, progress)
    run_stages(list(plan.resolutions.values()), root, progress)
    comparison, report = plan.closing()
    for stage in (comparison, report):
        run_stages([stage], root, progress)
    if report.finished(root):
        with replacing(root / REPORT, "reports") as partial:
            partial.write_bytes((report.folder(root) / REPORT).read_bytes())
    record = record_of([*plan.stages, comparison, report], root)
    with replacing(root / "study.json", "records") as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n")
    progress.raise_if_failed()
    return root / REPORT


def train_models(options: StudyOptions, say: Callable[[str], None] = print) -> list[Path]:
    """Run a study as far as its trained models.

    :param options: of the study
    :param say: told one line about each stage
    :return: the folders of the trainings
    :raises InputError: if the options cannot work
    :raises ComputationError: if stages failed
    """
    root = make_root(options.output)
    plan, progress = Plan(options, root), Progress(say)
    _run_to_trainings(plan, progress)
    progress.raise_if_failed()
    return [stage.folder(root) for stage in plan.trainings.values()]


def _run_to_trainings(plan: Plan, progress: Progress) -> None:
    run_stages(plan.samples, plan.root, progress)
    run_stages(plan.labels, plan.root, progress)
    # Each training waits for a process of its own, so several may run side by side.
    run_stages(list(plan.trainings.values()), plan.root, progress, workers=plan.options.workers)
