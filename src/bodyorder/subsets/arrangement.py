"""Bodies and which of them are joined, free or repeated without end, as far as connected subsets of a given order reach.

A body of a periodic arrangement is a node (b, R): body b of the cell that is R cells away. Two subsets are one class if a
translation R takes one to the other; of each class the one is taken whose first node lies in the home cell. A free arrangement is
one whose bodies are joined inside the home cell only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bodyorder._checks import InputError
from bodyorder.subsets.family import too_large

#: Nodes are numbers b·_PLACES + (R₁·_BASE + R₂)·_BASE + R₃ + _PLACES/2. A translation adds one number to all nodes of a subset
#: and keeps their order, as long as no |R_i| reaches half the base.
_BASE = 2**9
_PLACES = _BASE**3
_HOME = _PLACES // 2


#: Nodes that have more neighbours than this between them are refused: their list would take a few GiB while it is made.
MOST_NEIGHBOURS = 2**27


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

    @property
    def bodies(self) -> str:
        """What messages call them."""
        return f"{self.n_bodies} bodies" + " in a cell" * bool(self.shifts.any())


@dataclass(frozen=True)
class Arrangement:
    """The nodes that subsets can hold, and their neighbours.

    :param nodes: number of each node in ascending order, see :data:`_PLACES`
    :param starts: the neighbours of node i are those from ``starts[i]`` to ``starts[i + 1]``
    :param neighbours: indices of nodes, ascending for each node
    :param home: whether each node lies in the home cell
    :param words: a random number for each node; the sum over a subset, wrapped around, tells subsets apart
    """

    nodes: np.ndarray
    starts: np.ndarray
    neighbours: np.ndarray
    home: np.ndarray
    words: np.ndarray

    @classmethod
    def around(cls, joints: Joints, steps: int) -> Arrangement:
        """All nodes that can be reached from the home cell.

        :param steps: from node to joined node
        :raises InputError: if they lie too many cells away, or are too many
        """
        order = np.argsort(joints.first, kind="stable")
        starts = np.searchsorted(joints.first[order], np.arange(joints.n_bodies + 1))
        shifts = np.asarray(joints.shifts, dtype=np.int64)[order]
        longest = int(np.abs(shifts).max(initial=0))
        if longest * steps >= _BASE // 2:
            raise InputError(
                f"subsets must stay within {_BASE // 2 - 1} cells, {steps} steps between joined bodies go farther; "
                "lower max_order or give a larger cell"
            )
        reach = joints.second[order].astype(np.int64) * _PLACES + (shifts @ np.array([_BASE**2, _BASE, 1]))
        nodes = fresh = np.arange(joints.n_bodies, dtype=np.int64) * _PLACES + _HOME
        inner = nodes[:0]
        for step in range(1, steps + 1):
            if np.diff(starts)[fresh // _PLACES].sum() > MOST_NEIGHBOURS:
                raise InputError(too_large("connected", joints.bodies, step + 1, "a shorter cutoff"))
            fresh = np.setdiff1d(np.unique(_steps(fresh, starts, reach)[1]), nodes, assume_unique=True)
            if not len(fresh):
                inner = nodes
                break
            inner, nodes = nodes, np.union1d(nodes, fresh)
        # no subset goes on from the nodes of the last step
        owners, ends = _steps(inner, starts, reach)
        owners, places = np.searchsorted(nodes, inner)[owners], np.searchsorted(nodes, ends)
        ranks = np.lexsort((places, owners))
        return cls(
            nodes,
            np.searchsorted(owners[ranks], np.arange(len(nodes) + 1)),
            places[ranks].astype(np.int32),
            nodes % _PLACES == _HOME,
            np.random.default_rng(0).integers(2**64, size=len(nodes), dtype=np.uint64),
        )

    @property
    def bodies(self) -> np.ndarray:
        """Body of each node, shape (n_nodes,)."""
        return self.nodes // _PLACES

    @property
    def cells(self) -> np.ndarray:
        """Cell of each node, shape (n_nodes, 3)."""
        rest = self.nodes % _PLACES - _HOME
        cells = np.empty((len(self.nodes), 3), dtype=np.int64)
        for axis in (2, 1):
            cells[:, axis] = (rest + _BASE // 2) % _BASE - _BASE // 2
            rest = (rest - cells[:, axis]) // _BASE
        cells[:, 0] = rest
        return cells

    def moved_home(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Subsets moved so that their first node lies in the home cell.

        :param rows: nodes, ascending within a row, shape (n, k)
        :return: nodes, shape (n, k), and for each subset whether all of them are among the nodes, shape (n,)
        """
        numbers = self.nodes[rows]
        numbers = numbers - (numbers[:, :1] % _PLACES - _HOME)
        places = np.minimum(np.searchsorted(self.nodes, numbers), len(self.nodes) - 1)
        return places.astype(np.int32), (self.nodes[places] == numbers).all(axis=1)

    def beside(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every node beside every neighbour of its own: places among ``nodes``, and neighbours."""
        chosen, places = spread(nodes, self.starts)
        return chosen, self.neighbours[places]

    def degrees(self, nodes: np.ndarray) -> np.ndarray:
        """Number of neighbours, in the shape of ``nodes``."""
        return self.starts[nodes + 1] - self.starts[nodes]


def spread(owners: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every owner beside every entry of its own in a list that holds those of owner b from ``starts[b]`` to ``starts[b + 1]``.

    :return: places among ``owners``, and places in the list
    """
    counts = starts[owners + 1] - starts[owners]
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(np.arange(len(owners)), counts), np.repeat(starts[owners], counts) + offsets


def portions(counts: np.ndarray, most: int) -> Iterator[slice]:
    """Consecutive rows whose counts add up to about ``most``, one row at the least."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(start, stop)
        start = stop


def _steps(nodes: np.ndarray, starts: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step from each node along each of its joints: places among ``nodes``, and numbers of the nodes reached."""
    chosen, places = spread(nodes // _PLACES, starts)
    return chosen, reach[places] + nodes[chosen] % _PLACES
