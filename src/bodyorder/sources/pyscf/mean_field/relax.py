"""A mean field brought close to self-consistency from many starts at once.

This only ranks the starts: the best go on to PySCF's own solver, which decides what has converged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyscf.scf.hf import dot_eri_dm

from bodyorder.sources.pyscf.orbitals import orthonormal

#: Steps, and Fock matrices that an extrapolation looks back on.
STEPS, HISTORY = 40, 8
#: A start rests once its commutator is below this (hartree).
AT_REST = 1e-5


@dataclass
class AtomicMatrices:
    """What a mean field needs to know of one sub-cluster.

    :param overlap: shape (m, m)
    :param core: one-electron integrals, shape (m, m)
    :param repulsion: (μν|λσ) over pairs, shape (pairs, pairs)
    """

    overlap: np.ndarray
    core: np.ndarray
    repulsion: np.ndarray


def relax(matrices: AtomicMatrices, densities: np.ndarray, electrons: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Direct inversion in the iterative subspace (Pulay, J. Comput. Chem. 3, 556 (1982), doi:10.1002/jcc.540030413).

    :param densities: of both spins for each start, shape (starts, 2, m, m)
    :param electrons: of either spin
    :return: the lowest electronic energy (hartree) that each start came through, shape (starts,), and its densities
    """
    coefficients, ranks = orthonormal(matrices.overlap[None])
    orbitals = coefficients[0][:, -ranks[0] :]
    lowest, best = np.full(len(densities), np.inf), densities.copy()
    focks: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    occupied = np.zeros_like(densities)
    for step in range(STEPS):
        fock = _fock(matrices, densities)
        inside = orbitals.T @ fock @ orbitals
        if step:  # the first densities are not those of a determinant
            energies = 0.5 * np.einsum("nsij,nsij->n", densities, fock + matrices.core)
            lower = energies < lowest
            lowest[lower], best[lower] = energies[lower], densities[lower]
            product = inside @ occupied
            errors = [*errors, product - product.transpose(0, 1, 3, 2)][-HISTORY:]
            focks = [*focks, inside][-HISTORY:]
            if np.abs(errors[-1]).max() < AT_REST:
                break
            inside = _extrapolated(focks, errors)
        vectors = np.linalg.eigh(inside)[1]
        occupied = np.stack([_filled(vectors[:, spin], electrons[spin]) for spin in range(2)], axis=1)
        densities = orbitals @ occupied @ orbitals.T
    return lowest, best


def _fock(matrices: AtomicMatrices, densities: np.ndarray) -> np.ndarray:
    flat = densities.reshape(-1, *densities.shape[2:])
    coulomb, exchange = dot_eri_dm(matrices.repulsion, flat, hermi=1)
    coulomb = np.reshape(coulomb, densities.shape).sum(axis=1, keepdims=True)
    return matrices.core + coulomb - np.reshape(exchange, densities.shape)


def _filled(vectors: np.ndarray, count: int) -> np.ndarray:
    return vectors[:, :, :count] @ vectors[:, :, :count].transpose(0, 2, 1)


def _extrapolated(focks: list[np.ndarray], errors: list[np.ndarray]) -> np.ndarray:
    """The combination of Fock matrices whose errors nearly cancel, for each start."""
    count, n = len(errors), len(errors[0])
    flat = np.stack(errors, axis=1).reshape(n, count, -1)
    system = np.ones((n, count + 1, count + 1))
    system[:, :count, :count] = flat @ flat.transpose(0, 2, 1)
    scale = np.maximum(np.einsum("nii->ni", system)[:, :count].max(axis=1), np.finfo(np.float64).tiny)
    system[:, :count, :count] /= scale[:, None, None]
    system[:, count, count] = 0.0
    target = np.zeros((n, count + 1, 1))
    target[:, count] = 1.0
    weights = (np.linalg.pinv(system, rcond=1e-13, hermitian=True) @ target)[:, :count, 0]
    return np.einsum("nh,nhsij->nsij", weights, np.stack(focks, axis=1))
