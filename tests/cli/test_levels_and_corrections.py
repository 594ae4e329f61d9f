"""Levels and corrections as a user calls them."""

import ase.io
import numpy as np
import pytest
from geometries import scattered

from bodyorder import decompose, load_results
from bodyorder.structures import write_structures

LOW = "analytic:sutton-chen?epsilon=0.01&a=3.0&c=30.0&n=8&m=6"
HIGH = "analytic:axilrod-teller?nu=40.0&epsilon=0.01&sigma=2.0"


@pytest.fixture
def structures(tmp_path):
    return write_structures(tmp_path / "some.xyz", [scattered(5, seed, spread=5.0) for seed in range(2)])


def test_decompose_by_levels(run, structures, tmp_path):
    levels = ["--level", f"1-2={HIGH}", "--level", f"rest={LOW}"]
    code, out, err = run("decompose", structures, *levels, "--forces", "-o", tmp_path / "levels.nc")
    assert (code, err) == (0, "")
    assert out.count("read: ") == 1
    held = load_results(tmp_path / "levels.nc")
    expected = decompose(ase.io.read(structures, ":"), {2: HIGH, "rest": LOW}, forces=True)
    np.testing.assert_allclose(held.total, expected.total, rtol=1e-12)
    np.testing.assert_allclose(held.sites.total_force, expected.sites.total_force, atol=1e-12)


def test_correct(run, structures, tmp_path):
    output, orders = tmp_path / "labelled.extxyz", tmp_path / "orders.nc"
    command = ("correct", structures, "--low", LOW, "--high", HIGH, "--forces", "--orders", orders, "-o", output)
    code, out, err = run(*command)
    assert (code, err) == (0, "")
    assert "2 of 2 structures, labelled, written to" in out
    held = load_results(orders)
    labelled = ase.io.read(output, ":")
    assert [atoms.get_potential_energy() for atoms in labelled] == pytest.approx(held.total.values.tolist(), abs=1e-9)
    assert labelled[0].get_forces() == pytest.approx(held.sites.total_force.values[:5], abs=1e-7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--level", f"1={HIGH}", "--level", f"3-4={LOW}"], "levels must follow each other without gaps"),
        (
            ["--level", f"1={HIGH}", "--level", f"3={LOW}"],
            "levels must follow each other without gaps, got none for order 2 below 3; add it, or write 2-3 in place of 3",
        ),
        (
            ["--level", f"2={HIGH}", "--max-order", "3"],
            "levels must serve all orders up to `max_order`, 3, and end at 2",
        ),
        (["--level", f"2={HIGH}", "--samples", "10", "--max-order", "2"], "`sampling` must be left out with levels"),
        (["--level", HIGH], "a level must look like 1-2=SPEC or rest=SPEC"),
        (["--level", f"2={HIGH}", "--source", LOW], "not allowed with argument --level"),
        ([], "one of the arguments --source --level is required"),
    ],
)
def test_wrong_levels(run, structures, tmp_path, options, said):
    code, _, err = run("decompose", structures, *options, "-o", tmp_path / "levels.nc")
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "levels.nc").exists()


def test_plan_prices_what_each_level_needs(run, structures):
    """Five bodies and ten pairs by one, the same and the whole by the other, of each of two structures."""
    code, out, err = run("plan", structures, "--level", f"2={HIGH}", "--level", f"rest={LOW}", "--workers", 1)
    assert (code, err) == (0, "")
    assert f"{HIGH.partition('?')[0]}" in out
    counts = [int(line.split(": ")[1].split()[0]) for line in out.splitlines() if line.startswith("[")]
    assert counts == [30, 32]
    assert "one after the other: 62 sub-clusters, " in out
    code, _, err = run("plan", structures, "--level", f"2={HIGH}", "--max-order", 3)
    assert code == 2
    assert "levels must serve all orders up to `max_order`, 3, and end at 2" in err
