"""How sources differ from a reference."""

from bodyorder.results.variables.variable import Variable

_GROUP_ORDER = ("group", "order")

COMPARISON = {
    "order_bias": Variable(
        _GROUP_ORDER, "eV/body", r"\langle\Delta E^{(n)}\rangle/N", "mean deviation of n-body totals per body"
    ),
    "order_mae": Variable(
        _GROUP_ORDER, "eV/body", r"\mathrm{MAE}", "mean absolute deviation of n-body totals per body"
    ),
    "order_rmse": Variable(
        _GROUP_ORDER, "eV/body", r"\mathrm{RMSE}", "root-mean-square deviation of n-body totals per body"
    ),
    "order_correlation": Variable(_GROUP_ORDER, "1", "r", "Pearson correlation of n-body totals per body"),
    "error_correlation": Variable(
        (*_GROUP_ORDER, "other_order"), "1", "r", "Pearson correlation of the errors of two n-body totals per body"
    ),
    "cancellation": Variable(
        ("group",),
        "1",
        r"\kappa",
        "error of the sum of all n-body totals over the root of their summed squared errors",
    ),
    "constant_cancellation": Variable(
        ("group",), "1", r"\kappa", "cancellation in a source that knows the mean energy of the group alone"
    ),
    "size_bias": Variable(
        ("group", "size"),
        "eV/body",
        r"\langle\Delta E(S)\rangle/|S|",
        "mean deviation of energies by size of sub-cluster",
    ),
    "size_error": Variable(
        ("group", "size"),
        "eV/body",
        r"\mathrm{RMSE}",
        "root-mean-square deviation of energies by size of sub-cluster",
    ),
    "subset_bias": Variable(
        _GROUP_ORDER, "eV", r"\langle\Delta\varepsilon\rangle", "mean deviation of subset contributions"
    ),
    "subset_mae": Variable(_GROUP_ORDER, "eV", r"\mathrm{MAE}", "mean absolute deviation of subset contributions"),
    "subset_rmse": Variable(_GROUP_ORDER, "eV", r"\mathrm{RMSE}", "root-mean-square deviation of subset contributions"),
    "subset_correlation": Variable(_GROUP_ORDER, "1", "r", "Pearson correlation of subset contributions"),
    "total_bias": Variable(("group",), "eV/body", r"\langle\Delta E\rangle/N", "mean deviation of energies per body"),
    "total_mae": Variable(("group",), "eV/body", r"\mathrm{MAE}", "mean absolute deviation of energies per body"),
    "total_rmse": Variable(("group",), "eV/body", r"\mathrm{RMSE}", "root-mean-square deviation of energies per body"),
    "total_correlation": Variable(("group",), "1", "r", "Pearson correlation of energies per body"),
    "force_rmse": Variable(("group",), "eV/Å", r"\mathrm{RMSE}", "root-mean-square deviation of force components"),
    "force_order_rmse": Variable(
        _GROUP_ORDER, "eV/Å", r"\mathrm{RMSE}", "root-mean-square deviation of the components of n-body forces"
    ),
    "net_force": Variable(("structure", "order"), "eV/Å", r"|\sum_a F_a^{(n)}|", "net n-body force on a structure"),
    "net_torque": Variable(
        ("structure", "order"), "eV", r"|\sum_a r_a\times F_a^{(n)}|", "net n-body torque on a structure"
    ),
    "group_net_force": Variable(_GROUP_ORDER, "eV/Å", r"\mathrm{RMS}", "root-mean-square net n-body force"),
    "group_net_torque": Variable(_GROUP_ORDER, "eV", r"\mathrm{RMS}", "root-mean-square net n-body torque"),
    "one_body_energy": Variable(("element",), "eV", r"E^{(1)}", "energy of an isolated atom"),
    "one_body_deviation": Variable(
        ("element",), "eV", r"\Delta E^{(1)}", "deviation of the energy of an isolated atom from the reference"
    ),
    "distilled_rmse": Variable(
        (), "eV/body", r"\mathrm{RMSE}", "RMS deviation of energies of a student from its teacher"
    ),
    "distilled_force_rmse": Variable(
        (), "eV/Å", r"\mathrm{RMSE}", "RMS deviation of force components of a student from its teacher"
    ),
    "followed_order": Variable(
        ("group",), "1", r"n_\mathrm{ref}", "last order up to which a model follows the reference"
    ),
    "distilled_order": Variable(
        (),
        "1",
        r"n_\mathrm{suff}",
        "lowest order of students that miss less of a teacher than it does of the reference",
    ),
    "term_deviation": Variable(
        ("group", "species"), "eV", r"\mathrm{RMS}\,\Delta a", "RMS deviation of mean terms by distance over all terms"
    ),
    "vacuum_deviation": Variable(
        ("group", "species"),
        "eV",
        r"\mathrm{RMS}\,\Delta\varepsilon",
        "RMS deviation of mean contributions in vacuum by distance",
    ),
    "term_scatter": Variable(
        ("group", "species"), "eV", r"s(a)", "standard deviation of terms at one distance, RMS over all terms"
    ),
    "vacuum_scatter": Variable(
        ("group", "species"),
        "eV",
        r"s(\varepsilon)",
        "standard deviation of contributions at one distance, RMS over all terms",
    ),
    "teacher_rmse": Variable(
        (), "eV/body", r"\mathrm{RMSE}", "RMS deviation of energies of a teacher from the reference"
    ),
}
