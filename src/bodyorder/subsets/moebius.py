r"""Möbius inversion between energies and contributions of subsets.

With E(S) the energy of the subset S alone and E(∅) = 0,

.. math:: \varepsilon(S) = \sum_{T \subseteq S} (-1)^{|S|-|T|} E(T), \qquad E(S) = \sum_{T \subseteq S} \varepsilon(T),

G.-C. Rota, Z. Wahrscheinlichkeitstheorie 2, 340 (1964), doi:10.1007/BF00531932. All arrays may have trailing axes (sources,
structures, components of forces), which are carried along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb

import numpy as np

from bodyorder.subsets.family import Family

#: Largest N whose 2ᴺ energies are worth laying out densely.
_MAX_DENSE_BODIES = 26


def moebius_transform(values: np.ndarray) -> np.ndarray:
    """Turn energies into contributions, in place.

    :param values: shape (2ᴺ, …); row b belongs to the subset whose bodies are the set bits of b
    :return: ``values``
    """
    return _transform(values, np.subtract)


def zeta_transform(values: np.ndarray) -> np.ndarray:
    """Turn contributions into energies, in place: the inverse of :func:`moebius_transform`.

    :param values: shape (2ᴺ, …); row b belongs to the subset whose bodies are the set bits of b
    :return: ``values``
    """
    return _transform(values, np.add)


def _transform(values: np.ndarray, combine: np.ufunc) -> np.ndarray:
    n_bodies = len(values).bit_length() - 1
    for body in range(n_bodies):
        halves = values.reshape(-1, 2, 2**body, *values.shape[1:])
        combine(halves[:, 1], halves[:, 0], out=halves[:, 1])
    return values


def contributions(family: Family, energies: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Contribution ε(S) of every subset of a family.

    In a family of connected subsets those that are missing contribute nothing if the energy is additive over the parts of a
    disconnected subset, so E(S) = Σ ε(C) over its connected subsets, which is solved from the smallest subsets up.
    A family of cliques is closed under taking subsets, and the same recursion is the inversion itself.

    :param family: which subsets
    :param energies: for each order that the family keeps the energies of its subsets, shape (n_subsets, …)
    :return: for each of these orders the contributions, in the shape of ``energies``
    """
    if _by_transform(family):
        return _transformed(family, energies, moebius_transform)
    result: list[np.ndarray] = []
    # with a row behind the last one for what a family does not hold
    ended: list[np.ndarray] = []
    for order, values in enumerate(energies, start=1):
        epsilon = np.array(values, dtype=np.float64)
        for size, rows, index in family.proper_subsets(order):
            epsilon[rows] -= ended[size - 1][index]
        result.append(epsilon)
        ended.append(with_nothing(epsilon))
    return result


def summed_energies(family: Family, contributions: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Energy E(S) = Σ ε(T) of every subset S of a family, over the subsets T of S that it holds.

    The inverse of :func:`contributions`.

    :param family: which subsets
    :param contributions: for each order that the family keeps those of its subsets, shape (n_subsets, …)
    :return: for each of these orders the energies, in the shape of ``contributions``
    """
    if _by_transform(family):
        return _transformed(family, contributions, zeta_transform)
    result = [np.array(values, dtype=np.float64) for values in contributions]
    held = [with_nothing(values) for values in contributions]
    for order, sums in enumerate(result, start=1):
        for size, rows, index in family.proper_subsets(order):
            sums[rows] += held[size - 1][index]
    return result


def _by_transform(family: Family) -> bool:
    """Whether laying out all 2ᴺ subsets costs less than going from subset to subset."""
    n_bodies = family.n_bodies
    by_recursion = sum(size * 2**order for order, size in enumerate(family.sizes, start=1))
    return family.kind == "complete" and n_bodies <= _MAX_DENSE_BODIES and n_bodies * 2**n_bodies <= by_recursion


def _transformed(
    family: Family, values: Sequence[np.ndarray], transform: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    """A transform in place of values by order, those of subsets that the family does not hold being zero."""
    masks = [(np.int64(1) << rows).sum(axis=1) for rows in family.members]
    dense = np.zeros((2**family.n_bodies, *values[0].shape[1:]))
    for mask, part in zip(masks, values, strict=True):
        dense[mask] = part
    transform(dense)
    return [dense[mask] for mask in masks]


def with_nothing(values: np.ndarray) -> np.ndarray:
    """Values of subsets with a zero behind them, to which the row −1 of a subset that a family does not hold leads."""
    return np.concatenate([values, np.zeros((1, *values.shape[1:]))])


def order_coefficients(family: Family, weights: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """How much each energy counts in each order total: E⁽ⁿ⁾ = Σ_S w(S)·ε(S) = Σ_T c_n(T)·E(T).

    For a complete family c_n(T) = (−1)ⁿ⁻ᵐ C(N−m, n−m) with m = |T|. For others it is the transpose of the recursion of
    :func:`contributions`.

    :param weights: for each order w(S), shape (n_subsets,), in a family that is not complete; one if not given
    :return: for each size m = 1 … max_order the coefficients, shape (max_order, n_subsets), one row per order n; where all
        subsets of a size share theirs (a complete family, or an order that is not kept), the shape is (max_order, 1)
    """
    top = family.max_order
    if family.kind == "complete":
        table = layer_coefficients(family.n_bodies, top)
        return [table[:, size - 1 : size] for size in range(1, top + 1)]
    held = int(np.count_nonzero(family.sizes))
    kept = len(family.members)
    coefficients = [np.zeros((top, size if order <= kept else 1)) for order, size in enumerate(family.sizes, start=1)]
    for order in range(held, 0, -1):
        own = coefficients[order - 1]
        own[order - 1] += 1 if weights is None else weights[order - 1]
        if order > kept:
            for below, counts in zip(coefficients, family.n_holders, strict=False):
                below[order - 1] -= counts
            continue
        for size, rows, index in family.proper_subsets(order):
            _subtract(coefficients[size - 1][order - 1 : held], index, own[order - 1 : held, rows])
    return coefficients


def _subtract(sums: np.ndarray, index: np.ndarray, values: np.ndarray) -> None:
    """Take values away from the columns of ``sums`` that they belong to, in place; the column −1 is none."""
    known = index >= 0
    if not known.all():
        index, values = index[known], values[:, known]
    for row, shares in zip(sums, values, strict=True):
        row -= np.bincount(index, shares, minlength=len(row))


def layer_coefficients(n_bodies: int, max_order: int) -> np.ndarray:
    """Coefficients (−1)ⁿ⁻ᵐ C(N−m, n−m) of a complete family, shape (max_order, max_order), row n−1, column m−1."""
    table = np.zeros((max_order, max_order))
    for order in range(1, max_order + 1):
        for size in range(1, order + 1):
            table[order - 1, size - 1] = (-1) ** (order - size) * comb(n_bodies - size, order - size)
    return table


def truncations(totals: np.ndarray, axis: int = 0) -> np.ndarray:
    """Energies E^{≤n} = Σ_{m≤n} E⁽ᵐ⁾ of the expansion cut after each order, in the shape of ``totals``."""
    return np.cumsum(totals, axis=axis)
