"""Tables of grids of trainings with known outcome."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import xarray as xr
from bodyorder.report.generalization import generalization_parts
from bodyorder.report.generalization.trainings import Trainings

from bodyorder.analysis.nominal import EQUAL, NONE, UNDECIDED
from bodyorder.plots.style import Theme

GROUPS = ("low", "high", "low-h5")

#: Orders of the reference in eV per atom; those of low-h5 were not all resolved.
ORDERS = np.array([[-12.0, -2.0, 0.5, -0.01], [-12.0, -4.0, 16.0, -3.0], [-12.0, -2.0, np.nan, np.nan]])

#: Errors of energies in meV per atom on the three groups, and by which factor orders are off, by training set and model.
ERRORS = {
    ("low", "line"): (2.0, 400.0, 6.0),
    ("low", "net"): (4.0, 800.0, 5.0),
    ("both", "line"): (20.0, 60.0, 30.0),
    ("both", "net"): (10.0, 40.0, 10.0),
}
WRONG = {("low", "line"): 0.5, ("low", "net"): 0.6, ("both", "line"): 0.2, ("both", "net"): 0.05}


def measures(training_set: str, model: str, factor: float, size: float = 1.0) -> xr.Dataset:
    """Of one training; ``factor`` is that of its seed, ``size`` that of a smaller training set."""
    order = np.arange(1, 5)
    wrong = factor * WRONG[training_set, model]
    linear = model == "line"
    return xr.Dataset(
        {
            "total_rmse": ("group", factor * size * 1e-3 * np.array(ERRORS[training_set, model])),
            "group_contribution": (("group", "order"), ORDERS * (1 - wrong)),
            "group_noise": (("group", "order"), np.full(ORDERS.shape, 1e-6)),
            "order_rmse": (("group", "order"), np.abs(ORDERS) * wrong),
            "size_error": (("group", "size"), np.tile(wrong * np.array([1.0, 2.0, 0.5, 0.01]), (3, 1))),
            "error_correlation": (("group", "order", "other_order"), np.tile(np.where(np.eye(4), 1, -0.5), (3, 1, 1))),
            "cancellation": ("group", factor * np.array([0.1, 0.02, 0.3])),
            "constant_cancellation": ("group", [0.5, 0.006, np.nan]),
            "highest_order": ("group", [2.0, 2.0, 2.0] if linear else [4.0, 4.0, 2.0]),
            "beyond_nominal": ("group", [1e-12, 6e-12, np.nan] if linear else [np.nan] * 3),
            "beyond_threshold": ("group", [1e-9, 1e-9, np.nan] if linear else [np.nan] * 3),
            "nominal_verdict": ("group", [EQUAL, EQUAL, UNDECIDED] if linear else [NONE] * 3),
            "group_body_order": ("group", [2.0, 2.0, np.nan] if linear else [3.0, 4.0, 2.0]),
            "group_alternation": ("group", [1.0, 1.0, 1.0]),
            "group_decay": ("group", [factor, -0.5, 2.0]),
        },
        coords={"group": list(GROUPS), "order": order, "other_order": order, "size": order},
    )


def reference() -> xr.Dataset:
    """What is measured of it."""
    errors = [[2.5, 0.5, 0.01, 0], [9, 13, 3, 0], [2.5, 0.5, np.nan, np.nan]]
    return xr.Dataset(
        {
            "group_contribution": (("group", "order"), ORDERS),
            "group_noise": (("group", "order"), np.full(ORDERS.shape, 1e-6)),
            "group_truncation_error": (("group", "order"), errors),
            "group_body_order": ("group", [3.0, 4.0, np.nan]),
        },
        coords={"group": list(GROUPS), "order": np.arange(1, 5)},
    )


def about(training_set: str, model: str, seed: int = 1, n_clusters: int | None = None) -> dict[str, object]:
    """Coordinates of a cell."""
    name = f"{model}/{training_set}" + (f"/n={n_clusters}" if n_clusters else "")
    return {
        "run": f"{name}/seed={seed}", "training": name, "model": model, "training_set": training_set, "whole": n_clusters is None,
        "n_clusters": n_clusters or 80, "seed": seed, "explicit": model == "line",
        "nominal_order": 2.0 if model == "line" else np.nan,
    }  # fmt: skip


@pytest.fixture(scope="session")
def make_table() -> Callable[..., xr.Dataset]:
    """A table of two models on two sets, whose seeds differ by a factor from each other."""

    def make(seeds=(0.9, 1.1), training_sets=("low", "both"), models=("line", "net"), sizes=()) -> xr.Dataset:
        entries = [(reference(), about("", "fci"))]
        for training_set, model, (seed, factor) in product(training_sets, models, enumerate(seeds, 1)):
            entries.append((measures(training_set, model, factor), about(training_set, model, seed)))
        for size, model, (seed, factor) in product(sizes, models, enumerate(seeds, 1)):
            entries.append((measures("both", model, factor, 80 / size), about("both", model, seed, size)))
        parts = [
            part.expand_dims("run").assign_coords({key: ("run", [value]) for key, value in held.items()})
            for part, held in entries
        ]
        table = xr.concat(parts, "run", data_vars="all", coords="minimal", compat="override", join="outer")
        return table.assign_attrs(reference="fci")

    return make


@pytest.fixture(scope="session")
def table(make_table) -> xr.Dataset:
    return make_table(sizes=(20, 40))


@pytest.fixture(scope="session")
def trainings(table) -> Trainings:
    return Trainings.of(table, "atom")


@pytest.fixture(scope="session")
def parts(table):
    return {part.heading: part for part in generalization_parts(table, Theme.of(["any"]))}
