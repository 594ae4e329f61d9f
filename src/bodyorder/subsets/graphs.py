"""Families of a graph: all connected subsets, of which one of each class if the graph is periodic, and all cliques."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from bodyorder._checks import InputError, check_between
from bodyorder.subsets.arrangement import Arrangement, Joints
from bodyorder.subsets.family import BYTES, MAX_BYTES, Chunk, Family, check_order, too_large
from bodyorder.subsets.growth import Grown, Layer, cliques_beyond, connected_beyond, singles

#: A largest order of more subsets than this is not kept in memory where it may be made again.
HELD = 2**22


@dataclass(frozen=True)
class ConnectedFamily(Family):
    """Connected subsets of a free or periodic arrangement of bodies, one of each class of periodic images.

    ``members`` are indices of nodes, in a free arrangement the bodies. The first node of a subset lies in the home cell.

    :param arrangement: the nodes
    :param layers: the subsets of each order that is kept
    :param n_streamed: subsets of one order more, which are made when they are asked for, in no order that has a name; 0 if
        there is no such order
    :param holders: how many of these hold each subset of each order that is kept
    """

    arrangement: Arrangement
    layers: tuple[Layer, ...]
    n_streamed: int = 0
    holders: tuple[np.ndarray, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of subsets of each order."""
        return super().sizes + (self.n_streamed,) * bool(self.n_streamed)

    @property
    def nodes(self) -> Arrangement:
        """Which bodies in which cells the members are."""
        return self.arrangement

    @property
    def n_holders(self) -> tuple[np.ndarray, ...]:
        """How many subsets of the largest order hold each subset of each smaller one, where it is made when it is asked for."""
        return self.holders

    def chunks(self, order: int) -> Iterator[Chunk]:
        """The subsets of one order, a bounded number at a time."""
        if order <= len(self.members):
            yield from super().chunks(order)
            return
        first = 0
        for grown in connected_beyond(self.layers[-1]):
            yield Chunk(first, *grown)
            first += len(grown.members)

    def index(self, subsets: np.ndarray) -> np.ndarray:
        """Row of the class of each subset among the members of its order, −1 where it is not connected.

        :param subsets: indices of nodes, ascending within a row, shape (n, k); k is an order that is kept
        :return: shape (n,)
        """
        moved, known = self.arrangement.moved_home(subsets)
        found = np.full(len(subsets), -1, dtype=np.int64)
        found[known] = self.layers[subsets.shape[1] - 1].find(moved[known])
        return found

    def table(self, order: int) -> np.ndarray:
        """Parts one body smaller of all subsets of an order that is kept, one more row behind them."""
        return self.layers[order - 1].table


def connected(adjacency: np.ndarray, max_order: int | None = None) -> ConnectedFamily:
    """Every subset that is connected in a graph: all that contributes when distant parts do not feel each other.

    :param adjacency: which bodies are joined, boolean and symmetric, shape (N, N)
    :param max_order: largest order; N if not given. Orders that no subset reaches are empty.
    :raises InputError: for an adjacency that is not square and symmetric, ``max_order`` outside 1 … N, or a family that would
        take more than 4 GiB
    """
    return connected_classes(_joints(adjacency), check_order(len(adjacency), max_order))


def connected_classes(joints: Joints, max_order: int, *, streamed: bool = False) -> ConnectedFamily:
    """Every connected subset of up to ``max_order`` bodies, one of each class of periodic images.

    :param joints: which bodies are joined; in an arrangement that is not periodic all cells are the home cell
    :param max_order: largest order
    :param streamed: whether subsets of the largest order may be made when they are asked for, if they are more than
        :data:`HELD`; the family then has no bound on their number
    :raises InputError: if ``max_order`` is below one, or the family would take more than 4 GiB
    """
    check_between("max_order", max_order, 1, 2**31 - 1)
    arrangement = Arrangement.around(joints, max_order - 1)

    def at_least(layer: Layer) -> int:
        # A subset has the neighbours of its best joined body outside it, and each subset grows from no more than its size.
        outside = arrangement.degrees(layer.members).max(axis=1, initial=0) - (layer.order - 1)
        return int(outside.clip(min=0).sum()) // (layer.order + 1)

    layers = [Layer(arrangement, singles(arrangement))]
    room = MAX_BYTES // BYTES - layers[0].members.size
    for order in range(2, max_order + 1):
        last = streamed and order == max_order
        most = HELD if last else room // order
        fits = at_least(layers[-1]) <= most
        grown = gathered(connected_beyond(layers[-1]), order, most) if fits else None
        if grown is None:
            if not last:
                raise InputError(too_large("connected", joints.bodies, order, "a shorter cutoff"))
            return _streamed(_family(joints, layers))
        layers.append(Layer(arrangement, grown))
        room -= grown.members.size
    return _family(joints, layers)


def cliques(adjacency: np.ndarray, max_order: int | None = None) -> Family:
    """Every subset whose bodies are all joined to each other: a family closed under taking subsets.

    :param adjacency: which bodies are joined, boolean and symmetric, shape (N, N)
    :param max_order: largest order; N if not given. Orders that no subset reaches are empty.
    :raises InputError: for an adjacency that is not square and symmetric, ``max_order`` outside 1 … N, or a family that would
        take more than 4 GiB
    """
    joints = _joints(adjacency)
    top = check_order(len(adjacency), max_order)
    arrangement = Arrangement.around(joints, 1)
    layers = [Layer(arrangement, singles(arrangement))]
    room = MAX_BYTES // BYTES - layers[0].members.size
    for order in range(2, top + 1):
        grown = gathered(cliques_beyond(layers[-1]), order, room // order)
        if grown is None:
            raise InputError(too_large("clique", joints.bodies, order, "a shorter cutoff"))
        layers.append(Layer(arrangement, grown))
        room -= grown.members.size
    family = Family(joints.n_bodies, tuple(layer.members for layer in layers), "cliques")
    family.tables.update({order: layer.table for order, layer in enumerate(layers, start=1)})
    return family


def _family(joints: Joints, layers: list[Layer]) -> ConnectedFamily:
    members = tuple(layer.members for layer in layers)
    return ConnectedFamily(joints.n_bodies, members, "connected", layers[0].arrangement, tuple(layers))


def _streamed(family: ConnectedFamily) -> ConnectedFamily:
    """The family with one order more, whose subsets are counted."""
    count, holders = 0, [np.zeros(size, dtype=np.int64) for size in family.sizes]
    for grown in connected_beyond(family.layers[-1]):
        count += len(grown.members)
        for size, index in family.inside(grown.parts):
            known = index if (index >= 0).all() else index[index >= 0]
            holders[size - 1] += np.bincount(known, minlength=len(holders[size - 1]))
    return replace(family, n_streamed=count, holders=tuple(holders))


def gathered(pieces: Iterable[Grown], order: int, most: int) -> Grown | None:
    """All pieces as one, in colexicographic order.

    :param order: of their subsets
    :param most: None is returned as soon as there are more
    """
    found = [Grown(*(np.empty((0, order), dtype=np.int32) for _ in Grown._fields))]
    for piece in pieces:
        found.append(piece)
        most -= len(piece.members)
        if most < 0:
            return None
    members, parts = (np.concatenate(columns) for columns in zip(*found, strict=True))
    rank = np.lexsort(members.T)
    return Grown(members[rank], parts[rank])


def _joints(adjacency: np.ndarray) -> Joints:
    if adjacency.ndim != 2 or adjacency.dtype != bool or (adjacency != adjacency.T).any():
        raise InputError("`adjacency` must be a symmetric boolean matrix")
    first, second = np.nonzero(adjacency & ~np.eye(len(adjacency), dtype=bool))
    return Joints(len(adjacency), first, second, np.zeros((len(first), 3), dtype=np.int64))
