"""From a solution on a coarse grid to the energy on a fine one, in as few looks at the fine one as that takes.

Where the derivative g of the energy with respect to rotations of the orbitals is small, what a Newton step would still gain is
Σ g²/Δ with the distances Δ of empty from occupied orbitals. It is second order in what the two grids differ by, so the second
look mostly finds it far below anything that counts, and adds it.
"""

from __future__ import annotations

import numpy as np
from pyscf import lib
from pyscf.dft import rks

#: A gain (hartree) that no further look is worth; where a direction is soft, the error of the energy is some times that.
ENOUGH = 5e-11
#: Distance of the frontier orbitals (hartree) below which the estimate is not relied on, and looks before giving up.
LEAST, LOOKS = 0.05, 12
#: What an energy may rise by (hartree) from one look to the next.
RISE = 1e-6


def refined(field: rks.KohnShamDFT, coefficients: np.ndarray, occupations: np.ndarray, basis: np.ndarray) -> bool:
    """Give a restricted closed-shell or an unrestricted field the solution that some orbitals are close to.

    :param field: on the fine grid; its orbitals, energies and ``converged`` are set
    :param coefficients: of the orbitals of one grid that is coarser, shape (m, r), or (2, m, r) for both spins
    :param occupations: shape (r,) or (2, r)
    :param basis: orthonormal combinations of the functions, shape (m, r)
    :return: whether that worked out
    """
    spins = np.ndim(coefficients) == 3
    orbitals = np.asarray(coefficients if spins else coefficients[None])
    filled = np.asarray(occupations if spins else occupations[None])
    core, overlap = field.get_hcore(), field.get_ovlp()
    extrapolation = lib.diis.DIIS(incore=True)
    extrapolation.verbose = 0
    last = np.inf
    for _ in range(LOOKS):
        density = np.array([(some * held) @ some.T for some, held in zip(orbitals, filled, strict=True)])
        given = density if spins else density[0]
        potential = field.get_veff(field.mol, given)
        energy = float(field.energy_tot(given, core, potential))
        fock = np.asarray(core + potential)[None] if not spins else np.asarray(core + potential)
        if energy > last + RISE:
            return False
        last = energy
        canonical = [_canonical(*one) for one in zip(orbitals, filled, fock, strict=True)]
        if any(distance < LEAST for *_, distance in canonical):
            return False
        gain = sum(one[2] for one in canonical)
        if gain < ENOUGH:
            field.mo_coeff = np.array([one[0] for one in canonical]) if spins else canonical[0][0]
            field.mo_energy = np.array([one[1] for one in canonical]) if spins else canonical[0][1]
            field.mo_occ = occupations
            field.e_tot, field.converged = energy - gain, True
            return True
        products = [basis.T @ f @ d @ overlap @ basis for f, d in zip(fock, density, strict=True)]
        better = extrapolation.update(fock, np.array([one - one.T for one in products]))
        vectors = np.linalg.eigh(basis.T @ better @ basis)[1]
        orbitals = basis @ vectors
    return False


def _canonical(
    orbitals: np.ndarray, filled: np.ndarray, fock: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Orbitals of one spin that are canonical among the occupied and among the empty ones, their energies, what a Newton step
    would gain, and the distance of empty from occupied orbitals."""
    occupied, virtual = orbitals[:, filled > 0], orbitals[:, filled == 0]
    (below, inside), (above, outside) = (np.linalg.eigh(some.T @ fock @ some) for some in (occupied, virtual))
    turned = np.concatenate([occupied @ inside, virtual @ outside], axis=1)
    if not len(below) or not len(above):
        return turned, np.concatenate([below, above]), 0.0, np.inf
    slopes = (virtual @ outside).T @ fock @ (occupied @ inside)
    gain = float(filled.max() * (slopes**2 / np.maximum(above[:, None] - below, LEAST)).sum())
    return turned, np.concatenate([below, above]), gain, float(above[0] - below[-1])
