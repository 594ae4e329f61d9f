r"""How much of a function's variance each order explains when bodies are drawn anew, independently of each other.

A function of N independent bodies is a sum of terms f_u of the bodies in u, uncorrelated with each other (Hoeffding, Ann. Math.
Stat. 19, 293 (1948), doi:10.1214/aoms/1177730196; Efron and Stein, Ann. Stat. 9, 586 (1981), doi:10.1214/aos/1176345462), so that

.. math:: \operatorname{Var} f = \sum_n W_n, \qquad W_n = \sum_{|u| = n} \operatorname{Var} f_u.

Given two draws of every body, let f(S) be the value with the second draw of the bodies in S and the first of the others. Its
Walsh coefficients g(u) = 2^{-N} Σ_S (−1)^{|S ∩ u|} f(S) have, on average over draws, the squares

.. math:: \langle g(u)^2 \rangle = \sum_{v \supseteq u} 2^{-|v|} \operatorname{Var} f_v,

as f_v is the same wherever S is the same in v, and uncorrelated elsewhere. Summed over all u of a size and inverted they give W_n
without bias, and exactly zero above the order of f. The mean order Σ n W_n / Σ W_n is the mean dimension of Owen, Stat. Sin. 13,
1 (2003).
"""

from __future__ import annotations

from math import comb

import numpy as np


def order_variances(values: np.ndarray) -> np.ndarray:
    """Estimates of W_n from two draws of every body.

    Errors of single values that are independent of each other show in W_N alone, on average with their variance.

    :param values: f(S), body i of its second draw where bit i of the place is set, shape (..., 2**N)
    :return: W_1 … W_N in the square of the unit of f, each without bias and so below zero at times, shape (..., N)
    """
    n_bodies = values.shape[-1].bit_length() - 1
    squares = walsh_coefficients(values) ** 2
    sizes = np.bitwise_count(np.arange(values.shape[-1]))
    by_size = np.stack([squares[..., sizes == size].sum(axis=-1) for size in range(1, n_bodies + 1)], axis=-1)
    return by_size @ _inverse(n_bodies).T


def walsh_coefficients(values: np.ndarray) -> np.ndarray:
    """g(u) = 2^{-N} Σ_S (−1)^{|S ∩ u|} f(S), shape (..., 2**N)."""
    length = values.shape[-1]
    result = np.array(values, dtype=np.float64)
    step = 1
    while step < length:
        pairs = result.reshape(*values.shape[:-1], -1, 2, step)
        first, second = pairs[..., 0, :].copy(), pairs[..., 1, :].copy()
        pairs[..., 0, :], pairs[..., 1, :] = 0.5 * (first + second), 0.5 * (first - second)
        step *= 2
    return result


def _inverse(n_bodies: int) -> np.ndarray:
    """From the sums of g² over all subsets of a size, Σ_m C(m, n) 2^{-m} W_m, to W_n, shape (N, N)."""
    orders = range(1, n_bodies + 1)
    return np.array([[2.0**n * (-1) ** (m - n) * comb(m, n) if m >= n else 0.0 for m in orders] for n in orders])
