"""The result of a decomposition on disk: one labelled dataset in a NetCDF file."""

from __future__ import annotations

import os
from io import BytesIO
from numbers import Integral
from pathlib import Path

import xarray as xr

from bodyorder._checks import InputError, first_line
from bodyorder._files import replacing

#: Version of the file layout; goes up when a variable changes its name or meaning.
SCHEMA_VERSION = 1


def save(dataset: xr.Dataset, path: str | os.PathLike[str], *, compressed: bool = False) -> Path:
    """Write a dataset as NetCDF, whole or not at all.

    :param compressed: for tables that are sparse: a fifth of the size, and slower to write
    :raises InputError: if the file cannot be written
    :raises ComputationError: if the disk is full
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    # HDF5 does not tell when the end of a file found no room on the disk, so it writes to memory.
    content = BytesIO()
    if compressed:
        dataset = dataset.copy()
        for array in dataset.variables.values():
            if array.ndim and array.dtype.kind in "fi":
                array.encoding = {"zlib": True, "shuffle": True}
    with h5netcdf.File(content, "w") as handle:
        dataset.dump_to_store(H5NetCDFStore(handle))
    with replacing(path, "results") as partial:
        partial.write_bytes(content.getbuffer())
    return Path(path)


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a result written by :func:`save` into memory.

    :raises InputError: if the file is missing, is not a result, or was written by a newer layout
    """
    dataset = load_analysis(path)
    written = dataset.attrs.get("schema_version")
    if not isinstance(written, Integral) or "contribution" not in dataset:
        raise InputError(f"results must be files written by `bodyorder decompose`, {path} has no contributions")
    if int(written) > SCHEMA_VERSION:
        raise InputError(
            f"results must have layout {SCHEMA_VERSION} or older, {path} has {written}; upgrade bodyorder to read it"
        )
    return dataset


def load_analysis(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read any dataset written by :func:`save` into memory.

    :raises InputError: if the file is missing, or is no NetCDF file
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"results must be an existing file, {source} is not")
    try:
        # Dimensions without a name are those of files that are not ours.
        with xr.open_dataset(source, engine="h5netcdf", phony_dims="access") as handle:
            return handle.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"results must be NetCDF files written by bodyorder, {source} is not: {first_line(error)}"
        ) from None
