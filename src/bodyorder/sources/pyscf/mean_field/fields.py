"""Mean fields as PySCF objects, for all that is built on them: gradients, correlated methods, density functionals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyscf import gto
from pyscf.scf import hf, uhf

from bodyorder.sources.pyscf.basis import BasisSet
from bodyorder.sources.pyscf.integrals import ClusterIntegrals, all_numbers, molecule
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures.clusters import ClusterBatch

#: Convergence of the energy (hartree) and of its derivative with respect to rotations of the orbitals.
ENERGY, GRADIENT = 1e-11, 1e-7


@dataclass
class Solution:
    """A converged unrestricted mean field of one sub-cluster with r orbitals over m functions.

    :param unpaired: electrons more of spin up than of spin down
    :param energy: in hartree, repulsion of the nuclei included
    :param coefficients: of the orbitals of both spins, the occupied ones first, shape (2, m, r)
    :param orbital_energies: in hartree, shape (2, r)
    """

    unpaired: int
    energy: float
    coefficients: np.ndarray
    orbital_energies: np.ndarray

    def densities(self, electrons: tuple[int, int]) -> np.ndarray:
        """Of both spins, shape (2, m, m), given how many electrons of either there are."""
        filled = [orbitals[:, :count] for orbitals, count in zip(self.coefficients, electrons, strict=True)]
        return np.array([occupied @ occupied.T for occupied in filled])


def molecule_of(batch: ClusterBatch, row: int, basis: BasisSet | str, unpaired: int) -> gto.Mole:
    """The PySCF molecule of one sub-cluster, its ghosts behind its atoms, with charge and spin."""
    positions = np.concatenate([batch.positions[row], batch.of_ghosts()[1][row]])
    mol = molecule(all_numbers(batch)[row], positions, basis, batch.ghosts.shape[1])
    mol.charge, mol.spin = int(batch.charges[row]), unpaired
    return mol


def with_integrals(field: hf.SCF, integrals: ClusterIntegrals, row: int) -> hf.SCF:
    """Let a PySCF mean field use integrals that are known, and say nothing."""
    core, overlap, nuclear = integrals.core[row], integrals.overlap[row], float(integrals.nuclear[row])
    field.verbose = 0
    field.conv_tol, field.conv_tol_grad = ENERGY, GRADIENT
    field._eri = integrals.repulsion[row]
    field.get_hcore = lambda *_: core
    field.get_ovlp = lambda *_: overlap
    field.energy_nuc = lambda *_: nuclear  # with the point charges around
    return field


def unrestricted(mol: gto.Mole, integrals: ClusterIntegrals, row: int) -> uhf.UHF:
    """A PySCF object that has not been solved yet."""
    with without_checkpoints():
        return with_integrals(uhf.UHF(mol), integrals, row)


def closed_to_pyscf(solution: Solution, mol: gto.Mole, integrals: ClusterIntegrals, row: int) -> hf.RHF:
    """A converged PySCF object with one set of orbitals that holds a closed shell; nothing is computed."""
    with without_checkpoints():
        field = with_integrals(hf.RHF(mol), integrals, row)
    field.converged, field.e_tot = True, solution.energy
    field.mo_coeff, field.mo_energy = solution.coefficients[0], solution.orbital_energies[0]
    field.mo_occ = np.where(np.arange(len(field.mo_energy)) < mol.nelectron // 2, 2.0, 0.0)
    return field


def to_pyscf(solution: Solution, mol: gto.Mole, integrals: ClusterIntegrals, row: int) -> uhf.UHF:
    """A converged PySCF object that holds a solution; nothing is computed."""
    field = unrestricted(mol, integrals, row)
    field.converged, field.e_tot = True, solution.energy
    field.mo_coeff, field.mo_energy = solution.coefficients, solution.orbital_energies
    counts, n_orbitals = mol.nelec, solution.coefficients.shape[2]
    field.mo_occ = np.array([np.arange(n_orbitals) < count for count in counts], dtype=np.float64)
    return field


def analytic_gradient(field: hf.SCF, integrals: ClusterIntegrals, **settings: object) -> np.ndarray:
    """dE/dR of a converged field in hartree/bohr, shape (k, 3), with its Hamiltonian and fit.

    :param settings: of PySCF's object for gradients
    """
    if integrals.relativity == "x2c":
        field = field.sfx2c1e()
    if integrals.auxiliary is not None:
        field = field.density_fit(auxbasis=integrals.auxiliary.of_molecule(field.mol, integrals.basis))
        field.__dict__.pop("get_jk", None)  # its own, of the fit
    gradient = field.nuc_grad_method().set(verbose=0, **settings)
    return gradient.kernel()


def analytic_hessian(field: hf.SCF) -> np.ndarray:
    """Second derivatives of the energy of a converged mean field in hartree/bohr², shape (k, k, 3, 3).

    PySCF leaves out that points of a grid move with their nuclei. Nearly all of that is in the derivatives by one atom twice,
    which are what shifts of the whole, that change nothing, leave for them.
    """
    count = field.mol.natm
    if count == 1:
        return np.zeros((1, 1, 3, 3))
    found = np.asarray(field.Hessian().set(verbose=0).kernel())
    found = 0.5 * (found + found.transpose(1, 0, 3, 2))
    found[range(count), range(count)] = 0.0
    own = -found.sum(axis=1)
    found[range(count), range(count)] = 0.5 * (own + own.transpose(0, 2, 1))
    return found
