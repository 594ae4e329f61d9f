"""Fock matrices, second derivatives, the way down to a solution, and what is known of its spin."""

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import scipy.linalg
from pyscf import ao2mo, scf
from pyscf.fci import cistring, direct_spin1, spin_op
from pyscf.soscf import newton_ah
from pyscf_cases import random_hydrogen, unrestricted_task

from bodyorder.sources.pyscf import mean_field
from bodyorder.sources.pyscf.integrals import IntegralCache, molecule
from bodyorder.sources.pyscf.mean_field.descent import Descent
from bodyorder.sources.pyscf.mean_field.iterative import solve_iteratively
from bodyorder.sources.pyscf.mean_field.projection import contamination, projected_energy
from bodyorder.sources.pyscf.mean_field.space import of_one_rank
from bodyorder.sources.pyscf.mean_field.unrestricted import Unrestricted
from bodyorder.structures.clusters import ClusterBatch

pytestmark = pytest.mark.usefixtures("no_temporary_files")


@pytest.mark.parametrize("reordered", [True, False])
def test_fock_matrices_are_those_of_pyscf(reordered):
    clusters = [random_hydrogen(3, seed, 1.2) for seed in range(2)]
    integrals = IntegralCache("cc-pvdz", 1e8).integrals(ClusterBatch.from_atoms(clusters))
    ((rows, space),) = of_one_rank(integrals)
    assert rows.tolist() == [0, 1]
    if not reordered:
        space = replace(space, exchange=None)
    noise = np.random.default_rng(0).standard_normal((3, 2, 15, 15))
    densities = noise + noise.transpose(0, 1, 3, 2)
    found = space.fock(densities, np.array([0, 1, 1]))
    assert space.rough().fock(densities, np.array([0, 1, 1])) == pytest.approx(found, abs=1e-3)
    for density, fock, row in zip(densities, found, (0, 1, 1), strict=True):
        field = scf.UHF(molecule(clusters[row].numbers, clusters[row].positions, "cc-pvdz"))
        assert fock == pytest.approx(field.get_fock(dm=density), abs=1e-9)
        assert space.energies(density[None], fock[None], np.array([row]))[0] == pytest.approx(
            field.energy_tot(density), abs=1e-8
        )


def test_second_derivatives_are_those_of_pyscf():
    atoms = random_hydrogen(5, 0, 1.2)
    problem, cache = unrestricted_task(atoms), IntegralCache("6-31g", 1e8)
    field = mean_field.lowest_fields(problem, cache)[0]
    ((_, space),) = of_one_rank(cache.integrals(problem.batch))
    turned = scipy.linalg.expm(0.1 * np.tri(10) - 0.1 * np.tri(10).T)
    elsewhere = field.make_rdm1(field.mo_coeff @ turned, field.mo_occ)
    descent = Descent(space, 0, elsewhere, (3, 2))
    field.mo_coeff = descent.coefficients
    gradient, action, _ = newton_ah.gen_g_hop_uhf(field, field.mo_coeff, field.mo_occ)
    assert descent._gradient() == pytest.approx(gradient, abs=1e-10)
    # the one here takes orbitals that are canonical among themselves
    descent.coefficients = field.mo_coeff = descent._canonical(descent.coefficients, descent.fock)
    _, action, _ = newton_ah.gen_g_hop_uhf(field, field.mo_coeff, field.mo_occ)
    assert descent._hessian() == pytest.approx(
        np.array([action(unit) for unit in np.eye(descent.n_rotations)]), abs=1e-9
    )
    assert descent.solve()
    assert descent.energy == pytest.approx(field.e_tot, abs=1e-10)


@pytest.mark.parametrize("distance", [1.5, 3.0])
def test_descent_leaves_a_saddle_point(distance):
    atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, distance]])
    closed = scf.RHF(molecule(atoms.numbers, atoms.positions, "6-31g")).set(conv_tol=1e-13).run()
    problem, cache = unrestricted_task(atoms), IntegralCache("6-31g", 1e8)
    ((_, space),) = of_one_rank(cache.integrals(problem.batch))
    descent = Descent(space, 0, np.array([closed.make_rdm1() / 2] * 2), (1, 1))
    assert descent.energy == pytest.approx(closed.e_tot, abs=1e-10)
    assert descent.solve()
    assert descent.energy < closed.e_tot - 1e-3
    assert descent.energy == pytest.approx(mean_field.evaluate(problem, cache).energies[0], abs=1e-10)


@pytest.mark.parametrize("atoms", [random_hydrogen(5, 4, 1.5), ase.Atoms("OH", [[0, 0, 0], [0, 0, 1.0]])], ids=str)
def test_one_at_a_time_through_pyscf_gives_the_same(atoms):
    problem, cache = unrestricted_task(atoms), IntegralCache("6-31g", 1e8)
    density = mean_field.candidate_densities(problem, cache, 1)[0][0]
    mol = molecule(atoms.numbers, atoms.positions, "6-31g")
    found = solve_iteratively(mol, cache.integrals(problem.batch), 0, density)
    assert found.energy == pytest.approx(mean_field.evaluate(problem, cache).energies[0], abs=1e-9)


def test_contamination_is_that_of_pyscf():
    for seed, unpaired in ((0, 0), (0, 2), (1, 0)):
        problem, cache = unrestricted_task(random_hydrogen(4, seed, 1.6), [unpaired]), IntegralCache("6-31g", 1e8)
        field = mean_field.lowest_fields(problem, cache)[0]
        spin = unpaired / 2
        expected = field.spin_square()[0] - spin * (spin + 1)
        assert mean_field.evaluate(problem, cache).records["contamination"][0] == pytest.approx(expected, abs=1e-8)


def test_projected_energy_of_a_stretched_molecule():
    """Of |φχ̄⟩ the singlet is (|φχ̄⟩ + |χφ̄⟩)/√(2 + 2s²): E = (h_φφ + h_χχ + 2s h_φχ + J + K)/(1 + s²)."""
    atoms = ase.Atoms("H2", [[0, 0, 0], [0, 0, 2.0]])
    problem, cache = unrestricted_task(atoms), IntegralCache("6-31g", 1e8)
    solution, integrals = Unrestricted(problem, cache).solutions()[0][0], cache.integrals(problem.batch)
    first, second = solution.coefficients[0, :, 0], solution.coefficients[1, :, 0]
    overlap, core = first @ integrals.overlap[0] @ second, integrals.core[0]
    four = molecule(atoms.numbers, atoms.positions, "6-31g").intor("int2e")
    direct = np.einsum("pqrs,p,q,r,s", four, first, first, second, second)
    exchange = np.einsum("pqrs,p,q,r,s", four, first, second, first, second)
    one = first @ core @ first + second @ core @ second + 2 * overlap * (first @ core @ second)
    expected = (one + direct + exchange) / (1 + overlap**2) + integrals.nuclear[0]
    assert projected_energy(solution, (1, 1), integrals, 0) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("n_atoms", "unpaired"), [(4, 0), (4, 2), (3, 1), (5, 1)])
def test_projected_energy_is_that_of_the_determinant_without_other_spins(n_atoms, unpaired):
    problem, cache = unrestricted_task(random_hydrogen(n_atoms, 0, 1.6), [unpaired]), IntegralCache("sto-3g", 1e8)
    solution, integrals = Unrestricted(problem, cache).solutions()[0][unpaired], cache.integrals(problem.batch)
    electrons = ((n_atoms + unpaired) // 2, (n_atoms - unpaired) // 2)
    basis = np.linalg.inv(np.linalg.cholesky(integrals.overlap[0])).T
    filled = [np.linalg.solve(basis, solution.coefficients[spin, :, :n]) for spin, n in enumerate(electrons)]
    amplitudes = [
        [np.linalg.det(c[[place for place in range(n_atoms) if string >> place & 1]]) for string in strings]
        for c, strings in zip(filled, (cistring.make_strings(range(n_atoms), n) for n in electrons), strict=True)
    ]
    state = np.outer(*amplitudes)
    assert contamination(tuple(filled), np.eye(n_atoms)) > 0.1
    for spin in np.arange(unpaired / 2 + 1, n_atoms / 2 + 0.5):
        state = spin_op.contract_ss(state, n_atoms, electrons) - spin * (spin + 1) * state
        state /= np.linalg.norm(state)
    core = basis.T @ integrals.core[0] @ basis
    repulsion = ao2mo.kernel(integrals.repulsion[0], basis)
    expected = direct_spin1.energy(core, repulsion, state, n_atoms, electrons) + integrals.nuclear[0]
    assert projected_energy(solution, electrons, integrals, 0) == pytest.approx(expected, abs=1e-10)
    found = mean_field.evaluate(problem, cache)
    assert found.records["uncertainty"][0] == pytest.approx(abs(expected - solution.energy), abs=1e-9)


def test_neighbouring_multiplicities_are_recorded():
    cache = IntegralCache("6-31g", 1e8)
    near = mean_field.evaluate(unrestricted_task(ase.Atoms("H2", [[0, 0, 0], [0, 0, 5.0]]), [0, 2]), cache)
    assert near.records["multiplicity"].tolist() == [1]
    assert 0 < near.records["gap"][0] < 1e-3
    assert near.records["uncertainty"][0] >= near.records["gap"][0]
    bound = mean_field.evaluate(unrestricted_task(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), [0, 2]), cache)
    assert bound.records["contamination"][0] == pytest.approx(0.0, abs=1e-8)
    assert {"gap", "uncertainty"}.isdisjoint(bound.records)
