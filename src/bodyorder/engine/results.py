"""The result of a decomposition: one labelled dataset, NetCDF on disk, and the one table of its names, units and symbols."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from numbers import Integral
from pathlib import Path

import xarray as xr

from bodyorder._checks import InputError, first_line
from bodyorder._files import replacing

#: Version of the file layout; goes up when a variable changes its name or meaning.
SCHEMA_VERSION = 1


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

#: Every variable that a result or an analysis can hold. Files, plots and the report read names, units and symbols here.
VARIABLES = {
    "contribution": Variable(("structure", "order"), "eV", r"E^{(n)}", "n-body total"),
    "noise": Variable(
        ("structure", "order"),
        "eV",
        r"\sigma",
        "1σ of the contribution from the precision of the source or of sampling",
    ),
    "total": Variable(("structure",), "eV", "E", "energy of the whole structure, evaluated directly"),
    "residual": Variable(("structure",), "eV", r"E-\sum_n E^{(n)}", "total minus the sum of all contributions"),
    "n_bodies": Variable(("structure",), "1", "N", "number of bodies"),
    "n_evaluations": Variable(("structure",), "1", r"N_\mathrm{eval}", "sub-clusters really evaluated"),
    "failure": Variable(("structure",), "1", "", "why contributions are missing; empty if none are"),
    "force_contribution": Variable(("order", "site", "xyz"), "eV/Å", r"F^{(n)}", "n-body forces"),
    "site_structure": Variable(("site",), "1", "", "structure that an atom belongs to"),
    "site_number": Variable(("site",), "1", "Z", "atomic number of an atom"),
    "site_body": Variable(("site",), "1", "", "body that an atom belongs to, counted within its structure"),
    "site_position": Variable(("site", "xyz"), "Å", "r", "position of an atom"),
    "subset_members": Variable(("subset", "slot"), "1", "S", "body indices, −1 for an empty slot"),
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
}


def describe(dataset: xr.Dataset) -> xr.Dataset:
    """Give every variable of ``dataset`` its unit and meaning from :data:`VARIABLES`, in place."""
    for name, array in dataset.variables.items():
        if name in VARIABLES:
            entry = VARIABLES[str(name)]
            array.attrs.update(units=entry.unit, long_name=entry.meaning)
    return dataset


def save(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a dataset as NetCDF, whole or not at all.

    :raises InputError: if the file cannot be written
    :raises ComputationError: if the disk is full
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    # HDF5 does not tell when the end of a file found no room on the disk, so it writes to memory.
    content = BytesIO()
    with h5netcdf.File(content, "w") as handle:
        dataset.dump_to_store(H5NetCDFStore(handle))
    with replacing(path, "results") as partial:
        partial.write_bytes(content.getbuffer())
    return Path(path)


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a result written by :func:`save` into memory.

    :raises InputError: if the file is missing, is not a result, or was written by a newer layout
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"results must be an existing file, {source} is not")
    try:
        # Dimensions without a name are those of files that are not ours.
        with xr.open_dataset(source, engine="h5netcdf", phony_dims="access") as handle:
            dataset = handle.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"results must be NetCDF files written by bodyorder, {source} is not: {first_line(error)}"
        ) from None
    written = dataset.attrs.get("schema_version")
    if not isinstance(written, Integral) or "contribution" not in dataset:
        raise InputError(f"results must be files written by `bodyorder decompose`, {source} has no contributions")
    if int(written) > SCHEMA_VERSION:
        raise InputError(
            f"results must have layout {SCHEMA_VERSION} or older, {source} has {written}; upgrade bodyorder to read it"
        )
    return dataset
