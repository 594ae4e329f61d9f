"""``bodyorder curves`` as a user calls it."""

import numpy as np
import pytest
import xarray as xr
from ase import Atoms

from bodyorder.structures import write_structures

MORSE = "analytic:pair?kind=morse"
FCI = "pyscf:fci/sto-6g?spin=low"


@pytest.fixture
def run(run, tmp_path, monkeypatch):
    """Run ``curves`` in a folder of its own: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run("curves", *arguments)


@pytest.fixture
def training(tmp_path):
    frames = [Atoms("H2", positions=[[0, 0, 0], [r, 0, 0]]) for r in (0.7, 0.74, 0.8)]
    return write_structures(tmp_path / "training.xyz", frames)


def row(out, name):
    """Cells of the row of a table."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"│ {name} ")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_curves_of_two_sources_against_a_reference(run, training):
    sources = ("--source", f"morse={MORSE}", "--source", "lj=analytic:pair", "--reference", f"FCI={FCI}")
    code, out, err = run(
        *sources, "--species", "H", "H", "--distances", 0.5, 4, 36, "--training", training, "-o", "c.nc",
        "--figure", "c.svg",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "two-body curves of H–H, against FCI" in out
    assert [float(cell) for cell in row(out, "morse")[1:3]] == pytest.approx([4.75, 0.741], abs=1e-3)
    assert row(out, "FCI")[-2:] == ["-", "-"]
    found = xr.load_dataset("c.nc", engine="h5netcdf")
    assert found["source"].values.tolist() == ["FCI", "morse", "lj"]
    assert found.attrs["reference"] == "FCI"
    np.testing.assert_allclose(found.distance, np.linspace(0.5, 4, 36))
    difference = float((found.pair_contribution.sel(source="morse") - found.pair_contribution.sel(source="FCI"))[0])
    assert abs(difference) > 0.1
    with open("c.svg", encoding="utf-8") as figure:
        assert "<svg" in figure.read()


def test_maps(run):
    code, out, err = run(
        "--source", "at=analytic:axilrod-teller", "--reference", f"morse={MORSE}", "--species", "H", "H", "H",
        "--distances", 1, 2, 3, "--angles", 60, 180, "-o", "m.nc", "--figure", "m.png",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "three-body maps of H–H–H, against morse" in out
    # an equilateral triangle of side 1 has 1 + 3/8 in units of ν
    assert [line.split("│")[3].strip() for line in out.splitlines() if line.startswith("│ at ")] == ["1.3750", "0.2500"]
    found = xr.load_dataset("m.nc", engine="h5netcdf")
    assert found.triple_contribution.dims == ("source", "angle", "first", "second")


def test_defaults_need_a_source_only(run):
    code, out, err = run("--source", MORSE)
    assert (code, err) == (0, "")
    assert "4.7500" in out
    assert "written" not in out


def test_grids_reach_as_far_as_the_farthest_source(run):
    code, _, _ = run("--source", f"a={MORSE}&cutoff=2.0", "--source", f"b={MORSE}&cutoff=3.0", "-o", "c.nc")
    assert code == 0
    assert float(xr.load_dataset("c.nc", engine="h5netcdf").distance[-1]) == 3.0


def test_a_reference_among_the_sources_counts_once(run):
    code, out, _ = run("--source", f"m={MORSE}", "--source", "analytic:pair?sigma=1.0", "--reference", f"m={MORSE}")
    assert code == 0
    assert out.count("│ m ") == 1


def test_a_store_is_filled_and_used(run):
    options = ("--source", f"fci={FCI}", "--distances", 0.7, 0.8, 3, "--store", "s.sqlite", "-o", "c.nc")
    tables = []
    for _ in range(2):
        code, out, _ = run(*options)
        assert code == 0
        tables.append((out, xr.load_dataset("c.nc", engine="h5netcdf").pair_energy.values))
    assert tables[0][0] == tables[1][0]
    np.testing.assert_array_equal(tables[0][1], tables[1][1])


def test_what_fails_is_said_and_the_rest_is_written(run):
    """ASE's EMT has no helium."""
    code, out, err = run(
        "--source", "emt=ase:ase.calculators.emt.EMT", "--reference", "lj=analytic:pair", "--species", "He", "He",
        "--distances", 2, 3, 5, "-o", "c.nc", "--figure", "c.pdf",
    )  # fmt: skip
    assert code == 1
    assert err.startswith("bodyorder: 5 of 5 geometries of emt failed: ")
    assert "No EMT-potential for He" in err
    assert err.count("\n") == 1
    assert row(out, "emt")[1:] == ["-", "-", "-", "-", "-"]
    found = xr.load_dataset("c.nc", engine="h5netcdf").pair_contribution
    assert bool(found.sel(source="emt").isnull().all())
    assert bool(found.sel(source="lj").notnull().all())


def test_coincident_atoms_are_no_failure(run):
    code, _, err = run("--source", MORSE, "--species", *"HHH", "--distances", 1, 2, 2, "--angles", 0, 60)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--species", "H"), "`species` must be two elements for a curve or three elements for a map, got 1: H"),
        (("--species", *"HHHH"), "`species` must be two elements for a curve or three elements for a map, got 4"),
        (("--species", "H", "Hx"), "`species` must be chemical symbols, got 'Hx'"),
        (("--distances", 6, 0.3, 9), "`--distances` must go from a MIN above zero to a larger MAX, got 6 to 0.3"),
        (("--distances", 0, 3, 9), "`--distances` must go from a MIN above zero to a larger MAX, got 0 to 3"),
        (("--distances", 1, 3, 1), "`N of --distances` must be between 2 and 10000, got 1"),
        (("--distances", 1, 3, 2.5), "`N of --distances` must be an integer between 2 and 10000, got 2.5"),
        (("--angles", 60), "`--angles` belongs to maps of three `--species`, and two are given"),
        (("--species", *"HHH", "--angles", 200), "`angles` must be between 0 and 180 degrees, got 200 to 200"),
        (
            ("--species", *"HHH", "--training", "t.xyz"),
            "`--training` belongs to curves of two `--species`, and three are given",
        ),
        (("--training", "t.xyz"), "structures must be an existing file, t.xyz is not"),
        (("-o", "no/c.nc"), "output must go into an existing folder, no is not one; make it first"),
        (("--figure", "no/c.svg"), "output must go into an existing folder, no is not one; make it first"),
        (("--figure", "c.gif"), "figures must be files that end in .svg, .png, .pdf, got c.gif"),
        (("-o", "c.svg", "--figure", "c.svg"), "`--output` and `--figure` must be different files, both are c.svg"),
        (("--store", "."), "a store must be an SQLite file that can be written, . is not"),
        (("--source", MORSE), "sources must have different names, two are called 'm'; give them as NAME=SPEC"),
        (("--reference", "pyscff:fci/sto-6g"), "unknown source 'pyscff'"),
        (("--reference", "pyscf:fci/sto-6g?spin=low", "--species", "H", "Og"), "sto-6g has none for Og"),
        (("--workers", 0), "`workers` must be between 1 and 4096, got 0"),
    ],
)
def test_wrong_input_is_one_line(run, arguments, message):
    arguments = [f"m={word}" if word == MORSE else word for word in arguments]
    code, out, err = run("--source", f"m={MORSE}&alpha=2.0", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("bodyorder: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_source_must_be_given(run):
    code, _, err = run("--species", "H", "H")
    assert code == 2
    assert "--source" in err
    assert err.count("\n") == 1


def test_a_model_that_does_not_know_an_element(run, tmp_path):
    pytest.importorskip("metatomic.torch")
    import models

    models.export_closed_form(tmp_path / "model.pt", models.PairSum(2.5, 3.0, True), claimed_range=3.0)
    code, _, err = run("--source", "metatomic:model.pt", "--species", "H", "He")
    assert code == 2
    assert err == "bodyorder: metatomic:model.pt must know every element, and has not seen He; it knows H\n"
    code, _, err = run("--source", "model=metatomic:model.pt", "-o", "c.nc")
    assert (code, err) == (0, "")
    found = xr.load_dataset("c.nc", engine="h5netcdf")
    expected = np.clip(1 - found.distance.values / 2.5, 0, None) ** 3
    np.testing.assert_allclose(found.pair_contribution[0], expected, rtol=0, atol=1e-10)
