"""The lowest states of one spin for many Hamiltonians: spaces small enough for a table of configurations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.linalg

from bodyorder.sources.pyscf import eigensolver
from bodyorder.sources.pyscf.fci.assembly import Assembly, assembly
from bodyorder.sources.pyscf.fci.configurations import SpinTable, spin_table
from bodyorder.sources.pyscf.fci.hamiltonian import Densities, Hamiltonians

#: Below this dimension LAPACK's full solver, a stack at a time, is faster than its solver for one state.
STACKED = 32
#: Configurations of low orbitals that an iteration begins from.
CORNER = 64


class SpinSpace(Protocol):
    """All states of one spin of ``n`` Hamiltonians.

    :param energies: the lowest energies found in hartree, infinite before any search, shape (n,)
    :param next_energies: the second ones where two were wanted, else infinite, shape (n,)
    :param residuals: an eigenvalue lies within this of the energy, in hartree; infinite until a search succeeded; shape (n,)
    :param errors: bounds on the errors of the lowest energies in hartree, shape (n,)
    """

    energies: np.ndarray
    next_energies: np.ndarray
    residuals: np.ndarray
    errors: np.ndarray

    def above(self, energies: np.ndarray) -> np.ndarray:
        """Which rows are proven to have no state at or below the given energies, shape (n,)."""
        ...

    def improve(self, rows: np.ndarray, tolerance: float, wanted: int = 1, ceilings: np.ndarray | None = None) -> None:
        """Bring the residuals of the ``wanted`` lowest states of some rows below ``tolerance``.

        :param wanted: 1 or 2
        :param ceilings: a search may end when its state is clearly above this, shape (n,)
        """
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
        self._matrices = assembly(*key).triangles(hamiltonians)
        self._vectors = np.zeros((n, size))
        self.energies, self.next_energies = np.full(n, np.inf), np.full(n, np.inf)
        self.residuals, self.errors = np.full(n, np.inf), np.full(n, np.inf)

    def above(self, energies: np.ndarray) -> np.ndarray:
        """H − E has a Cholesky factor exactly if all eigenvalues of H are above E, and it costs a fifth of finding one."""
        proven = np.zeros(len(energies), dtype=bool)
        size = self._table.size
        for row in np.flatnonzero(np.isfinite(energies)) if size > STACKED else ():
            shifted = self._matrices[row].copy()
            shifted.flat[:: size + 1] -= energies[row]
            # LAPACK counts the columns first, so its upper triangle is our lower one
            proven[row] = scipy.linalg.lapack.dpotrf(shifted.T, lower=0, clean=0, overwrite_a=1)[1] == 0
        return proven

    def improve(self, rows: np.ndarray, tolerance: float, wanted: int = 1, ceilings: np.ndarray | None = None) -> None:
        """Diagonalise the matrices of these rows, whatever the tolerance."""
        size = self._table.size
        wanted = min(wanted, size)
        missing = self.residuals if wanted == 1 else self.next_energies
        rows = rows[np.isinf(missing[rows])]
        if size <= STACKED:
            values, vectors = np.linalg.eigh(self._matrices[rows])
            self._keep(rows, values[:, :2], vectors[:, :, 0])
        else:
            for row in rows:
                value, vector = scipy.linalg.eigh(
                    self._matrices[row].T,
                    subset_by_index=[0, wanted - 1],
                    driver="evr",
                    lower=False,
                    check_finite=False,
                )
                self._keep(row, value, vector[:, 0])

    def _keep(self, rows: np.ndarray | int, values: np.ndarray, vectors: np.ndarray) -> None:
        self.energies[rows], self._vectors[rows] = values[..., 0], vectors
        if values.shape[-1] > 1:
            self.next_energies[rows] = values[..., 1]
        self.residuals[rows] = self.errors[rows] = 0.0

    def densities(self, row: int) -> Densities:
        """Density matrices of the lowest state of one row."""
        return _table_densities(self._table, self._vectors[row], *self._shape)


class IteratedSpace:
    """States of matrices that are known by their action.

    :param matrices: one for each Hamiltonian
    """

    def __init__(self, matrices: list[eigensolver.Matrix]):
        n = len(matrices)
        self._matrices = matrices
        self._found: list[eigensolver.Subspace | None] = [None] * n
        self.energies, self.next_energies = np.full(n, np.inf), np.full(n, np.inf)
        self.residuals, self.errors = np.full(n, np.inf), np.full(n, np.inf)

    def above(self, energies: np.ndarray) -> np.ndarray:
        """Nothing is proven without a search."""
        return np.zeros(len(energies), dtype=bool)

    def improve(self, rows: np.ndarray, tolerance: float, wanted: int = 1, ceilings: np.ndarray | None = None) -> None:
        """Bring the residuals of the ``wanted`` lowest states of some rows below ``tolerance``."""
        for row in rows:
            matrix = self._matrices[row]
            space = self._found[row] or eigensolver.start(matrix)
            ceiling = np.inf if ceilings is None else float(ceilings[row])
            eigensolver.converge(matrix, space, tolerance, wanted, ceiling)
            # one that was left above its ceiling is hardly looked at again, and its vectors take room
            self._found[row] = space if space.energies[0] < ceiling or wanted == 2 else None
            if self._found[row] is not None:
                space.shrink(matrix.kept + matrix.block)
            self.energies[row], self.residuals[row], self.errors[row] = (
                space.energies[0],
                space.residuals[0],
                space.error,
            )
            if wanted == 2:
                self.next_energies[row] = space.energies[1]

    def state(self, row: int) -> np.ndarray:
        """The vector that belongs to the energy of one row."""
        space = self._found[row]
        assert space is not None
        return space.state


class TableSpace(IteratedSpace):
    """Hamiltonian matrices applied through the table of configurations."""

    def __init__(self, hamiltonians: Hamiltonians, unpaired: int):
        self._shape = hamiltonians.n_orbitals, hamiltonians.n_electrons
        self._table = spin_table(*self._shape, unpaired)
        diagonals = self._diagonals(hamiltonians)
        corner = assembly(*self._shape, unpaired, CORNER)
        triangles = corner.triangles(hamiltonians)
        super().__init__(
            [
                eigensolver.Matrix(self._action(0.5 * weights), diagonal, _corner(corner, triangle))
                for weights, diagonal, triangle in zip(hamiltonians.weights, diagonals, triangles, strict=True)
            ]
        )

    def densities(self, row: int) -> Densities:
        """Density matrices of the lowest state of one row."""
        return _table_densities(self._table, self.state(row), *self._shape)

    def _diagonals(self, hamiltonians: Hamiltonians) -> np.ndarray:
        m, weights = hamiltonians.n_orbitals, 0.5 * hamiltonians.weights
        diagonal = np.array([p * (p + 3) // 2 for p in range(m)])
        occupations = self._table.occupations
        direct = ((occupations @ weights[:, diagonal[:, None], diagonal]) * occupations).sum(axis=2)
        return direct + np.einsum("npp->np", weights) @ self._table.exchanges.T

    def _action(self, weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        table, pairs = self._table, len(weights)

        def apply(vectors: np.ndarray) -> np.ndarray:
            columns = vectors[0] if len(vectors) == 1 else np.ascontiguousarray(vectors.T)
            replaced = table.replace @ columns
            weighted = weights @ replaced.reshape(pairs, -1)
            return (table.collect @ weighted.reshape(replaced.shape)).T.reshape(vectors.shape)

        return apply


def _corner(corner: Assembly, triangle: np.ndarray) -> eigensolver.Corner:
    values, vectors = np.linalg.eigh(triangle, UPLO="L")
    return eigensolver.Corner(corner.places, values, vectors)


def _table_densities(table: SpinTable, vector: np.ndarray, n_orbitals: int, n_electrons: int) -> Densities:
    replaced = (table.replace @ vector).reshape(-1, table.size)
    return Densities.from_pairs((replaced @ replaced.T)[None], n_orbitals, n_electrons)
