"""The whole study as resumable stages: clusters, reference energies, trained models, their body orders, one report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bodyorder._files import replacing
from bodyorder.config import StudyOptions
from bodyorder.engine.executors import single_threaded_children
from bodyorder.study.cells import Cells
from bodyorder.study.checks import check_study
from bodyorder.study.closing import REPORT, Closing
from bodyorder.study.curves import Curves
from bodyorder.study.data import Data
from bodyorder.study.distillation import Distillation
from bodyorder.study.stages import Progress, open_root, record_of, run_chains, run_stages

__all__ = ["run_study", "train_models"]


def _say(line: str) -> None:
    """Print at once, also into a file that somebody watches."""
    print(line, flush=True)


def run_study(options: StudyOptions, say: Callable[[str], None] = _say) -> Path:
    """Run a study, or what of it is not finished.

    :param options: of the study
    :param say: told one line about each stage
    :return: the report
    :raises InputError: if the options cannot work
    :raises ComputationError: if stages failed; everything that does not build on them is done. The report shows the models that
        are there; without the reference energies of every cluster there is none.
    """
    data = Data(options)
    cells, progress = Cells(data), Progress(say)
    check_study(options, cells.pretrained)
    curves, distillation = Curves(data, cells), Distillation(data, cells)
    chains = [[*cells.chain(name), curves.models[name]] for name in cells.cells]
    with open_root(data.root) as root:
        run_stages([*data.stages, curves.reference], root, progress)
        with single_threaded_children():
            run_chains(chains, root, progress, options.trainings)
            run_chains(distillation.chains, root, progress, options.trainings)
        closing = Closing(data, cells, curves, distillation)
        run_stages(closing.stages, root, progress)
        for made in closing.published:
            with replacing(root / made.name, "results") as partial:
                partial.write_bytes(made.read_bytes())
        grid = [stage for chain in (*chains, *distillation.chains) for stage in chain]
        everything = [*data.stages, curves.reference, *grid, *closing.stages]
        with replacing(root / "study.json", "records") as partial:
            partial.write_text(json.dumps(record_of(everything, root), indent=2) + "\n")
        reported = closing.report.finished(root)
    progress.raise_if_failed(f"; report of the rest: {data.root / REPORT}" if reported else "")
    return data.root / REPORT


def train_models(options: StudyOptions, say: Callable[[str], None] = _say) -> list[Path]:
    """Run a study as far as its trained models.

    :param options: of the study
    :param say: told one line about each stage
    :return: the folders of the trainings
    :raises InputError: if the options cannot work
    :raises ComputationError: if stages failed
    """
    data = Data(options)
    cells, progress = Cells(data), Progress(say)
    check_study(options, cells.pretrained)
    with open_root(data.root) as root:
        run_stages(data.training_stages, root, progress)
        with single_threaded_children():
            run_chains([[stage] for stage in cells.trainings.values()], root, progress, options.trainings)
    progress.raise_if_failed()
    return [stage.folder(data.root) for stage in cells.trainings.values()]
