"""Results and analyses on disk: NetCDF, a result's groups as groups of the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from numbers import Integral
from pathlib import Path

import numpy as np
import xarray as xr

from bodyorder._checks import InputError, first_line
from bodyorder._files import replacing
from bodyorder.results.tree import GROUPS, check_sites, check_tree, flat, grown

#: Version of the file layout; goes up when a variable changes its name or meaning. Layout 1 had all variables of a result side by
#: side in one dataset.
SCHEMA_VERSION = 2

#: Dimensions and coordinates of tables of trainings that had other names in layout 1.
_FORMER_NAMES = {"cell": "run", "makeup": "training_set", "n_parents": "n_clusters"}


def save(data: xr.DataTree | xr.Dataset, path: str | os.PathLike[str], *, compressed: bool = False) -> Path:
    """Write a result or an analysis as NetCDF, whole or not at all.

    Of a result with some structures of another (``isel``) the file holds the atoms and sub-clusters of these alone.

    :param compressed: for tables that are sparse: a fifth of the size, and slower to write
    :raises InputError: if the file cannot be written, or a tree is not that of a result, or has groups besides
    :raises ComputationError: if the disk is full
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    if isinstance(data, xr.DataTree):
        check_tree(data, "what is saved")
        others = [name for name in data.children if name not in GROUPS]
        if others:
            raise InputError(
                f"what is saved must have the groups {', '.join(GROUPS)} alone, and has {', '.join(others)} besides"
            )
        root = data.to_dataset()
        if not np.array_equal(root.get("structure_index", []), np.arange(root.sizes["structure"])):
            data = grown(flat(data))
        parts = {"": data.to_dataset()} | {
            name: data.children[name].to_dataset(inherit=False) for name in GROUPS if name in data.children
        }
    elif isinstance(data, xr.Dataset):
        parts = {"": data}
    else:
        raise InputError(f"what is saved must be a result or an analysis, got {type(data).__name__}")
    # HDF5 does not tell when the end of a file found no room on the disk, so it writes to memory.
    content = BytesIO()
    with h5netcdf.File(content, "w") as handle:
        for name, part in parts.items():
            if compressed:
                part = part.copy()
                for array in part.variables.values():
                    if array.ndim and array.dtype.kind in "fi":
                        array.encoding = {"zlib": True, "shuffle": True}
            try:
                part.dump_to_store(H5NetCDFStore(handle.create_group(name) if name else handle))
            except (TypeError, ValueError, h5netcdf.CompatibilityError) as error:
                raise InputError(
                    f"what is saved must be numbers and texts, attributes too, and something is not: {first_line(error)}"
                ) from None
    with replacing(path, "results") as partial:
        partial.write_bytes(content.getbuffer())
    return Path(path)


def load(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a result written by :func:`save` into memory, those of older layouts as well.

    :raises InputError: if the file is missing, is not a result, was edited into something that is none, or has a newer layout
    """
    import h5netcdf

    root = load_analysis(path)
    written = root.attrs.get("schema_version")
    if "contribution" not in root:
        raise InputError(f"results must be files written by `bodyorder decompose`, {path} has no contributions")
    if not isinstance(written, Integral) or isinstance(written, bool) or int(written) < 1:
        raise InputError(
            f"results must say their layout in `schema_version`, a number, {path} "
            + ("does not" if written is None else f"says {written!r}")
        )
    if int(written) > SCHEMA_VERSION:
        raise InputError(
            f"results must have layout {SCHEMA_VERSION} or older, {path} has {written}; upgrade bodyorder to read it"
        )
    if int(written) == 1:
        if "structure" not in root.dims:
            raise InputError(f"{path} must have the dimension and coordinate `structure`, and lacks it")
        tree = grown(root.assign_attrs(schema_version=SCHEMA_VERSION))
    else:
        with _opened(path), h5netcdf.File(path) as handle:
            names = [name for name in GROUPS if name in handle.groups]
        with _opened(path):  # groups of other structures than the root has are no tree
            tree = xr.DataTree.from_dict({"/": root} | {name: load_analysis(path, name) for name in names})
    check_tree(tree, str(path))
    check_sites(tree, str(path))
    return tree


def load_analysis(path: str | os.PathLike[str], group: str | None = None) -> xr.Dataset:
    """Read an analysis written by :func:`save` into memory, those of older layouts as well.

    :param group: of the file; its root if None
    :raises InputError: if the file is missing, or is no NetCDF file
    """
    # Dimensions without a name are those of files that are not ours.
    with _opened(path), xr.open_dataset(path, engine="h5netcdf", phony_dims="access", group=group) as handle:
        table = handle.load()
    if "training" not in table.coords:
        return table
    return table.rename({old: new for old, new in _FORMER_NAMES.items() if old in table.coords or old in table.dims})


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[None]:
    """What reading a file can raise, in one line."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"results must be an existing file, got {type(path).__name__}")
    source = Path(path)
    if not source.is_file():
        raise InputError(f"results must be an existing file, {source} is not")
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"results must be NetCDF files written by bodyorder, {source} is not: {first_line(error)}"
        ) from None
