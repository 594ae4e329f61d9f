"""Orthonormal orbitals of many sub-clusters at once, and the integrals over them.

Full configuration interaction does not depend on the choice of orbitals, so no self-consistent field has to converge:
symmetrically orthogonalised atomic functions (Löwdin, J. Chem. Phys. 18, 365 (1950), doi:10.1063/1.1747632) are
enough where the Hamiltonian is diagonalised whole, and a rough mean field is enough where it is done by iteration.
"""

from __future__ import annotations

import numpy as np

#: Combinations of functions whose overlap has an eigenvalue below this are left out.
DEPENDENT = 1e-6
#: Width in hartree of the occupations of the rough mean field, and its number of steps.
SMEARING, STEPS = 0.25, 8
#: Bisections that find its chemical potential, to 1e-7 hartree of the some 100 that orbitals spread over.
BISECTIONS = 30


def orthonormal(overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients X with XᵀSX = 1 for a stack of overlap matrices.

    :param overlap: shape (n, m, m)
    :return: coefficients of shape (n, m, m), S^(−1/2) where nothing is left out, else the canonical ones in the last columns;
        and how many of the last columns are orbitals, shape (n,)
    """
    values, vectors = np.linalg.eigh(overlap)
    kept = values > DEPENDENT
    scaled = vectors / np.sqrt(np.where(kept, values, np.inf))[:, None, :]
    whole = kept.all(axis=1)
    scaled[whole] = scaled[whole] @ vectors[whole].transpose(0, 2, 1)
    return scaled, kept.sum(axis=1)


def transform_one(operator: np.ndarray, orbitals: np.ndarray) -> np.ndarray:
    """XᵀhX for stacks of matrices."""
    return orbitals.transpose(0, 2, 1) @ operator @ orbitals


def transform_two(repulsion: np.ndarray, orbitals: np.ndarray) -> np.ndarray:
    """(pq|rs) over pairs from (μν|λσ) over pairs, shape (n, pairs, pairs)."""
    pairs = _pair_products(orbitals)
    transformed = pairs.transpose(0, 2, 1) @ repulsion @ pairs
    # rounding grows with the square of 1/overlap; what is left of it must not make a Hamiltonian unsymmetric
    return 0.5 * (transformed + transformed.transpose(0, 2, 1))


def unpack(repulsion: np.ndarray, n_orbitals: int) -> np.ndarray:
    """(pq|rs) of shape (n, m, m, m, m) from pairs."""
    index = pair_numbers(n_orbitals)
    return repulsion[:, index[:, :, None, None], index[None, None]]


def pair_numbers(n_orbitals: int) -> np.ndarray:
    """Number of the pair (p, q) in either order, shape (m, m)."""
    first, second = np.tril_indices(n_orbitals)
    index = np.empty((n_orbitals, n_orbitals), dtype=np.int64)
    index[first, second] = index[second, first] = np.arange(len(first))
    return index


def mean_field_orbitals(core: np.ndarray, repulsion: np.ndarray, n_electrons: int) -> np.ndarray:
    """Rotation of orthonormal orbitals towards those of a mean field without spin, with smeared occupations.

    :param core: one-electron integrals over orthonormal orbitals, shape (n, m, m)
    :param repulsion: (pq|rs) over their pairs
    :return: orthogonal matrices, shape (n, m, m)
    """
    n, m = core.shape[:2]
    full = unpack(repulsion, m).reshape(n, m, m, m, m)
    coulomb = full.reshape(n, m * m, m * m)
    exchange = np.ascontiguousarray(full.transpose(0, 1, 3, 2, 4)).reshape(n, m * m, m * m)
    response = coulomb - 0.5 * exchange
    density = np.broadcast_to(np.eye(m) * (n_electrons / m), (n, m, m)).copy()
    rotation = density
    for _ in range(STEPS):
        energies, rotation = np.linalg.eigh(core + (response @ density.reshape(n, -1, 1)).reshape(n, m, m))
        occupied = rotation * _smeared(energies, n_electrons)[:, None, :]
        density = 0.3 * density + 0.7 * occupied @ rotation.transpose(0, 2, 1)
    return rotation


def _smeared(energies: np.ndarray, n_electrons: int) -> np.ndarray:
    """Occupations 2/(1 + exp((e − μ)/width)) that add up to the electrons, by bisection of μ."""
    low, high = energies.min(axis=1) - 10.0, energies.max(axis=1) + 10.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        occupations = 1.0 - np.tanh((energies - middle[:, None]) / (2.0 * SMEARING))
        enough = occupations.sum(axis=1) >= n_electrons
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return occupations


def _pair_products(orbitals: np.ndarray) -> np.ndarray:
    """Coefficients of the pairs of orbitals p ≥ q in the pairs of functions μ ≥ ν, shape (n, pairs of μν, pairs of pq)."""
    first, second = np.tril_indices(orbitals.shape[1])
    p, q = np.tril_indices(orbitals.shape[2])
    left, right = orbitals[:, first], orbitals[:, second]
    products = left[:, :, p] * right[:, :, q] + right[:, :, p] * left[:, :, q]
    products[:, first == second] *= 0.5
    return products
