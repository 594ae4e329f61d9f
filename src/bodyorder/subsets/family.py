"""Families of subsets of N bodies, as one integer array per order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from bodyorder._checks import InputError, check_between

#: A family whose members take more bytes than this is refused: what is computed from it takes several times as many.
MAX_BYTES = 2**32

#: Rows, or pairs of a subset and one inside it, that stand in memory at a time while a family is grown or inverted.
_CHUNK = 2**23

#: Of one body in a row.
_BYTES = np.dtype(np.int32).itemsize


@dataclass(frozen=True)
class Family:
    """Subsets of ``n_bodies`` bodies, grouped by order.

    :param n_bodies: number of bodies N
    :param members: for each order n = 1 … max_order the subsets, shape (n_subsets, n), int32. Bodies ascend within a row, and
        rows stand in colexicographic order (sorted by their last body, then the one before, …).
    :param kind: ``complete`` holds every subset up to max_order; ``cliques`` and ``connected`` those of a graph,
        ``sampled`` some subsets and all their parts
    """

    n_bodies: int
    members: tuple[np.ndarray, ...]
    kind: Literal["complete", "cliques", "connected", "sampled"]

    @property
    def max_order(self) -> int:
        """Largest order."""
        return len(self.members)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of subsets of each order."""
        return tuple(len(rows) for rows in self.members)

    def index(self, subsets: np.ndarray) -> np.ndarray:
        """Row of each subset among the members of its order, −1 where the family does not hold it.

        :param subsets: shape (n, k), bodies ascending within a row
        :return: shape (n,)
        """
        order = subsets.shape[1]
        if self.kind == "complete":
            return _colex_rank(subsets, self.n_bodies)
        return match_rows(self.members[order - 1], subsets, self.n_bodies)

    def proper_subsets(self, order: int) -> Iterator[tuple[int, slice, csr_array]]:
        """For the subsets of one order, which proper non-empty subsets of them the family holds.

        In a graph every connected part of a larger connected subset can be grown to it body by body, and cliques and samples
        hold all their subsets, so what a subset holds is what those one body smaller hold. The work is that of the pairs
        found, and not of all 2ⁿ choices of columns.

        :return: triples (m, rows, holds): m < order, a slice of the subsets of that order, and the boolean matrix of those
            by the m-subsets of the family; every pair of a subset and a proper subset comes once
        """
        count = len(self.members[order - 1])
        if not count or order == 1:
            return
        if self.kind == "complete":
            one, stops = np.ones(count, dtype=bool), np.arange(count + 1)
            for size in range(1, order):
                shape = (count, self.sizes[size - 1])
                for columns in combinations(range(order), size):
                    index = self.index(self.members[order - 1][:, columns])
                    yield size, slice(0, count), csr_array((one, index, stops), shape=shape)
            return
        widest = sum(min(comb(order, size), len(self.members[size - 1])) for size in range(1, order))
        step = max(1, _CHUNK // widest)
        for first in range(0, count, step):
            rows = slice(first, min(first + step, count))
            layers = [self._one_smaller[order - 2][rows]]
            for size in range(order - 1, 1, -1):
                layers.append(layers[-1] @ self._one_smaller[size - 2])
            for size, holds in enumerate(reversed(layers), start=1):
                yield size, rows, holds

    @cached_property
    def _one_smaller(self) -> list[csr_array]:
        """For each order n = 2 … max_order which subsets of n − 1 bodies each subset holds, shape (n_subsets, those below)."""
        matrices = []
        for order in range(2, self.max_order + 1):
            rows, below = self.members[order - 1], self.members[order - 2]
            index = np.empty(rows.shape, dtype=np.int32)
            for left in range(order if len(rows) else 0):
                index[:, left] = self.index(np.delete(rows, left, axis=1))
            held = index >= 0
            stops = np.concatenate([[0], np.cumsum(held.sum(axis=1))])
            matrices.append(csr_array((np.ones(stops[-1], bool), index[held], stops), shape=(len(rows), len(below))))
        return matrices


def complete(n_bodies: int, max_order: int | None = None) -> Family:
    """Every subset of up to ``max_order`` bodies.

    The k-subsets in colexicographic order that end in body t are the first C(t, k−1) of the (k−1)-subsets, each with t behind
    it, so every order is a concatenation of slices of the one below.

    :param n_bodies: number of bodies N
    :param max_order: largest order; N if not given
    :raises InputError: if ``max_order`` is not in 1 … N, or the family would take more than 4 GiB
    """
    top = _check_order(n_bodies, max_order)
    left = MAX_BYTES // _BYTES
    for order in range(1, top + 1):
        left -= order * comb(n_bodies, order)
        if left < 0:
            raise InputError(_too_large("complete", n_bodies, top, "a cutoff"))
    members = [np.arange(n_bodies, dtype=np.int32)[:, None]]
    for order in range(2, top + 1):
        below = members[-1]
        rows = np.empty((comb(n_bodies, order), order), dtype=np.int32)
        start = 0
        for last in range(order - 1, n_bodies):
            stop = start + comb(last, order - 1)
            rows[start:stop, :-1] = below[: stop - start]
            rows[start:stop, -1] = last
            start = stop
        members.append(rows)
    return Family(n_bodies, tuple(members), "complete")


def connected(adjacency: np.ndarray, max_order: int | None = None) -> Family:
    """Every subset that is connected in a graph: all that contributes when distant parts do not feel each other.

    :param adjacency: which bodies are joined, boolean and symmetric, shape (N, N)
    :param max_order: largest order; N if not given. Orders that no subset reaches are empty.
    :raises InputError: for an adjacency that is not square and symmetric, ``max_order`` outside 1 … N, or a family that would
        take more than 4 GiB
    """
    graph = _Graph.of(adjacency)
    degrees = np.diff(graph.starts)

    def grow(rows: np.ndarray) -> Iterator[np.ndarray]:
        for column in range(rows.shape[1]):
            for below, new in graph.extend(rows, column):
                fresh = (below != new[:, None]).all(axis=1)
                yield np.sort(np.column_stack([below[fresh], new[fresh]]), axis=1)

    def at_least(rows: np.ndarray) -> int:
        # A subset has the neighbours of its best joined body outside it, and each subset grows from no more than its size.
        outside = degrees[rows].max(axis=1, initial=0) - (rows.shape[1] - 1)
        return int(outside.clip(min=0).sum()) // (rows.shape[1] + 1)

    return _grown("connected", graph, _check_order(len(adjacency), max_order), grow, at_least)


def cliques(adjacency: np.ndarray, max_order: int | None = None) -> Family:
    """Every subset whose bodies are all joined to each other: a family closed under taking subsets.

    :param adjacency: which bodies are joined, boolean and symmetric, shape (N, N)
    :param max_order: largest order; N if not given. Orders that no subset reaches are empty.
    :raises InputError: for an adjacency that is not square and symmetric, ``max_order`` outside 1 … N, or a family that would
        take more than 4 GiB
    """
    graph = _Graph.of(adjacency)

    def grow(rows: np.ndarray) -> Iterator[np.ndarray]:
        for below, new in graph.extend(rows, rows.shape[1] - 1):
            keep = (new > below[:, -1]) & adjacency[below, new[:, None]].all(axis=1)
            yield np.column_stack([below[keep], new[keep]])

    return _grown("cliques", graph, _check_order(len(adjacency), max_order), grow, lambda rows: 0)


@dataclass(frozen=True)
class _Graph:
    """A graph as neighbour lists: those of body b are ``neighbours[starts[b]:starts[b + 1]]``, ascending."""

    starts: np.ndarray
    neighbours: np.ndarray

    @classmethod
    def of(cls, adjacency: np.ndarray) -> _Graph:
        if adjacency.ndim != 2 or adjacency.dtype != bool or (adjacency != adjacency.T).any():
            raise InputError("`adjacency` must be a symmetric boolean matrix")
        rows, columns = np.nonzero(adjacency & ~np.eye(len(adjacency), dtype=bool))
        return cls(np.searchsorted(rows, np.arange(len(adjacency) + 1)), columns.astype(np.int32))

    def extend(self, rows: np.ndarray, column: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every row beside every neighbour of its body in one column, a bounded number at a time."""
        for chosen, places in beside_neighbours(rows[:, column], self.starts, _CHUNK):
            yield rows[chosen], self.neighbours[places]


def beside_neighbours(bodies: np.ndarray, starts: np.ndarray, chunk: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every body beside every neighbour of its own, a bounded number at a time.

    :param bodies: shape (n,)
    :param starts: the neighbours of body b are those from ``starts[b]`` to ``starts[b + 1]`` in a list of all
    :param chunk: pairs at a time
    :return: places among ``bodies``, and places in the list of neighbours
    """
    counts = np.diff(starts)[bodies]
    ends = np.cumsum(counts)
    splits = np.searchsorted(ends, np.arange(chunk, ends[-1] if len(ends) else 0, chunk))
    for part in np.split(np.arange(len(bodies)), np.unique(splits)):
        offsets = np.arange(counts[part].sum()) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        yield np.repeat(part, counts[part]), np.repeat(starts[bodies[part]], counts[part]) + offsets


def _grown(
    kind: Literal["cliques", "connected"],
    graph: _Graph,
    top: int,
    grow: Callable[[np.ndarray], Iterator[np.ndarray]],
    at_least: Callable[[np.ndarray], int],
) -> Family:
    """A family of a graph, order by order.

    :param grow: the subsets one body larger, in any order and as often as it finds them
    :param at_least: a number of subsets one body larger that there are for sure
    """
    n_bodies = len(graph.starts) - 1
    members = [np.arange(n_bodies, dtype=np.int32)[:, None]]
    left = MAX_BYTES // _BYTES - n_bodies
    for order in range(2, top + 1):
        below = members[-1]
        layer = np.empty((0, order), dtype=np.int32)
        if len(below):
            room = left // order
            fits = at_least(below) <= room
            waiting: list[np.ndarray] = []
            for rows in grow(below) if fits else ():
                waiting.append(rows)
                if sum(map(len, waiting)) > max(len(layer), _CHUNK):
                    layer, waiting = unique_rows(np.concatenate([layer, *waiting]), n_bodies), []
                    if not (fits := len(layer) <= room):
                        break
            layer = unique_rows(np.concatenate([layer, *waiting]), n_bodies)
            if not fits or len(layer) > room:
                raise InputError(_too_large(kind, n_bodies, order, "a shorter cutoff"))
        members.append(layer)
        left -= layer.size
    return Family(n_bodies, tuple(members), kind)


def _too_large(kind: str, n_bodies: int, order: int, remedy: str) -> str:
    return (
        f"a {kind.removesuffix('s')} family must fit in {MAX_BYTES / 2**30:g} GiB, that of {n_bodies} bodies to order {order} "
        f"does not; lower max_order or give {remedy}"
    )


def _check_order(n_bodies: int, max_order: int | None) -> int:
    check_between("n_bodies", n_bodies, 1, 2**31 - 1)
    return n_bodies if max_order is None else check_between("max_order", max_order, 1, n_bodies)


def _colex_rank(subsets: np.ndarray, n_bodies: int) -> np.ndarray:
    """Place of each subset in the colexicographic order of all subsets of its size: Σ_j C(c_j, j+1)."""
    rank = np.zeros(len(subsets), dtype=np.int64)
    for column in range(subsets.shape[1]):
        table = np.array([comb(body, column + 1) for body in range(n_bodies)], dtype=np.int64)
        rank += table[subsets[:, column]]
    return rank


def _row_codes(rows: np.ndarray, n_bodies: int) -> np.ndarray:
    """One integer per row that keeps the colexicographic order; compressed on the way where it would overflow."""
    codes = rows[:, -1].astype(np.int64)
    bound = n_bodies
    for column in range(rows.shape[1] - 2, -1, -1):
        if bound > np.iinfo(np.int64).max // n_bodies:
            codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
            bound = len(rows)
        codes = codes * n_bodies + rows[:, column]
        bound *= n_bodies
    return codes


def unique_rows(rows: np.ndarray, n_bodies: int) -> np.ndarray:
    """Distinct rows in colexicographic order."""
    return rows[np.unique(_row_codes(rows, n_bodies), return_index=True)[1]].astype(np.int32)


def match_rows(table: np.ndarray, queries: np.ndarray, n_bodies: int) -> np.ndarray:
    """Row of each query in a table of distinct rows in colexicographic order, −1 where there is none."""
    if not len(table):
        return np.full(len(queries), -1, dtype=np.int64)
    codes = _row_codes(np.concatenate([table, queries]), n_bodies)
    known, wanted = codes[: len(table)], codes[len(table) :]
    place = np.minimum(np.searchsorted(known, wanted), len(table) - 1)
    return np.where(known[place] == wanted, place, -1)
