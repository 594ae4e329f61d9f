"""Families of subsets of N bodies, as one integer array per order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import comb
from typing import Literal

import numpy as np

from bodyorder._checks import InputError, check_between
from bodyorder.subsets.nodes import Nodes
from bodyorder.subsets.parts import padded, proper_parts

#: A family whose members take more bytes than this is refused: what is computed from it takes several times as many.
MAX_BYTES = 2**32

#: Numbers that stand in memory at a time while a family is grown or inverted.
CHUNK = 2**22

#: Of one body in a row.
BYTES = np.dtype(np.int32).itemsize


@dataclass(frozen=True)
class Chunk:
    """Some subsets of one order.

    :param first: row of the first of them in its order
    :param members: their bodies, ascending within a row, shape (n, order), int32
    :param parts: row of each without its first, second, … body among those one body smaller, −1 where the family does not hold
        it, shape (n, order)
    """

    first: int
    members: np.ndarray
    parts: np.ndarray

    @property
    def rows(self) -> slice:
        """Their rows in their order."""
        return slice(self.first, self.first + len(self.members))


@dataclass(frozen=True)
class Family:
    """Subsets of ``n_bodies`` bodies, grouped by order.

    :param n_bodies: number of bodies N
    :param members: for each order n = 1 … max_order the subsets, shape (n_subsets, n), int32. Bodies ascend within a row, and
        rows stand in colexicographic order (sorted by their last body, then the one before, …). A family that
        :attr:`streams` lacks its largest order here.
    :param kind: ``complete`` holds every subset up to max_order; ``cliques`` and ``connected`` those of a graph,
        ``sampled`` some subsets and all their parts
    """

    n_bodies: int
    members: tuple[np.ndarray, ...]
    kind: Literal["complete", "cliques", "connected", "sampled"]
    #: parts one body smaller, by order, once they have been asked for
    tables: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of subsets of each order."""
        return tuple(len(rows) for rows in self.members)

    @property
    def max_order(self) -> int:
        """Largest order."""
        return len(self.sizes)

    @property
    def nodes(self) -> Nodes | None:
        """Which bodies in which cells the members are, where they are not bodies."""
        return None

    @property
    def n_holders(self) -> tuple[np.ndarray, ...]:
        """Of a family that :attr:`streams`, how many subsets of its largest order hold each subset of each smaller one."""
        return ()

    @property
    def streams(self) -> bool:
        """Whether the subsets of the largest order are made when they are asked for, and not kept."""
        return self.max_order > len(self.members)

    def index(self, subsets: np.ndarray) -> np.ndarray:
        """Row of each subset among the members of its order, −1 where the family does not hold it.

        :param subsets: shape (n, k), bodies ascending within a row
        :return: shape (n,)
        """
        order = subsets.shape[1]
        if self.kind == "complete":
            return _colex_rank(subsets, self.n_bodies)
        return match_rows(self.members[order - 1], subsets, self.n_bodies)

    def chunks(self, order: int) -> Iterator[Chunk]:
        """The subsets of one order, a bounded number at a time."""
        members = self.members[order - 1]
        length = max(16, CHUNK >> order)
        for first in range(0, len(members), length):
            rows = slice(first, min(first + length, len(members)))
            yield Chunk(first, members[rows], self.table(order)[rows])

    def proper_subsets(self, order: int) -> Iterator[tuple[int, slice, np.ndarray]]:
        """For the subsets of one order, which proper non-empty subsets of them the family holds.

        :return: triples (m, rows, index): m < order, a slice of the subsets of that order, and for each of them the row of an
            m-subset of it, −1 for none; every pair of a subset and a proper subset comes once
        """
        if order > 1:
            for chunk in self.chunks(order):
                for size, index in self.inside(chunk.parts):
                    yield size, chunk.rows, index

    def inside(self, parts: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Proper subsets of some subsets, see :func:`~bodyorder.subsets.parts.proper_parts`.

        :param parts: their parts one body smaller, as in :class:`Chunk`, shape (n, order)
        """
        yield from proper_parts(parts, [self.table(size) for size in range(1, parts.shape[1])])

    def table(self, order: int) -> np.ndarray:
        """Parts one body smaller of all subsets of an order as in :class:`Chunk`, one more row behind them; made once."""
        if order not in self.tables:
            rows = self.members[order - 1]
            parts = np.full(rows.shape, -1, dtype=np.int32)
            for left in range(order if len(rows) and order > 1 else 0):
                parts[:, left] = self.index(np.delete(rows, left, axis=1))
            self.tables[order] = padded(parts)
        return self.tables[order]


def complete(n_bodies: int, max_order: int | None = None) -> Family:
    """Every subset of up to ``max_order`` bodies.

    The k-subsets in colexicographic order that end in body t are the first C(t, k−1) of the (k−1)-subsets, each with t behind
    it, so every order is a concatenation of slices of the one below.

    :param n_bodies: number of bodies N
    :param max_order: largest order; N if not given
    :raises InputError: if ``max_order`` is not in 1 … N, or the family would take more than 4 GiB
    """
    top = check_order(n_bodies, max_order)
    left = MAX_BYTES // BYTES
    for order in range(1, top + 1):
        left -= order * comb(n_bodies, order)
        if left < 0:
            raise InputError(too_large("complete", f"{n_bodies} bodies", top, "a cutoff"))
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


def too_large(kind: str, bodies: str, order: int, remedy: str) -> str:
    """What is said of a family that does not fit in memory."""
    return (
        f"a {kind} family must fit in {MAX_BYTES / 2**30:g} GiB, that of {bodies} to order {order} does not; "
        f"lower max_order or give {remedy}"
    )


def check_order(n_bodies: int, max_order: int | None) -> int:
    """The largest order, N if none is given.

    :raises InputError: if it is not in 1 … N
    """
    check_between("n_bodies", n_bodies, 1, 2**31 - 1)
    return n_bodies if max_order is None else check_between("max_order", max_order, 1, n_bodies)


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
