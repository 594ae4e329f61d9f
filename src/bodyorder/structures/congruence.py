"""Which sub-clusters are congruent: rotated, reflected, shifted, or with equal atoms in another order."""

from __future__ import annotations

import numpy as np

from bodyorder._checks import check_positive
from bodyorder.structures.clusters import ClusterBatch

#: Distances that agree to this length (Å) are the same. What it changes in an energy is below 1e-9 eV.
SHAPE_RESOLUTION = 1e-11

#: Rounds in which every site learns of its surroundings before sites that still look alike are told apart by choice.
_ROUNDS = 2

#: What one elementary charge counts for beside atomic numbers.
_CHARGE = 256

_NONE: tuple[int, ...] = ()


class Shapes:
    """The shapes of the sub-clusters met so far, each known by the first that had it, its representative.

    A sub-cluster is congruent to a representative if its sites (atoms, and those that lend their functions) can be brought into
    an order in which elements and charge agree and no distance differs by more than half the tolerance; mirror images are
    congruent. Two of one representative never differ by more than the tolerance, and none is missed for where its distances lie,
    as there are no bins to fall into. One that fits several is given to the oldest. One may be missed where the order of its
    sites is not found:

    - It follows from the distances by refinement: sites are told apart by their distances to all others, then by what those
      look like; among sites that still look alike one is singled out, and so on (McKay and Piperno, J. Symb. Comput. 60, 94
      (2014), doi:10.1016/j.jsc.2013.09.003). Only one choice is followed, which is enough where the sites that look alike are
      related by symmetry.
    - Different distances of one sub-cluster look alike if they, or others between them, are within the tolerance of each other.

    :param tolerance: in Å
    """

    def __init__(self, tolerance: float = SHAPE_RESOLUTION):
        self._reach = check_positive("tolerance", tolerance) / 2
        # what _sites gives of each representative, and the representatives in each bin of _bins
        self._representatives: list[np.ndarray] = []
        self._bins: dict[int, tuple[int, ...]] = {}

    def of(self, batch: ClusterBatch) -> np.ndarray:
        """Number of the representative of each sub-cluster; those that are congruent to none become representatives.

        :param batch: n sub-clusters
        :return: from 0 in the order in which representatives are met, shape (n,)
        """
        sites = _sites(batch)
        distances = _distances(sites)
        own, near = _bins(sites, distances, self._reach)
        found = np.full(len(sites), -1, dtype=np.int64)
        left = list(range(len(sites)))
        refused: dict[int, set[int]] = {}
        there = self._bins.get
        while left:
            new: list[int] = []
            asked: list[tuple[int, int]] = []
            for row in left:
                a, b, c, d = near[row]
                old = there(a, _NONE) + there(b, _NONE) + there(c, _NONE) + there(d, _NONE)
                if row in refused:
                    old = tuple(set(old) - refused[row])
                if old:
                    asked.append((row, min(old)))
                else:
                    found[row] = representative = len(self._representatives) + len(new)
                    self._bins[own[row]] = (*there(own[row], _NONE), representative)
                    new.append(row)
            self._representatives.extend(sites[new])
            left = []
            if asked:
                rows, representatives = np.array(asked).T
                same = self._agree(sites[rows], distances[rows], representatives)
                found[rows[same]] = representatives[same]
                left = rows[~same].tolist()
                for row, representative in zip(left, representatives[~same].tolist(), strict=True):
                    refused.setdefault(row, set()).add(representative)
        return found

    def _agree(self, sites: np.ndarray, one: np.ndarray, representatives: np.ndarray) -> np.ndarray:
        """Whether each of n sub-clusters, with their distances, is congruent to a representative, shape (n,)."""
        known, which = np.unique(representatives, return_inverse=True)
        other_sites = np.stack([self._representatives[representative] for representative in known])
        other = _distances(other_sites)
        ranks, lengths = _sorted(one)
        other_ranks, other_lengths = _sorted(other)
        same = (np.abs(lengths - other_lengths[which]) <= self._reach).all(axis=1)
        rows = np.flatnonzero(same)
        one, which = one[rows], which[rows]
        # Distances of a representative that another may have in each other's place count as one. Those of the other count as its
        # in the same place among all: sorting takes none further apart than it is.
        classes = np.cumsum(np.diff(other_lengths, axis=1, prepend=0.0) > 2 * self._reach, axis=1)
        kinds, other_kinds = (some[..., 0].astype(np.int64) for some in (sites[rows], other_sites))
        order = _order(kinds, _matrices(ranks[rows], classes[which], one))
        other_order = _order(other_kinds, _matrices(other_ranks, classes, other))[which]
        apart = _reordered(one, order) - _reordered(other[which], other_order)
        alike = np.take_along_axis(kinds, order, axis=1) == np.take_along_axis(other_kinds[which], other_order, axis=1)
        same[rows] = (np.abs(apart) <= self._reach).all(axis=(1, 2)) & alike.all(axis=1)
        return same


def _sites(batch: ClusterBatch) -> np.ndarray:
    """What each site is and where, shape (n, sites, 4): its atomic number, below 0 if it only lends its functions, plus
    :data:`_CHARGE` times the charge of the sub-cluster, and its position in Å."""
    numbers, positions = batch.numbers, batch.positions
    if batch.ghosts.shape[1]:
        elements, places = batch.of_ghosts()
        numbers = np.concatenate([numbers, -elements], axis=1)
        positions = np.concatenate([positions, places], axis=1)
    kinds = numbers + _CHARGE * batch.charges[:, None]
    return np.concatenate([kinds[:, :, None], positions], axis=2)


def _distances(sites: np.ndarray) -> np.ndarray:
    apart = [axis[:, :, None] - axis[:, None] for axis in np.moveaxis(sites[..., 1:], 2, 0)]
    return np.sqrt(apart[0] ** 2 + apart[1] ** 2 + apart[2] ** 2)


def _sorted(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of sites (a matrix above its diagonal) by distance, and these distances, shapes (n, pairs)."""
    first, second = np.triu_indices(distances.shape[1], 1)
    lengths = distances[:, first, second]
    ranks = np.argsort(lengths, axis=1)
    return ranks, np.take_along_axis(lengths, ranks, axis=1)


def _matrices(ranks: np.ndarray, values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Symmetric matrices, 0 on the diagonal, of what the pairs have that :func:`_sorted` gave."""
    first, second = np.triu_indices(like.shape[1], 1)
    pairs = np.empty_like(values)
    np.put_along_axis(pairs, ranks, values, axis=1)
    matrices = np.zeros(like.shape, dtype=values.dtype)
    matrices[:, first, second] = matrices[:, second, first] = pairs
    return matrices


def _reordered(matrices: np.ndarray, order: np.ndarray) -> np.ndarray:
    rows = np.arange(len(order))[:, None, None]
    return matrices[rows, order[:, :, None], order[:, None, :]]


def _bins(sites: np.ndarray, distances: np.ndarray, reach: float) -> tuple[list[int], list[list[int]]]:
    """A bin for each sub-cluster as a representative, and the four bins in which those are that it may be congruent to.

    What is binned does not depend on the order of sites, and changes little with distances: their sum and the longest. Bins are
    twice as wide as what the errors allowed can change, so that a representative is in the same bin or the next one.
    """
    n_pairs = max(1, sites.shape[1] * (sites.shape[1] - 1) // 2)
    sums, longest = distances.sum(axis=(1, 2)) / 2, distances.max(axis=(1, 2))
    places = np.stack([sums / (2 * n_pairs * reach), longest / (2 * reach)], axis=1)
    kinds = _mixed(_mixed(sites[..., 0].astype(np.int64).view(np.uint64)).sum(axis=1) + np.uint64(sites.shape[1]))

    def codes(bins: np.ndarray) -> np.ndarray:
        words = bins.astype(np.int64).view(np.uint64)
        return _mixed(_mixed(kinds ^ words[:, 0]) ^ words[:, 1])

    below = np.floor(places - 0.5)
    near = [codes(below + step) for step in ([0, 0], [0, 1], [1, 0], [1, 1])]
    return codes(np.floor(places)).tolist(), np.column_stack(near).tolist()


def _order(numbers: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """An order of the sites of each sub-cluster that does not depend on the order they are given in, shape (n, sites)."""
    n, sites = numbers.shape
    apart = _mixed(grid.view(np.uint64))
    marks = _mixed(numbers.astype(np.int64).view(np.uint64))
    for _ in range(_ROUNDS):
        marks = _refined(marks, apart)
    open_rows = np.arange(n)
    for step in range(1, sites):
        ordered = np.sort(marks[open_rows], axis=1)
        same = ordered[:, 1:] == ordered[:, :-1]
        alike = same.any(axis=1)
        open_rows, ordered, same = open_rows[alike], ordered[alike], same[alike]
        if not len(open_rows):
            break
        tied = np.take_along_axis(ordered, np.argmax(same, axis=1)[:, None], axis=1)
        chosen = np.argmax(marks[open_rows] == tied, axis=1)
        marks[open_rows, chosen] += np.uint64(step)
        for _ in range(_ROUNDS):
            marks[open_rows] = _refined(marks[open_rows], apart[open_rows])
    return np.argsort(marks, axis=1, kind="stable")


def _refined(marks: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """The mark of each site after it has learnt the marks of all sites and how far they are; whole numbers wrap around."""
    return _mixed(_mixed(apart ^ marks[:, None, :]).sum(axis=2) + np.uint64(3) * marks)


def _mixed(words: np.ndarray) -> np.ndarray:
    """Scatter 64-bit words (the finaliser of SplitMix64, doi:10.1145/2660193.2660195)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
