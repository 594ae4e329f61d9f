import subprocess
import sys
import warnings

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr
from ase.build import molecule

from bodyorder._checks import InputError
from bodyorder.engine import decompose, load_results
from bodyorder.results.files import save


def test_round_trip(tmp_path):
    frames = [molecule("H2O"), molecule("CH4")]
    frames[0].info["group"], frames[1].info["group"] = "naß", "trocken"
    result = decompose(frames, "analytic:sutton-chen", forces=True, subsets=True)
    path = save(result, tmp_path / "r.nc")
    xr.testing.assert_identical(load_results(path), result)
    assert list(tmp_path.iterdir()) == [path]
    with h5netcdf.File(path) as file:
        assert file.variables["contribution"].attrs["units"] == "eV"


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


@pytest.mark.parametrize(
    ("version", "message"), [("x", "has no contributions"), (99, "must have layout 1 or older, .* 99")]
)
def test_other_layouts(tmp_path, version, message):
    result = decompose(molecule("H2"), "analytic:sutton-chen")
    result.attrs["schema_version"] = version
    save(result, tmp_path / "r.nc")
    with pytest.raises(InputError, match=message):
        load_results(tmp_path / "r.nc")


FILLED = """
import resource, sys
import numpy as np
import xarray as xr
from bodyorder._checks import InputError
from bodyorder.results.files import save
for n in range(500, 9000, 250):
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * n - 2000, resource.RLIM_INFINITY))
    try:
        save(xr.Dataset({"contribution": (("structure", "order"), np.random.rand(n, 1))}), sys.argv[1])
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
