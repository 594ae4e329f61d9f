"""How orders converge."""

from bodyorder.results.variables.variable import Variable

_PER_ORDER = ("structure", "order")
_GROUP_ORDER = ("group", "order")

CONVERGENCE = {
    "contribution_per_body": Variable(_PER_ORDER, "eV/body", r"E^{(n)}/N", "n-body total per body"),
    "noise_per_body": Variable(_PER_ORDER, "eV/body", r"\sigma/N", "1σ of the n-body total per body"),
    "total_per_body": Variable(("structure",), "eV/body", "E/N", "energy of the whole structure per body"),
    "truncation": Variable(_PER_ORDER, "eV", r"E^{\leq n}", "sum of the contributions up to order n"),
    "truncation_error": Variable(
        _PER_ORDER, "eV/body", r"(E-E^{\leq n})/N", "error of the truncation at order n per body"
    ),
    "truncation_noise": Variable(
        _PER_ORDER, "eV/body", r"\sigma_{\leq n}/N", "upper bound of 1σ of the truncation per body"
    ),
    "growth": Variable(
        _PER_ORDER, "1", r"|E^{(n+1)}|/|E^{(n)}|", "size of the next order over this one; above 1 it grows"
    ),
    "alternation": Variable(
        ("structure",), "1", r"a", "fraction of steps n to n+1, from n = 2 on, at which the sign changes"
    ),
    "decay": Variable(
        ("structure",), "1", r"\lambda", "minus the slope of ln of the size of n-body totals over n, from n = 2 on"
    ),
    "effective_body_order": Variable(
        ("structure",), "1", r"n_\mathrm{eff}", "order from which on the truncation error stays below the tolerance"
    ),
    "group_contribution": Variable(
        _GROUP_ORDER, "eV/body", r"\langle E^{(n)}/N\rangle", "n-body total per body, mean of a group"
    ),
    "group_spread": Variable(
        _GROUP_ORDER, "eV/body", r"s(E^{(n)}/N)", "standard deviation of the n-body total per body in a group"
    ),
    "group_noise": Variable(
        _GROUP_ORDER, "eV/body", r"\sigma/N", "1σ of the n-body total per body, root mean square of a group"
    ),
    "group_member_contribution": Variable(
        ("group", "order", "member"),
        "eV/body",
        r"\langle E^{(n)}_m/N\rangle",
        "n-body total per body of a member, mean of a group",
    ),
    "group_member_total": Variable(
        ("group", "member"), "eV/body", r"\langle E_m/N\rangle", "energy per body by a member, mean of a group"
    ),
    "group_ensemble_uncertainty": Variable(
        _GROUP_ORDER,
        "eV/body",
        r"s(E^{(n)}_m)/N",
        "1σ of the n-body total per body by an ensemble, root mean square of a group",
    ),
    "group_total_uncertainty": Variable(
        ("group",), "eV/body", r"s(E_m)/N", "1σ of the energy per body by an ensemble, root mean square of a group"
    ),
    "group_total": Variable(("group",), "eV/body", r"\langle E/N\rangle", "energy per body, mean of a group"),
    "group_total_deviation": Variable(
        ("group",), "eV/body", r"s(E/N)", "standard deviation of the energy per body in a group"
    ),
    "group_truncation_error": Variable(
        _GROUP_ORDER, "eV/body", r"|E-E^{\leq n}|/N", "truncation error per body, root mean square of a group"
    ),
    "group_truncation_noise": Variable(
        _GROUP_ORDER, "eV/body", r"\sigma_{\leq n}/N", "noise of the truncation per body, root mean square of a group"
    ),
    "group_growth": Variable(
        _GROUP_ORDER, "1", r"|E^{(n+1)}|/|E^{(n)}|", "size of the next order over this one, geometric mean of a group"
    ),
    "largest_growth": Variable(
        ("group",), "1", r"|E^{(n+1)}|/|E^{(n)}|", "largest growth of a group from one order to the next, from n = 2 on"
    ),
    "growth_order": Variable(("group",), "1", "n", "order from which a group grows most to the next"),
    "group_alternation": Variable(
        ("group",), "1", r"a", "fraction of steps at which the sign changes, mean of a group"
    ),
    "group_decay": Variable(
        ("group",), "1", r"\lambda", "minus the slope of ln of the size of n-body totals over n, mean of a group"
    ),
    "highest_order": Variable(("group",), "1", r"n_\mathrm{max}", "highest order whose n-body totals are not zero"),
    "beyond_nominal": Variable(
        ("group",), "eV", r"\mathrm{RMS}\,E^{(n)}", "largest RMS of n-body totals above the nominal order"
    ),
    "beyond_threshold": Variable(("group",), "eV", r"\tau", "below it an order above the nominal one is zero"),
    "nominal_verdict": Variable(("group",), "1", "", "whether the nominal order is the highest there is"),
    "group_body_order": Variable(("group",), "1", r"n_\mathrm{eff}", "effective body order, median of a group"),
    "group_size": Variable(("group",), "1", "", "structures of a group with contributions"),
}
