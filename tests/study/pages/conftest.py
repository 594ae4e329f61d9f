"""Tables of studies whose models are analytic: what they miss of each other is known without any training."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bodyorder import decompose
from bodyorder.structures.hydrogen import high_density, low_density
from bodyorder.study.measures import measure_reference, measure_run, run_table

REFERENCE = "metal"
SOURCES = {
    "pairs": "analytic:pair?kind=morse",
    "triples": "analytic:axilrod-teller",
    "same": "analytic:sutton-chen",
}
#: What each run is: model, training set, clusters of each group, whether these are all, seed, groups.
RUNS = [
    ("pairs", "low", 9, True, 0, "low"),
    ("triples", "low", 9, True, 0, "low"),
    ("pairs", "both", 9, True, 0, "low,high"),
    ("pairs", "both", 9, True, 1, "low,high"),
    ("triples", "both", 9, True, 0, "low,high"),
    ("pairs", "both", 3, False, 0, "low,high"),
    ("same", "", 0, True, 0, ""),
]


def results(source: str) -> xr.DataTree:
    clusters = [*low_density(4, 3, seed=0), *high_density(4, 3, seed=0)]
    for index, atoms in enumerate(clusters):
        atoms.info = {"name": f"c{index}", "group": "low" if index < 3 else "high"}
    return decompose(clusters, source, subsets=True, forces=True)


def shifted(result: xr.DataTree, factor: float) -> xr.DataTree:
    """The same with larger or smaller energies, as another seed would have."""
    nodes = {path: node.to_dataset(inherit=False) for path, node in result.subtree_with_keys}
    for data in nodes.values():
        for name in ("contribution", "total", "subset_contribution", "subset_energy", "force_contribution"):
            if name in data:
                data[name] = factor * data[name]
    return xr.DataTree.from_dict({"/" if path == "." else path: data for path, data in nodes.items()})


@pytest.fixture(scope="session")
def solved() -> dict[str, xr.DataTree]:
    """The results of the reference and of what stands for models."""
    return {name: results(source) for name, source in (SOURCES | {REFERENCE: SOURCES["same"]}).items()}


@pytest.fixture(scope="session")
def table(solved) -> xr.Dataset:
    """A table of runs: pairs on ``both`` has two seeds, the second of which has 1.1 times the energies."""
    measures = {REFERENCE: measure_reference([solved[REFERENCE]])}
    about = [about_run(REFERENCE, "", 0, True, 0, "")]
    for model, training_set, n_clusters, whole, seed, groups in RUNS:
        nominal = {"pairs": 2, "triples": 3}.get(model)
        result = shifted(solved[model], 1 + 0.1 * seed)
        measures[f"{model}/{training_set}/{n_clusters}/{seed}"] = measure_run([(solved[REFERENCE], result)], nominal)
        about.append(about_run(model, training_set, n_clusters, whole, seed, groups))
    return run_table(measures, about, REFERENCE)


def about_run(model: str, training_set: str, n_clusters: int, whole: bool, seed: int, groups: str) -> dict[str, object]:
    return {
        "training": f"{model}/{training_set}" + ("" if whole else f"/n={n_clusters}"), "model": model,
        "training_set": training_set, "whole": whole, "groups": groups, "n_clusters": n_clusters, "seed": seed,
        "explicit": model in ("pairs", "triples"), "nominal_order": {"pairs": 2.0, "triples": 3.0}.get(model, np.nan),
    }  # fmt: skip


@pytest.fixture
def distilled() -> xr.Dataset:
    """Students of orders 2 and 3 with two seeds, that learn from the reference and from pairs, whose own error is 0.1 eV."""
    rows = [
        {
            "teacher": teacher, "training_set": "both", "student": student, "student_order": order, "seed": seed,
            "training": f"{student}/both of {teacher}", "distilled_rmse": error * (1 + 0.2 * seed),
            "distilled_force_rmse": np.nan, "teacher_rmse": 0.1 if teacher == "pairs" else 0.0,
        }
        for teacher, errors in (("metal", (0.5, 0.3)), ("pairs", (0.2, 0.01)))
        for student, order, error in zip(("two", "three"), (2, 3), errors, strict=True)
        for seed in (0, 1)
    ]  # fmt: skip
    table = xr.Dataset({name: ("run", np.array([row[name] for row in rows])) for name in rows[0]})
    measured = ("distilled_rmse", "distilled_force_rmse", "teacher_rmse")
    return table.set_coords([name for name in rows[0] if name not in measured]).assign_attrs(reference="metal")
