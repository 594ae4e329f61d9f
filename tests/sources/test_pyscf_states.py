"""The lowest state is found, whatever its spin and symmetry, by each of the three solvers."""

import itertools

import ase
import numpy as np
import pytest
from pyscf import fci as pyscf_fci
from pyscf import gto
from pyscf_cases import random_hydrogen

from bodyorder.sources.protocol import FailedClusters
from bodyorder.sources.pyscf.fci.configurations import dimension, spin_table
from bodyorder.sources.pyscf.fci.determinants import DeterminantSpace
from bodyorder.sources.pyscf.fci.hamiltonian import Hamiltonians
from bodyorder.sources.pyscf.fci.spaces import DenseSpace, TableSpace
from bodyorder.sources.pyscf.fci.states import LOOSE, TIGHT, lowest_states
from bodyorder.sources.pyscf.integrals import IntegralCache
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.sources.pyscf.orbitals import mean_field_orbitals, orthonormal, transform_one, transform_two
from bodyorder.sources.pyscf.spin import spins_in_basis
from bodyorder.sources.registry import load_source
from bodyorder.sources.spin import spin_rule
from bodyorder.sources.spin.electrons import unpaired_electrons
from bodyorder.structures.clusters import ClusterBatch


def ring(n_atoms, radius):
    angles = 2 * np.pi * np.arange(n_atoms) / n_atoms
    return ase.Atoms(f"H{n_atoms}", radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1))


def octahedron(radius):
    return ase.Atoms("H6", radius * np.concatenate([np.eye(3), -np.eye(3)]))


def hamiltonians(basis, *clusters):
    """Over orbitals of the mean field."""
    integrals = IntegralCache(basis, 1e9).integrals(ClusterBatch.from_atoms(clusters))
    orbitals, _ = orthonormal(integrals.overlap)
    core, repulsion = transform_one(integrals.core, orbitals), transform_two(integrals.repulsion, orbitals)
    count = int(clusters[0].numbers.sum())
    rotation = mean_field_orbitals(core, repulsion, count)
    return Hamiltonians(transform_one(core, rotation), transform_two(repulsion, rotation), count)


def solved(space):
    rows = np.arange(len(space.energies))
    space.improve(rows, LOOSE)
    space.improve(rows, TIGHT)
    assert np.isfinite(space.residuals).all()
    return space


def all_energies(space_hamiltonians, unpaired):
    """Every eigenvalue of one spin, by building the matrix column after column."""
    space = TableSpace(space_hamiltonians, unpaired)
    size = dimension(space_hamiltonians.n_orbitals, space_hamiltonians.n_electrons, unpaired)
    return np.linalg.eigvalsh(space._matrices[0].apply(np.eye(size)))


@pytest.mark.parametrize("n_orbitals", [2, 3, 4, 5])
def test_spins_add_up_to_all_determinants(n_orbitals):
    for n_electrons in range(1, 2 * n_orbitals + 1):
        alpha, beta = (n_electrons + 1) // 2, n_electrons // 2
        expected = len(list(itertools.combinations(range(n_orbitals), alpha)))
        expected *= len(list(itertools.combinations(range(n_orbitals), beta)))
        spins = range(n_electrons % 2, min(n_electrons, 2 * n_orbitals - n_electrons) + 1, 2)
        sizes = [spin_table(n_orbitals, n_electrons, spin).size for spin in spins]
        assert sum(sizes) == expected
        assert sizes == [dimension(n_orbitals, n_electrons, spin) for spin in spins]


@pytest.mark.parametrize(("n_orbitals", "n_electrons", "unpaired"), [(6, 5, 1), (9, 4, 2), (70, 2, 0), (70, 2, 2)])
def test_every_configuration_holds_the_electrons(n_orbitals, n_electrons, unpaired):
    table = spin_table(n_orbitals, n_electrons, unpaired)
    assert table.occupations.sum(axis=1) == pytest.approx(np.full(table.size, n_electrons), abs=1e-10)
    assert table.occupations.max() <= 2.0 + 1e-10


def test_impossible_spins_have_no_table():
    for key in ((2, 2, 1), (2, 2, 4), (2, 3, 3), (2, 5, 1)):
        assert dimension(*key) == 0
        with pytest.raises(ValueError, match="cannot have"):
            spin_table(*key)


@pytest.mark.parametrize("atoms", [random_hydrogen(3, 0), random_hydrogen(4, 1), ring(4, 0.8), ring(5, 1.0)], ids=str)
def test_whole_spectrum_is_that_of_pyscf(atoms):
    """All spins together hold the eigenvalues of PySCF's Hamiltonian among the determinants of the lowest |Sz|."""
    problem = hamiltonians("sto-6g", atoms)
    count, m = problem.n_electrons, problem.n_orbitals
    electrons = (count + 1) // 2, count // 2
    matrix = pyscf_fci.direct_spin1.pspace(problem.core[0], problem.repulsion[0], m, electrons, np=10**6)[1]
    (spins,) = spins_in_basis(spin_rule("ground", True), ClusterBatch.from_atoms([atoms]), np.array([m]))
    ours = np.concatenate([all_energies(problem, spin) for spin in spins])
    assert np.sort(ours) == pytest.approx(np.linalg.eigvalsh(matrix), abs=1e-11)


@pytest.mark.parametrize(
    "clusters",
    [
        [random_hydrogen(6, seed, size) for seed, size in enumerate((1.1, 1.5, 2.5, 4.0))],
        [ring(6, radius) for radius in (0.8, 1.2, 2.0)] + [octahedron(radius) for radius in (0.7, 1.0, 1.5, 2.5)],
        [ase.Atoms("H6", np.outer(np.arange(6), [0, 0, spacing])) for spacing in (0.7, 1.0, 1.5, 3.0, 10.0)],
    ],
    ids=["random", "symmetric", "chains"],
)
def test_iteration_agrees_with_whole_diagonalisation(clusters):
    problem = hamiltonians("sto-6g", *clusters)
    for unpaired in (0, 2):
        dense, table = solved(DenseSpace(problem, unpaired)), solved(TableSpace(problem, unpaired))
        # a level that is nearly degenerate is known to the residual, others to its square
        assert table.energies == pytest.approx(dense.energies, abs=TIGHT)


def test_a_spin_is_passed_over_only_if_all_of_it_lies_higher():
    problem = hamiltonians("sto-6g", *[random_hydrogen(6, seed) for seed in range(3)])
    space = DenseSpace(problem, 2)
    found = solved(DenseSpace(problem, 2)).energies
    assert space.above(found - 1e-9).all()
    assert not space.above(found + 1e-9).any()
    assert space.above(np.add(found, [-1.0, 1.0, np.inf])).tolist() == [True, False, False]
    assert np.isinf(space.energies).all()


@pytest.mark.parametrize(
    "atoms",
    [
        random_hydrogen(7, 3),
        ase.Atoms("H7", np.concatenate([np.zeros((1, 3)), octahedron(1.2).positions])),
        ring(7, 1.4),
    ],
    ids=["random", "centred octahedron", "ring"],
)
def test_iteration_agrees_with_every_eigenvalue_of_seven_atoms(atoms):
    problem = hamiltonians("sto-6g", atoms)
    for unpaired in (1, 3):
        found = solved(TableSpace(problem, unpaired)).energies[0]
        assert found == pytest.approx(all_energies(problem, unpaired)[0], abs=TIGHT)


@pytest.mark.parametrize(("n_atoms", "unpaired"), [(4, 0), (4, 2), (5, 1), (5, 3), (5, 5)])
def test_determinants_agree_with_tables(n_atoms, unpaired):
    problem = hamiltonians("6-31g", random_hydrogen(n_atoms, n_atoms))
    table, determinants = solved(TableSpace(problem, unpaired)), solved(DeterminantSpace(problem, unpaired, 1e9))
    assert determinants.energies == pytest.approx(table.energies, abs=1e-11)
    ours, theirs = table.densities(0), determinants.densities(0)
    assert ours.one == pytest.approx(theirs.one, abs=1e-6)
    assert ours.two == pytest.approx(theirs.two, abs=1e-6)


def test_excited_spin_among_determinants_stays_pure():
    """The lowest singlet of a cluster whose triplet lies lower: without projection the triplet would come out."""
    square = ase.Atoms("H4", [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    problem = hamiltonians("6-31g", square)
    singlet, triplet = (solved(DeterminantSpace(problem, unpaired, 1e9)).energies[0] for unpaired in (0, 2))
    assert triplet < singlet - 1e-3
    assert singlet == pytest.approx(solved(TableSpace(problem, 0)).energies[0], abs=1e-11)


def test_core_levels_do_not_attract_the_iteration():
    """Started high in the spectrum, a usual Davidson run on this atom ends 19.5 hartree too high, with a hole in the 1s shell."""
    problem = hamiltonians("6-31g", ase.Atoms("O"))
    oxygen = gto.M(atom="O", basis="6-31g", spin=2, verbose=0)
    with without_checkpoints():
        mean_field = oxygen.UHF().run()
    assert solved(TableSpace(problem, 2)).energies[0] < mean_field.e_tot


@pytest.mark.parametrize(
    ("atoms", "unpaired"),
    [
        (ase.Atoms("O"), 2),
        (ase.Atoms("N"), 3),
        (ase.Atoms("O2", [[0, 0, 0], [0, 0, 1.2]]), 2),
        (ase.Atoms("OH2", [[0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]]), 0),
        (ase.Atoms("Li"), 1),
    ],
    ids=str,
)
def test_ground_spin_of_atoms_and_molecules(atoms, unpaired):
    batch = ClusterBatch.from_atoms([atoms])
    integrals = IntegralCache("sto-6g", 1e9).integrals(batch)
    orbitals, _ = orthonormal(integrals.overlap)
    problem = Hamiltonians(
        transform_one(integrals.core, orbitals), transform_two(integrals.repulsion, orbitals), int(atoms.numbers.sum())
    )
    (spins,) = spins_in_basis(spin_rule("ground", True), batch, np.array([problem.n_orbitals]))
    states = lowest_states(problem, spins, 1e9)
    assert states.unpaired.tolist() == [unpaired]


@pytest.mark.parametrize(
    ("numbers", "charge", "expected"),
    [
        ([1, 1, 1], 0, [1, 1, 1]),
        ([1, 1, 1], 1, [0, 1, 1]),
        ([1, 1], -1, [0, 1]),
        ([2, 1], 1, [1, 1]),
        ([8, 1, 1], 0, [2, 1, 1]),
        ([6], -1, [3]),
        ([1], 1, [0]),
    ],
)
def test_unpaired_electrons_of_atoms(numbers, charge, expected):
    assert unpaired_electrons(numbers, charge) == expected


def test_a_space_beyond_the_memory_is_a_failure_and_not_a_crash():
    source = load_source("pyscf:fci/6-31g?spin=low&memory=50")
    batch = ClusterBatch.from_atoms([random_hydrogen(8, 0, 2.0)])
    with pytest.raises(FailedClusters, match=r"1657110 determinants needs about memory=\d+ \(MB\)") as raised:
        source.energies_and_forces(batch)
    assert list(raised.value.messages) == [0]
    assert np.isnan(raised.value.energies).all()
    assert np.isnan(raised.value.forces).all()


def test_integrals_beyond_the_memory_are_a_failure_and_not_a_crash():
    for method in ("fci", "uhf"):
        source = load_source(f"pyscf:{method}/cc-pvtz?spin=low&memory=1")
        with pytest.raises(
            FailedClusters, match=r"28 basis functions need about memory=\d+ \(MB\) for their integrals"
        ):
            source.energies(ClusterBatch.from_atoms([random_hydrogen(2, 0)]))


@pytest.mark.slow
def test_seven_atoms_among_determinants_against_pyscf():
    atoms = random_hydrogen(7, 5)
    problem = hamiltonians("6-31g", atoms)
    found = lowest_states(problem, [1], 2e9)
    solver = pyscf_fci.direct_spin1.FCI()
    solver.verbose, solver.conv_tol, solver.nroots = 0, 1e-10, 2
    theirs, _ = solver.kernel(problem.core[0], problem.repulsion[0], problem.n_orbitals, (4, 3), max_memory=4000)
    assert found.energies[0] == pytest.approx(theirs[0], abs=1e-8)
