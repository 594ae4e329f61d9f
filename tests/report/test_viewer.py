import json

import numpy as np
import pytest
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis import atom_shares, with_sources
from bodyorder.report import viewer
from bodyorder.report.viewer import chemiscope_script, make_viewer


def test_structures_have_their_positions_and_shares(results):
    shown = make_viewer(results, "clusters", "many-body")
    dataset = shown.dataset
    assert [structure["size"] for structure in dataset["structures"]] == [4, 4, 5, 5]
    x = np.concatenate([structure["x"] for structure in dataset["structures"]])
    np.testing.assert_allclose(x, results["site_position"].sel(xyz="x").values, atol=1e-6)
    shares = atom_shares(results)["atom_share"]
    for source, names in shown.properties.items():
        for order, name in names.items():
            held = dataset["properties"][name]
            assert held["target"] == "atom"
            assert held["units"] == "eV"
            np.testing.assert_allclose(
                np.array(held["values"]), shares.sel(source=source, order=int(order)).values, atol=1e-6
            )
    assert dataset["properties"]["group"]["values"] == ["Low density"] * 2 + ["High density"] * 2
    totals = results["contribution"].sel(source="pairs", order=2) / results["n_bodies"]
    np.testing.assert_allclose(dataset["properties"]["pairs: E(2)/N"]["values"], totals.values, atol=1e-6)


def test_the_largest_order_of_the_reference_colours_the_atoms_at_first(results):
    shown = make_viewer(results, "clusters", "triples")
    sizes = abs(results["contribution"] / results["n_bodies"]).sel(source="triples").values[:, 1:]
    structure, order = np.unravel_index(sizes.argmax(), sizes.shape)
    assert (shown.source, shown.order) == ("triples", order + 2)
    assert shown.dataset["settings"]["pinned"] == [structure]
    assert shown.dataset["settings"]["map"]["x"]["property"] == "triples: E(2)/N"


def test_a_source_alone_needs_no_name_before_its_properties(separate):
    shown = make_viewer(with_sources(separate["pairs"]), "clusters")
    assert "share of order 2" in shown.dataset["properties"]
    assert "E/N" in shown.dataset["properties"]


def test_missing_values_are_written_so_that_json_holds_them(separate):
    result = separate["pairs"].copy(deep=True)
    result["contribution"][0, 2] = np.nan
    text = make_viewer(with_sources(result), "clusters").script()
    held = json.loads(text)["dataset"]["properties"]["share of order 3"]["values"]
    assert held[:4] == ["NaN"] * 4
    assert all(isinstance(value, float) for value in held[4:])


def test_only_some_of_many_structures_are_shown(results, monkeypatch):
    monkeypatch.setattr(viewer, "SHOWN_PER_GROUP", 1)
    shown = make_viewer(results, "clusters", "pairs")
    assert shown.dataset["properties"]["structure"]["values"] == ["low_000", "high_000"]
    assert shown.n_left_out == 2
    assert len(shown.dataset["properties"]["pairs: share of order 2"]["values"]) == 4 + 5


def test_no_text_can_end_the_script_that_holds_it(separate):
    named = separate["pairs"].assign_coords(structure=["</script><b>", "<!--<script>", "c", "d"])
    text = make_viewer(with_sources(named), "</script>").script()
    assert "<" not in text
    assert json.loads(text)["dataset"]["properties"]["structure"]["values"][0] == "</script><b>"
    program = chemiscope_script()
    assert not any(opening in program for opening in ("<!--", "<script", "</script"))


def test_results_without_positions_cannot_be_shown(results):
    lacking: xr.Dataset = results.drop_vars("site_position")
    with pytest.raises(InputError, match="only with positions, `site_position` is missing"):
        make_viewer(lacking, "clusters")
