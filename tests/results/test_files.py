"""Results on disk: what was written comes back, those of older layouts too, and what is no result is told in one line."""

import subprocess
import sys
import warnings
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr
from ase.build import molecule

from bodyorder import decompose, load_results, save_results
from bodyorder._checks import InputError
from bodyorder.results import flat, load_analysis, select
from bodyorder.results.files import SCHEMA_VERSION

STUDIES = Path(__file__).parents[2] / "studies"


def test_what_was_written_comes_back(any_result, tmp_path):
    path = save_results(any_result, tmp_path / "r.nc")
    xr.testing.assert_identical(load_results(path), any_result)
    assert list(tmp_path.iterdir()) == [path]
    with h5netcdf.File(path) as file:
        assert file.variables["contribution"].attrs["units"] == "eV"
        assert set(file.groups) == set(any_result.children)
    xr.testing.assert_identical(load_results(save_results(any_result, path, compressed=True)), any_result)


def test_files_of_layout_one_have_all_variables_side_by_side(any_result, tmp_path):
    before = flat(any_result).assign_attrs(schema_version=1)
    path = save_results(before, tmp_path / "r.nc")
    with h5netcdf.File(path) as file:
        assert not file.groups
    found = load_results(path)
    assert found.attrs["schema_version"] == SCHEMA_VERSION
    xr.testing.assert_identical(found, any_result)


def test_xarray_reads_and_writes_the_same_files(result, tmp_path):
    path = save_results(result, tmp_path / "r.nc")
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        xr.testing.assert_identical(tree.load(), result)
    result.to_netcdf(tmp_path / "theirs.nc", engine="h5netcdf")
    xr.testing.assert_identical(load_results(tmp_path / "theirs.nc"), result)


@pytest.mark.parametrize("path", sorted(STUDIES.rglob("*.nc")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_published_tables_load(path):
    table = load_analysis(path)
    assert "training" in table.variables
    assert any(np.isfinite(array).any() for array in table.data_vars.values() if array.dtype.kind == "f")
    with pytest.raises(InputError, match=r"must be files written by `bodyorder decompose`, .* has no contributions"):
        load_results(path)


def test_there_are_published_tables():
    assert {path.name for path in STUDIES.rglob("*.nc")} >= {"generalization.nc", "distillation.nc"}


def test_a_file_of_some_structures_holds_theirs_alone(result, tmp_path):
    some = result.isel(structure=[2, 0])
    path = save_results(some, tmp_path / "r.nc")
    found = load_results(path)
    xr.testing.assert_identical(found, select(result, ["ammonia", "water"]))
    assert found["sites"].sizes["site"] == 4 + 3


def test_groups_of_others_are_not_lost_without_a_word(result, tmp_path):
    result["mine"] = xr.Dataset({"x": ("y", [1.0])})
    with pytest.raises(
        InputError, match="must have the groups sites, subsets, cells, dissociation, hessians alone, and has mine"
    ):
        save_results(result, tmp_path / "r.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_program(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["a"] = np.zeros((2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            InputError, match=r"must be files written by `bodyorder decompose`, .* has no contributions"
        ):
            load_results(tmp_path / "plain.h5")
    (tmp_path / "prose.nc").write_text("Call me Ishmael.")
    with pytest.raises(
        InputError, match=r"^results must be NetCDF files written by bodyorder, .*prose\.nc is not: .*\Z"
    ):
        load_results(tmp_path / "prose.nc")


@pytest.mark.parametrize("given", [None, {"note": 1}, "result.nc", 3.0])
def test_what_is_saved_is_a_result_or_an_analysis(given, tmp_path):
    with pytest.raises(InputError, match="what is saved must be a result or an analysis, got"):
        save_results(given, tmp_path / "r.nc")


@pytest.mark.parametrize("note", [None, True, {"a": 1}, object()])
def test_attributes_that_no_file_can_hold(note, tmp_path):
    result = decompose(molecule("H2"), "analytic:sutton-chen")
    result.attrs["note"] = note
    with pytest.raises(InputError, match=r"^what is saved must be numbers and texts, attributes too, .*\Z"):
        save_results(result, tmp_path / "r.nc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [None, 3])
def test_a_path_is_a_path(path):
    with pytest.raises(InputError, match="results must be an existing file, got"):
        load_results(path)
    with pytest.raises(InputError, match="results must go to a file, got"):
        save_results(decompose(molecule("H2"), "analytic:sutton-chen"), path)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("x", "must say their layout in `schema_version`, a number, .* says 'x'"),
        (3, "must have layout 2 or older, .* has 3; upgrade bodyorder"),
        (99, "must have layout 2 or older, .* 99"),
    ],
)
def test_other_layouts(tmp_path, version, message):
    result = decompose(molecule("H2"), "analytic:sutton-chen")
    result.attrs["schema_version"] = version
    save_results(result, tmp_path / "r.nc")
    with pytest.raises(InputError, match=message):
        load_results(tmp_path / "r.nc")


FILLED = """
import resource, sys
import numpy as np
import xarray as xr
from bodyorder._checks import InputError
from bodyorder import save_results
for n in range(500, 9000, 250):
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * n - 2000, resource.RLIM_INFINITY))
    try:
        save_results(xr.Dataset({"contribution": (("structure", "order"), np.random.rand(n, 1))}), sys.argv[1])
    except InputError as error:
        print(error)
    else:
        sys.exit(f"{n} numbers were said to be written")
"""


def test_a_file_that_finds_no_room_is_never_taken_for_written(tmp_path):
    """Whichever of its writes fails, the old file stays and the error is one line."""
    path = tmp_path / "r.nc"
    path.write_text("old")
    run = subprocess.run([sys.executable, "-c", FILLED, path], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert set(run.stdout.splitlines()) == {
        f"results must go to a file that can be written, {path} cannot: File too large"
    }
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
