"""`bodyorder variance`."""

import ase.io
import numpy as np
import pytest
import xarray as xr

from bodyorder import variance_shares


@pytest.fixture
def clusters(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "clusters.xyz"
    ase.io.write(path, [ase.Atoms("H4", positions=rng.normal(scale=2.0, size=(4, 3))) for _ in range(3)])
    return path


def test_shares_are_printed_and_written(run, clusters, tmp_path):
    output = tmp_path / "shares.nc"
    options = ("--source", "analytic:pair", "--displacements", "0.1,inf", "--draws", 2, "-o", output)
    code, out, err = run("variance", clusters, *options)
    assert (code, err) == (0, "")
    found = xr.load_dataset(output)
    expected = variance_shares(str(clusters), "analytic:pair", (0.1, np.inf), draws=2)
    np.testing.assert_array_equal(found.variance_share, expected.variance_share)
    row = next(line for line in out.splitlines() if " inf " in line)
    assert f"{float(expected.mean_order[1]):.3f} ± {float(expected.mean_order_error[1]):.3f}" in row
    assert out.splitlines()[-1] == f"written to {output}"


def test_wrong_input_is_one_line(run, clusters, tmp_path):
    source = ("--source", "analytic:pair")
    for options, said in (
        (
            (*source, "--displacements", "small"),
            "`--displacements` must be numbers in Å such as 0.1,0.2,inf, got 'small'",
        ),
        ((*source, "--displacements", "0.2,0.1"), "`displacements` must be positive and ascending"),
        ((*source, "--draws", 1), "`draws` must be between 2 and 10000, got 1"),
        ((*source, "-o", tmp_path / "missing" / "shares.nc"), "missing"),
    ):
        code, _, err = run("variance", clusters, *options)
        assert code == 2
        assert said in err
        assert err.count("\n") == 1
