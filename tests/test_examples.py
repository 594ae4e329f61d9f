"""The examples run, on real energies."""

import importlib
import json
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bodyorder import load_results
from bodyorder.sources import Capabilities, FailedClusters, Precision
from bodyorder.structures.clusters import ClusterBatch, System

EXAMPLES = Path(__file__).parents[1] / "examples"
DOCS = EXAMPLES.parent / "docs" / "potentials"


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


@pytest.fixture
def traits(potentials):
    return importlib.import_module("potentials_traits")


def test_traits_of_pairs_are_known(traits):
    found = traits.traits("lj")
    # four neighbours in gold: pairs end at 9 Å, where the smooth cutoff leaves less than what counts a little earlier
    assert 8 <= found["additive"]["from"] <= found["claimed"] == 9
    assert found["additive"]["left"] < 1e-15
    assert found["lone"] == {"Au": [0.0, 0.0]}
    assert found["forces"] < 1e-8
    assert found["precision"] < 1e-14
    assert (found["charge"], found["spin"]) == ([], [])
    assert found["speed"]["together"] > 0 < found["speed"]["loop"]


def test_traits_say_what_fails(traits, potentials):
    """TIP3P knows whole molecules only: they feel each other up to 20 Å between oxygens, lone atoms fail."""
    found = traits.traits("tip3p")
    assert all(energy.startswith("ValueError: cannot reshape") for energy in found["lone"].values())
    assert 17 < found["additive"]["from"] < 20
    assert found["forces"] < 1e-8


def test_traits_see_charges_spins_and_what_is_never_additive(traits):
    pytest.importorskip("tblite")
    found = traits.traits("gfn2")
    assert (found["charge"], found["spin"]) == (["initial charges"], ["initial moments"])
    assert found["additive"]["from"] is None
    assert found["lone"]["H"][1] < -0.01  # a closed shell of two atoms 50 Å apart


def test_traits_see_a_box_a_coarse_energy_and_forces_that_are_none(traits, potentials, monkeypatch):
    """Rounded energies, forces that are half the gradient, a sum over pairs without end: each where it belongs."""
    from ase.calculators.calculator import Calculator, all_changes

    class Wrong(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            assert atoms.pbc.all()
            apart = atoms.positions[:, None] - atoms.positions
            lengths = np.linalg.norm(apart, axis=2) + np.eye(len(atoms))
            turn = 1e-6 * atoms.positions[:, 0].sum()
            self.results["energy"] = (1 / lengths).sum() / 2 + turn
            self.results["forces"] = 0.5 * (apart / lengths[..., None] ** 3).sum(axis=1)

    cases = importlib.import_module("potentials_cases")
    monkeypatch.setattr(cases.Potential, "calculator", lambda _: Wrong())
    probe = traits.Probe("sw")
    assert probe.scatter > 1e-7
    assert probe.additive()["from"] is None
    slope = np.abs(probe.ask(probe.atoms)[1]).max()
    assert probe.forces() == pytest.approx(slope, rel=1e-4)


def test_sources_of_batches_name_what_failed(potentials):
    batches = importlib.import_module("potentials_batches")

    class Half(batches.Batched):
        name, fingerprint, precision = "half", "half 1", Precision()
        capabilities = Capabilities(forces=True)

        def _together(self, batch):
            assert len(batch) <= batches.ATOMS // batch.n_atoms
            energies = batch.positions[:, 0, 2].copy()
            energies[energies > 100] = np.nan
            return energies, np.zeros(batch.positions.shape)

    systems = {row: System(np.array([1]), np.array([[0.0, 0.0, row]])) for row in range(2000)}
    rows = np.arange(2000)
    with pytest.raises(FailedClusters) as failed:
        Half().energies(ClusterBatch.cut(systems, rows, np.zeros((2000, 1), dtype=int)))
    assert sorted(failed.value.messages) == list(range(101, 2000))
    np.testing.assert_array_equal(failed.value.energies[:101], rows[:101])


@pytest.mark.parametrize("source", ["Ani", "Diep", "So3lr"])
def test_sources_of_batches_give_what_plain_ase_gives(potentials, source):
    cases = importlib.import_module("potentials_cases")
    (potential,) = (one for one in cases.POTENTIALS.values() if one.batches == source)
    pytest.importorskip(potential.package)
    assert potentials.main([f"{next(key for key, one in cases.POTENTIALS.items() if one is potential)}-water"]) == 0


def test_charges_of_bodies_reach_calculator_and_loops(potentials, capsys):
    pytest.importorskip("tblite")
    case = potentials.CASES["gfn2-ion"]
    assert potentials.main(["gfn2-ion"]) == 0
    found = potentials.compare(case._replace(max_order=1))
    (atoms,) = case.structure.make()
    ion = atoms[:4]
    ion.calc = case.potential.calculator()
    alone = [ion.get_potential_energy()]
    for start in (4, 7, 10):
        water = atoms[start : start + 3]
        water.calc = case.potential.calculator()
        alone.append(water.get_potential_energy())
    assert found.result["contribution"].item() == pytest.approx(sum(alone), abs=1e-8)


def test_what_was_found_is_of_all_cases_and_potentials(potentials):
    cases = importlib.import_module("potentials_cases")
    kept = {name: json.loads((DOCS / f"{name}.json").read_text(encoding="utf-8")) for name in ("cases", "traits")}
    assert set(kept["cases"]) == set(cases.CASES)
    assert set(kept["traits"]) == set(cases.POTENTIALS)
    assert len(cases.CASES) >= 30
    assert len({one.package for one in cases.POTENTIALS.values()}) >= 14
    assert all(entry["agrees"] and entry["off"] <= entry["allowed"] for entry in kept["cases"].values())


def test_the_source_of_torch_sim_in_a_package_of_its_own():
    pytest.importorskip("torch_sim")
    pytest.importorskip("torchsim_source")
    tests = EXAMPLES / "torchsim_source"
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", tests], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["emt-silver"], "no case 'emt-silver'; cases: sevennet-h8, "),
        (["nowhere-h8"], "nowhere-h8 needs nowhere; install it, or run all cases by `make potentials`"),
    ],
)
def test_potentials_say_what_is_wrong_in_one_line(potentials, monkeypatch, capsys, arguments, message):
    case = potentials.CASES["emt-h8"]
    nowhere = replace(case.potential, package="nowhere")
    monkeypatch.setitem(potentials.CASES, "nowhere-h8", case._replace(potential=nowhere))
    with pytest.raises(SystemExit) as stop:
        potentials.main(arguments)
    assert stop.value.code == 2
    (*usage, line) = capsys.readouterr().err.strip().splitlines()
    assert usage[0].startswith("usage: ")
    assert f"error: {message}" in line


def test_a_potential_that_is_refused_does_not_end_the_others(potentials, monkeypatch, capsys):
    cases = importlib.import_module("potentials_cases")
    case, lj = potentials.CASES["emt-h8"], cases.POTENTIALS["lj"]
    refused = {
        "short-h8": case._replace(potential=replace(case.potential, claims={"additive_cutoff": 1.5})),
        "short-silicon": potentials.Case(replace(lj, claims={"additive_cutoff": 3.6}), cases.STRUCTURES["silicon"], 2),
    }
    for name, one in refused.items():
        monkeypatch.setitem(potentials.CASES, name, one)
    assert potentials.main([*refused]) == 1
    *_, first, second = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("short-h8 was refused: the additive cutoff of ase:ase.calculators.emt.EMT")
    assert second.startswith("short-silicon was refused: the cutoff of ase:ase.calculators.lj.LennardJones")
