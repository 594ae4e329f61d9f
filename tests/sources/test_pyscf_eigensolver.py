"""Lowest eigenvalues with products in single precision are those that LAPACK finds in double."""

from dataclasses import replace

import numpy as np
import pytest
from ase.units import Bohr, Hartree
from pyscf import fci, gto, scf
from pyscf_cases import random_hydrogen

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.eigensolver import Matrix
from bodyorder.sources.pyscf.fci.determinants import DeterminantSpace
from bodyorder.sources.pyscf.fci.hamiltonian import Hamiltonians
from bodyorder.sources.pyscf.fci.spaces import DenseSpace
from bodyorder.sources.pyscf.fci.states import LOOSE, TIGHT
from bodyorder.sources.pyscf.orbitals import pair_numbers
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

SIZE = 300


def spectrum(lowest, rng):
    """A symmetric matrix with these eigenvalues at the bottom, close to diagonal."""
    values = np.concatenate([lowest, np.linspace(1.0, 9.0, SIZE - len(lowest))])
    turn, _ = np.linalg.qr(np.eye(SIZE) + 0.05 * rng.standard_normal((SIZE, SIZE)))
    matrix = turn * values @ turn.T
    return 0.5 * (matrix + matrix.T)


def counted(dense, noise, claimed, rng):
    """Its products, rough ones with errors of that length, and how often an exact one was asked for."""
    asked = []

    def exact(vectors):
        asked.append(len(vectors))
        return vectors @ dense

    def rough(vectors):
        errors = rng.standard_normal(vectors.shape)
        return vectors @ dense + noise * errors / np.linalg.norm(errors, axis=1)[:, None]

    return Matrix(exact, dense.diagonal().copy(), block=2, kept=4, capacity=14, rough=rough, noise=claimed), asked


@pytest.mark.parametrize("claimed", [1e-6, 1e-9], ids=["known noise", "noise thought small"])
@pytest.mark.parametrize("wanted", [1, 2])
@pytest.mark.parametrize(
    "lowest", [[-1.0, -0.5], [-1.0, -1.0, -0.7], [-1.0, -1.0 + 1e-5, -1.0 + 1e-3]], ids=["apart", "pair", "close"]
)
def test_rough_products_end_at_exact_eigenvalues(lowest, wanted, claimed):
    rng = np.random.default_rng(4)
    dense = spectrum(np.array(lowest), rng)
    matrix, asked = counted(dense, 1e-6, claimed, rng)
    space = eigensolver.start(matrix)
    eigensolver.converge(matrix, space, LOOSE)
    space.shrink(matrix.kept)
    eigensolver.converge(matrix, space, TIGHT, wanted)
    assert space.energies[:wanted] == pytest.approx(np.linalg.eigvalsh(dense)[:wanted], abs=1e-10)
    true = np.linalg.norm(dense @ space.state - space.energies[0] * space.state)
    assert true <= space.residuals[0] + 1e-10
    if claimed == 1e-6 and lowest[1] == -0.5:
        exact = replace(matrix, rough=None)
        before = sum(asked)
        again = eigensolver.start(exact)
        eigensolver.converge(exact, again, TIGHT, wanted)
        assert before < (sum(asked) - before) / 3


def exchanging(n_orbitals, n_electrons, exchange):
    """Electrons that gain by being parallel more than the orbitals differ by: the higher the spin, the lower the energy."""
    rng, number = np.random.default_rng(3), pair_numbers(n_orbitals)
    pairs = n_orbitals * (n_orbitals + 1) // 2
    repulsion = 0.1 * rng.standard_normal((pairs, 2 * pairs))
    repulsion = repulsion @ repulsion.T * 2 / pairs
    core = 0.1 * rng.standard_normal((n_orbitals, n_orbitals))
    core = core + core.T + np.diag(np.linspace(-2.0, -1.0, n_orbitals))
    for p in range(n_orbitals):
        for q in range(n_orbitals):
            repulsion[number[p, q], number[p, q]] += exchange
            repulsion[number[p, p], number[q, q]] += 1.0
    return Hamiltonians(core[None], repulsion[None], n_electrons)


@pytest.mark.parametrize(("n_electrons", "exchange"), [(6, 0.1), (6, 0.6), (5, 0.3), (5, 0.6)])
def test_spin_is_kept_where_others_are_far_below(n_electrons, exchange, monkeypatch):
    monkeypatch.setattr("bodyorder.sources.pyscf.fci.determinants.CORNER", 20)
    problem, row = exchanging(8, n_electrons, exchange), np.array([0])
    found = []
    for unpaired in range(n_electrons % 2, n_electrons + 1, 2):
        dense, space = DenseSpace(problem, unpaired), DeterminantSpace(problem, unpaired, 1e9)
        dense.improve(row, TIGHT)
        for tolerance in (LOOSE, TIGHT):
            space.improve(row, tolerance)
        assert space.energies == pytest.approx(dense.energies, abs=1e-10)
        found.append(dense.energies[0])
    assert exchange < 0.2 or found[-1] < found[0] - 1.0


def test_a_state_of_another_spin_is_a_failure(monkeypatch):
    """Where no penalty holds other spins down, here because they are rewarded, there is no energy."""
    monkeypatch.setattr("bodyorder.sources.pyscf.fci.determinants.PENALTIES", (-1.0, -2.0))
    monkeypatch.setattr("bodyorder.sources.pyscf.fci.determinants._Vectors.project", lambda _, vectors: vectors)
    space = DeterminantSpace(exchanging(8, 6, 0.6), 0, 1e9)
    space.improve(np.array([0]), TIGHT)
    assert np.isinf(space.residuals).all()
    assert np.isinf(space.errors).all()


def test_six_atoms_are_those_of_pyscf():
    atoms = random_hydrogen(6, 3)
    places = [("H", place) for place in atoms.positions / Bohr]
    mol = gto.M(atom=places, unit="Bohr", basis="6-31g", verbose=0)
    field = scf.RHF(mol).run()
    solver = fci.direct_spin1.FCI(mol)
    solver.conv_tol, solver.verbose = 1e-12, 0
    core = field.mo_coeff.T @ field.get_hcore() @ field.mo_coeff
    # every spin has a member among determinants of Sz = 0
    energies, _ = solver.kernel(core, mol.ao2mo(field.mo_coeff), mol.nao, (3, 3), nroots=2)
    found = load_source("pyscf:fci/6-31g?spin=ground").energies(ClusterBatch.from_atoms([atoms]))
    assert found / Hartree == pytest.approx(energies[0] + mol.energy_nuc(), abs=1e-9)
