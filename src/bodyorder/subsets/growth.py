"""Subsets of joined bodies, grown one body at a time so that each is met once: no list of what was found is needed.

A connected subset of k + 1 bodies is taken from the one of k bodies that is left without the last body, in ascending order, that
can go without tearing it apart (canonical augmentation: B. D. McKay, J. Algorithms 26, 306 (1998), doi:10.1006/jagm.1997.0898);
from its other parts it is refused. A clique is taken from the one without its last body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from bodyorder.subsets.arrangement import Arrangement, portions
from bodyorder.subsets.family import CHUNK
from bodyorder.subsets.parts import NONE, padded


class Grown(NamedTuple):
    """Subsets and which of those one body smaller they hold, as in :class:`~bodyorder.subsets.family.Chunk`."""

    members: np.ndarray
    parts: np.ndarray


class Layer:
    """All subsets of one order, found again by their nodes.

    :param arrangement: of the nodes
    :param grown: the subsets
    """

    def __init__(self, arrangement: Arrangement, grown: Grown):
        self.arrangement = arrangement
        self.members, self.table = grown.members, padded(grown.parts)
        #: sum of the words of each subset, wrapped around
        self.keys = arrangement.words[self.members].sum(axis=1)
        self._order = np.argsort(self.keys).astype(np.int32)
        self._sorted = self.keys[self._order]
        # keys are random: their first bits lead next to where they stand
        bits = max(1, len(self.keys)).bit_length()
        self._shift = np.uint64(64 - bits)
        self._buckets = np.searchsorted(self._sorted, np.arange(2**bits, dtype=np.uint64) << self._shift)

    @property
    def order(self) -> int:
        """Bodies of each subset."""
        return int(self.members.shape[1])

    def find(self, rows: np.ndarray) -> np.ndarray:
        """Row of each subset, −1 where there is none.

        :param rows: nodes, ascending within a row, the first in the home cell, shape (n, order)
        """
        return self._find(self.arrangement.words[rows].sum(axis=1), list(rows.T))

    def find_without(self, rows: np.ndarray, keys: np.ndarray, column: int) -> np.ndarray:
        """Row of each subset that is left without one of its nodes, −1 where there is none.

        :param rows: subsets of one body more, the first node in the home cell, shape (n, order + 1)
        :param keys: sums of their words, shape (n,)
        :param column: the node that is left out
        """
        rest = [rows[:, other] for other in range(rows.shape[1]) if other != column]
        keys = keys - self.arrangement.words[rows[:, column]]
        away = np.flatnonzero(~self.arrangement.home[rest[0]]) if column == 0 else rest[0][:0]
        if not len(away):
            return self._find(keys, rest)
        found = np.full(len(rows), NONE, dtype=np.int32)
        moved, known = self.arrangement.moved_home(rows[away, 1:])
        found[away[known]] = self.find(moved[known])
        near = np.flatnonzero(self.arrangement.home[rest[0]])
        found[near] = self._find(keys[near], [nodes[near] for nodes in rest])
        return found

    def _find(self, keys: np.ndarray, nodes: list[np.ndarray]) -> np.ndarray:
        found = np.full(len(keys), NONE, dtype=np.int32)
        if not len(self.keys):
            return found
        places = self._buckets[(keys >> self._shift).astype(np.int64)]
        left = np.arange(len(keys))
        while len(left):
            inside = places < len(self._sorted)
            left, places = left[inside], places[inside]
            here, wanted = self._sorted[places], keys[left]
            hits = np.flatnonzero(here == wanted)
            rows = self._order[places[hits]]
            same = np.ones(len(hits), dtype=bool)  # two subsets could have the same sum
            for column, values in enumerate(nodes):
                same &= self.members[rows, column] == values[left[hits]]
            found[left[hits[same]]] = rows[same]
            on = here <= wanted
            on[hits[same]] = False
            left, places = left[on], places[on] + 1
        return found


def singles(arrangement: Arrangement) -> Grown:
    """The bodies of the home cell, each alone."""
    rows = np.flatnonzero(arrangement.home).astype(np.int32)[:, None]
    return Grown(rows, np.full(rows.shape, NONE, dtype=np.int32))


def connected_beyond(layer: Layer) -> Iterator[Grown]:
    """The connected subsets of one body more than those of a layer, a bounded number at a time."""
    return _grow(layer, range(layer.order), _take_connected)


def cliques_beyond(layer: Layer) -> Iterator[Grown]:
    """The cliques of one body more than those of a layer, of a free arrangement, a bounded number at a time."""
    return _grow(layer, [layer.order - 1], _take_cliques)


class _Candidates(NamedTuple):
    """Subsets with one body more: nodes, sums of their words, place of the new node, row of the subset without it."""

    members: np.ndarray
    keys: np.ndarray
    place: np.ndarray
    before: np.ndarray

    def take(self, rows: np.ndarray) -> _Candidates:
        return _Candidates(*(values[rows] for values in self))


def _grow(
    layer: Layer, columns: range | list[int], take: Callable[[Layer, _Candidates], tuple[_Candidates, np.ndarray]]
) -> Iterator[Grown]:
    work = layer.arrangement.degrees(layer.members[:, columns]).sum(axis=1) * (layer.order + 1)
    for rows in portions(work, CHUNK // 4):  # several arrays of this length stand side by side
        candidates = _try(layer, rows, columns)
        if len(candidates.members):
            kept, parts = take(layer, candidates)
            parts[np.arange(len(parts)), kept.place] = kept.before
            yield Grown(kept.members, parts)


def _try(layer: Layer, rows: slice, columns: range | list[int]) -> _Candidates:
    """Some subsets, each with every neighbour of its nodes in some columns, and that once."""
    arrangement, below = layer.arrangement, layer.members[rows]
    pairs = [arrangement.beside(below[:, column]) for column in columns]
    codes = np.concatenate([chosen * len(arrangement.nodes) + new for chosen, new in pairs])
    if len(pairs) > 1:
        codes.sort(kind="stable")  # ascending column by column, which sorts that merge make use of
        codes = codes[np.append(True, codes[1:] != codes[:-1])] if len(codes) else codes
    chosen, new = np.divmod(codes, len(arrangement.nodes))
    new = new.astype(np.int32)
    place = np.zeros(len(new), dtype=np.int8)
    fresh = np.ones(len(new), dtype=bool)
    for column in range(layer.order):
        old = below[chosen, column]
        place += old < new
        fresh &= old != new
    chosen, new, place = chosen[fresh], new[fresh], place[fresh]
    members = np.empty((len(new), layer.order + 1), dtype=np.int32)
    for column in range(layer.order + 1):
        shifted = below[chosen, column - 1] if column else new
        unshifted = below[chosen, column] if column < layer.order else new
        members[:, column] = np.where(place > column, unshifted, np.where(place == column, new, shifted))
    keys = layer.keys[rows][chosen] + arrangement.words[new]
    away = np.flatnonzero(~arrangement.home[members[:, 0]])
    if len(away):
        members[away] = arrangement.moved_home(members[away])[0]
        keys[away] = arrangement.words[members[away]].sum(axis=1)
    return _Candidates(members, keys, place, (chosen + rows.start).astype(np.int32))


def _take_connected(layer: Layer, candidates: _Candidates) -> tuple[_Candidates, np.ndarray]:
    """Those whose new body is the last that can go, and their other parts."""
    for column in range(layer.order, 0, -1):
        behind = np.flatnonzero(candidates.place < column)
        some = candidates.take(behind)
        keep = np.ones(len(candidates.place), dtype=bool)
        keep[behind] = layer.find_without(some.members, some.keys, column) == NONE
        candidates = candidates.take(np.flatnonzero(keep))
    parts = np.full(candidates.members.shape, NONE, dtype=np.int32)
    for column in range(layer.order):
        behind = np.flatnonzero(candidates.place > column)
        parts[behind, column] = layer.find_without(candidates.members[behind], candidates.keys[behind], column)
    return candidates, parts


def _take_cliques(layer: Layer, candidates: _Candidates) -> tuple[_Candidates, np.ndarray]:
    """Those whose new body is their last and all of whose parts are cliques, and these parts."""
    candidates = candidates.take(np.flatnonzero(candidates.place == layer.order))
    parts = np.full(candidates.members.shape, NONE, dtype=np.int32)
    for column in range(layer.order):
        parts[:, column] = layer.find_without(candidates.members, candidates.keys, column)
        keep = np.flatnonzero(parts[:, column] != NONE)
        candidates, parts = candidates.take(keep), parts[keep]
    return candidates, parts
