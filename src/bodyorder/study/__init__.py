"""The whole study as resumable stages: clusters, reference energies, trained models, their body orders, one report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bodyorder._files import replacing
from bodyorder.config import StudyOptions
from bodyorder.engine.executors import single_threaded_children
from bodyorder.study.checks import check_study
from bodyorder.study.curves import Curves
from bodyorder.study.data import Data
from bodyorder.study.distillation import Distillation
from bodyorder.study.final import REPORT, FinalStages
from bodyorder.study.grid import Grid
from bodyorder.study.stages import Progress, open_root, record_of, run_chains, run_stages, say_of_other_code

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
    grid, progress = Grid(data), Progress(say)
    check_study(options, grid.pretrained)
    curves, distillation = Curves(data, grid), Distillation(data, grid)
    chains = [[*grid.chain(name), curves.models[name]] for name in grid.runs]
    taught = distillation.chains
    planned = [*data.stages, curves.reference, *(stage for chain in (*chains, *taught) for stage in chain)]
    with open_root(data.root) as root:
        say_of_other_code(planned, root, say)
        run_stages([*data.stages, curves.reference], root, progress)
        with single_threaded_children():
            run_chains(chains, root, progress, options.trainings)
            run_chains(taught, root, progress, options.trainings)
        final = FinalStages(data, grid, curves, distillation)
        run_stages(final.stages, root, progress)
        for made in final.published:
            with replacing(root / made.name, "results") as partial:
                partial.write_bytes(made.read_bytes())
        with replacing(root / "study.json", "records") as partial:
            partial.write_text(json.dumps(record_of([*planned, *final.stages], root), indent=2) + "\n")
        reported = final.report.finished(root)
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
    grid, progress = Grid(data), Progress(say)
    check_study(options, grid.pretrained)
    with open_root(data.root) as root:
        say_of_other_code([*data.training_stages, *grid.trainings.values()], root, say)
        run_stages(data.training_stages, root, progress)
        with single_threaded_children():
            run_chains([[stage] for stage in grid.trainings.values()], root, progress, options.trainings)
    progress.raise_if_failed()
    return [stage.folder(data.root) for stage in grid.trainings.values()]
