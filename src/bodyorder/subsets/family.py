"""Families of subsets of N bodies, as one integer array per order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np

from bodyorder._checks import InputError, check_between

#: A complete family above this many subsets is refused: nothing could hold its energies.
MAX_SUBSETS = 2**28


@dataclass(frozen=True)
class Family:
    """Subsets of ``n_bodies`` bodies, grouped by order.

    :param n_bodies: number of bodies N
    :param members: for each order n = 1 … max_order the subsets, shape (n_subsets, n), int32. Bodies ascend within a row, and
        rows stand in colexicographic order (sorted by their last body, then the one before, …).
    :param kind: ``complete`` holds every subset up to max_order; ``cliques`` and ``connected`` those of a graph
    """

    n_bodies: int
    members: tuple[np.ndarray, ...]
    kind: Literal["complete", "cliques", "connected"]

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
        return _match_rows(self.members[order - 1], subsets, self.n_bodies)

    def proper_subsets(self, order: int) -> Iterator[tuple[int, np.ndarray]]:
        """For the subsets of one order, where their proper non-empty subsets stand.

        :return: pairs (m, index): m < order, and the row of one m-subset of each subset of that order, −1 where the family
            does not hold it; every proper subset comes once
        """
        rows = self.members[order - 1]
        for size in range(1, order):
            for columns in combinations(range(order), size):
                yield size, self.index(rows[:, columns])


def complete(n_bodies: int, max_order: int | None = None) -> Family:
    """Every subset of up to ``max_order`` bodies.

    The k-subsets in colexicographic order that end in body t are the first C(t, k−1) of the (k−1)-subsets, each with t behind
    it, so every order is a concatenation of slices of the one below.

    :param n_bodies: number of bodies N
    :param max_order: largest order; N if not given
    :raises InputError: if ``max_order`` is not in 1 … N, or the family would exceed 2²⁸ subsets
    """
    top = _check_order(n_bodies, max_order)
    if (count := sum(comb(n_bodies, order) for order in range(1, top + 1))) > MAX_SUBSETS:
        raise InputError(
            f"a complete family must have at most {MAX_SUBSETS} subsets, {n_bodies} bodies to order {top} have {count}; "
            f"lower max_order or give a cutoff"
        )
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
    :param max_order: largest order; N if not given
    :raises InputError: for an adjacency that is not square and symmetric, or ``max_order`` outside 1 … N
    """
    starts, neighbours, top = _graph(adjacency, max_order)
    n_bodies = len(adjacency)
    members = [np.arange(n_bodies, dtype=np.int32)[:, None]]
    for _ in range(1, top):
        grown = []
        for column in range(members[-1].shape[1]):
            rows, new = _extend(members[-1], members[-1][:, column], starts, neighbours)
            fresh = (rows != new[:, None]).all(axis=1)
            grown.append(np.sort(np.column_stack([rows[fresh], new[fresh]]), axis=1))
        members.append(_unique_rows(np.concatenate(grown), n_bodies))
    return Family(n_bodies, tuple(members), "connected")


def cliques(adjacency: np.ndarray, max_order: int | None = None) -> Family:
    """Every subset whose bodies are all joined to each other: a family closed under taking subsets.

    :param adjacency: which bodies are joined, boolean and symmetric, shape (N, N)
    :param max_order: largest order; N if not given
    :raises InputError: for an adjacency that is not square and symmetric, or ``max_order`` outside 1 … N
    """
    starts, neighbours, top = _graph(adjacency, max_order)
    n_bodies = len(adjacency)
    members = [np.arange(n_bodies, dtype=np.int32)[:, None]]
    for _ in range(1, top):
        rows, new = _extend(members[-1], members[-1][:, -1], starts, neighbours)
        keep = (new > rows[:, -1]) & adjacency[rows, new[:, None]].all(axis=1)
        members.append(_unique_rows(np.column_stack([rows[keep], new[keep]]), n_bodies))
    return Family(n_bodies, tuple(members), "cliques")


def _check_order(n_bodies: int, max_order: int | None) -> int:
    check_between("n_bodies", n_bodies, 1, 2**31 - 1)
    return n_bodies if max_order is None else check_between("max_order", max_order, 1, n_bodies)


def _graph(adjacency: np.ndarray, max_order: int | None) -> tuple[np.ndarray, np.ndarray, int]:
    """The graph as sorted neighbour lists (starts, neighbours), and the order to go to."""
    if adjacency.ndim != 2 or adjacency.dtype != bool or (adjacency != adjacency.T).any():
        raise InputError("`adjacency` must be a symmetric boolean matrix")
    top = _check_order(len(adjacency), max_order)
    rows, columns = np.nonzero(adjacency & ~np.eye(len(adjacency), dtype=bool))
    return np.searchsorted(rows, np.arange(len(adjacency) + 1)), columns.astype(np.int32), top


def _extend(
    rows: np.ndarray, pivots: np.ndarray, starts: np.ndarray, neighbours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Every row beside every neighbour of its pivot."""
    counts = starts[pivots + 1] - starts[pivots]
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(rows, counts, axis=0), neighbours[np.repeat(starts[pivots], counts) + offsets]


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


def _unique_rows(rows: np.ndarray, n_bodies: int) -> np.ndarray:
    """Distinct rows in colexicographic order."""
    return rows[np.unique(_row_codes(rows, n_bodies), return_index=True)[1]].astype(np.int32)


def _match_rows(table: np.ndarray, queries: np.ndarray, n_bodies: int) -> np.ndarray:
    """Row of each query in a table of distinct rows in colexicographic order, −1 where there is none."""
    if not len(table):
        return np.full(len(queries), -1, dtype=np.int64)
    codes = _row_codes(np.concatenate([table, queries]), n_bodies)
    known, wanted = codes[: len(table)], codes[len(table) :]
    place = np.minimum(np.searchsorted(known, wanted), len(table) - 1)
    return np.where(known[place] == wanted, place, -1)
