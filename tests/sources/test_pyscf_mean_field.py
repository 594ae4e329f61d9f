"""Unrestricted Hartree–Fock: the lowest solution, and only solutions."""

import itertools

import ase
import numpy as np
import pytest
from ase.units import Hartree
from pyscf import gto, scf

from bodyorder.sources.base import load_source
from bodyorder.sources.pyscf.integrals import molecule
from bodyorder.sources.pyscf.mean_field.starts import atomic_densities, patterns, starting_density, without_checkpoints
from bodyorder.sources.pyscf.mean_field.uhf import CURVATURE, _downhill
from bodyorder.structures.clusters import ClusterBatch


@pytest.fixture(autouse=True)
def no_temporary_files():
    with without_checkpoints():
        yield


def random_hydrogen(n_atoms, seed, size):
    rng = np.random.default_rng(seed)
    while True:
        positions = rng.uniform(-size, size, (n_atoms, 3))
        if np.linalg.norm(positions[:, None] - positions, axis=2)[np.triu_indices(n_atoms, 1)].min() > 0.6:
            return ase.Atoms(f"H{n_atoms}", positions)


def energy(spec, atoms):
    """In hartree."""
    return load_source(f"pyscf:{spec}").energies(ClusterBatch.from_atoms([atoms]))[0] / Hartree


def solution(atoms, basis, unpaired, density):
    mol = molecule(atoms.numbers, atoms.positions, basis)
    mol.spin = unpaired
    return scf.uhf.UHF(mol).set(conv_tol=1e-10, max_cycle=200).run(density)


@pytest.mark.parametrize(("n_atoms", "seed", "size"), [(4, 0, 1.2), (4, 1, 2.5), (5, 2, 1.5), (5, 3, 3.0), (6, 4, 2.0)])
def test_nothing_lower_is_found_from_every_pattern_and_random_orbitals(n_atoms, seed, size):
    atoms = random_hydrogen(n_atoms, seed, size)
    unpaired, rng = n_atoms % 2, np.random.default_rng(seed)
    mol = molecule(atoms.numbers, atoms.positions, "sto-6g")
    ranges, overlap = mol.aoslice_by_atom()[:, 2:], mol.intor("int1e_ovlp")
    values, vectors = np.linalg.eigh(overlap)
    orthogonal = vectors / np.sqrt(values)
    signs = [pattern for pattern in itertools.product((1, -1), repeat=n_atoms) if sum(pattern) == unpaired]
    starts = [starting_density("sto-6g", atoms.numbers, np.array(pattern), ranges) for pattern in signs]
    for _ in range(6):
        spins = [orthogonal @ np.linalg.qr(rng.standard_normal(overlap.shape))[0] for _ in range(2)]
        filled = [(n_atoms + unpaired) // 2, (n_atoms - unpaired) // 2]
        starts.append(np.array([c[:, :n] @ c[:, :n].T for c, n in zip(spins, filled, strict=True)]))
    lowest = min(solution(atoms, "sto-6g", unpaired, start).e_tot for start in starts)
    assert energy("uhf/sto-6g?spin=low", atoms) <= lowest + 1e-7


@pytest.mark.parametrize("spin", ["low", "ground", "high"])
def test_never_below_the_exact_ground_state(spin):
    for seed in range(4):
        atoms = random_hydrogen(4, seed, 1.5)
        exact = energy("fci/sto-6g?spin=ground", atoms)
        assert exact <= energy(f"uhf/sto-6g?spin={spin}", atoms) < exact + 1.0


def test_all_spins_parallel_is_one_determinant():
    for seed in range(3):
        atoms = random_hydrogen(4, seed, 1.5)  # in a minimal basis nothing is left to choose
        assert energy("uhf/sto-6g?spin=high", atoms) == pytest.approx(energy("fci/sto-6g?spin=high", atoms), abs=1e-9)


def test_stretched_molecule_breaks_its_symmetry():
    atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, 3.0]])
    closed = scf.RHF(molecule(atoms.numbers, atoms.positions, "6-31g")).run().e_tot
    broken = energy("uhf/6-31g?spin=low", atoms)
    assert broken < closed - 0.1
    assert broken == pytest.approx(2 * energy("uhf/6-31g?spin=low", ase.Atoms("H")), abs=1e-3)


def test_bound_molecule_is_restricted():
    atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
    closed = scf.RHF(molecule(atoms.numbers, atoms.positions, "cc-pvdz")).set(conv_tol=1e-12).run().e_tot
    assert energy("uhf/cc-pvdz?spin=ground", atoms) == pytest.approx(closed, abs=1e-9)


@pytest.mark.parametrize("distance", [2.0, 4.0])
def test_a_saddle_point_is_recognised(distance):
    """The restricted solution of a stretched molecule, which a plain run reports as converged."""
    mol = gto.M(atom=f"H 0 0 0; H 0 0 {distance}", basis="6-31g", verbose=0)
    closed = scf.RHF(mol).set(conv_tol=1e-12).run()
    saddle = scf.UHF(mol).set(conv_tol=1e-12)
    saddle.kernel(np.array([closed.make_rdm1() / 2] * 2))
    assert saddle.converged
    assert saddle.e_tot == pytest.approx(closed.e_tot, abs=1e-9)
    curvature, orbitals = _downhill(saddle)
    assert curvature < CURVATURE
    lower = scf.UHF(mol).run(saddle.make_rdm1(orbitals, saddle.mo_occ))
    assert lower.e_tot < saddle.e_tot - 1e-3
    assert _downhill(lower)[0] > CURVATURE


@pytest.mark.parametrize(
    ("symbol", "unpaired"),
    [("H", 1), ("He", 0), ("Li", 1), ("Be", 0), ("B", 1), ("C", 2), ("N", 3), ("O", 2), ("F", 1)],
)
def test_atomic_starts_hold_the_electrons_of_the_atom(symbol, unpaired):
    number = int(ase.Atoms(symbol).numbers[0])
    overlap = molecule(np.array([number]), np.zeros((1, 3)), "6-31g").intor("int1e_ovlp")
    up, down = (np.sum(density * overlap) for density in atomic_densities("6-31g", number))
    assert up + down == pytest.approx(number, abs=1e-9)
    assert up - down == pytest.approx(unpaired, abs=1e-9)


def test_patterns_alternate_between_neighbours():
    chain = np.outer(np.arange(4), [0.0, 0.0, 1.0])
    found = patterns(np.ones(4, dtype=int), chain, 0, 0)
    assert found[0].tolist() == [1, -1, 1, -1]
    assert (found.sum(axis=1) == 0).all()
    assert len(found) == 3
    assert patterns(np.ones(3, dtype=int), chain[:3], 0, 1)[0].tolist() == [1, -1, 1]
    assert patterns(np.array([8, 1, 1]), chain[:3], 0, 0)[0].tolist() == [1, -1, -1]


def test_patterns_of_many_atoms_alternate_too():
    chain = np.outer(np.arange(16), [0.0, 0.0, 1.0])
    best = patterns(np.ones(16, dtype=int), chain, 0, 0)[0]
    assert best.tolist() == [1, -1] * 8


def test_moments_that_cannot_add_up_come_as_close_as_they_can():
    found = patterns(np.array([8, 1]), np.array([[0.0, 0, 0], [0, 0, 1.0]]), 0, 1)
    assert found.tolist() == [[1, -1]]
