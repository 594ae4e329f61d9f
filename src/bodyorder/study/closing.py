"""What closes a study: models against the reference, and the report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from bodyorder.analysis import combine, compare
from bodyorder.engine.results import load, save
from bodyorder.report import Report, write_report
from bodyorder.study.cells import Cells
from bodyorder.study.data import RESULT, Data
from bodyorder.study.grid import Cell
from bodyorder.study.stages import Stage, record_of
from bodyorder.training.job import TrainedModel

COMPARISON, REPORT = "comparison.nc", "report.html"

#: Models that a figure can show side by side.
MOST_SHOWN = 8


class Closing:
    """The last stages, of all models that are resolved by now: one that failed does not hold up the others.

    :param data: of the study
    :param cells: its grid
    """

    def __init__(self, data: Data, cells: Cells):
        self._data = data
        self._cells = cells
        self._resolved = [name for name, stage in cells.resolutions.items() if stage.finished(data.root)]
        self._shown = _chosen([cells.cells[name] for name in self._resolved], data.options.seed)
        needs = (*data.labels, *(cells.resolutions[name] for name in self._resolved))
        self.comparison = Stage("compare", {"models": self._shown}, self._compare, needs)
        settings = {"title": data.options.title}
        self.report = Stage("report", settings, partial(self._report, self.comparison), (self.comparison,))

    @property
    def stages(self) -> list[Stage]:
        """What is left to do, in this order."""
        return [self.comparison, self.report]

    def _compare(self, folder: Path) -> None:
        data = self._data
        reference = data.reference_orders(data.tests if self._shown else data.clusters)
        results = {name: load(self._cells.result(name)) for name in self._shown}
        combined = combine({data.reference_name: reference} | results)
        save(combined, folder / RESULT)
        if results:
            save(compare(combined, data.reference_name), folder / COMPARISON)

    def _report(self, comparison: Stage, folder: Path) -> None:
        data = self._data
        results = load(comparison.folder(data.root) / RESULT)
        trained = {name: model for name in self._shown if (model := self._cells.trained(name)) is not None}
        reference = data.reference_name if self._shown else None
        report = Report(
            title=data.options.title,
            results=results,
            reference=reference,
            training=_errors(compare(results, data.reference_name), [self._cells.cells[name] for name in trained])
            if trained
            else None,
            curves=_losses(trained) or None,
            provenance=self._provenance(trained),
        )
        write_report(folder / REPORT, report)

    def _provenance(self, trained: dict[str, TrainedModel]) -> dict[str, Any]:
        stages = [*self._data.stages, *(stage for chain in self._cells.chains for stage in chain)]
        records = record_of(stages, self._data.root)
        return {
            "settings": self._data.options.model_dump(mode="json"),
            "seconds": {name: record["seconds"] for name, record in records.items()},
            "models": {name: f"sha256:{model.model_hash}" for name, model in trained.items()},
        }


def _chosen(cells: list[Cell], seed: int) -> list[str]:
    """The models that the report shows one by one: the first seed of each, and if these are many, on the last make-up."""
    first = [cell for cell in cells if cell.n_parents is None and (cell.makeup is None or cell.seed == seed)]
    if len(first) > MOST_SHOWN:
        last = [cell.makeup for cell in first if cell.makeup is not None][-1:]
        first = [cell for cell in first if cell.makeup is None or cell.makeup in last]
    return [cell.name for cell in first]


def _errors(comparison: xr.Dataset, cells: list[Cell]) -> xr.Dataset:
    """Errors on the test clusters, a row for each model, training set and group."""
    chosen = comparison[["total_rmse", "force_rmse"]].sel(source=[cell.name for cell in cells])
    table = chosen.assign_coords(
        model=("source", [cell.model for cell in cells]), training_set=("source", [str(cell.makeup) for cell in cells])
    )
    return (
        table.set_index(source=["model", "training_set"]).unstack("source").transpose("model", "training_set", "group")
    )


def _losses(trained: dict[str, TrainedModel]) -> dict[str, dict[str, Any]]:
    """Loss curves of those that have one."""
    curves = {name: model.loss_curve for name, model in trained.items()}
    return {
        name: {
            "epoch": curve["epoch"].values,
            "training": curve["training_loss"].values,
            "validation": curve["validation_loss"].values,
        }
        for name, curve in curves.items()
        if curve is not None
    }
