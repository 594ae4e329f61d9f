"""The state beside the lowest one, and the traps that other searches for the lowest one fall into."""

import itertools

import ase
import numpy as np
import pytest
from pyscf import ao2mo, gto
from pyscf import fci as pyscf_fci
from pyscf_cases import random_hydrogen

from bodyorder.sources.pyscf.fci import evaluate, spaces, states
from bodyorder.sources.pyscf.integrals import IntegralCache, single_thread
from bodyorder.sources.pyscf.problem import Problem
from bodyorder.structures.clusters import ClusterBatch

SQUARE = ase.Atoms("H4", [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
TRIANGLE = ase.Atoms("H3", [[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]])


@pytest.fixture(autouse=True)
def one_core():
    with single_thread():
        yield


def chain(n_atoms, spacing):
    return ase.Atoms(f"H{n_atoms}", np.outer(np.arange(n_atoms), [0.0, 0.0, spacing]))


def ring(n_atoms, radius):
    angles = 2 * np.pi * np.arange(n_atoms) / n_atoms
    return ase.Atoms(f"H{n_atoms}", radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1))


def ours(basis, rule, *clusters, **options):
    batch = ClusterBatch.from_atoms(clusters)
    cache = IntegralCache(basis, 1e9)
    count = len(clusters[0])
    spins = {"low": [count % 2], "high": [count], "ground": list(range(count % 2, count + 1, 2))}[rule]
    answer = evaluate(Problem(batch, spins, False, 1e9, options=options), cache)
    assert not answer.messages
    return answer


class Plain:
    """One cluster in PySCF alone, over symmetrically orthogonalised functions."""

    def __init__(self, atoms, basis):
        self.mol = gto.M(
            atom=[("H", place) for place in atoms.positions / ase.units.Bohr],
            unit="Bohr",
            basis=basis,
            spin=None,
            verbose=0,
        )
        values, vectors = np.linalg.eigh(self.mol.intor("int1e_ovlp"))
        orbitals = vectors / np.sqrt(values) @ vectors.T
        self.core = orbitals.T @ (self.mol.intor("int1e_kin") + self.mol.intor("int1e_nuc")) @ orbitals
        self.repulsion = ao2mo.kernel(self.mol, orbitals)
        self.count, self.size = len(atoms), self.mol.nao

    def sector(self, unpaired):
        """Every energy among the determinants with Sz = unpaired/2."""
        electrons = (self.count + unpaired) // 2, (self.count - unpaired) // 2
        matrix = pyscf_fci.direct_spin1.pspace(self.core, self.repulsion, self.size, electrons, np=10**6)[1]
        return np.linalg.eigvalsh(matrix) + self.mol.energy_nuc()

    def spin(self, unpaired):
        """Energies of one total spin: those of its sector that the next one lacks."""
        found = self.sector(unpaired)
        for energy in self.sector(unpaired + 2) if unpaired + 2 <= self.count else ():
            found = np.delete(found, np.argmin(np.abs(found - energy)))
        return found

    def davidson(self, solver):
        """Energy of PySCF's iteration at the lowest |Sz|."""
        solver.verbose = 0
        electrons = (self.count + 1) // 2, self.count // 2
        return solver.kernel(self.core, self.repulsion, self.size, electrons)[0] + self.mol.energy_nuc()


CLUSTERS = {
    "pair": (chain(2, 0.74), "6-31g"),
    "triangle": (TRIANGLE, "sto-6g"),
    "square": (SQUARE, "sto-6g"),
    "triplet square": (SQUARE, "6-31g"),
    "H4": (random_hydrogen(4, 1), "6-31g"),
    "H5": (random_hydrogen(5, 2), "sto-6g"),
    "H5 ring": (ring(5, 1.1), "sto-6g"),
    "H6": (random_hydrogen(6, 3), "sto-6g"),
    "H6 ring": (ring(6, 1.3), "sto-6g"),
}


@pytest.mark.parametrize("name", CLUSTERS)
@pytest.mark.parametrize("solver", ["dense", "table", "determinants"])
def test_gap_is_that_of_the_whole_spectrum(name, solver, monkeypatch):
    monkeypatch.setattr(states, "DENSE", 0 if solver != "dense" else 1000)
    monkeypatch.setattr(states, "TABLE", 0 if solver == "determinants" else 1000)
    monkeypatch.setattr(spaces, "CORNER", 8)  # a small part of these spaces, as it is of large ones
    atoms, basis = CLUSTERS[name]
    plain = Plain(atoms, basis)
    everything = plain.sector(len(atoms) % 2)
    answer = ours(basis, "ground", atoms, gap=True)
    assert answer.energies[0] == pytest.approx(everything[0], abs=1e-9)
    assert answer.records["gap"][0] == pytest.approx(everything[1] - everything[0], abs=1e-8)
    for rule, unpaired in (("low", len(atoms) % 2), ("high", len(atoms))):
        answer, expected = ours(basis, rule, atoms, gap=True), plain.spin(unpaired)
        assert answer.energies[0] == pytest.approx(expected[0], abs=1e-9)
        if len(expected) > 1:
            assert answer.records["gap"][0] == pytest.approx(expected[1] - expected[0], abs=1e-8)
        else:
            assert np.isnan(answer.records["gap"][0])


def test_degenerate_ground_states_have_no_gap():
    for atoms, basis in (CLUSTERS["triangle"], CLUSTERS["H5 ring"]):
        assert ours(basis, "ground", atoms, gap=True).records["gap"][0] == pytest.approx(0.0, abs=1e-9)


def test_gap_of_seven_atoms():
    atoms = random_hydrogen(7, 3)
    everything = Plain(atoms, "sto-6g").sector(1)
    answer = ours("sto-6g", "ground", atoms, gap=True)
    assert answer.energies[0] == pytest.approx(everything[0], abs=1e-9)
    assert answer.records["gap"][0] == pytest.approx(everything[1] - everything[0], abs=1e-8)


def test_gaps_nobody_asked_for_are_known_between_spins_alone():
    near, far = ours("6-31g", "ground", chain(2, 30.0), chain(2, 1.0)).records["gap"]
    assert 0.0 <= near <= 1e-6
    assert np.isnan(far)
    assert np.isnan(ours("sto-6g", "ground", TRIANGLE).records["gap"]).all()


def test_errors_of_iterations_are_bounded_and_small(monkeypatch):
    clusters = [random_hydrogen(6, seed, size) for seed, size in itertools.product(range(4), (1.1, 2.0, 4.0, 8.0))]
    clusters += [ring(6, radius) for radius in (0.8, 1.5, 4.0, 6.0)] + [
        chain(6, spacing) for spacing in (1.0, 4.0, 6.0)
    ]
    exact = ours("sto-6g", "ground", *clusters)
    assert (exact.records["uncertainty"] == 0.0).all()
    monkeypatch.setattr(states, "DENSE", 0)
    monkeypatch.setattr(spaces, "CORNER", 24)
    found = ours("sto-6g", "ground", *clusters)
    errors = found.energies - exact.energies
    assert errors.max() < 1e-9
    assert (errors <= found.records["uncertainty"] + states.NEGLIGIBLE).all()


def test_davidson_at_the_lowest_sz_misses_a_triplet_and_this_search_does_not():
    plain = Plain(SQUARE, "6-31g")
    missed = plain.davidson(pyscf_fci.direct_spin1.FCI())
    answer = ours("6-31g", "ground", SQUARE)
    assert missed == pytest.approx(-2.029905, abs=1e-6)
    assert answer.energies[0] == pytest.approx(-2.031757, abs=1e-6)
    assert answer.records["multiplicity"][0] == 3


def test_no_search_with_a_spin_penalty_ends_lower():
    for atoms in (
        SQUARE,
        random_hydrogen(4, 7),
        random_hydrogen(5, 8),
        *(chain(2, spacing) for spacing in (0.7, 1.5, 4.0)),
    ):
        plain, low = Plain(atoms, "6-31g"), len(atoms) % 2
        spin = low / 2 * (low / 2 + 1)
        found = ours("6-31g", "low", atoms).energies[0]
        for shift in (0.1, 0.2, 1.0):
            solver = pyscf_fci.addons.fix_spin_(pyscf_fci.direct_spin1.FCI(), shift=shift, ss=spin)
            assert found <= plain.davidson(solver) + 1e-9


def test_singlet_of_every_pair_is_its_lowest_one():
    """An excited singlet in one pair, 0.39 hartree too high, alone makes an expansion nonsense."""
    pairs = [chain(2, spacing) for spacing in np.linspace(0.4, 8.0, 39)]
    found = ours("sto-6g", "low", *pairs).energies
    expected = [Plain(pair, "sto-6g").spin(0)[0] for pair in pairs]
    assert found == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("n_atoms", [3, 4, 5, 6])
def test_sectors_are_ordered(n_atoms):
    """The lowest energy at an Sz cannot fall as |Sz| grows: it is that of the lowest state with S ≥ |Sz|."""
    for seed in range(3):
        atoms = random_hydrogen(n_atoms, 50 + seed, 1.2)
        plain = Plain(atoms, "sto-6g")
        spins = list(range(n_atoms % 2, n_atoms + 1, 2))
        cache = IntegralCache("sto-6g", 1e9)
        batch = ClusterBatch.from_atoms([atoms])
        alone = [evaluate(Problem(batch, [spin], False, 1e9), cache).energies[0] for spin in spins]
        of_sectors = np.minimum.accumulate(alone[::-1])[::-1]
        assert (np.diff(of_sectors) >= 0.0).all()
        assert of_sectors == pytest.approx(np.array([plain.sector(spin)[0] for spin in spins]), abs=1e-9)
        assert ours("sto-6g", "ground", atoms).energies[0] == of_sectors[0]
