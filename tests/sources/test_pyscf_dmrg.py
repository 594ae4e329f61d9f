"""Matrix product states against full configuration interaction."""

import json
from pathlib import Path

import ase
import numpy as np
import pytest
from pyscf import lib

from bodyorder._checks import InputError
from bodyorder.sources.pyscf import dmrg, fci
from bodyorder.sources.pyscf.dmrg.chain import spectral_order
from bodyorder.sources.pyscf.dmrg.search import _Run, slope
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.orbitals import orthonormal
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.structures.clusters import ClusterBatch, System

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
FAR = 30.0


def hydrogen(positions):
    return ase.Atoms(f"H{len(positions)}", positions)


def chain(n_atoms, spacing=1.0):
    return hydrogen(np.outer(np.arange(n_atoms), [0.0, 0.0, spacing]))


def square(side=1.0):
    return hydrogen(side * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]))


def triangle(height):
    return hydrogen([[0, 0, 0], [1, 0, 0], [0.5, height, 0]])


def dense(n_atoms):
    """Atoms of a random cluster with shortest distances of about 0.95 Å."""
    return hydrogen(json.loads((REFERENCE / "high_density_0.json").read_text())["positions"][:n_atoms])


def apart(first, second, distance):
    moved = second.copy()
    moved.translate([0.0, distance, 0.0])
    return first + moved


def evaluate(method, basis, batch, spins=None, memory=1e9, **options):
    if isinstance(batch, ase.Atoms):
        batch = ClusterBatch.from_atoms([batch])
    count = int(batch.numbers[0].sum())
    spins = list(range(count % 2, count + 1, 2)) if spins is None else spins
    return method.evaluate(Problem(batch, spins, False, memory, options=options), IntegralCache(basis, 1e9))


def energy(method, basis, atoms, spins=None, **options):
    answer = evaluate(method, basis, atoms, spins, **options)
    assert not answer.messages
    return answer.energies[0]


@pytest.mark.parametrize(("atoms", "bond_dimension"), [(chain(6), 50), (dense(6), 70)], ids=["chain", "dense"])
def test_six_atoms_are_within_1e_5_hartree_of_full_configuration_interaction(atoms, bond_dimension):
    answer = evaluate(dmrg, "6-31g", atoms, [0], exact=0, bond_dimension=bond_dimension)
    error = answer.energies[0] - energy(fci, "6-31g", atoms, [0])
    assert -1e-9 < error < 1e-5
    assert 0 < answer.records["discarded_weight"][0] < 1e-5


def test_uncertainty_has_the_size_of_the_error():
    exact = energy(fci, "6-31g", dense(6), [0])
    answer = evaluate(dmrg, "6-31g", dense(6), [0], exact=0, bond_dimension=36)
    error = answer.energies[0] - exact
    assert error > 5e-5
    assert error / 2 < answer.records["uncertainty"][0] < 2 * error
    assert answer.records["extrapolation"][0] == pytest.approx(-answer.records["uncertainty"][0])
    assert abs(answer.energies[0] + answer.records["extrapolation"][0] - exact) < error / 2
    assert answer.records["discarded_weight"][0] > 1e-6


def test_too_few_sweeps_are_reported():
    answer = evaluate(dmrg, "6-31g", dense(4), [0], exact=0, bond_dimension=12, sweeps=1)
    assert np.isnan(answer.energies[0])
    assert np.isnan(answer.records.get("uncertainty", np.array([np.nan]))[0])
    assert "did not converge" in answer.messages[0]
    assert "sweeps=1; allow more sweeps" in answer.messages[0]


@pytest.mark.parametrize("basis", ["sto-6g", "6-31g"])
@pytest.mark.parametrize("exact", [0, 30_000])
def test_atom_and_molecule_of_hydrogen(basis, exact):
    single = {"sto-6g": -0.471039054, "6-31g": -0.498232911}[basis]
    pair = {"sto-6g": -1.145939810, "6-31g": -1.151672545}[basis]
    assert energy(dmrg, basis, chain(1), exact=exact) == pytest.approx(single, abs=1e-8)
    assert energy(dmrg, basis, chain(2, 0.74), exact=exact) == pytest.approx(pair, abs=1e-8)


@pytest.mark.parametrize(("method", "options"), [(fci, {}), (dmrg, {"exact": 0, "bond_dimension": 60})])
@pytest.mark.parametrize(
    ("first", "second", "basis"),
    [(chain(2, 0.74), chain(2, 0.8), "6-31g"), (chain(3), chain(2, 0.74), "sto-6g"), (chain(4), chain(3), "sto-6g")],
    ids=["H2+H2", "H3+H2", "H4+H3"],
)
def test_distant_parts_are_additive(method, options, first, second, basis):
    both = energy(method, basis, apart(first, second, FAR), **options)
    assert both == pytest.approx(sum(energy(method, basis, part, **options) for part in (first, second)), abs=1e-8)


@pytest.mark.parametrize("distance", [6.0, 7.0])  # sweeps from a random state end 15 millihartree too high
def test_parts_that_exchange_nothing_each_find_their_own_state(distance):
    atoms = apart(square(), triangle(0.7), distance)
    found = energy(dmrg, "sto-6g", atoms, [1], exact=0, bond_dimension=30)
    assert found == pytest.approx(energy(fci, "sto-6g", atoms, [1]), abs=1e-8)


def test_ions_far_from_each_other_are_no_trap():
    atoms = ase.Atoms("LiH", [[0, 0, 0], [0, 0, 12.0]])
    assert energy(dmrg, "sto-3g", atoms, exact=0, bond_dimension=30) == pytest.approx(
        energy(fci, "sto-3g", atoms), abs=1e-8
    )


def test_square_of_hydrogen_is_a_triplet_in_6_31g():
    ground = evaluate(dmrg, "6-31g", square(), exact=0, bond_dimension=60)
    assert ground.energies[0] == pytest.approx(-2.031757, abs=1e-6)
    assert ground.records["multiplicity"][0] == 3
    assert energy(dmrg, "6-31g", square(), [0], exact=0, bond_dimension=60) == pytest.approx(-2.029905, abs=1e-6)


def test_square_of_hydrogen_changes_its_spin_with_the_basis():
    small = evaluate(dmrg, "sto-6g", square(), exact=0, bond_dimension=60)
    assert small.records["multiplicity"][0] == 1
    large = evaluate(dmrg, "cc-pvdz", square())
    assert large.records["multiplicity"][0] == 3
    assert large.records["discarded_weight"][0] == 0


@pytest.mark.parametrize("most", [100, 350], ids=["quintet", "singlet and quintet"])
def test_spins_diagonalised_and_spins_renormalised_are_compared(most):
    answer = evaluate(dmrg, "6-31g", square(), exact=most, bond_dimension=60)
    assert answer.energies[0] == pytest.approx(energy(fci, "6-31g", square()), abs=1e-8)
    assert answer.records["multiplicity"][0] == 3


def test_degenerate_ground_states():
    equilateral = triangle(np.sqrt(0.75))
    assert energy(dmrg, "6-31g", equilateral, exact=0, bond_dimension=60) == pytest.approx(
        energy(fci, "6-31g", equilateral), abs=1e-8
    )
    assert energy(dmrg, "sto-6g", chain(5, FAR), exact=0, bond_dimension=60) == pytest.approx(
        5 * -0.471039054, abs=1e-8
    )


def test_functions_of_other_atoms():
    systems, members, ghosts = {0: System.from_atoms(chain(4))}, np.array([[0, 1, 2]]), np.array([[3]])
    batch = ClusterBatch.cut(systems, np.zeros(1, dtype=int), members, ghosts)
    found = evaluate(dmrg, "6-31g", batch, [1], exact=0, bond_dimension=60).energies
    assert found == pytest.approx(evaluate(fci, "6-31g", batch, [1]).energies, abs=1e-8)


def test_nearly_dependent_functions():
    atoms = chain(4, 0.1)
    assert orthonormal(IntegralCache("6-31g", 1e9).integrals(ClusterBatch.from_atoms([atoms])).overlap)[1][0] == 7
    found = energy(dmrg, "6-31g", atoms, exact=0, bond_dimension=60)
    assert found == pytest.approx(energy(fci, "6-31g", atoms), abs=1e-8)


def test_a_result_does_not_depend_on_what_came_before():
    alone = evaluate(dmrg, "sto-6g", dense(6), [0], exact=0, bond_dimension=12)
    assert alone.records["uncertainty"][0] > 0
    batch = ClusterBatch.from_atoms([chain(6), dense(6)])
    second = evaluate(dmrg, "sto-6g", batch, [0], exact=0, bond_dimension=12)
    assert second.energies[1] == alone.energies[0]
    assert second.records["uncertainty"][1] == alone.records["uncertainty"][0]


def test_too_little_memory_is_reported():
    answer = evaluate(dmrg, "6-31g", dense(5), [1], memory=1e7, exact=0)
    assert np.isnan(answer.energies[0])
    assert answer.messages[0].startswith("DMRG of 10 orbitals at bond_dimension=250 needs about memory=")


@pytest.mark.parametrize("name", ["bond_dimension", "sweeps", "exact"])
def test_options_are_checked(name):
    with pytest.raises(InputError, match=f"`{name}` must be between"):
        evaluate(dmrg, "sto-6g", chain(2), **{name: -1})


def test_scratch_is_removed_and_threads_are_as_before(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    threads = lib.num_threads()
    energy(dmrg, "sto-6g", chain(4), exact=0)
    assert not list(tmp_path.iterdir())
    assert lib.num_threads() == threads


def test_scratch_is_removed_after_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(_Run, "finish", lambda run, schedule: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        energy(dmrg, "sto-6g", chain(4), exact=0)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert energy(dmrg, "sto-6g", chain(4), exact=0) == pytest.approx(-2.180966515, abs=1e-8)


def test_nothing_is_printed(capfd):
    energy(dmrg, "sto-6g", chain(4), exact=0)
    assert capfd.readouterr() == ("", "")


def test_order_follows_a_chain():
    shuffled = np.array([3, 0, 5, 1, 4, 2])
    distances = np.abs(shuffled[:, None] - shuffled)
    places = shuffled[spectral_order(np.exp(-2.0 * distances))].tolist()
    assert places in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])


def test_order_keeps_unrelated_parts_together():
    parts = np.array([0, 1, 0, 2, 1, 0, 1])
    order = spectral_order((parts[:, None] == parts) * 0.3)
    assert sorted(order.tolist()) == list(range(7))
    assert np.count_nonzero(np.diff(parts[order])) == 2


def test_slope_of_a_line_through_the_last_energy():
    assert slope(np.array([1e-6, 3e-6]), np.array([5e-6, 15e-6])) == pytest.approx(5.0)
    assert slope(np.array([1e-6, 3e-6]), np.array([-1e-9, -2e-9])) == 0.0
