"""Which subsets of a family a subset holds, from tables that name the ones a single body smaller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

#: Row of a table that stands for a subset that is not there.
NONE = -1


def padded(parts: np.ndarray) -> np.ndarray:
    """A table with one more row that names nothing, so that :data:`NONE` leads there."""
    return np.concatenate([parts, np.full((1, parts.shape[1]), NONE, dtype=parts.dtype)])


def proper_parts(parts: np.ndarray, tables: Sequence[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """The proper non-empty subsets of some subsets of one order that the family holds, each once.

    What a subset holds is what its parts one body smaller hold. That is all there is in families closed under taking subsets,
    and in a graph, where every connected part of a larger connected subset can be grown to it body by body. Selections of
    bodies that no row has are not followed, so the work is that of the pairs found.

    :param parts: for n subsets of k bodies the row of each without its first, second, … body, shape (n, k); :data:`NONE` where
        the family does not hold it
    :param tables: the same for all subsets of 1, 2, … k − 1 bodies, :func:`padded`
    :return: pairs (m, index), m from k − 1 down: the row of one m-subset of each, shape (n,), :data:`NONE` where it has none
    """
    order = parts.shape[1]
    everything = (1 << order) - 1
    found = {everything ^ (1 << place): parts[:, place] for place in range(order)}
    for size in range(order - 1, 0, -1):
        found = {selection: index for selection, index in found.items() if (index != NONE).any()}
        yield from ((size, index) for index in found.values())
        if size > 1:
            found = _one_smaller(found, tables[size - 1])


def _one_smaller(found: dict[int, np.ndarray], table: np.ndarray) -> dict[int, np.ndarray]:
    """Rows of all selections of one body fewer, by the places of the bodies selected as bits."""
    smaller: dict[int, np.ndarray] = {}
    settled: set[int] = set()
    for selection, index in found.items():
        left, column = selection, 0
        while left:
            place = left & -left
            left ^= place
            rest = selection ^ place
            if rest not in settled:
                rows = table[index, column]
                smaller[rest] = np.maximum(smaller[rest], rows) if rest in smaller else rows
                if (smaller[rest] != NONE).all():
                    settled.add(rest)
            column += 1
    return smaller
