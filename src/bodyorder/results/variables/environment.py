"""Orders in their environment: best approximations, indices, shares of atoms."""

from bodyorder.results.variables.variable import Variable

_PER_ORDER = ("structure", "order")
_PER_SIZE = ("structure", "order", "size")
_GROUP_ORDER = ("group", "order")
_FUNCTION = ("group", "species", "bin")

ENVIRONMENT = {
    "atom_share": Variable(
        ("order", "site"), "eV", r"\varepsilon_a^{(n)}", "share of an atom in order n, each subset split equally"
    ),
    "environment_rms": Variable(
        _PER_ORDER, "eV/body", r"\mathrm{RMS}\,r/|S|", "error of the best n-body approximation of all sub-clusters"
    ),
    "environment_residual": Variable(
        _PER_ORDER, "eV", r"E-E_\mathrm{env}^{\leq n}", "energy minus its best n-body approximation, full cluster"
    ),
    "environment_validation": Variable(
        _PER_ORDER, "eV/body", r"\mathrm{RMS}\,r/|S|", "error where each size is predicted from all others, if they can"
    ),
    "environment_left_out": Variable(
        _PER_ORDER, "eV/body", r"\mathrm{RMS}\,r/|S|", "error where each sub-cluster is predicted from all others"
    ),
    "environment_noise": Variable(
        _PER_ORDER, "eV", r"\sigma", "1σ of the environment residual from the precision of the source"
    ),
    "environment_rms_noise": Variable(
        _PER_ORDER, "eV/body", r"\sigma", "environment error that the precision of the source alone would leave"
    ),
    "vacuum_residual": Variable(
        _PER_ORDER, "eV", r"E-E^{\leq n}", "energy minus its truncation at order n, full cluster"
    ),
    "vacuum_noise": Variable(_PER_ORDER, "eV", r"\sigma", "1σ of the vacuum residual from the precision of the source"),
    "size_rms": Variable(
        _PER_SIZE, "eV/body", r"\mathrm{RMS}\,r/|S|", "error of the best n-body approximation by size of sub-cluster"
    ),
    "size_validation": Variable(
        _PER_SIZE, "eV/body", r"\mathrm{RMS}\,r/|S|", "error of sub-clusters of a size predicted from all other sizes"
    ),
    "size_left_out": Variable(
        _PER_SIZE, "eV/body", r"\mathrm{RMS}\,r/|S|", "error of sub-clusters of a size, each predicted from all others"
    ),
    "n_parameters": Variable(("order",), "1", r"n_\mathrm{par}", "terms of 1 to n bodies"),
    "n_validated": Variable(("order",), "1", r"n_\mathrm{val}", "sizes that all others predict"),
    "n_data": Variable(("structure",), "1", r"n_\mathrm{data}", "sub-clusters that an approximation counts"),
    "environment_term": Variable(
        ("subset",), "eV", "a(T)", "term of the best n-body approximation of all sub-clusters"
    ),
    "interaction": Variable(("index", "subset"), "eV", "I(S)", "interaction index of a subset"),
    "context_mean": Variable(
        ("structure", "order", "environment"),
        "eV",
        r"\langle\varepsilon(S|k)\rangle",
        "contribution of n bodies to environments of k others, mean over subsets",
    ),
    "context_rms": Variable(
        ("structure", "order", "environment"),
        "eV",
        r"\mathrm{RMS}\,\varepsilon(S|k)",
        "contribution of n bodies to environments of k others, root mean square over subsets",
    ),
    "group_environment_rms": Variable(
        _GROUP_ORDER,
        "eV/body",
        r"\mathrm{RMS}\,r/|S|",
        "error of the best n-body approximations, root mean square of a group",
    ),
    "group_environment_validation": Variable(
        _GROUP_ORDER,
        "eV/body",
        r"\mathrm{RMS}\,r/|S|",
        "error where each size is predicted from all others, if they can",
    ),
    "group_environment_left_out": Variable(
        _GROUP_ORDER,
        "eV/body",
        r"\mathrm{RMS}\,r/|S|",
        "error where each sub-cluster is predicted from all others, root mean square of a group",
    ),
    "group_environment_residual": Variable(
        _GROUP_ORDER,
        "eV/body",
        r"|E-E_\mathrm{env}^{\leq n}|/N",
        "energy minus its best n-body approximation per body, root mean square of a group",
    ),
    "group_environment_noise": Variable(
        _GROUP_ORDER, "eV/body", r"\sigma/N", "1σ of the environment residual per body, root mean square of a group"
    ),
    "group_vacuum_noise": Variable(
        _GROUP_ORDER, "eV/body", r"\sigma/N", "1σ of the vacuum residual per body, root mean square of a group"
    ),
    "term_mean": Variable(_FUNCTION, "eV", r"\langle a(T)\rangle", "term of the best approximations, mean by distance"),
    "term_spread": Variable(
        _FUNCTION, "eV", r"s(a(T))", "term of the best approximations, standard deviation by distance"
    ),
    "vacuum_mean": Variable(
        _FUNCTION, "eV", r"\langle\varepsilon(T)\rangle", "contribution in vacuum, mean by distance"
    ),
    "vacuum_spread": Variable(
        _FUNCTION, "eV", r"s(\varepsilon(T))", "contribution in vacuum, standard deviation by distance"
    ),
    "n_terms": Variable(_FUNCTION, "1", r"n", "terms by distance"),
}
