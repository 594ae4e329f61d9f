"""Many-electron Hamiltonians of many sub-clusters over orthonormal orbitals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder.sources.pyscf.orbitals import pair_numbers


@dataclass
class Hamiltonians:
    """``n`` Hamiltonians over m orbitals, H = ½ Σ_PQ w_PQ F_P F_Q over pairs of orbitals P = (p ≥ q).

    F is explained in :class:`~bodyorder.sources.pyscf.fci.configurations.SpinTable`. The one-electron part is in w, too:
    Σ_p F_pp is the number of electrons.

    :param core: one-electron integrals, shape (n, m, m)
    :param repulsion: (pq|rs) over pairs, shape (n, pairs, pairs)
    :param n_electrons: at least one
    """

    core: np.ndarray
    repulsion: np.ndarray
    n_electrons: int

    def __post_init__(self) -> None:
        index = pair_numbers(self.n_orbitals)
        p, q = np.tril_indices(self.n_orbitals)
        # two electrons: Ê_pq Ê_rs − δ_qr Ê_ps, the second term belongs to the one-electron part
        one = self.core[:, p, q]
        for r in range(self.n_orbitals):
            one = one - 0.5 * self.repulsion[:, index[p, r], index[r, q]]
        #: w, symmetric, shape (n, pairs, pairs)
        self.weights = self.repulsion.copy()
        self.weights[:, :, np.diag(index)] += (1.0 / self.n_electrons) * one[:, :, None]
        self.weights[:, np.diag(index)] += (1.0 / self.n_electrons) * one[:, None, :]

    def __len__(self) -> int:
        return len(self.core)

    @property
    def n_orbitals(self) -> int:
        """Number of orbitals."""
        return int(self.core.shape[1])

    def select(self, rows: slice) -> Hamiltonians:
        """The Hamiltonians of some rows."""
        return Hamiltonians(self.core[rows], self.repulsion[rows], self.n_electrons)


@dataclass
class Densities:
    """Spin-free reduced density matrices over orthonormal orbitals, E = Σ h_pq γ_pq + ½ Σ (pq|rs) Γ_pqrs.

    :param one: γ, shape (n, m, m)
    :param two: Γ with the symmetries of (pq|rs), shape (n, m, m, m, m)
    """

    one: np.ndarray
    two: np.ndarray

    @classmethod
    def from_pairs(cls, products: np.ndarray, n_orbitals: int, n_electrons: int) -> Densities:
        """From ⟨F_P F_Q⟩, shape (n, pairs, pairs)."""
        index = pair_numbers(n_orbitals)
        p, q = np.tril_indices(n_orbitals)
        share = np.where(p == q, 1.0, 0.5)  # F_pq holds Ê_pq and Ê_qp
        spread = products * share[:, None] * share
        one = (spread[:, :, np.diag(index)].sum(axis=2) / n_electrons)[:, index]
        two = spread[:, index[:, :, None, None], index[None, None]]
        for orbital in range(n_orbitals):
            two[:, :, orbital, orbital, :] -= 0.25 * one
            two[:, orbital, :, :, orbital] -= 0.25 * one
            two[:, :, orbital, :, orbital] -= 0.25 * one
            two[:, orbital, :, orbital, :] -= 0.25 * one
        return cls(one, two)

    def rotated(self, back: np.ndarray) -> Densities:
        """Over the orbitals that these are combinations of; as they are if there is nothing to turn back.

        :param back: coefficients of these orbitals in the others, shape (others, m) or empty
        """
        if not back.size:
            return self
        two = np.einsum("pi,qj,rk,sl,nijkl->npqrs", back, back, back, back, self.two, optimize=True)
        return Densities(back @ self.one @ back.T, two)
