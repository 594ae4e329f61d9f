"""Which body orders models have once they are trained: explicit ones none above their nominal order, others do.

Clusters have seven atoms, two more than the highest nominal order of an explicit model.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bodyorder.engine import decompose
from bodyorder.sources import load_source
from bodyorder.training import COMPOSITIONS, MODELS, TrainedModel, TrainingJob, draw_set, split_structures, train

EXPLICIT = [name for name, row in MODELS.items() if row.explicit]

#: What is trained: a row of the table, and changes of its options that save time or break its order.
TRAININGS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in EXPLICIT} | {
    # coefficients of the fourth order for angular momenta up to 3 take 20 s to make
    "mace-linear-4": ("mace-linear-4", {"max_ell": 2}),
    # With as many points as atoms weights are so large that rounding puts up to 4e-4 eV into the orders of these clusters.
    "gap": ("gap", {"krr": {"num_sparse_points": 60}}),
    "density": ("mace-linear-1", {"interaction_first": "RealAgnosticDensityInteractionBlock"}),
    "nonlinear": ("mace-1", {}),
}


@pytest.fixture(scope="module")
def job(labelled) -> TrainingJob:
    split = split_structures(labelled.groups)
    training, validation = (
        draw_set(labelled, part, COMPOSITIONS["all"]) for part in (split.training, split.validation)
    )
    return TrainingJob(Path(), "mace-1", training, validation, epochs=1, seed=3)


@pytest.fixture(scope="module")
def trained(job, tmp_path_factory) -> dict[str, TrainedModel]:
    folder = tmp_path_factory.mktemp("trained")
    jobs = {
        name: replace(job, folder=folder / name, model=model, changes={"architecture": {"model": changes}})
        for name, (model, changes) in TRAININGS.items()
    }
    # Iterations take time, and a few of them change the weights as well as many.
    jobs |= {
        name: replace(jobs[name], training=job.training[::4]) for name in jobs if "soap" not in name and name != "gap"
    }
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(jobs, pool.map(train, jobs.values()), strict=True))


@pytest.fixture(scope="module")
def orders(trained, hydrogen) -> dict[str, xr.Dataset]:
    clusters = [hydrogen(7, "high", seed) for seed in (0, 1)]
    return {name: decompose(clusters, load_source(model.spec)) for name, model in trained.items()}


@pytest.mark.parametrize("name", EXPLICIT)
def test_explicit_models_have_no_order_above_the_nominal_one(orders, name):
    result, nominal = orders[name], MODELS[name].nominal_order
    above = np.abs(result.contribution.sel(order=slice(nominal + 1, None)))
    assert above.sizes["order"] >= 2
    # A kernel's large weights amplify rounding, which its noise tells.
    noise = 5 * result.noise.sel(order=above.order) if name == "gap" else xr.zeros_like(above)
    assert (above <= np.maximum(noise, 1e-9)).all()
    assert (above < 1e-6).all()


@pytest.mark.parametrize("name", EXPLICIT)
def test_explicit_models_have_every_order_up_to_the_nominal_one(orders, name):
    below = np.abs(orders[name].contribution.sel(order=slice(1, MODELS[name].nominal_order)))
    assert (below > 1e-5).all()
    assert (below > 100 * orders[name].noise.sel(order=below.order)).all()


@pytest.mark.parametrize("name", ["density", "nonlinear"])
def test_what_is_not_linear_has_orders_above_the_nominal_one(orders, name):
    """Messages divided by the density of neighbours, and a nonlinear readout of features of known order."""
    nominal = MODELS[TRAININGS[name][0]].nominal_order
    above = np.abs(orders[name].contribution.sel(order=slice(nominal + 1, None)))
    assert (above.max("order") > 1e-3).all()
    assert (above > 1e-6).any("structure").all()
