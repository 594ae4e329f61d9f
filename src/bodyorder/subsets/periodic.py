"""Connected subsets of an infinite periodic arrangement of bodies, one representative for all its translated copies.

A body of the arrangement is a node (b, R): body b of the cell that is R cells away. Two subsets are one class if a translation
R takes one to the other. The sum over all classes is what belongs to one cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from bodyorder._checks import InputError, check_between
from bodyorder.subsets.family import MAX_BYTES, Family, beside_neighbours, match_rows, unique_rows

#: Nodes are numbers b·_PLACES + (R₁·_BASE + R₂)·_BASE + R₃ + _PLACES/2. A translation adds one number to all nodes of a subset
#: and keeps their order, as long as no |R_i| reaches half the base.
_BASE = 2**9
_PLACES = _BASE**3

#: Grown subsets that stand in memory at a time.
_CHUNK = 2**22


@dataclass(frozen=True)
class Joints:
    """Which bodies are joined, seen from the home cell.

    :param n_bodies: bodies in a cell
    :param first: body of the home cell, shape (n_pairs,)
    :param second: the body that it is joined to, shape (n_pairs,)
    :param shifts: and the cell which that one is in, shape (n_pairs, 3). Every pair comes from both of its ends.
    """

    n_bodies: int
    first: np.ndarray
    second: np.ndarray
    shifts: np.ndarray


@dataclass(frozen=True)
class PeriodicFamily(Family):
    """Connected subsets of a periodic arrangement, one of each class.

    ``members`` are indices of nodes. The node that comes first in a subset lies in the home cell.

    :param nodes: number of each node in ascending order, see :data:`_PLACES`
    """

    nodes: np.ndarray

    @property
    def bodies(self) -> np.ndarray:
        """Body of each node, shape (n_nodes,)."""
        return (self.nodes // _PLACES).astype(np.int64)

    @property
    def cells(self) -> np.ndarray:
        """Cell of each node, shape (n_nodes, 3)."""
        rest = self.nodes % _PLACES - _PLACES // 2
        cells = np.empty((len(self.nodes), 3), dtype=np.int64)
        for axis in (2, 1):
            cells[:, axis] = (rest + _BASE // 2) % _BASE - _BASE // 2
            rest = (rest - cells[:, axis]) // _BASE
        cells[:, 0] = rest
        return cells

    def index(self, subsets: np.ndarray) -> np.ndarray:
        """Row of the class of each subset among the members of its order, −1 where it is not connected.

        :param subsets: indices of nodes, ascending within a row, shape (n, k)
        :return: shape (n,)
        """
        moved = _home(self.nodes[subsets])
        places = np.minimum(np.searchsorted(self.nodes, moved), len(self.nodes) - 1)
        known = (self.nodes[places] == moved).all(axis=1)
        result = np.full(len(subsets), -1, dtype=np.int64)
        result[known] = match_rows(self.members[subsets.shape[1] - 1], places[known], len(self.nodes))
        return result

    def proper_subsets(self, order: int) -> Iterator[tuple[int, slice, csr_array]]:
        """For the subsets of one order, which classes their proper subsets belong to.

        A subset may hold several copies of one class, each comes once.

        :return: triples (m, rows, holds) as in :meth:`Family.proper_subsets`
        """
        members = self.members[order - 1]
        for size in range(1, order if len(members) else 1):
            for columns in combinations(range(order), size):
                index = self.index(members[:, columns])
                held = index >= 0
                stops = np.concatenate([[0], np.cumsum(held)])
                shape = (len(members), self.sizes[size - 1])
                yield size, slice(0, len(members)), csr_array((np.ones(stops[-1]), index[held], stops), shape=shape)


def connected_classes(joints: Joints, max_order: int) -> PeriodicFamily:
    """Every connected subset of up to ``max_order`` bodies, one of each class of translated copies.

    :param joints: which bodies are joined; in an arrangement that is not periodic all cells are the home cell
    :param max_order: largest order
    :raises InputError: if ``max_order`` is below one, or the family would take more than 4 GiB
    """
    check_between("max_order", max_order, 1, 2**31 - 1)
    order = np.argsort(joints.first, kind="stable")
    starts = np.searchsorted(joints.first[order], np.arange(joints.n_bodies + 1))
    steps = joints.second[order].astype(np.int64) * _PLACES + _shift_number(joints.shifts[order])
    layers = [np.arange(joints.n_bodies, dtype=np.int64)[:, None] * _PLACES + _PLACES // 2]
    room = MAX_BYTES // 8
    degrees = np.diff(starts)
    for size in range(2, max_order + 1):
        below = layers[-1]
        layer = np.empty((0, size), dtype=np.int64)
        # a subset has the neighbours of its best joined body outside it, and each larger one grows from no more than its size
        outside = degrees[below // _PLACES].max(axis=1, initial=0) - (size - 2)
        fits = int(outside.clip(min=0).sum()) // size * size <= room
        for grown in _grow(below, starts, steps) if fits else ():
            layer = _distinct(np.concatenate([layer, grown]))
            if not (fits := layer.size <= room):
                break
        if not fits:
            raise InputError(
                f"a connected family must fit in {MAX_BYTES / 2**30:g} GiB, that of {joints.n_bodies} bodies in a cell to "
                f"order {size} does not; lower max_order or give a shorter cutoff"
            )
        room -= layer.size
        layers.append(layer)
    nodes = np.unique(np.concatenate([layer.ravel() for layer in layers]))
    members = tuple(np.searchsorted(nodes, layer).astype(np.int32) for layer in layers)
    members = tuple(unique_rows(rows, len(nodes)) for rows in members)
    return PeriodicFamily(joints.n_bodies, members, "connected", nodes)


def _grow(rows: np.ndarray, starts: np.ndarray, steps: np.ndarray) -> Iterator[np.ndarray]:
    """Every subset with every node joined to one of its own behind it, moved home, a bounded number at a time."""
    for column in range(rows.shape[1]):
        for chosen, places in beside_neighbours(rows[:, column] // _PLACES, starts, _CHUNK):
            below = rows[chosen]
            new = steps[places] + below[:, column] % _PLACES
            fresh = (below != new[:, None]).all(axis=1)
            yield _distinct(_home(np.sort(np.column_stack([below[fresh], new[fresh]]), axis=1)))


def _home(rows: np.ndarray) -> np.ndarray:
    """Subsets moved so that their first node lies in the home cell."""
    return rows - (rows[:, :1] % _PLACES - _PLACES // 2)


def _distinct(rows: np.ndarray) -> np.ndarray:
    nodes, places = np.unique(rows, return_inverse=True)
    return nodes[unique_rows(places.reshape(rows.shape), max(1, len(nodes)))] if len(rows) else rows


def _shift_number(shifts: np.ndarray) -> np.ndarray:
    shifts = np.asarray(shifts, dtype=np.int64)
    return (shifts[:, 0] * _BASE + shifts[:, 1]) * _BASE + shifts[:, 2]
