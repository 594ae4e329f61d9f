"""Reading of LAMMPS' data and dump files, whose atoms are of numbered types."""

from __future__ import annotations

import re
from pathlib import Path

import ase
import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from bodyorder._checks import InputError
from bodyorder.structures.keys import MOLECULE
from bodyorder.structures.reading.elements import ISOTOPES
from bodyorder.structures.reading.formats import call_ase
from bodyorder.structures.reading.text import read_text

#: How far a mass may be from that of its element, in u.
MASS_TOLERANCE = 0.1
#: Styles of units whose lengths are Å.
UNITS = {"metal", "real"}

_ATOMS = re.compile(r"^ITEM: ATOMS\b([^\n]*)\n((?:(?!ITEM:)[^\n]*(?:\n|\Z))*?)(?=ITEM:|\Z)", re.MULTILINE)
_SECTION = r"^[ \t]*{}[ \t]*(?:#[^\n]*)?\n\s*\n?((?:[ \t]*\d+[ \t]+[^\n]*(?:\n|\Z))*)"


def read_lammps_data(path: Path) -> list[ase.Atoms]:
    """Read a data file of LAMMPS.

    Elements come from the section Masses (each within 0.1 u of exactly one element), from comments behind masses
    (``1 12.011 # C``), or from the section Atom Type Labels; all that the file has must agree. Lengths are taken to be Å
    (units metal or real): a data file need not say its units. Charges become initial charges, numbers of molecules
    ``arrays["molecule"]`` if any is not 0.

    :raises InputError: if elements are not told, the file names units other than metal and real, or ASE cannot read it
    """
    text = read_text(path)
    _check_units(path, re.search(r"\A[^\n]*\bunits\s*=\s*(\w+)", text))
    elements = _types(path, text)
    frames = call_ase(
        path, "lammps-data", Z_of_type={kind: atomic_numbers[symbol] for kind, symbol in elements.items()}
    )
    for atoms in frames:
        _set_molecules(atoms, atoms.arrays.pop("mol-id", np.zeros(len(atoms), dtype=int)))
    return frames


def read_lammps_dump(path: Path) -> list[ase.Atoms]:
    """Read every frame of a dump of LAMMPS that has a column ``element``.

    Lengths are taken to be Å (units metal or real), unless the file says otherwise. A column ``mol`` becomes
    ``arrays["molecule"]`` if any number is not 0.

    :raises InputError: if there is no such column, the file names units other than metal and real, or ASE cannot read it
    """
    text = read_text(path)
    _check_units(path, re.search(r"^ITEM: UNITS\s*\n\s*(\w+)", text, re.MULTILINE))
    for frame, columns in enumerate(re.findall(r"^ITEM: ATOMS\b([^\n]*)", text, re.MULTILINE)):
        if "element" not in columns.split():
            raise InputError(
                f"frame {frame} of {path} must have a column element, it has {' '.join(columns.split())}; "
                "dump it with dump_modify element"
            )
    frames = call_ase(path, "lammps-dump-text")
    try:
        for atoms, (columns, rows) in zip(frames, _ATOMS.findall(text), strict=True):
            _set_molecules(atoms, _dumped_molecules(columns.split(), rows))
    except ValueError:
        raise InputError(f"the column mol of {path} must have whole numbers, one for each atom; correct it") from None
    return frames


def _dumped_molecules(columns: list[str], rows: str) -> np.ndarray:
    """Numbers of molecules by ascending ``id``, as ASE sorts the atoms; empty without a column ``mol``."""
    if "mol" not in columns:
        return np.empty(0, dtype=int)
    table = [line.split() for line in rows.splitlines() if line.strip()]
    molecules = np.array([int(row[columns.index("mol")]) for row in table])
    if "id" not in columns:
        return molecules
    return molecules[np.argsort([int(row[columns.index("id")]) for row in table], kind="stable")]


def _set_molecules(atoms: ase.Atoms, molecules: np.ndarray) -> None:
    """Set the array ``molecule``; number 0 is that of atoms which are in none, each a body of its own."""
    if not molecules.any():
        return
    free = np.flatnonzero(molecules == 0)
    molecules = molecules.astype(int)
    molecules[free] = molecules.max() + 1 + np.arange(len(free))
    atoms.set_array(MOLECULE, molecules)


def _check_units(path: Path, found: re.Match[str] | None) -> None:
    if found is not None and found[1] not in UNITS:
        raise InputError(f"{path} must have lengths in Å (units metal or real), it has units {found[1]}; convert it")


def _types(path: Path, text: str) -> dict[int, str]:
    """The element of each type, as far as the file tells it."""
    said: dict[int, set[str]] = {}
    rows = [(int(row[0]), row[1:]) for row in _rows(text, "Masses")]
    masses = {kind: float(row[0]) for kind, row in rows}
    if set(masses.values()) == {1.0}:
        masses = {}  # reduced units
    for kind, row in rows:
        comment = row[2] if len(row) > 2 and row[1] == "#" else ""
        _add(said, kind, comment)
    for row in _rows(text, "Atom Type Labels"):
        _add(said, int(row[0]), row[1])
    for kind, mass in masses.items():
        near = _near(mass)
        if near and not said.get(kind):
            said[kind] = near
        elif near:
            said[kind] &= near
    wanted = re.search(r"^\s*(\d+)\s+atom\s+types\b", text, re.MULTILINE)
    for kind in range(1, int(wanted[1]) + 1) if wanted else said:
        if len(said.get(kind, set())) != 1:
            has = f"a mass of {masses[kind]:g}" if kind in masses else "no mass that says it"
            raise InputError(
                f"{path} must tell the element of each type, type {kind} has {has}; "
                "name it behind its mass in the section Masses (1 12.011 # C)"
            )
    return {kind: next(iter(symbols)) for kind, symbols in said.items()}


def _rows(text: str, section: str) -> list[list[str]]:
    found = re.search(_SECTION.format(section), text, re.MULTILINE)
    return [line.replace("#", " # ").split() for line in found[1].splitlines() if line.split()] if found else []


def _add(said: dict[int, set[str]], kind: int, label: str) -> None:
    if label in chemical_symbols[1:] or label in ISOTOPES:
        said.setdefault(kind, set()).add("H" if label in ISOTOPES else label)


def _near(mass: float) -> set[str]:
    """Elements that have about this mass, hydrogen by any of its isotopes."""
    known = [*zip(chemical_symbols[1:], atomic_masses[1:], strict=True), *(("H", of) for of in ISOTOPES.values())]
    return {symbol for symbol, of in known if abs(of - mass) <= MASS_TOLERANCE}
