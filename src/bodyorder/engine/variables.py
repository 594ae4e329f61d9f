"""The one table of the names, dimensions, units and symbols of what results and analyses hold."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr


@dataclass(frozen=True)
class Variable:
    """One variable of a result.

    :param dims: its dimensions, without the leading ``source`` where several sources stand side by side
    :param unit: as written to the file and on the axes of plots
    :param symbol: mathematical symbol, in LaTeX without dollar signs
    :param meaning: one line
    """

    dims: tuple[str, ...]
    unit: str
    symbol: str
    meaning: str


_PER_ORDER = ("structure", "order")
_GROUP_ORDER = ("group", "order")
_PER_SIZE = ("structure", "order", "size")
_MAP = ("angle", "first", "second")

#: Every variable that a result or an analysis can hold. Files, plots and the report read names, units and symbols here.
VARIABLES = {
    "contribution": Variable(("structure", "order"), "eV", r"E^{(n)}", "n-body total"),
    "noise": Variable(
        ("structure", "order"),
        "eV",
        r"\sigma",
        "1σ of the contribution from the precision of the source or of sampling",
    ),
    "above_noise": Variable(("structure", "order"), "1", "", "whether the n-body total is more than twice its noise"),
    "total": Variable(("structure",), "eV", "E", "energy of the whole structure, evaluated directly"),
    "residual": Variable(("structure",), "eV", r"E-\sum_n E^{(n)}", "total minus the sum of all contributions"),
    "n_bodies": Variable(("structure",), "1", "N", "number of bodies"),
    "n_evaluations": Variable(("structure",), "1", r"N_\mathrm{eval}", "sub-clusters really evaluated"),
    "failure": Variable(("structure",), "1", "", "why contributions are missing; empty if none are"),
    "force_contribution": Variable(("order", "site", "xyz"), "eV/Å", r"F^{(n)}", "n-body forces"),
    "atom_contribution": Variable(
        ("order", "site"),
        "eV",
        r"E_a^{(n)}",
        "share of an atom in order n, by the energies of atoms that the source gives",
    ),
    "stress_contribution": Variable(
        ("structure", "order", "voigt"), "eV/Å³", r"\sigma^{(n)}", "n-body stress of a periodic structure"
    ),
    "cell": Variable(("structure", "vector", "xyz"), "Å", "", "lattice vectors of a periodic structure"),
    "site_structure": Variable(("site",), "1", "", "structure that an atom belongs to"),
    "site_number": Variable(("site",), "1", "Z", "atomic number of an atom"),
    "site_body": Variable(("site",), "1", "", "body that an atom belongs to, counted within its structure"),
    "site_position": Variable(("site", "xyz"), "Å", "r", "position of an atom"),
    "site_charge": Variable(("site",), "e", "q", "charge of an atom, as it was given; left out if all are zero"),
    "subset_members": Variable(("subset", "slot"), "1", "S", "body indices, −1 for an empty slot"),
    "subset_cells": Variable(("subset", "slot", "xyz"), "1", "R", "cell that each body of a subset is in"),
    "subset_structure": Variable(("subset",), "1", "", "structure that a subset belongs to"),
    "subset_order": Variable(("subset",), "1", "|S|", "number of bodies in a subset"),
    "subset_energy": Variable(("subset",), "eV", "E(S)", "energy of a subset alone in vacuum"),
    "subset_contribution": Variable(("subset",), "eV", r"\varepsilon(S)", "contribution of a subset"),
    "subset_multiplicity": Variable(("subset",), "1", "2S+1", "multiplicity of the state of a subset"),
    "subset_contamination": Variable(
        ("subset",), "1", r"\langle S^2\rangle-S(S+1)", "spin contamination of the state of a subset"
    ),
    "subset_gap": Variable(("subset",), "eV", r"\Delta", "energy of the next state of a subset above its own"),
    "subset_uncertainty": Variable(
        ("subset",), "eV", r"\sigma(S)", "1σ of the energy of a subset beyond the precision of the source"
    ),
    "subset_discarded_weight": Variable(
        ("subset",), "1", "w", "weight of the states left out of the matrix product state of a subset"
    ),
    "subset_extrapolation": Variable(
        ("subset",), "eV", r"E_{w\to 0}-E(S)", "energy of a subset extrapolated to no discarded weight minus its energy"
    ),
    "n_failed": Variable(_PER_ORDER, "1", "", "sub-clusters whose energy failed"),
    "n_contaminated": Variable(_PER_ORDER, "1", "", "sub-clusters whose state is spin contaminated"),
    "n_degenerate": Variable(_PER_ORDER, "1", "", "sub-clusters whose state is nearly degenerate"),
    "n_uncertain": Variable(_PER_ORDER, "1", "", "sub-clusters whose energy is uncertain by itself"),
    # What a plan holds.
    "n_clusters": Variable(("order",), "1", r"N_\mathrm{sub}", "sub-clusters of an order"),
    "seconds_per_cluster": Variable(("order",), "s", "t", "time of one sub-cluster on this machine"),
    "measured": Variable(("order",), "1", "", "whether the time was measured; extrapolated otherwise"),
    "core_seconds": Variable(("order",), "s", r"N_\mathrm{sub}\,t", "time of all sub-clusters of an order"),
    "longest_seconds": Variable(("order",), "s", r"t_\mathrm{max}", "time of the longest sub-cluster of an order"),
    "megabytes": Variable(("order",), "MB", "M", "memory of one worker as the source estimates it"),
    "resident_megabytes": Variable(
        ("order",), "MB", r"M_\mathrm{seen}", "largest memory of this process in the timed sample"
    ),
    "expected_noise": Variable(("order",), "eV", r"\sigma", "expected 1σ of the contribution in the largest structure"),
    # What the analyses add.
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
    "error_correlation": Variable(
        (*_GROUP_ORDER, "other_order"), "1", "r", "Pearson correlation of the errors of two n-body totals per body"
    ),
    "cancellation": Variable(
        ("group",),
        "1",
        r"\kappa",
        "error of the sum of all n-body totals over the root of their summed squared errors",
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
    "n_states": Variable((*_GROUP_ORDER, "multiplicity"), "1", r"N_{2S+1}", "sub-clusters of a multiplicity"),
    "n_unknown": Variable(_GROUP_ORDER, "1", r"N_?", "sub-clusters whose multiplicity is not known"),
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
    "force_rmse": Variable(("group",), "eV/Å", r"\mathrm{RMSE}", "root-mean-square deviation of force components"),
    "force_order_rmse": Variable(
        _GROUP_ORDER, "eV/Å", r"\mathrm{RMSE}", "root-mean-square deviation of the components of n-body forces"
    ),
    "one_body_energy": Variable(("element",), "eV", r"E^{(1)}", "energy of an isolated atom"),
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
        _PER_ORDER, "eV/body", r"\mathrm{RMS}\,r/|S|", "error where each size is predicted from all others"
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
    # Curves of two atoms, and maps of three: atom 0 is the apex.
    "distance": Variable(("distance",), "Å", "r", "distance of two atoms"),
    "first": Variable(("first",), "Å", "r_1", "distance of atom 1 from the apex"),
    "second": Variable(("second",), "Å", "r_2", "distance of atom 2 from the apex"),
    "angle": Variable(("angle",), "°", r"\theta", "angle at the apex"),
    "pair_energy": Variable(("distance",), "eV", "E(r)", "energy of two atoms alone in vacuum"),
    "pair_contribution": Variable(("distance",), "eV", r"\varepsilon_2(r)", "two-body contribution of two atoms"),
    "pair_noise": Variable(
        ("distance",), "eV", r"\sigma", "1σ of the two-body contribution from the precision of energies"
    ),
    "pair_failure": Variable(
        ("distance",), "1", "", "why the contribution of two atoms is missing; empty if it is not"
    ),
    "triple_energy": Variable(_MAP, "eV", r"E(r_1,r_2,\theta)", "energy of three atoms alone in vacuum"),
    "triple_contribution": Variable(
        _MAP, "eV", r"\varepsilon_3(r_1,r_2,\theta)", "three-body contribution of three atoms"
    ),
    "triple_noise": Variable(_MAP, "eV", r"\sigma", "1σ of the three-body contribution from the precision of energies"),
    "triple_failure": Variable(_MAP, "1", "", "why the contribution of three atoms is missing; empty if it is not"),
    "well_depth": Variable((), "eV", r"-\varepsilon_2(r_0)", "depth of the lowest minimum of a two-body curve"),
    "well_distance": Variable((), "Å", "r_0", "distance of the lowest minimum of a two-body curve"),
    "pair_deviation": Variable(
        ("distance",), "eV", r"\Delta\varepsilon_2(r)", "two-body curve minus that of the reference"
    ),
    "pair_rms": Variable(
        (), "eV", r"\mathrm{RMS}\,\Delta\varepsilon_2", "RMS deviation of a two-body curve over its grid"
    ),
    "pair_training_rms": Variable(
        (),
        "eV",
        r"\mathrm{RMS}_\rho\,\Delta\varepsilon_2",
        "RMS deviation of a two-body curve over pairs of structures",
    ),
    "triple_deviation": Variable(_MAP, "eV", r"\Delta\varepsilon_3", "three-body map minus that of the reference"),
    "triple_rms": Variable(
        ("angle",), "eV", r"\mathrm{RMS}\,\Delta\varepsilon_3", "RMS deviation of a three-body map at one angle"
    ),
    "distance_density": Variable(("pair", "bin"), "1/Å", r"\rho(r)", "pairs of atoms per structure by distance"),
    "bin": Variable(("bin",), "Å", "r", "middle of a range of distances"),
    "bin_width": Variable(("bin",), "Å", r"\Delta r", "width of a range of distances"),
}


def describe(dataset: xr.Dataset) -> xr.Dataset:
    """Give every variable of ``dataset`` its unit and meaning from :data:`VARIABLES`, in place."""
    for name, array in dataset.variables.items():
        if name in VARIABLES:
            entry = VARIABLES[str(name)]
            array.attrs.update(units=entry.unit, long_name=entry.meaning)
    return dataset
