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
from bodyorder.subsets.nodes import BASE, HOME, PLACES, Nodes, bodies_of, home_nodes, stepped

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

    def lists(self, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The joints of each body one after the other.

        :param steps: how many of them will be gone along
        :return: the joints in this order; where those of each body begin, shape (n_bodies + 1,); and what is to be added to the
            cell of a node to have the number of the node that it is joined to
        :raises InputError: if so many steps lead too many cells away
        """
        order = np.argsort(self.first, kind="stable")
        starts = np.searchsorted(self.first[order], np.arange(self.n_bodies + 1))
        shifts = np.asarray(self.shifts, dtype=np.int64)[order]
        if int(np.abs(shifts).max(initial=0)) * steps >= BASE // 2:
            raise InputError(
                f"subsets must stay within {BASE // 2 - 1} cells, {steps} steps between joined bodies go farther; "
                "lower max_order or give a larger cell"
            )
        return order, starts, self.second[order].astype(np.int64) * PLACES + (shifts @ np.array([BASE**2, BASE, 1]))


@dataclass(frozen=True)
class Arrangement(Nodes):
    """The nodes that subsets can hold, and their neighbours.

    :param starts: the neighbours of node i are those from ``starts[i]`` to ``starts[i + 1]``
    :param neighbours: indices of nodes, ascending for each node
    :param home: whether each node lies in the home cell
    :param words: a random number for each node; the sum over a subset, wrapped around, tells subsets apart
    """

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
        _, starts, reach = joints.lists(steps)
        nodes = fresh = home_nodes(joints.n_bodies)
        inner = nodes[:0]
        for step in range(1, steps + 1):
            if np.diff(starts)[bodies_of(fresh)].sum() > MOST_NEIGHBOURS:
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
            nodes % PLACES == HOME,
            np.random.default_rng(0).integers(2**64, size=len(nodes), dtype=np.uint64),
        )

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
    chosen, places = spread(bodies_of(nodes), starts)
    return chosen, stepped(nodes[chosen], reach[places])
