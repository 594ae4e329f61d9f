"""From the name of a file to the reader of its format."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import ase
from ase.io.formats import get_compression

from bodyorder._checks import InputError
from bodyorder.structures.reading.cif import read_cif
from bodyorder.structures.reading.formats import find_format, read_with_ase
from bodyorder.structures.reading.gromacs import read_gromacs
from bodyorder.structures.reading.lammps import read_lammps_data, read_lammps_dump
from bodyorder.structures.reading.molfile import read_molfile
from bodyorder.structures.reading.pdb import read_pdb
from bodyorder.structures.reading.qcschema import find_qcschema, read_qcschema
from bodyorder.structures.reading.xyz import read_xyz

#: Suffixes that decide, whatever the contents look like.
SUFFIXES: dict[str, Callable[[Path], list[ase.Atoms]]] = {
    ".xyz": read_xyz,
    ".extxyz": read_xyz,
    ".pdb": read_pdb,
    ".ent": read_pdb,
    ".sdf": read_molfile,
    ".mol": read_molfile,
    ".sd": read_molfile,
    ".cif": read_cif,
    ".mmcif": read_cif,
}
#: Readers by ASE's names of formats; every other format is read by ASE.
READERS: dict[str, Callable[[Path], list[ase.Atoms]]] = {
    "extxyz": read_xyz,
    "xyz": read_xyz,
    "proteindatabank": read_pdb,
    "sdf": read_molfile,
    "mol": read_molfile,
    "cif": read_cif,
    "gromacs": read_gromacs,
    "lammps-data": read_lammps_data,
    "lammps-dump-text": read_lammps_dump,
}


def read_file(path: Path) -> list[ase.Atoms]:
    """Read all structures of a file, as they are meant.

    :param path: the file of exactly this name (``@`` is part of it), may be compressed (gz, bz2, xz)
    :returns: positions and cell in Å
    :raises InputError: if there is no such file, it is empty, its format is not known, or it cannot be read as it is meant
    """
    if not path.is_file():
        raise InputError(f"structures must be an existing file, {path} is not")
    if path.stat().st_size == 0:
        raise InputError(f"structures must be a file that holds some, {path} is empty")
    reader = SUFFIXES.get(suffix(path))
    if reader is not None:
        return reader(path)
    if suffix(path) in (".json", ".qcschema") and (content := find_qcschema(path)) is not None:
        return read_qcschema(content, path)
    name = find_format(path)
    return READERS[name](path) if name in READERS else read_with_ase(path, name)


def suffix(path: Path) -> str:
    """The suffix of a file in lower case, without compression, and without what follows an ``@`` (``md.xyz@1``)."""
    name = re.sub(r"@[^.]*$", "", path.name)
    return Path(get_compression(name)[0]).suffix.lower()
