"""Samples of the connected subsets of a graph, free or repeated without end: for energies that are additive over distant parts.

A subset grows along joints from any body of the home cell. What it can become is what contributes, however many bodies or cells
there are. Of the parts of a subset only connected ones are needed, and of those that are periodic images of each other one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bodyorder.subsets.arrangement import Arrangement, Joints, spread
from bodyorder.subsets.family import Family, match_rows, unique_rows
from bodyorder.subsets.graphs import gathered
from bodyorder.subsets.growth import Layer, connected_beyond, singles
from bodyorder.subsets.nodes import Nodes, bodies_of, home_nodes, moved_home, seen_from, stepped
from bodyorder.subsets.sampling import Growth, probabilities


@dataclass(frozen=True)
class SampledFamily(Family):
    """Some connected subsets and all their connected parts, one of each class of periodic images.

    ``members`` are places of nodes. The first node of a subset lies in the home cell.

    :param held: the nodes that occur, and all of the home cell
    """

    held: Nodes

    @property
    def nodes(self) -> Nodes:
        """Which bodies in which cells the members are."""
        return self.held

    def index(self, subsets: np.ndarray) -> np.ndarray:
        """Row of the class of each subset among the members of its order, −1 where the family does not hold it.

        :param subsets: places of nodes, ascending within a row, shape (n, k)
        :return: shape (n,)
        """
        moved, known = self.nodes.moved_home(subsets)
        found = np.full(len(subsets), -1, dtype=np.int64)
        found[known] = match_rows(self.members[subsets.shape[1] - 1], moved[known], len(self.nodes.nodes))
        return found


class ConnectedGrowth(Growth):
    """Connected subsets grown body by body along joints.

    The first is a body of the home cell: every other time any that is joined, else with a probability in proportion to the
    strength of all its joints, since where these are many most subsets are. Each next one b comes with a probability in
    proportion to Σ_t strength(b, t). One body alone is any.

    Subsets are rows of numbers of nodes, see :mod:`bodyorder.subsets.arrangement`.

    :param joints: which bodies are joined
    :param strengths: how strongly, positive, shape (n_pairs,)
    :param max_order: largest order that will be drawn
    :raises InputError: if subsets can reach too many cells
    """

    def __init__(self, joints: Joints, strengths: np.ndarray, max_order: int):
        self._joints = joints
        # all subsets of the orders that were found to have few
        self._orders: list[np.ndarray] = []
        order, self._starts, self._reach = joints.lists(max_order)
        self._strengths = np.asarray(strengths, dtype=np.float64)[order]
        owners = np.repeat(np.arange(joints.n_bodies), np.diff(self._starts))
        self._totals = np.bincount(owners, self._strengths, minlength=joints.n_bodies)
        # joints in an order in which they can be looked up
        self._sorted = np.lexsort((self._reach, owners))
        self._keys = self._reach[self._sorted]

    def count(self, order: int) -> float:
        """Unknown, for all that this says."""
        return float(self._joints.n_bodies) if order == 1 else np.inf

    def whole(self, order: int, most: int) -> np.ndarray | None:
        """All subsets of an order if there are no more than ``most``, neither of it nor of a smaller one."""
        while len(self._orders) < order:
            # no farther than there are few
            if self._orders and len(self._orders[-1]) > most:
                return None
            arrangement = Arrangement.around(self._joints, len(self._orders))
            rows = _all_connected(arrangement, len(self._orders) + 1, most)
            if rows is None:
                return None
            self._orders.append(arrangement.nodes[rows])
        return self._orders[order - 1] if all(len(rows) <= most for rows in self._orders[:order]) else None

    def draw(self, order: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """Subsets of ``order`` bodies, shape (count, order); −1 where the growth came to an end before."""
        chosen = np.full((count, order), -1, dtype=np.int64)
        reached = np.cumsum(self._chances(order))
        # a number from (0, total] stops at a body that has a chance
        first = np.searchsorted(reached, (1.0 - rng.random(count)) * reached[-1])
        chosen[:, 0] = home_nodes(self._joints.n_bodies)[first]
        rows, ends, pulls = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
        for place in range(1, order):
            alive = np.flatnonzero(chosen[:, place - 1] >= 0)
            last = chosen[alive, place - 1]
            owners, places = spread(bodies_of(last), self._starts)
            rows = np.concatenate([rows, alive[owners]])
            ends = np.concatenate([ends, stepped(last[owners], self._reach[places])])
            pulls = np.concatenate([pulls, self._strengths[places]])
            outside = (chosen[rows] != ends[:, None]).all(axis=1)
            rows, ends, pulls = rows[outside], ends[outside], pulls[outside]
            rank = np.argsort(rows, kind="stable")
            rows, ends, pulls = rows[rank], ends[rank], pulls[rank]
            uniform = 1.0 - rng.random(count)
            ahead = np.searchsorted(rows, np.arange(count + 1))
            reached = np.concatenate([[0.0], np.cumsum(pulls)])
            grows = np.flatnonzero((np.diff(ahead) > 0) & (chosen[:, place - 1] >= 0))
            below, above = reached[ahead[grows]], reached[ahead[grows + 1]]
            # a number from (0, total] of each stops at a neighbour of its own, whatever the sums before it were rounded to
            found = np.searchsorted(reached, below + uniform[grows] * (above - below)) - 1
            chosen[grows, place] = ends[np.clip(found, ahead[grows], ahead[grows + 1] - 1)]
        chosen[(chosen < 0).any(axis=1)] = -1
        return np.where(chosen < 0, -1, moved_home(np.sort(chosen, axis=1)))

    def probabilities(self, subsets: np.ndarray) -> np.ndarray:
        """Probability of each subset or one of its periodic images, over all ways to grow it, shape (n,)."""
        bodies = bodies_of(subsets)
        return probabilities(self._inside(subsets), self._totals[bodies], self._chances(subsets.shape[1])[bodies])

    def closed(self, layers: list[np.ndarray]) -> tuple[Family, list[np.ndarray]]:
        """The family of some subsets and all their connected parts, and the rows of the subsets.

        :param layers: subsets of each order, shape (n, order)
        """
        rows: list[np.ndarray] = []
        for order in range(len(layers), 0, -1):
            parts = [layers[order - 1]]
            if rows:
                above = rows[-1]
                shorn = np.concatenate([np.delete(above, left, axis=1) for left in range(order + 1)])
                shorn = _distinct(moved_home(shorn)) if order > 1 else home_nodes(self._joints.n_bodies)[:, None]
                parts.append(shorn[self._connected(shorn)])
            rows.append(_distinct(np.concatenate(parts)))
        rows.reverse()
        home = home_nodes(self._joints.n_bodies)
        nodes = np.unique(np.concatenate([home, *(numbers.ravel() for numbers in rows)]))
        members = [unique_rows(np.searchsorted(nodes, numbers).astype(np.int32), len(nodes)) for numbers in rows]
        family = SampledFamily(self._joints.n_bodies, tuple(members), "sampled", Nodes(nodes))
        return family, [family.index(np.searchsorted(nodes, numbers)) for numbers in layers]

    def _chances(self, order: int) -> np.ndarray:
        """Probability that a subset begins with each body, shape (n_bodies,)."""
        joined = self._totals > 0
        if order == 1 or not joined.any():
            return np.full(len(joined), 1 / len(joined))
        return (joined / joined.sum() + self._totals / self._totals.sum()) / 2

    def _inside(self, subsets: np.ndarray) -> np.ndarray:
        """Strengths of the joints inside subsets, shape (n, order, order)."""
        n, order = subsets.shape
        ones, others = np.repeat(subsets, order, axis=1).ravel(), np.tile(subsets, (1, order)).ravel()
        owners, wanted = bodies_of(ones), seen_from(others, ones)
        low, high = self._starts[owners], self._starts[owners + 1]
        while (low < high).any():  # a search in the list of each by itself
            middle = (low + high) // 2
            before = self._keys[np.minimum(middle, len(self._keys) - 1)] < wanted
            low, high = np.where((low < high) & before, middle + 1, low), np.where((low < high) & ~before, middle, high)
        ends = self._starts[owners + 1]
        known = low < ends
        known[known] = self._keys[low[known]] == wanted[known]
        found = np.zeros(len(ones))
        found[known] = self._strengths[self._sorted[low[known]]]
        return found.reshape(n, order, order)

    def _connected(self, subsets: np.ndarray) -> np.ndarray:
        """Whether each subset is connected, shape (n,)."""
        order = subsets.shape[1]
        reached = (self._inside(subsets) > 0) | np.eye(order, dtype=bool)
        for _ in range(max(order - 1, 1).bit_length()):
            reached = np.einsum("nij,njk->nik", reached, reached)
        return np.asarray(reached.all(axis=(1, 2)))


def _distinct(rows: np.ndarray) -> np.ndarray:
    return np.unique(rows, axis=0)


def _all_connected(arrangement: Arrangement, order: int, most: int) -> np.ndarray | None:
    """The connected subsets of an order, None if there are more than ``most`` or were on the way."""
    grown = singles(arrangement)
    for size in range(2, order + 1):
        if len(grown.members) > most:
            return None
        more = gathered(connected_beyond(Layer(arrangement, grown)), size, most)
        if more is None:
            return None
        grown = more
    return grown.members if len(grown.members) <= most else None
