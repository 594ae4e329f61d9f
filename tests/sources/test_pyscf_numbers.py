"""Energies that are known from elsewhere."""

import json
from math import comb
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.units import Hartree
from complete_family import order_totals

from bodyorder.sources.pyscf.fci import evaluate
from bodyorder.sources.pyscf.integrals import IntegralCache, single_thread
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.subsets.family import complete

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
RULES = {"ground": "ground", "low": "low_spin", "high": "high_spin"}


def hydrogen(positions):
    return ase.Atoms(f"H{len(positions)}", positions)


def chain(n_atoms, spacing=1.0):
    return hydrogen(np.outer(np.arange(n_atoms), [0.0, 0.0, spacing]))


def square(side=1.0):
    return hydrogen(side * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]))


def energies(spec, *clusters):
    """In hartree."""
    return load_source(f"pyscf:{spec}").energies(ClusterBatch.from_atoms(clusters)) / Hartree


def totals(spec, atoms):
    """Order totals in eV."""
    source, system, family = load_source(f"pyscf:{spec}"), System.from_atoms(atoms), complete(len(atoms))
    batches = [ClusterBatch.cut({0: system}, np.zeros(len(rows), dtype=int), rows) for rows in family.members]
    return order_totals(np.array([source.energies(batch).sum() for batch in batches]), len(atoms))


def lowest_of_spins(basis, atoms, *unpaired):
    """Lowest FCI energy at each number of unpaired electrons, in hartree."""
    batch = ClusterBatch.from_atoms([atoms])
    tasks = [Problem(batch, [spin], False, 1e9) for spin in unpaired]
    with single_thread():
        return [evaluate(problem, IntegralCache(basis, 1e9)).energies[0] for problem in tasks]


def reference(name):
    data = json.loads((REFERENCE / f"{name}.json").read_text())
    return np.array(data["positions"]), data["subsets"]


@pytest.mark.parametrize("method", ["fci", "uhf"])
@pytest.mark.parametrize("spin", ["low", "ground", "high"])
@pytest.mark.parametrize(
    ("basis", "energy"),
    [("sto-3g", -0.466581850), ("sto-6g", -0.471039054), ("6-31g", -0.498232911), ("cc-pvdz", -0.499278403)],
)
def test_hydrogen_atom(method, spin, basis, energy):
    assert energies(f"{method}/{basis}?spin={spin}", ase.Atoms("H"))[0] == pytest.approx(energy, abs=1e-8)


@pytest.mark.parametrize("spin", ["low", "ground"])
@pytest.mark.parametrize(
    ("basis", "energy"),
    [("sto-3g", -1.137283835), ("sto-6g", -1.145939810), ("6-31g", -1.151672545), ("cc-pvdz", -1.163374490)],
)
def test_hydrogen_molecule(spin, basis, energy):
    assert energies(f"fci/{basis}?spin={spin}", chain(2, 0.74))[0] == pytest.approx(energy, abs=1e-8)


@pytest.mark.parametrize(("n_atoms", "energy"), [(4, -2.180966515), (6, -3.257606832), (8, -4.336065653)])
def test_hydrogen_chains(n_atoms, energy):
    assert energies("fci/sto-6g?spin=ground", chain(n_atoms))[0] == pytest.approx(energy, abs=1e-8)


def test_square_of_hydrogen_is_a_triplet_in_6_31g():
    assert energies("fci/6-31g?spin=ground", square())[0] == pytest.approx(-2.031757, abs=1e-6)
    assert energies("fci/6-31g?spin=low", square())[0] == pytest.approx(-2.029905, abs=1e-6)


def test_square_of_hydrogen_changes_its_spin_with_the_basis():
    ground, low = (energies(f"fci/cc-pvdz?spin={spin}", square())[0] for spin in ("ground", "low"))
    assert (low - ground) * Hartree == pytest.approx(0.46, abs=0.005)
    assert energies("fci/sto-6g?spin=ground", square()) == pytest.approx(energies("fci/sto-6g?spin=low", square()))
    source = load_source("pyscf:fci/sto-6g?spin=ground")
    assert source.evaluate(ClusterBatch.from_atoms([square()]), forces=False).records["multiplicity"] == [1.0]
    singlet, triplet = lowest_of_spins("sto-6g", square(), 0, 2)
    assert (triplet - singlet) * Hartree == pytest.approx(0.40, abs=0.005)


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (hydrogen([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]]), [-38.45288, -13.61617, 14.58982]),
        (square(), [-51.27050, -22.44996, 33.46378, -12.33327]),
        (hydrogen([[0, 0, 0], [0, 0, 0.74], [3, 0, 0], [3, 0, 0.74]]), [-51.27050, -11.13992, 0.11282, -0.05697]),
        (chain(6), [-76.90575, -24.42952, 23.53327, -18.09117, 11.86839, -4.61921]),
    ],
    ids=["H3 triangle", "H4 square", "two H2", "H6 chain"],
)
def test_order_totals_in_lowest_spin(atoms, expected):
    assert totals("fci/sto-6g?spin=low", atoms) == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("name", ["high_density_0", "low_density_0"])
@pytest.mark.parametrize("spin", RULES)
def test_all_subclusters_of_eight_atoms(name, spin):
    positions, subsets = reference(name)
    source, system = load_source(f"pyscf:fci/sto-6g?spin={spin}"), System.from_atoms(hydrogen(positions))
    for order in range(1, 9):
        layer = [subset for subset in subsets if len(subset["atoms"]) == order]
        assert len(layer) == comb(8, order)
        members = np.array([subset["atoms"] for subset in layer])
        found = source.energies(ClusterBatch.cut({0: system}, np.zeros(len(layer), dtype=int), members)) / Hartree
        assert found == pytest.approx(np.array([subset[RULES[spin]] for subset in layer]), abs=1e-8)


@pytest.mark.parametrize(
    ("spin", "expected"),
    [
        ("ground", [-12.818, -5.557, 15.519, -25.355, 28.523, -21.791, 10.284, -2.376]),
        ("high", [-12.818, 4.806, -2.107, 1.173, -0.542, 0.164, -0.030, 0.002]),
        ("low", [-12.818, -5.557, 15.519, -24.926, 26.808, -19.150, 8.432, -1.879]),
    ],
)
def test_dense_hydrogen_oscillates_unless_all_spins_are_parallel(spin, expected):
    positions, _ = reference("high_density_0")
    assert totals(f"fci/sto-6g?spin={spin}", hydrogen(positions)) / 8 == pytest.approx(np.array(expected), abs=1.1e-3)


@pytest.mark.slow
def test_dense_hydrogen_oscillates_in_a_larger_basis():
    positions, _ = reference("high_density_0")
    source, system = load_source("pyscf:fci/6-31g?spin=ground"), System.from_atoms(hydrogen(positions))
    family, most = complete(8), 6
    batches = [ClusterBatch.cut({0: system}, np.zeros(len(rows), dtype=int), rows) for rows in family.members[:most]]
    sums = np.array([source.energies(batch).sum() for batch in batches])
    expected = [-13.558, -4.783, 14.08, -24.03, 26.95, -19.99]
    assert order_totals(sums, 8)[:most] / 8 == pytest.approx(np.array(expected), abs=6e-3)


def test_ground_state_is_additive_and_lowest_spin_is_not():
    positions, subsets = reference("high_density_0")
    four = next(
        subset for subset in subsets if subset["low_spin"] - subset["ground"] > 0.03 and len(subset["atoms"]) == 4
    )
    one = positions[four["atoms"]]
    two = hydrogen(np.concatenate([one, np.add(one, [30.0, 0.0, 0.0])]))
    single_low = energies("fci/sto-6g?spin=low", hydrogen(one))[0]
    ground, low = (energies(f"fci/sto-6g?spin={spin}", two)[0] for spin in ("ground", "low"))
    assert ground == pytest.approx(-3.946376, abs=1e-6)
    assert ground == pytest.approx(2 * four["ground"], abs=1e-7)  # their dipoles still feel each other
    assert 2 * single_low == pytest.approx(-3.876346, abs=1e-6)
    # two triplets couple to a singlet, which two singlets know nothing of
    assert low == pytest.approx(ground, abs=1e-6)


@pytest.mark.parametrize("method", ["fci", "uhf"])
@pytest.mark.parametrize("spin", ["ground", "high"])
def test_distant_molecules_are_additive(method, spin):
    one = chain(2, 0.74)
    two = one.copy()
    two.positions += [30.0, 0.0, 0.0]
    both = energies(f"{method}/sto-6g?spin={spin}", one + two)[0]
    assert both == pytest.approx(2 * energies(f"{method}/sto-6g?spin={spin}", one)[0], abs=2e-9)


def test_distant_atoms_are_additive_in_every_rule():
    atom = energies("fci/6-31g?spin=low", ase.Atoms("H"))[0]
    for method in ("fci", "uhf"):
        for spin in RULES:
            assert energies(f"{method}/6-31g?spin={spin}", chain(2, 30.0))[0] == pytest.approx(2 * atom, abs=1e-8)
