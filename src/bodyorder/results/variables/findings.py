"""What a reader asks of results first."""

from bodyorder.results.variables.variable import Variable

_GROUP = ("group",)

FINDINGS = {
    "sufficient_order": Variable(
        _GROUP, "1", r"n_\mathrm{suff}", "order from which on the truncation error of a group stays below the tolerance"
    ),
    "is_certain": Variable(
        _GROUP, "1", "", "whether truncation errors stay below the tolerance with twice their noise added"
    ),
    "last_order": Variable(_GROUP, "1", "n", "last order whose truncation error is known"),
    "last_error": Variable(
        _GROUP, "eV/body", r"|E-E^{\leq n}|/N", "truncation error of the last order of which it is known"
    ),
    "pair_contribution_per_body": Variable(_GROUP, "eV/body", r"\langle E^{(2)}/N\rangle", "two-body total per body"),
    "largest_order": Variable(_GROUP, "1", "n", "of the orders above 2 the one with the largest n-body total"),
    "largest_contribution": Variable(
        _GROUP, "eV/body", r"\langle E^{(n)}/N\rangle", "largest n-body total per body above order 2"
    ),
    "largest_ratio": Variable(
        _GROUP, "1", r"|E^{(n)}|/|E^{(2)}|", "size of the largest n-body total over that of order 2"
    ),
    "noisiest_order": Variable(_GROUP, "1", "n", "order with the largest noise"),
    "largest_noise": Variable(_GROUP, "eV/body", r"\sigma/N", "largest 1σ of an n-body total per body"),
    "is_unknown": Variable(
        ("group", "order"), "1", "", "whether no structure of so many bodies has an order that was asked for"
    ),
    "n_within_noise": Variable(_GROUP, "1", "", "n-body totals from order 2 on that are not above twice their noise"),
    "n_above_noise": Variable(_GROUP, "1", "", "n-body totals from order 2 on that are above twice their noise"),
    "n_totals": Variable((), "1", "", "n-body totals from order 2 on that are known"),
    "deviation_order": Variable(_GROUP, "1", "n", "order that deviates most from the reference"),
    "largest_deviation": Variable(
        _GROUP, "eV/body", r"\mathrm{RMSE}", "RMS deviation of that order from the reference"
    ),
    "n_lacking": Variable((), "1", "", "structures that lack contributions"),
    "n_unasked": Variable((), "1", "", "structures whose energy was not asked for"),
    "is_sampled": Variable((), "1", "", "whether n-body totals are estimates from a sample of the sub-clusters"),
    "is_cut": Variable((), "1", "", "whether sub-clusters were cut by distance although energies do not end there"),
    "lone_offset": Variable(
        (), "eV", r"E_{AB}(\infty)-E_A-E_B", "largest offset above noise of two atoms far apart from two lone ones"
    ),
    "n_doubtful_failed": Variable((), "1", "", "sub-clusters whose energy failed, of all orders"),
    "n_doubtful_contaminated": Variable((), "1", "", "sub-clusters whose state is spin contaminated, of all orders"),
    "n_doubtful_uncertain": Variable((), "1", "", "sub-clusters whose energy is uncertain, of all orders"),
    "n_doubtful_degenerate": Variable(
        (), "1", "", "sub-clusters of all orders whose state is nearly degenerate though they do not fall apart"
    ),
    "n_dissociated_states": Variable(
        (), "1", "", "nearly degenerate sub-clusters of all orders whose open-shell parts do not interact"
    ),
    "n_all": Variable((), "1", "", "sub-clusters of all orders"),
}
