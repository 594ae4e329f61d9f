"""Restricted Hartree–Fock: the lowest solutions of closed and open shells."""

import ase
import ase.build
import numpy as np
import pytest
from ase.units import Bohr
from pyscf import scf
from pyscf_cases import random_hydrogen, unrestricted_task

from bodyorder.sources.pyscf import mean_field
from bodyorder.sources.pyscf.integrals import IntegralCache, molecule
from bodyorder.sources.pyscf.mean_field import restricted
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

pytestmark = pytest.mark.usefixtures("no_temporary_files")


@pytest.mark.parametrize("symbols", ["H2", "LiH", "OH2"])
def test_closed_shells(symbols):
    atoms = ase.build.molecule("H2O") if symbols == "OH2" else ase.build.molecule(symbols)
    found = restricted.rhf(unrestricted_task(atoms, [0, 2]), IntegralCache("6-31g", 1e8))
    plain = scf.RHF(molecule(atoms.numbers, atoms.positions, "6-31g")).set(conv_tol=1e-12).run()
    assert found.energies[0] == pytest.approx(plain.e_tot, abs=1e-9)
    assert found.records["multiplicity"].tolist() == [1]


def test_closed_shells_only():
    found = restricted.rhf(unrestricted_task(ase.Atoms("H3", np.diag([1.0, 1, 1])), [1]), IntegralCache("sto-3g", 1e8))
    assert np.isnan(found.energies).all()
    assert found.messages == {0: "rhf needs a closed shell, the spin rule leaves 1 electrons unpaired; use rohf or uhf"}


@pytest.mark.parametrize(("n_atoms", "unpaired"), [(3, 1), (4, 0), (4, 2), (5, 1)])
def test_restricted_solutions_are_the_lowest_and_stable(n_atoms, unpaired):
    atoms = random_hydrogen(n_atoms, 1, 1.3)
    problem, cache = unrestricted_task(atoms, [unpaired]), IntegralCache("6-31g", 1e8)
    found = restricted.rohf(problem, cache).energies[0]
    assert found >= mean_field.evaluate(problem, cache).energies[0] - 1e-9
    mol, rng = molecule(atoms.numbers, atoms.positions, "6-31g"), np.random.default_rng(1)
    mol.spin = unpaired
    values, vectors = np.linalg.eigh(mol.intor("int1e_ovlp"))
    energies = []
    for _ in range(10):
        turned = (vectors / np.sqrt(values)) @ np.linalg.qr(rng.standard_normal((mol.nao, mol.nao)))[0]
        density = np.array([turned[:, :count] @ turned[:, :count].T for count in mol.nelec])
        field = (scf.ROHF(mol) if unpaired else scf.RHF(mol)).newton().set(verbose=0, conv_tol=1e-10)
        field.kernel(dm0=density if unpaired else density.sum(axis=0))
        energies.append(field.e_tot)
    assert found <= min(energies) + 1e-7


def test_restricted_theory_is_not_additive_for_distant_parts():
    atoms, cache = ase.Atoms("H2", [[0, 0, 0], [0, 0, 30.0]]), IntegralCache("sto-3g", 1e8)
    atom = restricted.rohf(unrestricted_task(ase.Atoms("H"), [1]), cache).energies[0]
    plain = scf.RHF(molecule(atoms.numbers, atoms.positions, "sto-3g")).run()
    assert plain.converged
    assert plain.e_tot - 2 * atom == pytest.approx(0.757, abs=1e-3)
    # which is a saddle point with both electrons on one atom: in the lowest solution they meet half of the time
    found = restricted.rhf(unrestricted_task(atoms, [0]), cache).energies[0]
    repulsion = molecule(atoms.numbers, atoms.positions, "sto-3g").intor("int2e")[0, 0, 0, 0]
    assert found - 2 * atom == pytest.approx(0.5 * repulsion - 0.5 * Bohr / 30.0, abs=1e-6)
    parallel = restricted.rohf(unrestricted_task(atoms, [0, 2]), cache)
    assert parallel.records["multiplicity"].tolist() == [3]
    assert parallel.energies[0] == pytest.approx(2 * atom, abs=1e-7)


@pytest.mark.parametrize(("method", "n_atoms"), [("rohf", 3), ("rhf", 4)])
def test_forces_of_restricted_theory(method, n_atoms):
    atoms, source = random_hydrogen(n_atoms, 3, 1.0), load_source(f"pyscf:{method}/sto-3g?spin=low")
    forces = source.energies_and_forces(ClusterBatch.from_atoms([atoms]))[1]
    moved = [atoms.copy() for _ in range(2)]
    for copy, step in zip(moved, (1e-3, -1e-3), strict=True):
        copy.positions[1, 0] += step
    above, below = source.energies(ClusterBatch.from_atoms(moved))
    assert forces[0, 1, 0] == pytest.approx((below - above) / 2e-3, abs=1e-4)
