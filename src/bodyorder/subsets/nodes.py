"""Nodes, the bodies of an arrangement that may repeat without end, as numbers.

A node (b, R) is body b of the cell that is R cells away. Two subsets of nodes are one class if a translation R takes one to the
other; of each class the one is taken whose first node lies in the home cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Nodes are numbers b·PLACES + (R₁·BASE + R₂)·BASE + R₃ + PLACES/2. A translation adds one number to all nodes of a subset
#: and keeps their order, as long as no |R_i| reaches half the base.
BASE = 2**9
PLACES = BASE**3
HOME = PLACES // 2


@dataclass(frozen=True)
class Nodes:
    """Some nodes.

    :param nodes: their numbers in ascending order, see :data:`PLACES`
    """

    nodes: np.ndarray

    @property
    def bodies(self) -> np.ndarray:
        """Body of each node, shape (n_nodes,)."""
        return bodies_of(self.nodes)

    @property
    def cells(self) -> np.ndarray:
        """Cell of each node, shape (n_nodes, 3)."""
        rest = self.nodes % PLACES - HOME
        cells = np.empty((len(self.nodes), 3), dtype=np.int64)
        for axis in (2, 1):
            cells[:, axis] = (rest + BASE // 2) % BASE - BASE // 2
            rest = (rest - cells[:, axis]) // BASE
        cells[:, 0] = rest
        return cells

    def moved_home(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Subsets moved so that their first node lies in the home cell.

        :param rows: places of nodes, ascending within a row, shape (n, k)
        :return: places, shape (n, k), and for each subset whether all of them are among the nodes, shape (n,)
        """
        numbers = moved_home(self.nodes[rows])
        places = np.minimum(np.searchsorted(self.nodes, numbers), len(self.nodes) - 1)
        return places.astype(np.int32), (self.nodes[places] == numbers).all(axis=1)


def home_nodes(n_bodies: int) -> np.ndarray:
    """Numbers of the nodes in the home cell, shape (n_bodies,)."""
    return np.arange(n_bodies, dtype=np.int64) * PLACES + HOME


def moved_home(numbers: np.ndarray) -> np.ndarray:
    """Subsets moved so that their first node lies in the home cell.

    :param numbers: of nodes, ascending within a row, shape (n, k)
    """
    return numbers - (numbers[:, :1] % PLACES - HOME)


def stepped(nodes: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Numbers of the nodes that one step leads to.

    :param nodes: numbers of where it begins
    :param reach: of the joint gone along, see :meth:`Joints.lists`
    """
    return reach + nodes % PLACES


def bodies_of(nodes: np.ndarray) -> np.ndarray:
    """Bodies of nodes, in their shape."""
    return nodes // PLACES


def seen_from(nodes: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """What :meth:`Joints.lists` would say of joints that lead from the origins to the nodes."""
    return nodes - origins % PLACES
