"""Reading of GROMACS' gro files, which name atoms but not elements."""

from __future__ import annotations

import io
import re
from pathlib import Path

import ase
import ase.io
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


def read_gromacs(path: Path) -> list[ase.Atoms]:
    """Read every frame of a gro file; lengths become Å.

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
    try:
        atoms = ase.io.read(io.StringIO("\n".join(lines) + "\n"), format="gromacs")
    except Exception as error:  # ASE's reader has many
        raise InputError(f"{explain(error, place.path, 'gromacs')}, frame {place.frame}") from None
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


def element(residue: str, name: str) -> str | None:
    """The symbol of the element of an atom, if its names leave no doubt."""
    core = re.sub(r"[\d+-]+$", "", name.upper())
    if residue.upper() in WATER:
        return {"O": "O", "OW": "O", "OH": "O", "H": "H", "HW": "H"}.get(core)
    ion = re.sub(r"[\d+-]+$", "", residue.upper())
    if ion in IONS and core == ion:
        return IONS[ion]
    return name if name in atomic_numbers and name not in ("X", "W") else None
