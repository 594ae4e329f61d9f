"""The examples run, on real energies."""

import importlib
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bodyorder import load_results

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_atomic_limit_in_its_quick_version(tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / "atomic_limit.py"))["main"]
    main(["--quick", "-o", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    results = [load_results(path) for path in sorted((tmp_path / "run").glob("result_*.nc"))]
    assert len(results) >= 4
    for result in results:
        assert result["group"].values.tolist() == ["low", "high"]
        assert np.isfinite(result["contribution"].values).all()
        (line, _) = (line for line in printed.splitlines() if line.startswith(f"{result.attrs['source']} "))
        orders = (result["contribution"] / result["n_bodies"]).isel(structure=0).values
        assert line.split()[1:] == [f"{value:.3f}" for value in orders]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert '<details id="diagnosis"' in page
    assert "method uhf → fci" in page


@pytest.fixture
def potentials(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("potentials")


def test_potentials_agree_with_loops(potentials, tmp_path, capsys):
    cases = {"emt-h8": 8, "emt-gold": 10, "lj-gold": 10, "sw-silicon": 4}
    assert potentials.main([*cases, "-o", str(tmp_path)]) == 0
    summary = capsys.readouterr().out.split("\ncase ")[1].splitlines()
    for name, max_order in cases.items():
        (line,) = (line.split() for line in summary if line.startswith(f"{name} "))
        assert float(line[1]) < 1e-10
        assert line[3] == "agrees"
        result = load_results(tmp_path / f"{name}.nc")
        assert result.sizes["order"] == max_order
        np.testing.assert_allclose(result["residual"], 0, atol=1e-10)
    assert sorted(page.name for page in tmp_path.glob("*.html")) == ["gold.html", "h8.html", "silicon.html"]


def test_potentials_do_not_agree_where_energies_differ(potentials, monkeypatch, capsys):
    loops = importlib.import_module("potentials_loops")
    energy = loops.Asked.energy
    monkeypatch.setattr(loops.Asked, "energy", lambda asked, atoms: energy(asked, atoms) + 1e-8 * (len(atoms) == 2))
    case = potentials.CASES["emt-h8"]
    monkeypatch.setitem(potentials.CASES, "emt-h8", case._replace(max_order=3))
    assert potentials.main(["emt-h8"]) == 1
    assert "DISAGREES" in capsys.readouterr().out


def test_potentials_do_not_agree_where_the_loops_fail(potentials, monkeypatch, capsys):
    from ase.calculators.calculator import CalculationFailed
    from ase.calculators.emt import EMT

    calculate = EMT.calculate

    def failing(self, atoms=None, *rest):
        if len(atoms) == 3:
            raise CalculationFailed("not converged")
        calculate(self, atoms, *rest)

    monkeypatch.setattr(EMT, "calculate", failing)
    case = potentials.CASES["emt-h8"]
    monkeypatch.setitem(potentials.CASES, "emt-h8", case._replace(max_order=3))
    assert potentials.main(["emt-h8"]) == 1
    assert "DISAGREES" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["emt-silver"], "no case 'emt-silver'; cases: sevennet-h8, "),
        (["nowhere-h8"], "nowhere-h8 needs nowhere; install it, or run all cases by `make potentials`"),
        (["short-h8"], "short-h8: the additive cutoff of ase:ase.calculators.emt.EMT"),
        (["short-silicon"], "short-silicon: the cutoff of ase:ase.calculators.lj.LennardJones"),
    ],
)
def test_potentials_say_what_is_wrong_in_one_line(potentials, monkeypatch, capsys, arguments, message):
    case = potentials.CASES["emt-h8"]
    for name, change in {
        "nowhere-h8": {"package": "nowhere"},
        "short-h8": {"claims": {"additive_cutoff": 1.5}},
    }.items():
        monkeypatch.setitem(potentials.CASES, name, case._replace(potential=replace(case.potential, **change)))
    cases = importlib.import_module("potentials_cases")
    short = replace(cases.LENNARD_JONES, claims={"additive_cutoff": 3.6})
    monkeypatch.setitem(potentials.CASES, "short-silicon", potentials.Case(short, cases.SILICON, 2))
    with pytest.raises(SystemExit) as stop:
        potentials.main(arguments)
    assert stop.value.code == 2
    (*usage, line) = capsys.readouterr().err.strip().splitlines()
    assert usage[0].startswith("usage: ")
    assert f"error: {message}" in line
