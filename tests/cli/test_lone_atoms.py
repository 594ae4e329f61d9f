"""Lone atoms on the command line: what they miss is printed, and what they are is chosen."""

import pytest
from ase import Atoms

from bodyorder import load_results
from bodyorder.structures import write_structures

SPEC = "ase:lone_potentials.TabulatedCalculator?sigma=3.4&epsilon=0.0103&rc=9&smooth=true"


@pytest.fixture
def triangle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_structures(tmp_path / "ar3.xyz", [Atoms("Ar3", [[0, 0, 0], [3.8, 0, 0], [0, 3.8, 0]])])


def test_what_lone_atoms_miss_is_printed_with_the_orders(run, triangle):
    code, out, _ = run("decompose", triangle, "--source", SPEC, "--workers", 1, "-o", "r.nc")
    assert code == 0
    assert (
        "lone atoms are not what two far apart fall into: E(AB, r → ∞) − E(A) − E(B) is Ar–Ar +0.5 eV, which shifts"
        in out
    )
    assert load_results("r.nc")["dissociation"].dissociation_offset.item() == 0.5


@pytest.mark.parametrize("choice", ["dissociation", "Ar=0.0"])
def test_their_energy_is_chosen(run, triangle, choice):
    code, out, _ = run("decompose", triangle, "--source", SPEC, "--workers", 1, "--one-body", choice, "-o", "r.nc")
    assert code == 0
    assert "fall into" not in out
    result = load_results("r.nc")
    assert abs(result.contribution.values[0, [0, 2]]).max() < 1e-12
    assert result.attrs["one_body_values"] == '{"Ar": 0.0}'


def test_curves_say_where_they_end(run, triangle):
    options = ("curves", "--source", f"a={SPEC}", "--species", "Ar", "Ar", "--distances", 3, 8, 20)
    header = "far apart, eV"
    for choice, end in (("model", "0.5000"), ("dissociation", "0.0000")):
        code, out, err = run(*options, "--one-body", choice)
        assert (code, err) == (0, "")
        assert header in out
        assert f"{end} │" in out


def test_check_says_what_they_miss(run):
    code, out, _ = run("check", SPEC, "--species", "Ar")
    assert code == 0
    assert "two atoms far apart minus two lone ones: Ar–Ar +5.00e-01 eV at 60 Å" in " ".join(out.split())
    code, out, _ = run("check", SPEC, "--species", "Ar", "--one-body", "dissociation")
    assert code == 0
    assert "Ar–Ar +0.00e+00 eV" in " ".join(out.split())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("far", "`one_body` must be one of dissociation, model, got 'far'"),
        ("Ar=x", "`one_body` must give energies in eV as H=-13.6,O=-2041.3, and 'Ar=x' is none"),
        ("He=1", "`one_body` must give the energy of every lone atom, and lacks Ar of structure 0; it has He"),
    ],
)
def test_wrong_choices_are_one_line(run, triangle, choice, message):
    code, _, err = run("decompose", triangle, "--source", SPEC, "--one-body", choice, "-o", "r.nc")
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
