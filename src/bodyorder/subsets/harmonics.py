r"""Harmonic parts of a function of all subsets: what permutations of the bodies cannot mix.

The functions of the k-subsets of N bodies split into parts j = 0 … min(k, N−k), each of the dimension C(N, j) − C(N, j−1),

.. math:: E(S) = \sum_j \sum_{R \subseteq S,\, |R| = j} c_j^{(k)}(R), \qquad
          \sum_{x \notin Q} c_j^{(k)}(Q \cup x) = 0 \text{ for every } (j-1)\text{-subset } Q,

that are orthogonal to each other: Σ_{|S|=k} E(S)² = Σ_j C(N−2j, k−j) Σ_R c_j^{(k)}(R)². Whatever treats all subsets of a size
alike acts on each part by itself, and only along the size k, so that a problem in 2ᴺ unknowns becomes N/2 problems in at most
N + 1. P. Delsarte, SIAM J. Appl. Math. 34, 157 (1978), doi:10.1137/0134012.

A *layer* holds the values of all subsets of one size in colexicographic order; here layers have one trailing axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import comb

import numpy as np

from bodyorder.subsets.family import Family, complete


def superset_sums(layers: Sequence[np.ndarray], n_bodies: int) -> Iterator[tuple[int, np.ndarray]]:
    """Sums of a function over the supersets of every subset, one size of supersets at a time.

    :param layers: for k = 0 … K ≤ N the values, shape (C(N, k), batch)
    :param n_bodies: number of bodies N
    :return: from m = K down to 0 pairs (m, sums), sums of shape (K−m+1, C(N, m), batch): entry (i, R) is the sum over the
        supersets of R that have m + i bodies
    """
    top = len(layers) - 1
    sums = layers[top][None].astype(np.float64)
    yield top, sums
    for size in range(top - 1, -1, -1):
        raised = np.empty((top - size + 1, *layers[size].shape))
        raised[0] = layers[size]
        # A superset with i bodies more is reached in i ways, by way of each body that it has more.
        np.divide(_down(sums, n_bodies, size), _column(range(1, top - size + 1)), out=raised[1:])
        sums = raised
        yield size, sums


def harmonic_parts(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Split a function of all subsets into its harmonic parts.

    :param layers: for k = 0 … N the values, shape (C(N, k), batch)
    :return: for j = 0 … N/2 the part c_j, shape (N−2j+1, C(N, j), batch); the first axis is the size k = j … N−j
    """
    n_bodies = len(layers) - 1
    half = n_bodies // 2
    sums = {size: values.copy() for size, values in superset_sums(_fold(layers), n_bodies)}
    parts: list[np.ndarray] = []
    lifted: list[np.ndarray] = []
    for part in range(half + 1):
        sizes = range(part, half + 1)
        if part:
            # The parts below, summed over the subsets of every part-subset.
            lifted = [_up(raised[1:], n_bodies, part - 1) / (part - below) for below, raised in enumerate(lifted)]
        values = sums.pop(part)
        for below, raised in enumerate(lifted):
            values -= _column(comb(n_bodies - part - below, size - part) for size in sizes) * raised
        values /= _column(layer_norms(n_bodies, part)[: len(sizes)])
        lifted.append(values)
        lower, upper = np.split(values, 2, axis=2)
        parts.append(np.concatenate([lower, (-1) ** part * upper[: n_bodies - half - part][::-1]]))
    return parts


def synthesise(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Put a function together from its harmonic parts: the inverse of :func:`harmonic_parts`.

    :param parts: for j = 0 … J ≤ N/2 the part, shape (N−2j+1, C(N, j), batch); parts that are not given are zero
    :return: for k = 0 … N the layer, shape (C(N, k), batch)
    """
    n_bodies = len(parts[0]) - 1
    half = n_bodies // 2
    folded = [
        np.concatenate([values[: half - part + 1], (-1) ** part * values[::-1][: half - part + 1]], axis=2)
        for part, values in enumerate(parts)
    ]
    pairs = [np.split(layer, 2, axis=1) for layer in gather(folded, n_bodies, half)]
    return [lower for lower, _ in pairs] + [upper[::-1] for _, upper in reversed(pairs[: n_bodies - half])]


def gather(parts: Sequence[np.ndarray], n_bodies: int, top: int) -> list[np.ndarray]:
    """For every size t = 0 … top the layer Σ_j Σ_{R⊆T} p_j[t−j](R).

    :param parts: for j = 0, 1, … arrays of shape (n, C(N, j), batch); entry i of the first axis goes to the size t = j + i,
        and sizes beyond it get nothing
    """
    layers = []
    carried = np.zeros((top + 1, 1, parts[0].shape[2]))
    for size in range(top + 1):
        if size:
            carried = _up(carried[1:], n_bodies, size - 1)
        if size < len(parts):
            # R lies below T on (t−j)! paths.
            held = min(len(parts[size]), len(carried))
            carried[:held] += parts[size][:held] / _column(np.cumprod([1.0, *range(1, held)]))
        layers.append(carried[0])
    return layers


def _fold(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Layers k = 0 … N/2, and beside them along the batch those of N−k, by the bodies that a subset lacks.

    A harmonic part summed over R ⊆ S is (−1)ʲ times the same over R outside S. Large subsets are few and overlap much, so
    that sums over their subsets would lose digits; and the complements of a layer are its reverse.
    """
    n_bodies = len(layers) - 1
    return [np.concatenate([layers[size], layers[n_bodies - size][::-1]], axis=1) for size in range(n_bodies // 2 + 1)]


def layer_norms(n_bodies: int, part: int) -> np.ndarray:
    """C(N−2j, k−j) for the sizes k = j … N−j: the squared norm on the k-subsets over that of c_j, shape (N−2j+1,)."""
    return np.array([comb(n_bodies - 2 * part, i) for i in range(n_bodies - 2 * part + 1)], dtype=np.float64)


def dimension(n_bodies: int, part: int) -> int:
    """Dimension of a harmonic part."""
    return comb(n_bodies, part) - (comb(n_bodies, part - 1) if part else 0)


def _column(values: Sequence[float] | Iterator[float] | np.ndarray | range) -> np.ndarray:
    return np.array(list(values), dtype=np.float64)[:, None, None]


def _up(values: np.ndarray, n_bodies: int, size: int) -> np.ndarray:
    """Sum over the ``size``-subsets of every subset with one body more, along the second axis."""
    return _sum_rows(values, _subsets_below(n_bodies, size))


def _down(values: np.ndarray, n_bodies: int, size: int) -> np.ndarray:
    """Sum over the supersets with one body more of every ``size``-subset, along the second axis."""
    return _sum_rows(values, _supersets_above(n_bodies, size))


def _sum_rows(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    total = values[:, index[:, 0]]
    for column in range(1, index.shape[1]):
        total += values[:, index[:, column]]
    return total


@lru_cache(maxsize=64)
def _subsets_below(n_bodies: int, size: int) -> np.ndarray:
    """Rows of the subsets with one body less of every (size+1)-subset, shape (C(N, size+1), size+1)."""
    if size == 0:
        return np.zeros((n_bodies, 1), dtype=np.int64)
    family = _complete(n_bodies)
    rows, columns = family.members[size], np.arange(size + 1)
    return np.stack([family.index(rows[:, columns != left]) for left in columns], axis=1)


@lru_cache(maxsize=64)
def _supersets_above(n_bodies: int, size: int) -> np.ndarray:
    """Rows of the supersets with one body more of every size-subset, shape (C(N, size), N−size)."""
    below = _subsets_below(n_bodies, size)
    order = np.argsort(below.ravel(), kind="stable") // below.shape[1]
    return order.reshape(comb(n_bodies, size), n_bodies - size)


@lru_cache(maxsize=2)
def _complete(n_bodies: int) -> Family:
    return complete(n_bodies)
