"""What contributions say: how they converge, how sources differ. Datasets in, Datasets out; no energy is computed."""

from bodyorder.analysis.alignment import attributes, combine, groups, with_sources
from bodyorder.analysis.comparison import compare, one_body_energies
from bodyorder.analysis.convergence import group_convergence, order_convergence
from bodyorder.analysis.environment import environment_orders
from bodyorder.analysis.interactions import context_orders, environment_terms, interaction_indices
from bodyorder.analysis.shares import atom_shares

__all__ = [
    "atom_shares",
    "attributes",
    "combine",
    "compare",
    "context_orders",
    "environment_orders",
    "environment_terms",
    "group_convergence",
    "groups",
    "interaction_indices",
    "one_body_energies",
    "order_convergence",
    "with_sources",
]
