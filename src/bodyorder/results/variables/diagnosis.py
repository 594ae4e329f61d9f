"""What *ab initio* orders depend on."""

from bodyorder.results.variables.variable import Variable

_GROUP_ORDER = ("group", "order")

DIAGNOSIS = {
    "change_mean": Variable(
        _GROUP_ORDER,
        "eV/body",
        r"\langle\Delta E^{(n)}\rangle/N",
        "mean change of n-body totals per body with one factor",
    ),
    "change_rms": Variable(
        _GROUP_ORDER, "eV/body", r"\mathrm{RMS}\,\Delta E^{(n)}/N", "root mean square change of n-body totals per body"
    ),
    "change_noise": Variable(_GROUP_ORDER, "eV/body", r"\sigma/N", "1σ of the change of n-body totals per body"),
    "change_total": Variable(("group",), "eV/body", r"\langle\Delta E\rangle/N", "mean change of energies per body"),
    "largest_change": Variable(
        (), "eV/body", r"\langle\Delta E^{(n)}\rangle/N", "largest mean change of an n-body total"
    ),
    "changed_order": Variable((), "1", "n", "order that changes most"),
    "changed_group": Variable((), "1", "", "group in which it does"),
    "total_change": Variable(
        (), "eV/body", r"\langle\Delta E\rangle/N", "mean change of energies per body in that group"
    ),
    "first_beyond": Variable((), "1", "|S|", "smallest size of sub-clusters with errors above the tolerance"),
    "worst_rms": Variable(
        (), "eV", r"\mathrm{RMS}\,\Delta E(S)", "largest RMS error of sub-clusters of a size and group"
    ),
    "worst_size": Variable((), "1", "|S|", "size of sub-clusters with the largest RMS error"),
    "worst_group": Variable((), "1", "", "group of sub-clusters with the largest RMS error"),
    "n_states": Variable((*_GROUP_ORDER, "multiplicity"), "1", r"N_{2S+1}", "sub-clusters of a multiplicity"),
    "n_unknown": Variable(_GROUP_ORDER, "1", r"N_?", "sub-clusters whose multiplicity is not known"),
    "n_states_known": Variable((), "1", "N", "sub-clusters whose multiplicity is known"),
    "n_high_spin": Variable((), "1", "", "sub-clusters of a higher spin than that of paired electrons"),
    "n_dissociated": Variable(
        _GROUP_ORDER, "1", "", "nearly degenerate sub-clusters whose open-shell parts do not interact"
    ),
    "n_compared": Variable(_GROUP_ORDER, "1", "N", "sub-clusters of which both sources say what is compared"),
    "n_changed": Variable(_GROUP_ORDER, "1", r"N_\Delta", "sub-clusters that have another multiplicity"),
    "changed_energy_mean": Variable(
        _GROUP_ORDER,
        "eV",
        r"\langle\Delta E(S)\rangle",
        "mean change of energy of sub-clusters that change multiplicity",
    ),
    "changed_energy_largest": Variable(
        _GROUP_ORDER, "eV", r"\Delta E(S)", "largest change of energy of a sub-cluster that changes multiplicity"
    ),
    "changed_energy_size": Variable(
        ("group",), "eV", r"|\Delta E(S)|", "largest size of a change of energy with the multiplicity"
    ),
    "changed_structure": Variable(("rank",), "1", "", "structure of a sub-cluster that changes multiplicity"),
    "changed_members": Variable(("rank", "slot"), "1", "S", "bodies of a sub-cluster that changes multiplicity"),
    "changed_from": Variable(("rank",), "1", "2S+1", "multiplicity that it has first"),
    "changed_to": Variable(("rank",), "1", "2S+1", "multiplicity that it has then"),
    "changed_energy": Variable(("rank",), "eV", r"\Delta E(S)", "change of its energy"),
    "error_mean": Variable(_GROUP_ORDER, "eV", r"\langle\Delta E(S)\rangle", "mean error of energies of n bodies"),
    "error_rms": Variable(_GROUP_ORDER, "eV", r"\mathrm{RMS}\,\Delta E(S)", "RMS error of energies of n bodies"),
    "error_largest": Variable(_GROUP_ORDER, "eV", r"\Delta E(S)", "largest error of an energy of n bodies"),
    "n_beyond": Variable(_GROUP_ORDER, "1", r"N_>", "sub-clusters whose error is above the tolerance"),
    "mean_contamination": Variable(
        _GROUP_ORDER, "1", r"\langle\hat S^2\rangle-S(S+1)", "mean spin contamination of sub-clusters of n bodies"
    ),
    "error_contamination": Variable(
        _GROUP_ORDER, "1", "r", "Pearson correlation of the size of an error with the spin contamination"
    ),
    "order_share": Variable(
        _GROUP_ORDER, "1", r"\mathrm{RMSE}/\mathrm{RMS}", "RMS deviation of n-body totals over their root mean square"
    ),
}
