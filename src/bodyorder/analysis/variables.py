"""Names, units and symbols of what an analysis adds to a result; together with those of a result, one table."""

from __future__ import annotations

import xarray as xr

from bodyorder.engine.results import VARIABLES, Variable

_PER_ORDER = ("structure", "order")
_GROUP_ORDER = ("group", "order")

#: What the analyses add. A body is an atom unless the result says otherwise.
DERIVED = {
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
    "group_total": Variable(("group",), "eV/body", r"\langle E/N\rangle", "energy per body, mean of a group"),
    "group_truncation_error": Variable(
        _GROUP_ORDER, "eV/body", r"|E-E^{\leq n}|/N", "truncation error per body, root mean square of a group"
    ),
    "group_truncation_noise": Variable(
        _GROUP_ORDER, "eV/body", r"\sigma_{\leq n}/N", "noise of the truncation per body, root mean square of a group"
    ),
    "group_growth": Variable(
        _GROUP_ORDER, "1", r"|E^{(n+1)}|/|E^{(n)}|", "size of the next order over this one, geometric mean of a group"
    ),
    "group_alternation": Variable(
        ("group",), "1", r"a", "fraction of steps at which the sign changes, mean of a group"
    ),
    "group_body_order": Variable(("group",), "1", r"n_\mathrm{eff}", "effective body order, median of a group"),
    "group_size": Variable(("group",), "1", "", "structures of a group with contributions"),
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
    "one_body_energy": Variable(("element",), "eV", r"E^{(1)}", "energy of an isolated atom"),
    "atom_share": Variable(
        ("order", "site"), "eV", r"\varepsilon_a^{(n)}", "share of an atom in order n, each subset split equally"
    ),
}

#: Every variable of a result or an analysis.
TABLE = VARIABLES | DERIVED


def label(dataset: xr.Dataset) -> xr.Dataset:
    """Give every variable of ``dataset`` its unit and meaning from the table, in place."""
    for name, array in dataset.variables.items():
        if name in TABLE:
            entry = TABLE[str(name)]
            array.attrs.update(units=entry.unit, long_name=entry.meaning)
    return dataset
