r"""Weights of the sizes of subsets, and the regressions along the size that a best approximation consists of.

With weights that depend on the size alone, the best approximation of E(S) by terms of up to n bodies, E(S) ≈ Σ_{T⊆S} a(T) with
|T| ≤ n, acts on each harmonic part j by itself: there it is the weighted regression of the N − 2j + 1 values along the size k
on polynomials of degree min(n − j, N − 2j), with weights w_k C(N−2j, k−j). Weights are arrays of N + 1 numbers for the
sizes 0 … N; an infinite weight of size 0 or N means that the approximation is exact there (there is no constant; it obeys the
sum rule at the full cluster).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import comb, inf

import numpy as np

from bodyorder._checks import InputError, check_choice
from bodyorder.subsets.harmonics import dimension, layer_norms

#: Weight of every k-subset of N bodies, 1 ≤ k ≤ N, by the name of the weights.
_KINDS = {
    "size": lambda n_bodies, size: 1 / comb(n_bodies, size),
    "banzhaf": lambda n_bodies, size: 1.0,
    # The kernel has a pole at the full cluster, which the approximation hits exactly.
    "shapley": lambda n_bodies, size: (
        inf if size == n_bodies else (n_bodies - 1) / (comb(n_bodies, size) * size * (n_bodies - size))
    ),
}

#: What of a coefficient's share in a fit is rounding.
_RESOLVED = 1e-11

#: What counts sizes from m on equally.
_FROM_SIZE = re.compile(r"sizes\s*>=\s*(\d+)")


def size_weights(n_bodies: int, weights: str | Sequence[float] = "size", *, sum_rule: bool = False) -> np.ndarray:
    """Weight of a subset of each size, without a constant: that of the empty set is infinite.

    - ``size``: 1/C(N, k), every size counts the same
    - ``banzhaf``: 1, every subset counts the same
    - ``shapley``: (N−1)/(C(N, k) k (N−k)) and exact at the full cluster; the terms are the Faith-Shap index of C.-P. Tsai,
      C.-K. Yeh, P. Ravikumar, J. Mach. Learn. Res. 24(94), 1 (2023)
    - ``sizes>=m``: 1/C(N, k) for k ≥ m, 0 below
    - numbers: of the sizes 1 … N

    :param n_bodies: number of bodies N
    :param weights: one of the above
    :param sum_rule: make the approximation exact at the full cluster
    :return: shape (N+1,), for the sizes 0 … N
    :raises InputError: for an unknown name, a size m beyond N, or numbers that are no weights
    """
    table = np.full(n_bodies + 1, inf)
    if not isinstance(weights, str):
        table[1:] = _numbers(weights, n_bodies)
    elif found := _FROM_SIZE.fullmatch(weights.strip()):
        smallest = int(found[1])
        if not 1 <= smallest <= n_bodies:
            raise InputError(f"`weights` must count sizes between 1 and {n_bodies}, got {weights!r}")
        table[1:] = [(size >= smallest) / comb(n_bodies, size) for size in range(1, n_bodies + 1)]
    else:
        kind = _KINDS[check_choice("weights", weights, (*_KINDS, "sizes>=2"))]
        table[1:] = [kind(n_bodies, size) for size in range(1, n_bodies + 1)]
    if sum_rule:
        table[-1] = inf
    return table


def _numbers(weights: Sequence[float], n_bodies: int) -> np.ndarray:
    try:
        numbers = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.shape != (n_bodies,):
        raise InputError(f"`weights` must be {n_bodies} numbers, of the sizes 1 to {n_bodies}, got {weights!r}")
    if not (np.isfinite(numbers).all() and (numbers >= 0).all() and numbers.any()):
        raise InputError(f"`weights` must be finite, not negative and not all zero, got {numbers.tolist()}")
    return numbers


def largest_order(weights: np.ndarray) -> int:
    """Largest n for which the weights determine all terms of up to n bodies; 0 if not even those of one body."""
    n_bodies = len(weights) - 1
    order = 0
    while order < n_bodies and is_determined(weights, order + 1):
        order += 1
    return order


def is_determined(weights: np.ndarray, order: int) -> bool:
    """Whether the sizes that count determine all terms of up to ``order`` bodies.

    In each harmonic part a polynomial of degree d must be fitted to at least d + 1 sizes, none of which counts so little beside
    the others that it is lost in rounding.
    """
    n_bodies = len(weights) - 1
    return all(
        np.count_nonzero(weights[part : n_bodies - part + 1]) > min(order - part, n_bodies - 2 * part)
        for part in range(min(order, n_bodies // 2) + 1)
    ) and _is_resolved(tuple(float(weight) for weight in weights), order)


def check_determined(weights: np.ndarray, order: int) -> None:
    """Refuse weights that leave terms undetermined.

    :raises InputError: if they do; the message names the largest order that they determine
    """
    if is_determined(weights, order):
        return
    n_bodies, counted = len(weights) - 1, np.flatnonzero(weights[1:]) + 1
    top = largest_order(weights)
    advice = f"lower `max_order` to {top} or count more sizes" if top else "count more sizes"
    if largest_order((weights > 0).astype(float)) >= order:
        raise InputError(
            f"`weights` must be of sizes that count alike enough to determine all terms up to order {order}, got "
            f"{weights[1:].tolist()}; raise the smallest, or lower `max_order` to {top}"
        )
    raise InputError(
        f"`weights` must count enough sizes to determine all terms up to order {order} of {n_bodies} bodies, "
        f"sizes {', '.join(str(size) for size in counted)} do not; {advice}"
    )


def size_fits(weights: np.ndarray, order: int) -> tuple[np.ndarray, ...]:
    """For each harmonic part the matrix from its values along the size to those of the best approximation.

    :param weights: shape (N+1,)
    :param order: largest number of bodies of a term, n
    :return: for j = 0 … min(n, N/2) a matrix of shape (N−2j+1, N−2j+1)
    :raises InputError: if the weights do not determine the terms
    """
    check_determined(weights, order)
    return _fits(tuple(float(weight) for weight in weights), order)


def predictable_sizes(weights: np.ndarray, order: int) -> list[int]:
    """Sizes whose energies all other sizes predict: those without which the weights still determine all terms."""
    return [size for size in range(1, len(weights)) if is_determined(_without(weights, size), order)]


def _without(weights: np.ndarray, size: int) -> np.ndarray:
    others = weights.copy()
    others[size] = 0.0
    return others


def left_out_fits(weights: np.ndarray, order: int) -> list[np.ndarray]:
    """As :func:`size_fits`, but each row predicts a size from all others: NaN where those do not determine the terms."""
    n_bodies = len(weights) - 1
    fits = [np.full((n_bodies - 2 * part + 1,) * 2, np.nan) for part in range(min(order, n_bodies // 2) + 1)]
    for size in predictable_sizes(weights, order):
        for part, (fit, without) in enumerate(zip(fits, size_fits(_without(weights, size), order), strict=True)):
            if part <= size <= n_bodies - part:
                fit[size - part] = without[size - part]
    return fits


def whole_coefficients(weights: np.ndarray, order: int) -> np.ndarray:
    """How much the mean energy of each size counts in the best approximation of the full cluster, shape (N,).

    The symmetric part alone reaches the full cluster, so what is expected there follows from N mean energies.
    """
    return size_fits(weights, order)[0][-1, 1:]


def leverages(weights: np.ndarray, order: int) -> np.ndarray:
    """How much the energy of a subset of each size counts in its own best approximation, shape (N,).

    1 where no other energy determines it: the residual of a subset that is left out of the approximation is r(S)/(1 − h).
    """
    n_bodies = len(weights) - 1
    counts = np.zeros(n_bodies + 1)
    for part, fit in enumerate(size_fits(weights, order)):
        counts[part : n_bodies - part + 1] += dimension(n_bodies, part) * np.diag(fit)
    return counts[1:] / [comb(n_bodies, size) for size in range(1, n_bodies + 1)]


def noise_spread(weights: np.ndarray, order: int) -> np.ndarray:
    """What independent errors of the energies leave in the residuals: Σ_{|S|=k} ⟨r²⟩ = Σ_l spread_kl Σ_{|S|=l} σ²(S).

    :return: shape (N, N), for the sizes 1 … N
    """
    n_bodies = len(weights) - 1
    fits = size_fits(weights, order)
    spread = np.zeros((n_bodies + 1, n_bodies + 1))
    for part in range(n_bodies // 2 + 1):
        here = slice(part, n_bodies - part + 1)
        left = np.eye(n_bodies - 2 * part + 1) - (fits[part] if part < len(fits) else 0.0)
        norms = layer_norms(n_bodies, part)
        spread[here, here] += dimension(n_bodies, part) * norms[:, None] / norms * left**2
    return (spread / [comb(n_bodies, size) for size in range(n_bodies + 1)])[1:, 1:]


@lru_cache(maxsize=4096)
def _fits(weights: tuple[float, ...], order: int) -> tuple[np.ndarray, ...]:
    fits = tuple(_Regression(*values).fit() for values in _regressions(weights, order))
    for fit in fits:
        fit.flags.writeable = False
    return fits


@lru_cache(maxsize=4096)
def _is_resolved(weights: tuple[float, ...], order: int) -> bool:
    return all(_Regression(*values).is_resolved for values in _regressions(weights, order))


def _regressions(weights: tuple[float, ...], order: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Sizes, their weights, and the degree of the polynomial for each harmonic part."""
    table = np.array(weights)
    n_bodies = len(weights) - 1
    for part in range(min(order, n_bodies // 2) + 1):
        sizes = np.arange(part, n_bodies - part + 1)
        yield sizes, table[sizes] * layer_norms(n_bodies, part), min(order - part, n_bodies - 2 * part)


class _Regression:
    """Best polynomials through values at some sizes, exact where a weight is infinite.

    :param sizes: ascending, shape (n,)
    :param weights: shape (n,)
    :param degree: of the polynomials
    """

    def __init__(self, sizes: np.ndarray, weights: np.ndarray, degree: int):
        exact = np.isinf(weights)
        fixed = sizes[exact]
        x = (2 * sizes - sizes[0] - sizes[-1]) / max(sizes[-1] - sizes[0], 1)
        basis = np.polynomial.legendre.legvander(x, degree)[:, : degree + 1 - len(fixed)]
        #: Polynomials through the fixed values; beside them are those that vanish there.
        self._through = np.zeros((len(sizes), len(sizes)))
        if len(fixed):
            for column, size in zip(np.flatnonzero(exact), fixed, strict=True):
                others = fixed[fixed != size]
                self._through[:, column] = np.prod([(sizes - other) / (size - other) for other in others], axis=0)
            basis = basis * np.prod([x - x[column] for column in np.flatnonzero(exact)], axis=0)[:, None]
        finite = np.where(exact, 0.0, weights)
        self._root = np.sqrt(finite / max(finite.max(), np.finfo(float).tiny))
        self._basis = basis
        self._q, self._r = np.linalg.qr(self._root[:, None] * basis)

    @property
    def is_resolved(self) -> bool:
        """Whether every coefficient of the polynomials is above rounding."""
        sizes = np.abs(np.diag(self._r))
        return not len(sizes) or bool(sizes.min() > _RESOLVED * sizes.max())

    def fit(self) -> np.ndarray:
        """Matrix from the values to those of the best polynomial."""
        fit = self._basis @ np.linalg.solve(self._r, self._q.T * self._root)
        return self._through + fit @ (np.eye(len(fit)) - self._through)
