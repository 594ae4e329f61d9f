"""What is said of lone atoms that are not what two far apart fall into."""

import numpy as np
import pytest
from ase import Atoms
from lone_potentials import OWN, TABLE, Failing, Tabulated

from bodyorder.analysis import align, combine, findings
from bodyorder.analysis.dissociation import above_noise, offsets, said_offsets
from bodyorder.engine import decompose
from bodyorder.report import Report, render_report

WATER = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], info={"name": "water"})
OFF = {
    "H H": 2 * (OWN[1] - TABLE[1]),
    "H O": OWN[1] + OWN[8] - TABLE[1] - TABLE[8],
}


@pytest.fixture(scope="module")
def results():
    """Off, right, and not known."""
    return {
        "off": decompose(WATER, Tabulated()),
        "right": decompose(WATER, Tabulated(), one_body="dissociation"),
        "failing": decompose(WATER, Failing()),
    }


def test_offsets_of_several_sources_stand_side_by_side(results):
    hydrogen = decompose(Atoms("H3", WATER.positions, info={"name": "water"}), Tabulated())
    found = offsets(align(results))
    assert found["pair"].values.tolist() == list(OFF)
    np.testing.assert_allclose(found["dissociation_offset"].sel(source="off"), list(OFF.values()))
    assert above_noise(found).values.tolist() == [[True, True], [False, False], [False, False]]
    assert found["dissociation_offset"].sel(source="failing").isnull().all()
    assert offsets(align(hydrogen))["pair"].values.tolist() == ["H H"]


def test_a_source_that_was_not_asked_is_not_known(results):
    silent = decompose(WATER, Tabulated(), dissociation=False)
    assert offsets(align(silent)) is None
    assert said_offsets(align(silent)) == []
    for order in (("silent", "off"), ("off", "silent")):
        held = {"silent": silent, "off": results["off"]}
        found = offsets(align(combine({name: held[name] for name in order})))
        assert found["dissociation_offset"].sel(source="silent").isnull().all()
        np.testing.assert_allclose(found["dissociation_offset"].sel(source="off"), list(OFF.values()))


def test_what_is_above_noise_is_said(results):
    (line,) = said_offsets(align(results["off"]))
    assert line == (
        "lone atoms are not what two far apart fall into: E(AB, r → ∞) − E(A) − E(B) is H–H +20.7 eV, H–O +2.04e+03 eV, which "
        "shifts every order from 2 on; one_body chooses their energy"
    )
    (line,) = said_offsets(align(results))
    assert line.startswith("lone atoms of off are not")
    assert said_offsets(align(results["right"])) == []
    assert "lone atoms are not what" in repr(results["off"].mbe)


def test_findings_have_the_largest(results):
    found = findings(results)["lone_offset"]
    assert found.sel(source="off").item() == pytest.approx(OFF["H O"])
    assert found.sel(source=["right", "failing"]).isnull().all()
    assert np.isnan(findings(results["right"])["lone_offset"].item())


def test_the_report_says_it_where_it_is_above_noise(results):
    page = render_report(Report("Water", {name: results[name] for name in ("off", "right")}))
    assert (
        "Two isolated atoms of off are not what two far apart fall into (by up to +2044 eV), which shifts every order"
        in page
    )
    assert "isolated atoms of right" not in page
    table = page[page.index('id="onebody"') :]
    assert "<i>E</i>(AB, <i>r</i> → ∞)" in table
    assert "H–O" in table
    assert "lone atoms" in page[page.index('id="provenance"') :]
    right = render_report(Report("Water", decompose(WATER, Tabulated(), one_body="model", dissociation=False)))
    assert "fall into (" not in right
    assert "r</i> → ∞" not in right
