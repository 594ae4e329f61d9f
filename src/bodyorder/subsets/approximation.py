r"""Best approximations of the energies of all subsets by terms of few bodies.

.. math:: E(S) \approx \sum_{T \subseteq S,\, 1 \le |T| \le n} a(T), \qquad
          \sum_S w_{|S|} \Bigl(E(S) - \sum_{T \subseteq S} a(T)\Bigr)^2 \to \min

The terms in vacuum, ε(T), are the best ones if only subsets of up to n bodies count. P. L. Hammer, R. Holzman, Z. Oper.
Res. 36, 3 (1992), doi:10.1007/BF01541028, treat all subsets alike; here weights may be any function of the size. Nothing of the
size of the problem is solved: the approximation is a handful of regressions along the size, see
:mod:`bodyorder.subsets.regression`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import comb

import numpy as np

from bodyorder.subsets.harmonics import gather, harmonic_parts, layer_norms, synthesise
from bodyorder.subsets.regression import left_out_fits, leverages, size_fits

#: What a subset that is determined by others is free to differ by, at the least; rounding is far below.
_SATURATED = 1e-9


class SubsetFit:
    """The energies of all subsets of N bodies, made ready for approximations of any order and weights.

    Weights are arrays as :func:`bodyorder.subsets.size_weights` gives them, orders are 1 … N; all methods raise
    ``InputError`` for weights that do not determine the terms.

    :param energies: for k = 1 … N the energies of the k-subsets in colexicographic order, shape (C(N, k), …); trailing axes
        (structures, sources) are carried along
    """

    def __init__(self, energies: Sequence[np.ndarray]):
        self.n_bodies = len(energies)
        self._trailing = energies[0].shape[1:]
        batch = int(np.prod(self._trailing))
        layers = [np.asarray(values, dtype=np.float64).reshape(len(values), batch) for values in energies]
        self._parts = harmonic_parts([np.zeros((1, batch)), *layers])

    def terms(self, order: int, weights: np.ndarray) -> list[np.ndarray]:
        """Terms a(T) of the best approximation.

        :return: for t = 0 … order those of the t-subsets, shape (C(N, t), …); a(∅) is zero where the weights exclude a
            constant
        """
        coefficients = []
        for part, fit in enumerate(size_fits(weights, order)):
            degree = min(order - part, self.n_bodies - 2 * part)
            # Σ_i Δⁱp(j)·C(k−j, i): each binomial coefficient counts the (j+i)-subsets between R and S.
            coefficients.append(_apply(_differences(degree) @ fit[: degree + 1], self._parts[part]))
        return [self._shaped(values) for values in gather(coefficients, self.n_bodies, order)]

    def residuals(self, order: int, weights: np.ndarray) -> list[np.ndarray]:
        """E(S) less its best approximation: for k = 1 … N those of the k-subsets, shape (C(N, k), …)."""
        return [self._shaped(values) for values in synthesise(self._left(size_fits(weights, order)))[1:]]

    def squared_residuals(self, order: int, weights: np.ndarray) -> np.ndarray:
        """Σ_{|S|=k} r(S)² of the residuals r of the best approximation, for k = 1 … N, shape (N, …)."""
        return self._squares(size_fits(weights, order))

    def left_one_out_residuals(self, order: int, weights: np.ndarray, squares: np.ndarray | None = None) -> np.ndarray:
        """Σ_{|S|=k} r(S)² when each S alone is left out of the approximation that is to predict it.

        :param squares: what :meth:`squared_residuals` says of the same order and weights, where it is known
        :return: for k = 1 … N, shape (N, …); NaN where the other subsets do not determine all terms
        """
        free = 1 - leverages(weights, order)
        free[free < _SATURATED] = np.nan
        known = self.squared_residuals(order, weights) if squares is None else squares
        return known / free.reshape(-1, *[1] * len(self._trailing)) ** 2

    def left_out_residuals(self, order: int, weights: np.ndarray) -> np.ndarray:
        """Σ_{|S|=k} r(S)² when the k-subsets are left out of the approximation that is to predict them.

        :return: for k = 1 … N, shape (N, …); NaN where the other sizes do not determine all terms
        """
        return self._squares(left_out_fits(weights, order))

    def whole_residual(self, order: int, weights: np.ndarray) -> np.ndarray:
        """Residual of the full cluster, shape (…)."""
        means = self._parts[0][:, 0]
        return (means[-1] - size_fits(weights, order)[0][-1] @ means).reshape(self._trailing)

    def _left(self, fits: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The harmonic parts less what a fit has of them."""
        fitted = [values - _apply(fit, values) for fit, values in zip(fits, self._parts, strict=False)]
        return fitted + self._parts[len(fits) :]

    def _squares(self, fits: Sequence[np.ndarray]) -> np.ndarray:
        squares = np.zeros((self.n_bodies + 1, *self._parts[0].shape[2:]))
        # one array serves all parts: making new ones takes longer than what is computed in them
        room = np.empty(max(values.size for values in self._parts[: len(fits)]))
        for part, values in enumerate(self._parts):
            own = self._own_squares[part]
            if part < len(fits):
                left = room[: values.size].reshape(len(values), -1)
                flat = values.reshape(left.shape)
                np.dot(fits[part], flat, out=left)
                np.subtract(flat, left, out=left)
                own = _sums_of_squares(left.reshape(values.shape))
            squares[part : self.n_bodies - part + 1] += layer_norms(self.n_bodies, part)[:, None] * own
        return squares[1:].reshape(self.n_bodies, *self._trailing)

    @cached_property
    def _own_squares(self) -> list[np.ndarray]:
        """Sums of squares of the harmonic parts themselves."""
        return [_sums_of_squares(values) for values in self._parts]

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(len(values), *self._trailing)


def count_terms(n_bodies: int, order: int) -> int:
    """Number of terms of 1 … order bodies: the parameters of an approximation."""
    return sum(comb(n_bodies, size) for size in range(1, order + 1))


def _sums_of_squares(values: np.ndarray) -> np.ndarray:
    """Over the second axis of an array of shape (k, r, b)."""
    return np.asarray(np.einsum("krb,krb->kb", values, values))


def _apply(matrix: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A matrix on the first axis."""
    return np.tensordot(matrix, values, axes=1)


def _differences(degree: int) -> np.ndarray:
    """Matrix from p(0) … p(d) to the forward differences Δ⁰p(0) … Δᵈp(0)."""
    return np.array([[(-1) ** (i - k) * comb(i, k) for k in range(degree + 1)] for i in range(degree + 1)], dtype=float)
