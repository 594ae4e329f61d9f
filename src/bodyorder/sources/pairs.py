"""Which atoms see each other: pairs nearer than a cutoff, inside sub-clusters and in periodic structures.

An atom exactly at the cutoff is beyond it, as it is for the engine, which takes such atoms for unconnected.
"""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from scipy.spatial import cKDTree

from bodyorder.structures.clusters import FloatArray, IntArray
from bodyorder.structures.neighbours import neighbours

#: Sub-clusters with more atoms than this have their pairs found by a tree, others by looking at all of them.
DENSE = 64
#: How much farther trees and lists look, as a fraction: all ways then tell by the same numbers what is near.
_MARGIN = 1e-9


@dataclass(frozen=True)
class Pairs:
    """Pairs of atoms.

    :param first: index of one atom, those of one sub-cluster after those of another, shape (m,)
    :param second: index of the other, shape (m,)
    :param vectors: from the first to the second in Å, shape (m, 3)
    :param shifts: cells between them, whole numbers; without periodic boundaries zero, shape (m, 3)
    """

    first: IntArray
    second: IntArray
    vectors: FloatArray
    shifts: IntArray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def distances(self) -> FloatArray:
        """Of the atoms from each other in Å, shape (m,)."""
        return np.sqrt(np.einsum("ix,ix->i", self.vectors, self.vectors))

    def both_ways(self) -> Pairs:
        """Every pair seen from each of its atoms."""
        return Pairs(
            np.concatenate([self.first, self.second]),
            np.concatenate([self.second, self.first]),
            np.concatenate([self.vectors, -self.vectors]),
            np.concatenate([self.shifts, -self.shifts]),
        )


def pairs_inside(positions: FloatArray, cutoff: float) -> Pairs:
    """Pairs inside each of many sub-clusters, each pair once.

    :param positions: in Å, shape (n, k, 3)
    :param cutoff: in Å
    """
    k = positions.shape[1]
    if k > DENSE:
        found = [
            cKDTree(cluster).query_pairs((1 + _MARGIN) * cutoff, output_type="ndarray") + k * row
            for row, cluster in enumerate(positions)
        ]
        first, second = np.concatenate(found).T
        flat = positions.reshape(-1, 3)
        vectors = flat[second] - flat[first]
        near = _are_near(vectors, cutoff)
        first, second, vectors = first[near], second[near], vectors[near]
    else:
        one, other = np.triu_indices(k, 1)
        vectors = positions[:, other] - positions[:, one]
        row, pair = np.nonzero(_are_near(vectors, cutoff))
        first, second, vectors = k * row + one[pair], k * row + other[pair], vectors[row, pair]
    return Pairs(first, second, vectors, np.zeros((len(first), 3), dtype=np.int64))


def pairs_of_cell(atoms: ase.Atoms, cutoff: float) -> Pairs:
    """Pairs of a periodic structure by cell, each pair once; an atom may be a pair with its own image.

    :param atoms: periodic in any number of directions
    :param cutoff: in Å
    """
    first, second, vectors, shifts = neighbours("ijDS", atoms, (1 + _MARGIN) * cutoff)
    # of a pair seen from both ends: from the lower atom, or forward in space to an image
    ahead = np.where(shifts[:, 0] != 0, shifts[:, 0], np.where(shifts[:, 1] != 0, shifts[:, 1], shifts[:, 2]))
    once = _are_near(vectors, cutoff) & ((first < second) | ((first == second) & (ahead > 0)))
    return Pairs(first[once], second[once], vectors[once], shifts[once].astype(np.int64))


def _are_near(vectors: FloatArray, cutoff: float) -> np.ndarray:
    return np.einsum("...x,...x->...", vectors, vectors) < cutoff**2
