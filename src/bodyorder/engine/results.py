"""The result of a decomposition: one labelled dataset, NetCDF on disk, and the one table of its names, units and symbols."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from bodyorder._checks import InputError
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
    """
    with replacing(path, "results") as partial:
        dataset.to_netcdf(partial, engine="h5netcdf")
    return Path(path)


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a result written by :func:`save` into memory.

    :raises InputError: if the file is missing, is not a result, or was written by a newer layout
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"results must be an existing file, {source} is not")
    try:
        with xr.open_dataset(source, engine="h5netcdf") as handle:
            dataset = handle.load()
    except (OSError, ValueError) as error:
        raise InputError(f"results must be NetCDF files written by bodyorder, {source} is not: {error}") from None
    written = dataset.attrs.get("schema_version")
    if written is None or "contribution" not in dataset:
        raise InputError(f"results must be files written by `bodyorder decompose`, {source} has no contributions")
    if int(written) > SCHEMA_VERSION:
        raise InputError(
            f"results must have layout {SCHEMA_VERSION} or older, {source} has {int(written)}; upgrade bodyorder to read it"
        )
    return dataset
