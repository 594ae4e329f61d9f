"""The lowest state of one spin for many Hamiltonians: spaces small enough for a table of configurations."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.fci.configurations import SpinTable, spin_table
from bodyorder.sources.pyscf.fci.hamiltonian import Densities, Hamiltonians

#: Below this dimension LAPACK's full solver, a stack at a time, is faster than its solver for one state.
STACKED = 32


class SpinSpace(Protocol):
    """All states of one spin of ``n`` Hamiltonians."""

    @property
    def energies(self) -> np.ndarray:
        """The lowest energies found in hartree, infinite before any search, shape (n,)."""
        ...

    @property
    def residuals(self) -> np.ndarray:
        """An eigenvalue lies within this of the energy, in hartree; infinite until a search succeeded; shape (n,)."""
        ...

    def above(self, energies: np.ndarray) -> np.ndarray:
        """Which rows are proven to have no state at or below the given energies, shape (n,)."""
        ...

    def improve(self, rows: np.ndarray, tolerance: float) -> None:
        """Bring the residuals of some rows below ``tolerance``."""
        ...

    def densities(self, row: int) -> Densities:
        """Density matrices of the state that belongs to the energy of one row."""
        ...


class DenseSpace:
    """Hamiltonian matrices built and diagonalised whole."""

    def __init__(self, hamiltonians: Hamiltonians, unpaired: int):
        key = hamiltonians.n_orbitals, hamiltonians.n_electrons, unpaired
        self._shape = key[:2]
        self._table = spin_table(*key)
        n, size = len(hamiltonians), self._table.size
        triangles = _assembly(*key) @ hamiltonians.weights.reshape(n, -1).T
        self._matrices = np.ascontiguousarray(triangles.T).reshape(n, size, size)
        self._vectors = np.zeros((n, size))
        self.energies = np.full(n, np.inf)
        self.residuals = np.full(n, np.inf)

    def above(self, energies: np.ndarray) -> np.ndarray:
        """H − E has a Cholesky factor exactly if all eigenvalues of H are above E, and it costs a tenth of finding one."""
        proven = np.zeros(len(energies), dtype=bool)
        size = self._table.size
        for row in np.flatnonzero(np.isfinite(energies)) if size > STACKED else ():
            shifted = self._matrices[row].copy()
            shifted.flat[:: size + 1] -= energies[row]
            # LAPACK counts the columns first, so its upper triangle is our lower one
            proven[row] = scipy.linalg.lapack.dpotrf(shifted.T, lower=0, clean=0, overwrite_a=1)[1] == 0
        return proven

    def improve(self, rows: np.ndarray, tolerance: float) -> None:
        """Diagonalise the matrices of these rows, whatever the tolerance."""
        rows = rows[np.isinf(self.residuals[rows])]
        if self._table.size <= STACKED:
            values, vectors = np.linalg.eigh(self._matrices[rows])
            self.energies[rows], self._vectors[rows] = values[:, 0], vectors[:, :, 0]
        else:
            for row in rows:
                value, vector = scipy.linalg.eigh(
                    self._matrices[row].T, subset_by_index=[0, 0], driver="evr", lower=False, check_finite=False
                )
                self.energies[row], self._vectors[row] = value[0], vector[:, 0]
        self.residuals[rows] = 0.0

    def densities(self, row: int) -> Densities:
        """Density matrices of the lowest state of one row."""
        return _table_densities(self._table, self._vectors[row], *self._shape)


class TableSpace:
    """Hamiltonian matrices applied through the table of configurations."""

    def __init__(self, hamiltonians: Hamiltonians, unpaired: int):
        self._shape = hamiltonians.n_orbitals, hamiltonians.n_electrons
        self._table = spin_table(*self._shape, unpaired)
        self._weights = 0.5 * hamiltonians.weights
        self._matrices = eigensolver.Matrices(self._apply, self._diagonal(hamiltonians))
        self._space = eigensolver.start(self._matrices)

    @property
    def energies(self) -> np.ndarray:
        """Lowest energies, shape (n,)."""
        return self._space.energies

    @property
    def residuals(self) -> np.ndarray:
        """Their residuals, shape (n,)."""
        return self._space.residuals

    def above(self, energies: np.ndarray) -> np.ndarray:
        """Nothing is proven without a search."""
        return np.zeros(len(energies), dtype=bool)

    def improve(self, rows: np.ndarray, tolerance: float) -> None:
        """Bring the residuals of some rows below ``tolerance``."""
        eigensolver.converge(self._matrices, self._space, rows, tolerance)

    def densities(self, row: int) -> Densities:
        """Density matrices of the lowest state of one row."""
        return _table_densities(self._table, self._space.vectors[row, 0], *self._shape)

    def _diagonal(self, hamiltonians: Hamiltonians) -> np.ndarray:
        m = hamiltonians.n_orbitals
        diagonal = np.array([p * (p + 3) // 2 for p in range(m)])
        occupations = self._table.occupations
        between = self._weights[:, diagonal[:, None], diagonal]
        direct = ((occupations @ between) * occupations).sum(axis=2)
        return direct + np.einsum("npp->np", self._weights) @ self._table.exchanges.T

    def _apply(self, vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
        images = np.empty_like(vectors)
        # one after the other: laying all of them out for one product costs more than the product
        for place, row in enumerate(rows):
            replaced = self._table.replace @ np.ascontiguousarray(vectors[place].T)
            weights = self._weights[row]
            weighted = weights @ replaced.reshape(len(weights), -1)
            images[place] = (self._table.collect @ weighted.reshape(replaced.shape)).T
        return images


@lru_cache(maxsize=64)
def _assembly(n_orbitals: int, n_electrons: int, unpaired: int) -> sp.csr_array:
    """Lower triangles of all ½ F_P F_Q: a matrix of shape (d², pairs²) that makes Hamiltonian matrices out of weights."""
    table = spin_table(n_orbitals, n_electrons, unpaired)
    size, pairs = table.size, table.replace.shape[0] // table.size
    products = (table.replace @ table.collect).tocoo()  # (F_P)_IK (F_Q)_KJ at row (P, I) and column (Q, J)
    p, i = np.divmod(products.row.astype(np.int64), size)
    q, j = np.divmod(products.col.astype(np.int64), size)
    lower = i >= j
    places = (i * size + j)[lower], (p * pairs + q)[lower]
    return sp.csr_array((0.5 * products.data[lower], places), shape=(size * size, pairs * pairs))


def _table_densities(table: SpinTable, vector: np.ndarray, n_orbitals: int, n_electrons: int) -> Densities:
    replaced = (table.replace @ vector).reshape(-1, table.size)
    return Densities.from_pairs((replaced @ replaced.T)[None], n_orbitals, n_electrons)
