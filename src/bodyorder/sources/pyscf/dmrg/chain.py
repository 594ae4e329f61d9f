"""Orbitals for a matrix product state, and their order along the chain.

The less its orbitals are entangled and the closer those stand that are, the smaller a matrix product state may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

#: Orbitals whose exchange integral (hartree) is below this have nothing to do with each other. Above it, rounding does not
#: hide which end of a fragment is closer to the others.
UNRELATED = 1e-12


@dataclass(frozen=True)
class Chain:
    """The Hamiltonian of one sub-cluster over m orthonormal orbitals in the order of the chain, in hartree.

    :param core: one-electron integrals, shape (m, m)
    :param repulsion: (pq|rs), shape (m, m, m, m)
    :param n_electrons: at least one
    """

    core: np.ndarray
    repulsion: np.ndarray
    n_electrons: int

    @property
    def n_orbitals(self) -> int:
        """Number of orbitals."""
        return len(self.core)


def arrange(core: np.ndarray, repulsion: np.ndarray, n_electrons: int, atoms: np.ndarray) -> Chain:
    """Turn each atom's orbitals among themselves, and put all of them in order.

    The Fock matrix of electrons spread evenly over all orbitals is diagonalised atom by atom. That parts an atom's functions
    into occupied and nearly empty ones, which are less entangled, keeps them local, and turns them with the molecule.

    :param core: one-electron integrals over orthonormal orbitals, shape (m, m)
    :param repulsion: (pq|rs), shape (m, m, m, m)
    :param atoms: the atom that each orbital belongs to, shape (m,)
    """
    direct = np.einsum("pqrr->pq", repulsion) - 0.5 * np.einsum("prrq->pq", repulsion)
    fock = core + (n_electrons / len(core)) * direct
    rotation = np.zeros_like(core)
    for atom in np.unique(atoms):
        own = np.ix_(*(np.flatnonzero(atoms == atom),) * 2)
        rotation[own] = np.linalg.eigh(fock[own])[1]
    turned = repulsion
    for _ in range(4):  # each index in turn, the finished one goes to the end
        turned = np.tensordot(turned, rotation, axes=(0, 0))
    order = spectral_order(np.einsum("pqqp->pq", turned))
    return Chain(
        (rotation.T @ core @ rotation)[np.ix_(order, order)],
        np.ascontiguousarray(turned[np.ix_(order, order, order, order)]),
        n_electrons,
    )


def spectral_order(exchange: np.ndarray) -> np.ndarray:
    """An order that keeps orbitals with large exchange integrals close to each other.

    Fiedler's vector of the graph weighted with the integrals (Barcza et al., Phys. Rev. A 83, 012508 (2011),
    doi:10.1103/PhysRevA.83.012508), in each part of the graph on its own.

    :param exchange: (pq|qp) in hartree, shape (m, m)
    :return: numbers of the orbitals along the chain, shape (m,)
    """
    weights = np.abs(exchange)
    np.fill_diagonal(weights, 0.0)
    count, labels = connected_components(weights > UNRELATED, directed=False)
    order = []
    for label in range(count):
        part = np.flatnonzero(labels == label)
        own = weights[np.ix_(part, part)]
        vectors = np.linalg.eigh(np.diag(own.sum(axis=1)) - own)[1]
        order.append(part[np.argsort(vectors[:, min(1, len(part) - 1)], kind="stable")])
    return np.concatenate(order)
