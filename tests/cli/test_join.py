"""`bodyorder join`, and results that were not asked for energies of whole structures, as a user meets them."""

import numpy as np
import pytest
import xarray as xr
from geometries import clusters

from bodyorder import decompose, load_results, save_results
from bodyorder.structures import write_structures


def one_line(text):
    assert text.startswith("bodyorder")
    assert text.count("\n") == 1
    return text


@pytest.fixture
def parts(run, tmp_path):
    """Five structures in three files, each decomposed by itself, and all at once."""
    frames = clusters(3, 4) + clusters(2, 3, seed=1)
    for name, some in (("a", frames[:2]), ("b", frames[2:4]), ("c", frames[4:]), ("all", frames)):
        write_structures(tmp_path / f"{name}.xyz", some)
        code, _, err = run(
            "decompose",
            tmp_path / f"{name}.xyz",
            "--source",
            "analytic:pair",
            "--subsets",
            "-o",
            tmp_path / f"{name}.nc",
        )
        assert (code, err) == (0, "")
    return [tmp_path / f"{name}.nc" for name in "abc"]


def test_parts_are_joined(run, parts, tmp_path):
    code, out, err = run("join", *parts, "-o", tmp_path / "joined.nc")
    assert (code, err) == (0, "")
    assert "5 structures of 3 results written to" in out
    assert "family: complete" in out
    joined, at_once = load_results(tmp_path / "joined.nc"), load_results(tmp_path / "all.nc")
    assert joined.mbe.orders().equals(at_once.mbe.orders())
    assert joined.mbe.subsets().equals(at_once.mbe.subsets())
    code, out, err = run("compare", tmp_path / "joined.nc", tmp_path / "all.nc", "--reference", "all")
    assert (code, err) == (0, "")
    code, _, err = run("report", tmp_path / "joined.nc", "-o", tmp_path / "page.html")
    assert (code, err) == (0, "")
    assert run("join", *parts, "--no-subsets", "-o", tmp_path / "joined.nc")[0] == 0
    assert "subsets" not in load_results(tmp_path / "joined.nc").children


def test_files_of_one_name_are_told_apart_by_their_folders(run, tmp_path):
    for folder in ("cold", "hot"):
        (tmp_path / folder).mkdir()
        structure = clusters(1, 3)[0]
        structure.info["name"] = "ring"
        save_results(decompose(structure, "analytic:pair"), tmp_path / folder / "part.nc")
    files = [tmp_path / folder / "part.nc" for folder in ("cold", "hot")]
    assert run("join", *files, "-o", tmp_path / "joined.nc")[0] == 0
    names = load_results(tmp_path / "joined.nc")["structure"].values.tolist()
    assert names == [f"{path}/ring" for path in files]


def test_what_cannot_be_joined_is_one_line(run, parts, tmp_path):
    output = tmp_path / "joined.nc"
    other = tmp_path / "other.nc"
    save_results(decompose(clusters(1, 3), "analytic:axilrod-teller", subsets=True), other)
    newer = tmp_path / "newer.nc"
    tree = load_results(parts[0])
    tree.attrs["schema_version"] = 99
    save_results(tree, newer)
    table = tmp_path / "table.nc"
    xr.Dataset({"x": ("y", np.arange(3.0))}).to_netcdf(table, engine="h5netcdf")
    for files, said in (
        ([parts[0], tmp_path / "none.nc"], "results must be an existing file"),
        ([parts[0], newer], "results must have layout 2 or older"),
        ([parts[0], table], "must be files written by `bodyorder decompose`"),
        ([parts[0], parts[0]], "must be different files"),
        ([parts[0], other], "they differ in `source`: 'analytic:axilrod-teller"),
    ):
        code, out, err = run("join", *files, "-o", output)
        assert (code, out) == (2, "")
        assert said in one_line(err)
        assert not output.exists()
    before = parts[0].read_bytes()
    code, _, err = run("join", *parts, "-o", parts[0])
    assert code == 2
    assert "output must not be an input" in one_line(err)
    assert parts[0].read_bytes() == before
    code, _, err = run("join", *parts)
    assert code == 2
    assert "-o/--output" in one_line(err)


def test_a_structure_without_its_whole(run, tmp_path):
    write_structures(tmp_path / "c.xyz", clusters(1, 6))
    given = (tmp_path / "c.xyz", "--source", "analytic:pair", "--max-order", 2)
    code, out, err = run("decompose", *given, "--no-whole", "-o", tmp_path / "r.nc")
    assert (code, err) == (0, "")
    assert "no total: the energy of the whole was not asked for" in out
    assert "21 sub-clusters evaluated" in out
    loaded = load_results(tmp_path / "r.nc")
    assert np.isnan(loaded["total"].values).all()
    assert (loaded["failure"].values == "").all()
    code, out, err = run("plan", *given)
    assert (code, "whole" in out) == (0, True)
    code, out, err = run("plan", *given, "--no-whole")
    assert (code, "whole" in out) == (0, False)
    run("decompose", *given, "-o", tmp_path / "with.nc")
    code, out, _ = run("compare", tmp_path / "r.nc", tmp_path / "with.nc", "--reference", "with")
    assert code == 0
    assert "total: of structures whose energy both have; that of the whole was not asked for of r" in out
    code, _, err = run("join", tmp_path / "r.nc", tmp_path / "with.nc", "-o", tmp_path / "j.nc")
    assert code == 2
    assert "they differ in `whole`: 'asked for' in 'with', 'not asked for' in 'r'" in one_line(err)


def test_a_study_has_no_whole_to_leave_out(run, tmp_path):
    code, _, err = run("plan", tmp_path / "study.yaml", "--no-whole")
    assert code == 2
    assert "`--no-whole` belongs to structures" in one_line(err)
