"""How far an unrestricted solution is from a state of one spin."""

from __future__ import annotations

import numpy as np
from pyscf.scf.hf import dot_eri_dm

from bodyorder.sources.protocol import CONTAMINATED
from bodyorder.sources.pyscf.integrals import ClusterIntegrals
from bodyorder.sources.pyscf.mean_field.fields import Solution
from bodyorder.sources.pyscf.orbitals import transform_one, transform_two, unpack

#: Up to this many electrons their (pq|rs) are held without regard to symmetry.
WHOLE = 20


def impurity(
    solution: Solution, electrons: tuple[int, int], integrals: ClusterIntegrals, row: int
) -> tuple[float, float]:
    """Contamination, and where it is large the change of the energy (hartree) on projection onto the spin, else 0."""
    up, down = (solution.coefficients[spin, :, :count] for spin, count in enumerate(electrons))
    mixed = contamination((up, down), integrals.overlap[row])
    if mixed <= CONTAMINATED:
        return mixed, 0.0
    return mixed, abs(projected_energy(solution, electrons, integrals, row) - solution.energy)


def contamination(occupied: tuple[np.ndarray, np.ndarray], overlap: np.ndarray) -> float:
    """⟨S²⟩ − S(S + 1) with S = (n↑ − n↓)/2 of a determinant: n↓ − Σ |⟨i↑|j↓⟩|².

    :param occupied: orbitals of both spins, shapes (m, n↑) and (m, n↓)
    :param overlap: shape (m, m)
    """
    up, down = occupied
    return max(float(down.shape[1] - np.sum((up.T @ overlap @ down) ** 2)), 0.0)


def projected_energy(solution: Solution, electrons: tuple[int, int], integrals: ClusterIntegrals, row: int) -> float:
    """Energy in hartree of what a determinant |Φ⟩ holds of the spin S = (n↑ − n↓)/2 (Löwdin, Phys. Rev. 97, 1509 (1955),
    doi:10.1103/PhysRev.97.1509).

    The projection is an integral over rotations of the spin about one axis by β,

        E_S = ∫ d(β) ⟨Φ|H R(β)|Φ⟩ sin β dβ / ∫ d(β) ⟨Φ|R(β)|Φ⟩ sin β dβ,    d(β) = ((1 + cos β)/2)^S,

    in which, d(β) included, only polynomials in cos β occur: Gauss–Legendre quadrature is exact. Matrix elements between
    the two determinants follow from the inverse of the overlap of their orbitals (Löwdin's rules).
    """
    (n_up, n_down), count = electrons, sum(electrons)
    occupied = np.concatenate([solution.coefficients[spin, :, :n] for spin, n in enumerate(electrons)], axis=1)[None]
    overlap = transform_one(integrals.overlap[row : row + 1], occupied)[0]
    core = transform_one(integrals.core[row : row + 1], occupied)[0]
    repulsion = transform_two(integrals.repulsion[row : row + 1], occupied)[0]
    cosines, weights = np.polynomial.legendre.leggauss(count // 2 + 2)
    cosine, sine = np.sqrt((1 + cosines) / 2)[:, None], np.sqrt((1 - cosines) / 2)[:, None]
    down = np.arange(count) >= n_up
    # what each orbital q has of spin μ before the turn, shape (2, count), and after it, shape (points, 2, count)
    fixed = np.array([~down, down], dtype=np.float64)
    turned = np.stack([np.where(down, -sine, cosine), np.where(down, cosine, sine)], axis=1)
    between = np.einsum("mp,gmq,pq->gpq", fixed, turned, overlap)
    # transition densities P[μ, ν] from the turned q with spin μ to p with spin ν, shape (points, 2, 2, count, count)
    densities = np.einsum("gmq,gqp,np->gmnqp", turned, np.linalg.inv(between), fixed)
    coulomb, exchange = (
        part.reshape(densities.shape) for part in _fields(repulsion, densities.reshape(-1, count, count))
    )
    one, field = np.einsum("gmmqp->gqp", densities), np.einsum("gmmqp->gqp", coulomb)
    energies = np.einsum("gqp,gqp->g", core + 0.5 * field, one)
    energies -= 0.5 * np.einsum("gmnps,gnmsp->g", exchange, densities)
    shares = weights * ((1 + cosines) / 2) ** ((n_up - n_down) / 2) * np.linalg.det(between)
    return float(energies @ shares / shares.sum() + integrals.nuclear[row])


def _fields(repulsion: np.ndarray, densities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coulomb and exchange matrices of some densities, shape (t, count, count) each.

    :param repulsion: (pq|rs) over pairs, shape (pairs, pairs)
    """
    count = densities.shape[1]
    if count > WHOLE:
        coulomb, exchange = dot_eri_dm(repulsion, np.ascontiguousarray(densities), hermi=0)
        return np.reshape(coulomb, densities.shape), np.reshape(exchange, densities.shape)
    flat = densities.reshape(len(densities), -1)
    whole = unpack(repulsion[None], count)[0]
    exchanged = whole.transpose(1, 2, 0, 3).reshape(count * count, -1)  # [qr, ps] = (pq|rs)
    return flat @ whole.reshape(count * count, -1), flat @ exchanged
