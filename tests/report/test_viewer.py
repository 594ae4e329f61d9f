import json

import numpy as np
import pytest
from trees import changed

from bodyorder._checks import InputError
from bodyorder.analysis import Aligned, align, atom_shares
from bodyorder.report import viewer
from bodyorder.report.viewer import chemiscope_script, make_viewer


def aligned(result):
    return align(result).data


@pytest.fixture(scope="module")
def data(results):
    return aligned(results)


def test_structures_have_their_positions_and_shares(data):
    shown = make_viewer(data, "clusters", "many-body")
    dataset = shown.dataset
    assert [structure["size"] for structure in dataset["structures"]] == [4, 4, 5, 5]
    x = np.concatenate([structure["x"] for structure in dataset["structures"]])
    np.testing.assert_allclose(x, data["site_position"].sel(xyz="x").values, atol=1e-6)
    shares = atom_shares(Aligned(data))["atom_share"]
    for source, names in shown.properties.items():
        for order, name in names.items():
            held = dataset["properties"][name]
            assert held["target"] == "atom"
            assert held["units"] == "eV"
            np.testing.assert_allclose(
                np.array(held["values"]), shares.sel(source=source, order=int(order)).values, atol=1e-6
            )
    assert dataset["properties"]["group"]["values"] == ["low"] * 2 + ["high"] * 2
    totals = data["contribution"].sel(source="pairs", order=2) / data["n_bodies"]
    np.testing.assert_allclose(dataset["properties"]["pairs: E(2)/N"]["values"], totals.values, atol=1e-6)


def test_the_largest_order_of_the_reference_colours_the_atoms_at_first(data):
    shown = make_viewer(data, "clusters", "triples")
    sizes = abs(data["contribution"] / data["n_bodies"]).sel(source="triples").values[:, 1:]
    structure, order = np.unravel_index(sizes.argmax(), sizes.shape)
    assert (shown.source, shown.order) == ("triples", order + 2)
    assert shown.dataset["settings"]["pinned"] == [structure]
    assert shown.dataset["settings"]["map"]["x"]["property"] == "triples: E(2)/N"


def test_a_source_alone_needs_no_name_before_its_properties(separate):
    shown = make_viewer(aligned(separate["pairs"]), "clusters")
    assert "share of order 2" in shown.dataset["properties"]
    assert "E/N" in shown.dataset["properties"]


def test_missing_values_are_written_so_that_json_holds_them(separate):
    result = aligned(separate["pairs"]).copy(deep=True)
    result["contribution"].loc[{"structure": "low_000", "order": 3}] = np.nan
    text = make_viewer(result, "clusters").script()
    held = json.loads(text)["dataset"]["properties"]["share of order 3"]["values"]
    assert held[:4] == ["NaN"] * 4
    assert all(isinstance(value, float) for value in held[4:])


def test_only_some_of_many_structures_are_shown(data, monkeypatch):
    monkeypatch.setattr(viewer, "SHOWN_PER_GROUP", 1)
    shown = make_viewer(data, "clusters", "pairs")
    assert shown.dataset["properties"]["structure"]["values"] == ["low_000", "high_000"]
    assert shown.n_left_out == 2
    assert len(shown.dataset["properties"]["pairs: share of order 2"]["values"]) == 4 + 5


def test_no_text_can_end_the_script_that_holds_it(separate):
    named = changed(
        separate["pairs"], lambda data: data.assign_coords(structure=["</script><b>", "<!--<script>", "c", "d"])
    )
    text = make_viewer(aligned(named), "</script>").script()
    assert "<" not in text
    assert json.loads(text)["dataset"]["properties"]["structure"]["values"][0] == "</script><b>"
    program = chemiscope_script()
    assert not any(opening in program for opening in ("<!--", "<script", "</script"))


def test_results_without_positions_cannot_be_shown(data):
    lacking = data.drop_vars("site_position")
    with pytest.raises(InputError, match="only with positions, `site_position` is missing"):
        make_viewer(lacking, "clusters")
