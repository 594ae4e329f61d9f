"""What contributions say: how they converge, how sources differ. Results in, Datasets out; no energy is computed."""

from bodyorder.analysis.aligned import Aligned, SeveralResults, align
from bodyorder.analysis.alignment import attributes, combine, groups
from bodyorder.analysis.balance import net_forces
from bodyorder.analysis.comparison import compare, one_body_energies
from bodyorder.analysis.convergence import group_convergence, order_convergence
from bodyorder.analysis.diagnosis import order_changes, single_reference_errors
from bodyorder.analysis.environment import environment_orders
from bodyorder.analysis.findings import findings, missing_contributions
from bodyorder.analysis.frequencies import harmonic_frequencies
from bodyorder.analysis.generalization import error_cancellation, size_errors
from bodyorder.analysis.interactions import context_orders, environment_terms, interaction_indices
from bodyorder.analysis.members import group_members
from bodyorder.analysis.multiplicity import doubts, multiplicities, multiplicity_changes
from bodyorder.analysis.shares import atom_shares

__all__ = [
    "Aligned",
    "SeveralResults",
    "align",
    "atom_shares",
    "attributes",
    "combine",
    "compare",
    "context_orders",
    "doubts",
    "environment_orders",
    "environment_terms",
    "error_cancellation",
    "findings",
    "group_convergence",
    "group_members",
    "groups",
    "harmonic_frequencies",
    "interaction_indices",
    "missing_contributions",
    "multiplicities",
    "multiplicity_changes",
    "net_forces",
    "one_body_energies",
    "order_changes",
    "order_convergence",
    "single_reference_errors",
    "size_errors",
]
