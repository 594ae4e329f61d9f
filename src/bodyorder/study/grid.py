"""What is done for each run of the grid: train the model, resolve all test clusters with it, measure its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import ase
import xarray as xr

from bodyorder._files import replacing
from bodyorder.engine import decompose
from bodyorder.results.files import load, load_analysis, save
from bodyorder.sources import load_source
from bodyorder.sources.registry import SourceLike
from bodyorder.study.data import RESULT, Data, check_known
from bodyorder.study.measures import measure_run
from bodyorder.study.runs import Run, pretrained_runs, trained_runs
from bodyorder.study.stages import Stage, in_own_process
from bodyorder.training.datasets import draw_set, weighted
from bodyorder.training.errors import prediction_errors
from bodyorder.training.job import TrainedModel, TrainingJob
from bodyorder.training.models import MODELS
from bodyorder.training.options import energy_weight_options
from bodyorder.training.program import program_of
from bodyorder.training.runner import train

#: Errors of a trained model on the test set of its own training set.
ERRORS = "test_errors.json"
MEASURES = "measures.nc"


@dataclass(frozen=True)
class TestSet:
    """Clusters that a model is resolved on.

    :param clusters: what they are
    :param max_order: largest order; None for all
    :param forces: whether forces are resolved too, where the model has any
    """

    clusters: list[ase.Atoms]
    max_order: int | None
    forces: bool = False


class Grid:
    """The runs of a study's grid as stages.

    :param data: of the study
    :raises InputError: if a program that trains is not installed, or a model that is trained already cannot be loaded
    """

    def __init__(self, data: Data):
        self._data = data
        self._options = data.options
        students = () if data.options.distill is None else data.options.distill.students
        #: Models that are trained already.
        self.pretrained = {name: load_source(spec) for name, spec in data.options.pretrained.items()}
        self._programs = {model: program_of(model) for model in (*data.options.models, *students)}
        trained = trained_runs(data.options)
        self.runs = {run.name: run for run in [*trained, *pretrained_runs(data.options)]}
        self.trainings = {
            run.name: Stage(
                f"train/{run.name}", self.training_settings(run), partial(self._train, run), data.training_labels
            )
            for run in trained
        }
        self.resolutions = {name: self._resolution(name) for name in self.runs}
        self.measures = {
            name: Stage(
                f"measure/{name}",
                {"nominal_order": self.nominal_order(name)},
                partial(self._measure, name),
                (data.reference, *data.labels, stage),
            )
            for name, stage in self.resolutions.items()
        }

    def chain(self, name: str) -> list[Stage]:
        """The stages of a run: its training, if it has any, its resolution, and what is measured."""
        training = [self.trainings[name]] if name in self.trainings else []
        return [*training, self.resolutions[name], self.measures[name]]

    def nominal_order(self, name: str) -> int | None:
        """Body order that the construction of a run's model promises, None where nothing is known."""
        row = MODELS.get(self.runs[name].model)
        return None if row is None else row.nominal_order

    def trained(self, name: str) -> TrainedModel | None:
        """What the training of a run came to; None for a model that was trained already."""
        training = self.trainings.get(name)
        return None if training is None else TrainedModel.load(training.folder(self._data.root).resolve())

    def result(self, name: str) -> Path:
        """File with the orders of the test clusters by a run's model."""
        return self.resolutions[name].folder(self._data.root) / RESULT

    def measured(self, name: str) -> xr.Dataset:
        """What was measured of a run, see :func:`~bodyorder.study.measures.measure_run`."""
        return load_analysis(self.measures[name].folder(self._data.root) / MEASURES)

    def training_settings(self, run: Run) -> dict[str, Any]:
        """Whatever changes the outcome of the training of a run."""
        options = self._options
        return {
            "model": run.model,
            "training_set": run.set_options(options).model_dump(mode="json"),
            "epochs": options.epochs.get(str(run.training_set)),
            "size": options.size,
            "split": options.split.model_dump(),
            "split_seed": options.seed,
            "seed": run.seed,
            "architecture": MODELS[run.model].sizes[options.size].settings(),
            "program": self._programs[run.model],
        }

    def _resolution(self, name: str) -> Stage:
        data, training = self._data, self.trainings.get(name)
        settings: dict[str, Any] = {"max_order": {group: data.depth(group) for group in self._options.held_out}}
        if training is None:
            # which clusters test, too, which for a trained model its training says
            settings |= {"source": self.pretrained[name].fingerprint, "tests": dict(data.reference.settings)}
        needs = (*data.samples, *([] if training is None else [training]))
        return Stage(f"resolve/{name}", settings, partial(self._resolve, name), needs)

    def job(self, run: Run, folder: Path) -> TrainingJob:
        """The training of a run, on the labels of the reference."""
        data, wanted = self._data, run.set_options(self._options)
        composition = wanted.composition(str(run.training_set))
        training = draw_set(data.labelled, data.split.training, composition, run.seed)
        # All that share a training set are validated and tested on the same clusters, however many they are trained on.
        full = replace(composition, n_clusters=None)
        validation, test = (
            draw_set(data.labelled, parents, full, self._options.seed)
            for parents in (data.split.validation, data.split.test)
        )
        return TrainingJob(
            folder.resolve(),
            run.model,
            training=weighted(training, composition),
            validation=validation,
            test=test,
            epochs=self._options.epochs.get(str(run.training_set)),
            size=self._options.size,
            seed=run.seed,
            forces=wanted.forces,
            atom_energies=data.labelled.atom_energies() if wanted.isolated_atom == "fixed" else None,
            changes=energy_weight_options(run.model, wanted.energy_weight),
        )

    def source(self, name: str) -> SourceLike:
        """The model of a run as an energy source."""
        trained = self.trained(name)
        return self._options.pretrained[name] if trained is None else trained.spec

    def _train(self, run: Run, folder: Path) -> None:
        in_own_process(self._options.executor, train_and_test, self.job(run, folder))

    def _resolve(self, name: str, folder: Path) -> None:
        data = self._data
        # Only what is trained on has forces to compare with.
        tests = {RESULT: TestSet(data.tests, None, forces=self._options.with_forces)}
        tests |= {f"{group}.nc": TestSet(data.of_group(group), data.depth(group)) for group in self._options.held_out}
        in_own_process(self._options.executor, resolve, self.source(name), tests, folder.resolve())

    def _measure(self, name: str, folder: Path) -> None:
        resolved = self.resolutions[name].folder(self._data.root)
        tests = [(reference, load(resolved / file)) for file, reference in self._data.reference_orders.items()]
        save(measure_run(tests, self.nominal_order(name)), folder / MEASURES)


def read_errors(folder: Path) -> dict[str, float]:
    """Errors of a finished training on its test set, of :func:`~bodyorder.training.errors.prediction_errors`."""
    return dict(json.loads((folder / ERRORS).read_text()))


def train_and_test(job: TrainingJob) -> None:
    """Train a model, and leave its errors on its test set beside it."""
    trained = train(job)
    errors = prediction_errors(load_source(trained.spec), job.test)
    with replacing(job.folder / ERRORS, "records") as partial_file:
        partial_file.write_text(json.dumps(errors, indent=2) + "\n")


def resolve(source: SourceLike, tests: Mapping[str, TestSet], folder: Path) -> None:
    """Resolve clusters with a model.

    :param source: the model
    :param tests: what to resolve, by the name of the file for it
    :param folder: for the files
    :raises ComputationError: if the model has no energies of some of them, or of their sub-clusters; all results are there
    """
    model = load_source(source)
    results = []
    for file, test in tests.items():
        forces = test.forces and model.capabilities.forces
        results.append(decompose(test.clusters, model, max_order=test.max_order, forces=forces, subsets=True))
        save(results[-1], folder / file)
    check_known(results)
