"""The Hamiltonians of many sub-clusters in a form from which Fock matrices come as matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from pyscf.scf.hf import dot_eri_dm

from bodyorder.sources.pyscf.integrals import ClusterIntegrals
from bodyorder.sources.pyscf.orbitals import orthonormal, pair_numbers, transform_one, transform_two

#: Up to this many functions exchange integrals are kept in an order of their own.
REORDERED = 56


@dataclass
class Space:
    """``n`` sub-clusters in m functions, of which r combinations are independent.

    :param overlap: shape (n, m, m)
    :param core: one-electron integrals, shape (n, m, m)
    :param coulomb: (μν|λσ) over pairs, shape (n, pairs, pairs)
    :param exchange: ½[(μλ|νσ) + (μσ|νλ)] over the same pairs, or None where there are too many functions
    :param nuclear: repulsion of the nuclei, shape (n,)
    :param orbitals: orthonormal combinations, shape (n, m, r)
    """

    overlap: np.ndarray
    core: np.ndarray
    coulomb: np.ndarray
    exchange: np.ndarray | None
    nuclear: np.ndarray
    orbitals: np.ndarray

    @classmethod
    def make(
        cls,
        overlap: np.ndarray,
        core: np.ndarray,
        coulomb: np.ndarray,
        nuclear: np.ndarray,
        independent: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Space:
        """From integrals of rows that all have as many independent functions.

        :param independent: combinations of the functions and their numbers, if :func:`orthonormal` has been asked already
        """
        coefficients, ranks = independent or orthonormal(overlap)
        exchange = None
        if core.shape[1] <= REORDERED:
            exchange = np.empty_like(coulomb)
            straight, crossed = _reordering(core.shape[1])
            for row in range(len(coulomb)):
                flat = coulomb[row].ravel()
                exchange[row] = 0.5 * (flat[straight] + flat[crossed])
        return cls(overlap, core, coulomb, exchange, nuclear, coefficients[:, :, core.shape[1] - ranks.min() :])

    def inside(self, coefficients: np.ndarray) -> Space:
        """The space spanned by some combinations of the functions, the same for all rows, shape (m, m')."""
        stack = np.broadcast_to(coefficients, (len(self.core), *coefficients.shape))
        return Space.make(
            transform_one(self.overlap, stack),
            transform_one(self.core, stack),
            transform_two(self.coulomb, stack),
            self.nuclear,
        )

    def rough(self) -> Space:
        """The same with repulsion in single precision, which is read in half the time."""
        if self.exchange is None:
            return self
        return replace(self, coulomb=self.coulomb.astype(np.float32), exchange=self.exchange.astype(np.float32))

    def fock(self, densities: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Fock matrices of both spins.

        :param densities: symmetric, shape (t, 2, m, m)
        :param rows: the sub-cluster of each, ascending, shape (t,)
        """
        m = densities.shape[2]
        if self.exchange is None:
            return self.core[rows][:, None] + np.concatenate(
                [_repulsion(self.coulomb[row], densities[some]) for row, some in _runs(rows)]
            )
        first, second, weights, index = packing(m)
        packed = densities[:, :, first, second] * weights
        two = np.empty_like(packed)
        packed = packed.astype(self.coulomb.dtype, copy=False)
        total = packed.sum(axis=1)
        for row, some in _runs(rows):
            exchange = packed[some].reshape(-1, len(first)) @ self.exchange[row]
            two[some] = (total[some] @ self.coulomb[row])[:, None] - exchange.reshape(-1, 2, len(first))
        return self.core[rows][:, None] + two[:, :, index]

    def energies(self, densities: np.ndarray, fock: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Energies in hartree, the repulsion of the nuclei included, shape (t,)."""
        return 0.5 * np.einsum("tsij,tsij->t", densities, fock + self.core[rows][:, None]) + self.nuclear[rows]


def of_one_rank(integrals: ClusterIntegrals) -> Iterator[tuple[np.ndarray, Space]]:
    """The rows grouped by how many of their functions are independent."""
    coefficients, ranks = orthonormal(integrals.overlap)
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        whole = len(rows) == len(ranks)
        coulomb = integrals.repulsion if whole else integrals.repulsion[rows]
        independent = coefficients[rows], ranks[rows]
        yield (
            rows,
            Space.make(integrals.overlap[rows], integrals.core[rows], coulomb, integrals.nuclear[rows], independent),
        )


def _runs(rows: np.ndarray) -> Iterator[tuple[int, slice]]:
    if len(rows) == 1:
        yield int(rows[0]), slice(0, 1)
        return
    edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
    for first, last in pairwise(edges):
        yield int(rows[first]), slice(int(first), int(last))


def _repulsion(coulomb: np.ndarray, densities: np.ndarray) -> np.ndarray:
    flat = densities.reshape(-1, *densities.shape[2:])
    direct, exchange = dot_eri_dm(coulomb, flat, hermi=1)
    return np.reshape(direct, densities.shape).sum(axis=1, keepdims=True) - np.reshape(exchange, densities.shape)


@lru_cache(maxsize=16)
def packing(n_functions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First and second function of each pair, how often a sum over both counts it, and the number of each pair."""
    first, second = np.tril_indices(n_functions)
    return first, second, np.where(first == second, 1.0, 2.0), pair_numbers(n_functions)


@lru_cache(maxsize=4)
def _reordering(n_functions: int) -> tuple[np.ndarray, np.ndarray]:
    """Where (μλ|νσ) and (μσ|νλ) stand among all (pairs|pairs), each of shape (pairs, pairs)."""
    index, (first, second) = pair_numbers(n_functions), np.tril_indices(n_functions)
    straight = index[first[:, None], first] * len(first) + index[second[:, None], second]
    crossed = index[first[:, None], second] * len(first) + index[second[:, None], first]
    return straight, crossed
