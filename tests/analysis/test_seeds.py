"""Means and spreads against numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis.seeds import over_seeds


@pytest.fixture
def runs() -> xr.Dataset:
    values = np.random.default_rng(1).normal(size=(5, 2, 3))
    return xr.Dataset(
        {
            "order_rmse": (("run", "group", "order"), values),
            "nominal_verdict": (("run", "group"), [["a", "b"]] * 4 + [["a", "c"]]),
        },
        coords={
            "run": ["pet/s=1", "gap/s=1", "pet/s=2", "gap/s=2", "pet/s=3"],
            "training": ("run", ["pet", "gap", "pet", "gap", "pet"]),
            "seed": ("run", [1, 1, 2, 2, 3]),
            "explicit": ("run", [False, True, False, True, False]),
            "nominal_order": ("run", [np.nan, 5.0, np.nan, 5.0, np.nan]),
            "group": ["low", "high"],
            "order": [1, 2, 3],
        },
        attrs={"reference": "fci"},
    )


def test_means_and_spreads_are_those_of_each_training(runs):
    found = over_seeds(runs)
    assert found["training"].values.tolist() == ["pet", "gap"]
    assert found["n_seeds"].values.tolist() == [3, 2]
    for place, rows in enumerate([[0, 2, 4], [1, 3]]):
        values = runs["order_rmse"].values[rows]
        np.testing.assert_allclose(found["order_rmse"][place], values.mean(axis=0))
        np.testing.assert_allclose(found["order_rmse_spread"][place], values.std(axis=0, ddof=1))
    assert found["order_rmse_spread"].attrs["units"] == "eV/body"
    assert found["explicit"].values.tolist() == [False, True]
    np.testing.assert_array_equal(found["nominal_order"], [np.nan, 5.0])
    assert "seed" not in found.coords
    assert found.attrs == {"reference": "fci"}


def test_texts_that_differ_are_all_there(runs):
    assert over_seeds(runs)["nominal_verdict"].values.tolist() == [["a", "b | c"], ["a", "b"]]


def test_one_seed_has_no_spread_and_a_missing_value_leaves_the_others(runs):
    runs["order_rmse"][0, 0, 0] = np.nan
    found = over_seeds(runs)
    assert found["order_rmse"].values[0, 0, 0] == pytest.approx(runs["order_rmse"].values[[2, 4], 0, 0].mean())
    assert found["order_rmse_known"].values[:, 0, 0].tolist() == [2, 2]
    assert found["order_rmse_known"].values[:, 1, 0].tolist() == [3, 2]
    alone = over_seeds(runs.isel(run=[0, 1]))
    assert np.isnan(alone["order_rmse"].values[0, 0, 0])
    assert np.isnan(alone["order_rmse_spread"]).all()


def test_cells_without_a_training_are_refused(runs):
    with pytest.raises(InputError, match="must have the coordinate `training`"):
        over_seeds(runs.drop_vars("training"))
