"""Hamiltonian matrices between configurations out of integrals, for many sub-clusters in one product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from bodyorder.sources.pyscf.fci.configurations import ROUNDING, spin_table
from bodyorder.sources.pyscf.fci.hamiltonian import Hamiltonians


@dataclass(frozen=True)
class Assembly:
    """Lower triangles of all ½ (F_P F_Q + F_Q F_P) between c configurations.

    :param places: the configurations, shape (c,)
    :param elements: places in a c × c matrix, row major, that are not zero in every Hamiltonian
    :param products: makes these elements out of the weights w_PQ, P ≥ Q; shape (elements, pairs·(pairs + 1)/2)
    """

    places: np.ndarray
    elements: np.ndarray
    products: sp.csr_array

    def triangles(self, hamiltonians: Hamiltonians) -> np.ndarray:
        """Matrices of which the lower triangle holds, shape (n, c, c)."""
        n, size = len(hamiltonians), len(self.places)
        first, second = np.tril_indices(hamiltonians.weights.shape[1])
        matrices = np.zeros((n, size * size))
        matrices[:, self.elements] = (self.products @ hamiltonians.weights[:, first, second].T).T
        return matrices.reshape(n, size, size)


@lru_cache(maxsize=64)
def assembly(n_orbitals: int, n_electrons: int, unpaired: int, most: int | None = None) -> Assembly:
    """Build the table of the spin S = ``unpaired``/2.

    :param most: only that many configurations, those with electrons in the first orbitals
    """
    table = spin_table(n_orbitals, n_electrons, unpaired)
    size, pairs = table.size, n_orbitals * (n_orbitals + 1) // 2
    places, left, right = np.arange(size), table.replace, table.collect  # (F_P)_IK at row (P, I), and turned over
    if most is not None and most < size:
        level = table.occupations @ np.arange(n_orbitals)
        places = np.sort(np.argsort(np.round(level, 6), kind="stable")[:most])
        left = left[(np.arange(pairs)[:, None] * size + places).ravel()]
        right = left.T
    count = len(places)
    products = left @ right
    rows = np.repeat(np.arange(products.shape[0], dtype=products.indices.dtype), np.diff(products.indptr))
    half = rows >= products.indices  # it is symmetric
    (p, i), (q, j) = np.divmod(rows[half], count), np.divmod(products.indices[half], count)
    place = np.maximum(i, j) * count + np.minimum(i, j)
    # the other half of P ≠ Q holds elements of the same triangle only on its diagonal
    values = products.data[half] * np.where((i == j) & (p != q), 1.0, 0.5)
    present = np.zeros(count * count, dtype=bool)
    present[place] = True
    number = np.cumsum(present) - 1
    matrix = sp.csr_array(
        (values, (number[place], p * (p + 1) // 2 + q)), shape=(np.count_nonzero(present), pairs * (pairs + 1) // 2)
    )
    matrix.data[np.abs(matrix.data) < ROUNDING] = 0.0
    matrix.eliminate_zeros()
    return Assembly(places, np.flatnonzero(present), matrix)
