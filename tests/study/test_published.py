"""The published tables of the study of record, which older versions wrote, load under the names of today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bodyorder.analysis.trainings import distilled_orders
from bodyorder.results.files import load_analysis, save

RECORD = Path(__file__).parents[2] / "studies" / "hydrogen"


def test_the_table_of_trainings():
    table = load_analysis(RECORD / "generalization.nc")
    assert table.sizes["training"] == 49
    assert table["n_clusters"].sel(training="pet/both/n=25") == 25
    text = pd.read_csv(RECORD / "generalization.csv", keep_default_na=False).set_index(["training", "group"])
    row = text.loc[("mace/high", "high")]
    assert (row["training_set"], row["n_clusters"]) == ("high", 210)
    errors = table["total_rmse"].sel(training="mace/high", group="high")
    assert 1e3 * float(errors) == pytest.approx(float(row["energy_rmse_meV_per_atom"]), rel=1e-5)


def test_what_was_distilled(tmp_path):
    table = load_analysis(RECORD / "distillation.nc")
    assert table["distilled_rmse"].dims == ("run",)
    orders = distilled_orders(table)["distilled_order"]
    # as the record says: order 4 says what SOAP-BPNN knows of dense clusters, 5 what PET knows, and none what MACE does
    found = orders.sel(training_set="high", teacher=["soap-bpnn", "pet", "mace"]).values
    np.testing.assert_array_equal(found, [4, 5, np.nan])
    again = load_analysis(save(table, tmp_path / "again.nc"))
    assert again.identical(table)
