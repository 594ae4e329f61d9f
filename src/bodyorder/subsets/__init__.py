"""Subset mathematics: which subsets of N bodies, the inversion between energies and contributions, best approximations.

Integers, numpy and scipy.sparse only.
"""

from bodyorder.subsets.approximation import SubsetFit, count_terms
from bodyorder.subsets.arrangement import Joints
from bodyorder.subsets.connected_sampling import ConnectedGrowth, SampledFamily
from bodyorder.subsets.family import Family, complete
from bodyorder.subsets.graphs import ConnectedFamily, cliques, connected, connected_classes
from bodyorder.subsets.indices import INDICES, context_contributions, interactions
from bodyorder.subsets.moebius import (
    contributions,
    order_coefficients,
    summed_energies,
    truncations,
)
from bodyorder.subsets.regression import (
    largest_order,
    noise_spread,
    predictable_sizes,
    size_weights,
    whole_coefficients,
)
from bodyorder.subsets.sampling import CompactGrowth, Growth, Sample, sample

__all__ = [
    "INDICES",
    "CompactGrowth",
    "ConnectedFamily",
    "ConnectedGrowth",
    "Family",
    "Growth",
    "Joints",
    "Sample",
    "SampledFamily",
    "SubsetFit",
    "cliques",
    "complete",
    "connected",
    "connected_classes",
    "context_contributions",
    "contributions",
    "count_terms",
    "interactions",
    "largest_order",
    "noise_spread",
    "order_coefficients",
    "predictable_sizes",
    "sample",
    "size_weights",
    "summed_energies",
    "truncations",
    "whole_coefficients",
]
