"""Two electrons of opposite spins, for which coupled clusters with doubles are exact on any determinant."""

from __future__ import annotations

import numpy as np
from pyscf import ao2mo
from pyscf.cc import uccsd
from pyscf.grad import rhf
from pyscf.scf import uhf

from bodyorder.sources.pyscf.fci.gradient import electronic_gradient
from bodyorder.sources.pyscf.fci.hamiltonian import Densities, Hamiltonians
from bodyorder.sources.pyscf.integrals import AtomicGradients, ClusterGradients
from bodyorder.sources.pyscf.orbitals import transform_one, transform_two

#: Two orbitals with a smaller squared overlap are so far apart that singlet and triplet differ by less than 1e-10 hartree.
APART = 1e-11


def start(reference: uhf.UHF) -> uhf.UHF:
    """Both electrons of a singlet in one orbital, the mean of those that they are in; or the mean field where these are apart.

    From a determinant that mixes spins the search can end in the triplet. Where the electrons do not meet that is the same
    energy, and one determinant of a common orbital is half of the state, from which the search does not arrive.
    """
    overlap, occupied = reference.get_ovlp(), reference.mo_coeff[:, :, 0]
    up, down = occupied
    shared = up @ overlap @ down
    if shared**2 < APART:
        return reference
    mean = up + np.sign(shared) * down
    mean /= np.sqrt(mean @ overlap @ mean)
    others = reference.mo_coeff[0] - np.outer(mean, mean @ overlap @ reference.mo_coeff[0])
    values, vectors = np.linalg.eigh(others.T @ overlap @ others)
    rest = others @ (vectors[:, 1:] / np.sqrt(values[1:]))
    orbitals = np.column_stack([mean, rest])
    paired = reference.copy()
    paired.mo_coeff = np.array([orbitals, orbitals])
    paired.mo_occ = np.zeros_like(reference.mo_occ)
    paired.mo_occ[:, 0] = 1.0
    fock = paired.get_fock(dm=paired.make_rdm1())
    # PySCF counts on empty orbitals that do not mix
    energies, mixing = np.linalg.eigh(rest.T @ fock[0] @ rest)
    orbitals = np.column_stack([mean, rest @ mixing])
    paired.mo_coeff = np.array([orbitals, orbitals])
    paired.mo_energy = np.array([np.concatenate([[mean @ fock[0] @ mean], energies])] * 2)
    paired.e_tot = paired.energy_tot(paired.make_rdm1())
    return paired


def gradient(solved: uccsd.UCCSD) -> np.ndarray:
    """dE/dR in hartree/bohr, shape (k, 3), of what was solved for two electrons in one orbital.

    The orbitals are no mean field, so PySCF's gradient does not hold. But the amplitudes are the exact wave function
    Ψ = Σ C_pq p(1) q(2), with C = (1, t₁; t₁, t₂ + t₁t₁) before it is normalised; γ = 2 CCᵀ and
    Γ_pqrs = C_pr C_qs + C_ps C_qr.
    """
    single, double = solved.t1[0][0], solved.t2[1][0, 0]
    m = 1 + len(single)
    wave = np.empty((m, m))
    wave[0, 0], wave[0, 1:], wave[1:, 0] = 1.0, single, single
    wave[1:, 1:] = 0.5 * (double + double.T) + np.outer(single, single)
    wave /= np.linalg.norm(wave)
    both = np.einsum("pr,qs->pqrs", wave, wave)
    densities = Densities(2.0 * (wave @ wave)[None], (both + both.transpose(1, 0, 2, 3))[None])

    mol, field = solved.mol, solved._scf
    orbitals = field.mo_coeff[:1]
    repulsion = ao2mo.restore(4, field._eri, mol.nao)[None]
    core = transform_one(field.get_hcore()[None], orbitals)
    hamiltonians = Hamiltonians(core, transform_two(repulsion, orbitals), 2)
    one = AtomicGradients(mol)
    many = ClusterGradients(one.overlap[None], one.kinetic[None], one.attraction[None], one.repulsion[None])
    ranges = mol.aoslice_by_atom()[:, 2:]
    atoms = np.repeat(np.arange(mol.natm), ranges[:, 1] - ranges[:, 0])
    return electronic_gradient(hamiltonians, densities, orbitals, many, atoms)[0] + rhf.grad_nuc(mol)
