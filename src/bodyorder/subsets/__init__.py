"""Subset mathematics: which subsets of N bodies, and the inversion between energies and contributions.

Integers and numpy only.
"""

from bodyorder.subsets.family import Family, cliques, complete, connected
from bodyorder.subsets.moebius import contributions, noise_amplification, order_coefficients, order_totals, truncations

__all__ = [
    "Family",
    "cliques",
    "complete",
    "connected",
    "contributions",
    "noise_amplification",
    "order_coefficients",
    "order_totals",
    "truncations",
]
