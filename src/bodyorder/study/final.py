"""The final stages of a study: models against the reference, one table of all runs, and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bodyorder.analysis import combine, compare
from bodyorder.analysis.seeds import KNOWN, SPREAD, over_seeds
from bodyorder.report import Report, write_report
from bodyorder.results.files import load, load_analysis, save
from bodyorder.study.curves import Curves
from bodyorder.study.data import RESULT, Data
from bodyorder.study.distillation import Distillation
from bodyorder.study.grid import Grid
from bodyorder.study.measures import measure_reference, run_table
from bodyorder.study.pages.sections import CurveSet, study_sections
from bodyorder.study.runs import Run
from bodyorder.study.stages import Stage, record_of
from bodyorder.training.job import TrainedModel
from bodyorder.training.models import MODELS

COMPARISON, REPORT = "comparison.nc", "report.html"
#: All measures of all runs, and the errors of energies and forces as text, means over seeds.
TABLE, TEXT_TABLE = "generalization.nc", "generalization.csv"
#: Errors of explicit models that learn from other models.
DISTILLED = "distillation.nc"

#: Models that a figure can show side by side.
MOST_SHOWN = 8

#: Columns of the table in text, by variable, what they are called there, and what makes eV of them meV.
_COLUMNS = {
    "total_rmse": ("energy_rmse_meV_per_atom", 1e3),
    "force_rmse": ("force_rmse_meV_per_A", 1e3),
    "cancellation": ("cancellation", 1.0),
    "group_body_order": ("effective_body_order", 1.0),
    "highest_order": ("highest_order", 1.0),
    "group_alternation": ("alternation", 1.0),
    "group_decay": ("decay", 1.0),
}


class FinalStages:
    """The last stages, of all models that are resolved by now: one that failed does not hold up the others.

    :param data: of the study
    :param grid: its runs
    :param curves: of its models
    :param distillation: what explicit models learn of them
    """

    def __init__(self, data: Data, grid: Grid, curves: Curves, distillation: Distillation):
        self._data = data
        self._grid = grid
        self._curves = curves
        self._distillation = distillation
        root = data.root
        self._resolved = [name for name, stage in grid.resolutions.items() if stage.finished(root)]
        self._measured = [name for name, stage in grid.measures.items() if stage.finished(root)]
        self._drawn = [name for name, stage in curves.models.items() if stage.finished(root)]
        self._shown = shown_alone([grid.runs[name] for name in self._resolved], data.options.seed)
        needs = (data.reference, *(grid.resolutions[name] for name in self._resolved))
        self.comparison = Stage("compare", {"models": self._shown}, self._compare, needs)
        measured = (grid.measures[name] for name in self._measured)
        drawn = (curves.reference, *(curves.models[name] for name in self._drawn))
        taught = (stage for stage in distillation.stages.values() if stage.finished(root))
        self.generalization = Stage(
            "generalize",
            {"models": self._measured},
            self._generalize,
            (data.reference, *data.labels, *measured, *drawn, *taught),
        )
        self.report = Stage(
            "report", {"title": data.options.title}, self._report, (self.comparison, self.generalization, *drawn)
        )

    @property
    def stages(self) -> list[Stage]:
        """What is left to do, in this order."""
        return [self.comparison, self.generalization, self.report]

    @property
    def published(self) -> list[Path]:
        """Files that stand in the folder of the study itself once they are made."""
        root = self._data.root
        made = [(self.report, REPORT), *((self.generalization, name) for name in (TABLE, TEXT_TABLE, DISTILLED))]
        return [path for stage, name in made if stage.finished(root) and (path := stage.folder(root) / name).is_file()]

    def _compare(self, folder: Path) -> None:
        data = self._data
        results = {name: load(self._grid.result(name)) for name in self._shown}
        combined = combine({data.reference_name: data.reference_orders[RESULT]} | results)
        save(combined, folder / RESULT)
        if results:
            save(compare(combined, data.reference_name), folder / COMPARISON)

    def _generalize(self, folder: Path) -> None:
        data, reference = self._data, self._data.reference_name
        measures = {reference: measure_reference(list(data.reference_orders.values()))}
        measures |= {name: self._grid.measured(name) for name in self._measured}
        for name in [reference, *self._drawn]:
            if name in measures:
                measures[name] = measures[name].merge(self._curves.measures(name))
        about = [_about(Run(reference), (), 0), *(self._about(name) for name in self._measured)]
        table = run_table(measures, about, reference)
        save(table, folder / TABLE, compressed=True)
        _write_text(over_seeds(table), folder / TEXT_TABLE)
        distilled = self._distillation.table()
        if distilled is not None:
            save(distilled.assign_attrs(reference=reference), folder / DISTILLED)

    def _about(self, name: str) -> dict[str, Any]:
        run = self._grid.runs[name]
        if run.training_set is None:
            return _about(run, (), 0)
        wanted = run.set_options(self._data.options)
        groups = wanted.groups or tuple(self._data.options.clusters)
        owners = Counter(str(self._data.clusters[index].info["group"]) for index in self._data.split.training)
        most = max(owners[group] for group in groups)
        return _about(run, groups, most if wanted.n_clusters is None else min(most, wanted.n_clusters))

    def _report(self, folder: Path) -> None:
        data = self._data
        results = load(self.comparison.folder(data.root) / RESULT)
        trained = {name: model for name in self._shown if (model := self._grid.trained(name)) is not None}
        distilled = self.generalization.folder(data.root) / DISTILLED
        sections = study_sections(
            load_analysis(self.generalization.folder(data.root) / TABLE),
            load_analysis(distilled) if distilled.is_file() else None,
            self.curve_sets(),
            {name: model.loss_history for name, model in trained.items()},
        )
        reference = data.reference_name if self._shown else None
        write_report(
            folder / REPORT, Report(data.options.title, results, reference, sections, self._provenance(trained))
        )

    def curve_sets(self) -> list[CurveSet]:
        """Two-body curves of the models of each training set, maps of those of the last one; of one seed."""
        first = first_seeds([self._grid.runs[name] for name in self._drawn], self._data.options.seed)
        last = on_last_training_set(first)
        sets = []
        for species in self._curves.species:
            for training_set, runs in side_by_side(first if len(species) == 2 else last):
                names = {run.name: run.model for run in runs}
                density = self._curves.density(next(iter(names))) if names and len(species) == 2 else None
                sets.append(CurveSet(training_set, self._curves.drawn(species, names), density))
        return sets

    def _provenance(self, trained: dict[str, TrainedModel]) -> dict[str, Any]:
        stages = [*self._data.stages, *(stage for name in self._grid.runs for stage in self._grid.chain(name))]
        records = record_of(stages, self._data.root)
        return {
            "settings": self._data.options.model_dump(mode="json"),
            "seconds": {name: record["seconds"] for name, record in records.items()},
            "models": {name: f"sha256:{model.model_hash}" for name, model in trained.items()},
        }


def _about(run: Run, groups: Sequence[str], n_clusters: int) -> dict[str, Any]:
    """Coordinates of a run in the table."""
    row = MODELS.get(run.model)
    return {
        "training": run.training,
        "model": run.model,
        "training_set": run.training_set or "",
        # trained on all clusters that there are for it, or a point of a learning curve
        "whole": run.n_clusters is None,
        # what it was trained on, and how many clusters of each
        "groups": ",".join(groups),
        "n_clusters": n_clusters,
        "seed": run.seed,
        "explicit": row is not None and row.explicit,
        "nominal_order": np.nan if row is None or row.nominal_order is None else float(row.nominal_order),
    }


def _write_text(table: xr.Dataset, path: Path) -> None:
    """Errors by training and group as text, in the units that the columns are called after."""
    columns = {}
    for name, (title, scale) in _COLUMNS.items():
        if name in table:
            columns[title] = scale * table[name]
            columns[f"{title}{SPREAD}"] = scale * table[f"{name}{SPREAD}"]
            columns[f"{title}{KNOWN}"] = table[f"{name}{KNOWN}"]
    columns["nominal_verdict"] = table["nominal_verdict"]
    frame = xr.Dataset(columns).to_dataframe().reset_index()
    about = ["training", "model", "training_set", "n_clusters", "group"]
    counts = table["n_seeds"].to_series()
    frame.insert(0, "n_seeds", frame["training"].map(counts))
    frame[[*about, "n_seeds", *columns]].to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def first_seeds(runs: list[Run], seed: int) -> list[Run]:
    """Of trainings on whole sets the first seed, and all models that are trained already."""
    return [run for run in runs if run.n_clusters is None and (run.training_set is None or run.seed == seed)]


def on_last_training_set(runs: list[Run]) -> list[Run]:
    """Those on the last training set, and all models that are trained already."""
    last = [run.training_set for run in runs if run.training_set is not None][-1:]
    return [run for run in runs if run.training_set is None or run.training_set in last]


def shown_alone(runs: list[Run], seed: int) -> list[str]:
    """The models that the report shows one by one: the first seed of each, and if these are many, on the last training set."""
    first = first_seeds(runs, seed)
    return [run.name for run in (first if len(first) <= MOST_SHOWN else on_last_training_set(first))]


def side_by_side(runs: list[Run]) -> list[tuple[str | None, list[Run]]]:
    """Training sets with runs that fit in one figure; without runs a figure of the reference alone."""
    found: list[tuple[str | None, list[Run]]] = []
    for training_set in dict.fromkeys(run.training_set for run in runs):
        own = [run for run in runs if run.training_set == training_set]
        parts = range(0, len(own), MOST_SHOWN)
        found += [(training_set, own[start : start + MOST_SHOWN]) for start in parts]
    return found or [(None, [])]
