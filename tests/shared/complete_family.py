"""Oracles: what sums over all subsets of a size say of complete families, by coefficients in closed form."""

from __future__ import annotations

from math import comb

import numpy as np


def order_totals(layer_sums: np.ndarray, n_bodies: int) -> np.ndarray:
    """Order totals from the sums of energies over all subsets of each size.

    E⁽ⁿ⁾ = Σ_{m≤n} (−1)ⁿ⁻ᵐ C(N−m, n−m) Σ_{|T|=m} E(T). A sum that is NaN makes the totals from its order on NaN, and no other.

    :param layer_sums: shape (max_order, …)
    :param n_bodies: number of bodies N
    :return: shape (max_order, …)
    """
    table = _coefficients(n_bodies, len(layer_sums))
    return np.stack(
        [np.tensordot(table[order, : order + 1], layer_sums[: order + 1], axes=1) for order in range(len(layer_sums))]
    )


def noise_amplification(n_bodies: int) -> np.ndarray:
    """Factor by which independent errors σ of all energies grow in each order total, shape (n_bodies,).

    √(Σ_m C(N−m, n−m)² C(N, m)): up to 167 for N = 8 (n = 5), 16,259 for N = 14 (n = 9).
    """
    counts = np.array([comb(n_bodies, size) for size in range(1, n_bodies + 1)], dtype=np.float64)
    return np.sqrt(_coefficients(n_bodies, n_bodies) ** 2 @ counts)


def _coefficients(n_bodies: int, max_order: int) -> np.ndarray:
    """(−1)ⁿ⁻ᵐ C(N−m, n−m), shape (max_order, max_order), row n−1, column m−1."""
    sizes = range(1, max_order + 1)
    return np.array([[(-1.0) ** (n - m) * comb(n_bodies - m, n - m) if m <= n else 0.0 for m in sizes] for n in sizes])
