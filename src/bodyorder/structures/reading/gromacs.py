"""Reading of GROMACS' gro files, which name atoms but not elements."""

from __future__ import annotations

import io
import re
from pathlib import Path

import ase
import ase.io
import numpy as np
from ase import units
from ase.data import atomic_numbers

from bodyorder._checks import InputError
from bodyorder.structures.reading.formats import explain
from bodyorder.structures.reading.place import Place, quote
from bodyorder.structures.reading.text import read_lines

#: Residues that are water in the force fields that come with GROMACS.
WATER = {"SOL", "HOH", "WAT", "H2O", "TIP3", "TIP3P", "TIP4P", "SPC", "SPCE"}
#: Ions by names of residues without their charge.
IONS = {
    "LI": "Li", "NA": "Na", "SOD": "Na", "K": "K", "POT": "K", "RB": "Rb", "CS": "Cs", "CES": "Cs", "MG": "Mg", "CAL": "Ca",
    "CA": "Ca", "ZN": "Zn", "F": "F", "CL": "Cl", "CLA": "Cl", "BR": "Br", "I": "I",
}  # fmt: skip

#: Columns of names and numbers before the coordinates, and those of a coordinate of three decimals.
_NAMES, _WIDTH = 20, 8


def read_gromacs(path: Path) -> list[ase.Atoms]:
    """Read every frame of a gro file, with any number of decimals; lengths become Å.

    Elements are taken from the names of atoms in water and ions, and elsewhere where a name is the symbol of an element as it
    is spelled. Names of residues and atoms stay in ``arrays``, as ASE has them.

    :raises InputError: if a name leaves the element open (CA, OW outside water, C1), or a frame is cut short
    """
    lines = read_lines(path)
    frames: list[ase.Atoms] = []
    at = 0
    while any(line.strip() for line in lines[at:]):
        place = Place(path, len(frames))
        count = lines[at + 1].strip() if at + 1 < len(lines) else ""
        if not count.isdigit() or at + 3 + int(count) > len(lines):
            place.refuse("have a title, its number of atoms, as many atoms and a box", f"found {quote(count)}", at + 2)
        end = at + 3 + int(count)
        frames.append(_read_frame(lines[at:end], place, at + 3))
        at = end
    return frames


def _read_frame(lines: list[str], place: Place, first: int) -> ase.Atoms:
    rows = lines[2:-1]
    width = _width(rows)
    if width != _WIDTH:  # ASE reads columns of the usual width alone
        table = _numbers(rows, width, place, first)
        lines = [*lines[:2], *(row[:_NAMES] + "   0.000" * 3 for row in rows), lines[-1]]
    try:
        atoms = ase.io.read(io.StringIO("\n".join(lines) + "\n"), format="gromacs")
    except Exception as error:  # ASE's reader has many
        raise InputError(f"{explain(error, place.path, 'gromacs')}, frame {place.frame}") from None
    if width != _WIDTH:
        atoms.positions = table[:, :3] * units.nm
        if table.shape[1] == 6:
            atoms.set_velocities(table[:, 3:] * units.nm / (1000 * units.fs))
    names = zip(atoms.arrays["residuenames"], atoms.arrays["atomtypes"], strict=True)
    symbols = []
    for index, (residue, name) in enumerate(names):
        symbol = element(str(residue), str(name))
        if symbol is None:
            came = f"atom {index} is {name} of {residue}, which leaves it open"
            place.refuse(
                "name atoms so that their elements are plain", f"{came}; write it as extended XYZ", first + index
            )
        symbols.append(symbol)
    atoms.symbols = symbols
    if not atoms.cell.array.any():
        atoms.pbc = False  # GROMACS writes zeros where there is no box
    return atoms


def _width(rows: list[str]) -> int:
    """Width of the columns of coordinates: the distance of their decimal points, as GROMACS itself has it."""
    points = [match.start() for match in re.finditer(r"\.", rows[0][_NAMES:])] if rows else []
    return points[1] - points[0] if len(points) > 2 else _WIDTH


def _numbers(rows: list[str], width: int, place: Place, first: int) -> np.ndarray:
    """Coordinates in nm and, if all atoms have them, velocities in nm/ps, shape (n_atoms, 3 or 6)."""
    n_columns = 6 if all(len(row.rstrip()) > _NAMES + 5 * width for row in rows) else 3
    starts = [_NAMES + column * width for column in range(n_columns)]
    table = []
    for index, row in enumerate(rows):
        try:
            if any(row[start + 4] != "." for start in starts[:3]):  # GROMACS writes five columns and the decimals
                raise ValueError(row)
            table.append([float(row[start : start + width]) for start in starts])
        except (ValueError, IndexError):
            place.refuse(
                f"have coordinates in columns of {width}, as its first atom has, with {width - 5} decimals",
                f"atom {index} has {quote(row[_NAMES:])}",
                first + index,
            )
    return np.array(table)


def element(residue: str, name: str) -> str | None:
    """The symbol of the element of an atom, if its names leave no doubt."""
    core = re.sub(r"[\d+-]+$", "", name.upper())
    if residue.upper() in WATER:
        return {"O": "O", "OW": "O", "OH": "O", "H": "H", "HW": "H"}.get(core)
    ion = re.sub(r"[\d+-]+$", "", residue.upper())
    if ion in IONS and core == ion:
        return IONS[ion]
    return name if name in atomic_numbers and name not in ("X", "W") else None
