"""What each stage of the study does, and what it builds on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import ase
import xarray as xr

from bodyorder._checks import ComputationError, InputError, require
from bodyorder._files import replacing
from bodyorder.analysis import combine, compare
from bodyorder.config import StudyOptions
from bodyorder.engine import Store, decompose
from bodyorder.engine.executors import open_executor
from bodyorder.engine.results import load, save
from bodyorder.report import Report, write_report
from bodyorder.sources import load_source
from bodyorder.sources.base import package_version, parse_spec
from bodyorder.structures import read_structures, write_structures
from bodyorder.study.sampling import describe_sampler, sample_group
from bodyorder.study.stages import Stage, record_of
from bodyorder.training.datasets import Split, split_parents, training_set
from bodyorder.training.errors import prediction_errors
from bodyorder.training.labels import label
from bodyorder.training.models import MODELS
from bodyorder.training.runner import TrainedModel, TrainingJob, train

CLUSTERS, RESULT, COMPARISON, REPORT = "clusters.xyz", "result.nc", "comparison.nc", "report.html"

#: Errors of a trained model on the test set of its own make-up.
ERRORS = "test_errors.json"


class Steps:
    """The stages of one study and how they hang together.

    :param options: of the study
    :raises InputError: if the reference is no energy source with forces, or a file of clusters cannot be read or divided
    """

    def __init__(self, options: StudyOptions):
        self.options = options
        self.root = Path(options.output)
        self._reference = load_source(options.reference)
        if not hasattr(self._reference, "energies_and_forces"):
            raise InputError(f"`reference` must give forces, {self._reference.name} gives energies only")
        if options.models:
            require("metatrain", "mlip")
        # Among the results it goes by what a person would call it: fci/sto-6g.
        self._reference_name = parse_spec(options.reference)[1]
        self.samples = [
            Stage(
                f"sample/{group}",
                {"sampler": describe_sampler(sampler, trained=bool(options.models)), "seed": options.seed},
                partial(self._sample, group),
            )
            for group, sampler in options.clusters.items()
        ]
        self.labels = [
            Stage(
                sample.name.replace("sample", "label"),
                {"source": self._reference.fingerprint},
                partial(self._label, sample),
                (sample,),
            )
            for sample in self.samples
        ]
        self.trainings = {
            f"{model}/{makeup}": Stage(
                f"train/{model}/{makeup}",
                self._training_settings(model, makeup),
                partial(self._train, model, makeup),
                tuple(self.labels),
            )
            for model in options.models
            for makeup in options.makeups
        }
        self.resolutions = {
            name: Stage(f"resolve/{name}", {}, partial(self._resolve, training), (training,))
            for name, training in self.trainings.items()
        }

    def closing(self) -> tuple[Stage, Stage]:
        """Comparison and report of all models that are resolved by now: one that failed does not hold up the others."""
        resolved = {name: stage for name, stage in self.resolutions.items() if stage.finished(self.root)}
        needs = (*self.labels, *resolved.values())
        comparison = Stage("compare", {"models": list(resolved)}, partial(self._compare, resolved), needs)
        settings = {"title": self.options.title}
        return comparison, Stage("report", settings, partial(self._report, comparison, list(resolved)), (comparison,))

    @property
    def stages(self) -> list[Stage]:
        """All stages but the closing ones."""
        return [*self.samples, *self.labels, *self.trainings.values(), *self.resolutions.values()]

    def _training_settings(self, model: str, makeup: str) -> dict[str, Any]:
        options = self.options
        return {
            "model": model,
            "makeup": options.makeups[makeup].model_dump(mode="json"),
            "epochs": options.epochs.get(makeup),
            "size": options.size,
            "split": options.split.model_dump(),
            "seed": options.seed,
            "architecture": asdict(MODELS[model].sizes[options.size]),
            "metatrain": package_version("metatrain"),
        }

    def _clusters(self) -> list[ase.Atoms]:
        """The clusters of all groups, one group after the other."""
        return [atoms for sample in self.samples for atoms in read_structures(sample.folder(self.root) / CLUSTERS)]

    def _split(self, clusters: list[ase.Atoms]) -> Split:
        fractions = self.options.split
        rest = 1 - fractions.train - fractions.validation
        groups = [str(atoms.info["group"]) for atoms in clusters]
        return split_parents(groups, (fractions.train, fractions.validation, rest), self.options.seed)

    def _store(self) -> Store:
        return Store(self.root / "energies.sqlite")

    def _sample(self, group: str, folder: Path) -> None:
        clusters = sample_group(group, self.options.clusters[group], self.options.seed)
        write_structures(folder / CLUSTERS, clusters)

    def _label(self, sample: Stage, folder: Path) -> None:
        clusters = read_structures(sample.folder(self.root) / CLUSTERS)
        with self._store() as store, open_executor(self.options.workers, self.options.executor) as executor:
            result = decompose(
                clusters, self._reference, forces=True, subsets=True, store=store, executor=executor, progress=True
            )
        save(result, folder / RESULT)
        failed = result.failure.values[result.failure.values != ""]
        if len(failed):
            raise ComputationError(f"{len(failed)} clusters lack energies: {failed[0]}")

    def _train(self, model: str, makeup: str, folder: Path) -> None:
        clusters = self._clusters()
        with self._store() as store:
            labelled = label(clusters, self._reference, store=store)
        split = self._split(clusters)
        content = self.options.makeups[makeup].build(makeup)
        training, validation, test = (
            training_set(labelled, parents, content, self.options.seed)
            for parents in (split.training, split.validation, split.test)
        )
        job = TrainingJob(
            folder,
            model,
            training=training,
            validation=validation,
            test=test,
            epochs=self.options.epochs.get(makeup),
            size=self.options.size,
            seed=self.options.seed,
        )
        trained = train(job)
        errors = prediction_errors(load_source(trained.spec), test)
        with replacing(folder / ERRORS, "records") as partial_file:
            partial_file.write_text(json.dumps(errors, indent=2) + "\n")

    def _resolve(self, training: Stage, folder: Path) -> None:
        clusters = self._clusters()
        test = [clusters[index] for index in self._split(clusters).test]
        source = load_source(TrainedModel.load(training.folder(self.root)).spec)
        save(decompose(test, source, forces=True, subsets=True, progress=True), folder / RESULT)

    def _compare(self, resolved: Mapping[str, Stage], folder: Path) -> None:
        clusters = self._clusters()
        if resolved:
            clusters = [clusters[index] for index in self._split(clusters).test]
        with self._store() as store:
            reference = decompose(clusters, self._reference, forces=True, subsets=True, store=store)
        results = {name: load(stage.folder(self.root) / RESULT) for name, stage in resolved.items()}
        combined = combine({self._reference_name: reference} | results)
        save(combined, folder / RESULT)
        if resolved:
            save(compare(combined, self._reference_name), folder / COMPARISON)

    def _report(self, comparison: Stage, models: list[str], folder: Path) -> None:
        results = load(comparison.folder(self.root) / RESULT)
        trained = {name: TrainedModel.load(self.trainings[name].folder(self.root)) for name in models}
        report = Report(
            title=self.options.title,
            results=results,
            reference=self._reference_name if trained else None,
            training=_errors(compare(results, self._reference_name), models) if trained else None,
            curves={name: _losses(model) for name, model in trained.items()} or None,
            provenance=self._provenance(trained),
        )
        write_report(folder / REPORT, report)

    def _provenance(self, trained: Mapping[str, TrainedModel]) -> dict[str, Any]:
        records = record_of(self.stages, self.root)
        return {
            "settings": self.options.model_dump(mode="json"),
            "seconds": {name: record["seconds"] for name, record in records.items()},
            "models": {name: f"sha256:{model.model_hash}" for name, model in trained.items()},
        }


def _errors(comparison: xr.Dataset, names: list[str]) -> xr.Dataset:
    """Errors on the test clusters, a row for each model, training set and group."""
    chosen = comparison[["total_rmse", "force_rmse"]].sel(source=names)
    table = chosen.assign_coords(
        model=("source", [name.split("/")[0] for name in names]),
        training_set=("source", [name.split("/")[1] for name in names]),
    )
    return (
        table.set_index(source=["model", "training_set"]).unstack("source").transpose("model", "training_set", "group")
    )


def _losses(model: TrainedModel) -> dict[str, Any]:
    curve = model.loss_curve
    return {
        "epoch": curve["epoch"].values,
        "training": curve["training_loss"].values,
        "validation": curve["validation_loss"].values,
    }
