"""Variance of an energy by how many bodies it depends on at a time."""

from bodyorder.results.variables.variable import Variable

_SHARE, _ALL = ("displacement", "order"), ("displacement",)

VARIANCE = {
    "displacement": Variable(_ALL, "Å", r"\sigma", "width of the displacements of bodies; inf for another structure"),
    "order_variance": Variable(
        ("displacement", "structure", "order"), "eV²", "W_n", "variance that n bodies at a time explain"
    ),
    "variance_share": Variable(_SHARE, "1", r"W_n/\sum_m W_m", "share of the variance that n bodies at a time explain"),
    "variance_share_error": Variable(_SHARE, "1", "", "1σ of the share from how structures or draws differ"),
    "mean_order": Variable(_ALL, "1", r"\sum_n n W_n/\sum_n W_n", "order of an energy, weighted by variance"),
    "mean_order_error": Variable(_ALL, "1", "", "1σ of the mean order from how structures or draws differ"),
    "n_failed_draws": Variable(("displacement", "structure"), "1", "", "draws that are left out, as an energy failed"),
    "variance_failure": Variable(("displacement", "structure"), "1", "", "why draws are left out; empty if none is"),
}
