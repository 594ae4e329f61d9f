"""PDB files, by their columns: https://www.wwpdb.org/documentation/file-format-content/format33/v3.3.html.

Libraries were tried and lose what must not be lost: gemmi reads coordinates of ``********`` as 0, charges that it does not
understand as 0, blank occupancies as 0, ``HG`` of a serine as mercury, and puts atoms in another order; ASE drops
charges and bonds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.structures.keys import ASYMMETRIC_UNIT
from bodyorder.structures.reading.cells import asymmetric_group, is_dummy, vectors_of
from bodyorder.structures.reading.elements import AMINO_ACIDS, NONMETALS, NUCLEOTIDES, element_of_name, symbol_of
from bodyorder.structures.reading.residues import Link, Residue, Site, refuse_disorder, set_molecules, structure_of
from bodyorder.structures.reading.text import read_lines

#: SCALE records round the reciprocal cell to six decimals; more than this from it is another orientation.
_SAME_ORIENTATION = 1e-2


@dataclass
class _Model:
    """Atom records with the numbers of their lines, and what was said of the cell before them."""

    rows: list[tuple[int, str]]
    cell: np.ndarray | None
    group: str


@dataclass
class _Section:
    """Models up to an END, which share their CONECT records."""

    models: list[_Model] = field(default_factory=list)
    bonds: list[tuple[str, str]] = field(default_factory=list)


def read_pdb(path: Path) -> list[ase.Atoms]:
    """Read all models of a PDB file.

    Each has formal charges (columns 79–80) as initial charges, the array ``residue``, and the array ``molecule`` where the file
    tells molecules (see :func:`~bodyorder.structures.reading.residues.set_molecules`), else perhaps
    ``info["molecules_unclear"]``. A cell with a space group other than P 1 is named in ``info["asymmetric_unit"]``.

    :return: models in the order of the file, lengths in Å
    :raises InputError: if the file has no atoms; for alternative places, elements, charges or coordinates that cannot be read
    """
    sections, links = _read_sections(path)
    rows = [model.rows for section in sections for model in section.models]
    if not rows:
        raise InputError(f"a PDB file must have ATOM or HETATM records, {path} has none")
    # names keep to their columns if any begins with a blank; where none does, all are shifted to the left
    reader = _Reader(path, aligned=any(line[12:13] == " " for model in rows for _, line in model))
    models = [[reader.site(row) for row in model] for model in rows]
    refuse_disorder(models, path)
    frames = []
    read = iter(models)
    for section in sections:
        of_section = [(model, next(read)) for model in section.models]
        for model, sites in of_section:
            atoms = structure_of(sites)
            if model.cell is not None:
                atoms.set_cell(model.cell)
                atoms.pbc = True
                if model.group:
                    atoms.info[ASYMMETRIC_UNIT] = model.group
            set_molecules(atoms, sites, _own_bonds(section.bonds, sites, of_section[0][1]), links)
            frames.append(atoms)
    return frames


def _own_bonds(bonds: list[tuple[str, str]], sites: list[Site], first: list[Site]) -> list[tuple[str, str]]:
    """Bonds by serial numbers of the first model, without those whose numbers another model uses for other atoms."""
    if not bonds or sites is first:
        return bonds
    named = {site.serial: (site.name, site.residue) for site in first}
    own = {site.serial for site in sites if named.get(site.serial) == (site.name, site.residue)}
    return [bond for bond in bonds if own.issuperset(bond)]


def _read_sections(path: Path) -> tuple[list[_Section], list[Link]]:
    sections, links = [_Section()], []
    cell, group, scale = None, "", []
    open_model = False
    for number, line in enumerate(read_lines(path), 1):
        kind = line[:6].rstrip()
        if line.startswith(("ATOM", "HETATM")):
            if not open_model:
                sections[-1].models.append(_Model([], cell, group))
                open_model = True
            sections[-1].models[-1].rows.append((number, line.ljust(80)))
        elif kind in ("MODEL", "ENDMDL", "END"):
            open_model = False
            if kind == "END" and sections[-1].models:
                sections.append(_Section())
        elif kind == "CRYST1":
            cell, group = _cell(line, number, path)
        elif kind.startswith("SCALE"):
            scale.append((line, number))
        elif kind == "CONECT":
            sections[-1].bonds += _bonds(line)
        elif kind in ("LINK", "SSBOND"):
            links += _link(line.ljust(80), kind)
    _check_orientation(cell, scale[:3], path)
    if len(sections) > 1 and not sections[-1].models:
        # bonds behind the END belong to what is before it
        sections[-2].bonds += sections[-1].bonds
    return sections, links


def _cell(line: str, number: int, path: Path) -> tuple[np.ndarray | None, str]:
    """Cell vectors in Å and the space group if it is not P 1; none for a dummy."""
    try:
        lengths = [float(line[start : start + 9]) for start in (6, 15, 24)]
        angles = [float(line[start : start + 7]) for start in (33, 40, 47)]
    except ValueError:
        raise InputError(
            f"CRYST1 must hold three lengths and three angles of a cell, line {number} of {path} is {line.rstrip()!r}; "
            "correct or remove it"
        ) from None
    if is_dummy(lengths):
        return None, ""
    vectors = vectors_of([*lengths, *angles])
    if vectors is None:
        raise InputError(
            f"the cell must have a volume, line {number} of {path} is {line.rstrip()!r}; correct or remove it"
        )
    return vectors, asymmetric_group(" ".join(line[55:66].split()))


def _check_orientation(cell: np.ndarray | None, scale: list[tuple[str, int]], path: Path) -> None:
    if cell is None or len(scale) < 3:
        return
    try:
        rows = [[float(line[start : start + 10]) for start in (10, 20, 30)] for line, _ in scale]
    except ValueError:
        rows = [[np.nan] * 3] * 3
    if not np.abs(cell @ np.array(rows).T - np.eye(3)).max() < _SAME_ORIENTATION:
        raise InputError(
            f"the first lattice vector must lie along x and the second in the plane of x and y, SCALE records (line "
            f"{scale[0][1]}) of {path} say otherwise; turn the structure, or remove them if they are wrong"
        )


def _bonds(line: str) -> list[tuple[str, str]]:
    # columns behind the fifth number are hydrogen bonds in old files
    first, *others = [line[start : start + 5].strip() for start in range(6, 31, 5)]
    return [(first, other) for other in others if first and other]


def _link(line: str, kind: str) -> list[Link]:
    """The bond of a record; none if it is one to another asymmetric unit."""
    if line[59:65].strip() != line[66:72].strip():
        return []
    if kind == "SSBOND":
        ends = [
            (
                Residue(
                    line[at + 4].strip(),
                    line[at + 6 : at + 10].strip(),
                    line[at + 10].strip(),
                    line[at : at + 3].strip(),
                ),
                "SG",
            )
            for at in (11, 25)
        ]
    else:
        ends = [
            (
                Residue(
                    line[at + 9].strip(),
                    line[at + 10 : at + 14].strip(),
                    line[at + 14].strip(),
                    line[at + 5 : at + 8].strip(),
                ),
                line[at : at + 4].strip(),
            )
            for at in (12, 42)
        ]
    return [Link(*ends)]


class _Reader:
    """Reads ATOM and HETATM records; what says the same of an atom in every model is read once."""

    def __init__(self, path: Path, aligned: bool):
        self._path, self._aligned = path, aligned
        self._known: dict[tuple[str, str], Site] = {}

    def site(self, row: tuple[int, str]) -> Site:
        number, line = row
        key = line[:30], line[54:]
        known = self._known.get(key)
        if known is None:
            self._check_columns(row)
            known = self._known[key] = self._without_position(line, number)
        try:
            position = float(line[30:38]), float(line[38:46]), float(line[46:54])
        except ValueError:
            position = (math.nan,) * 3
        if not all(map(math.isfinite, position)):
            raise InputError(
                f"{self._place(line, known.residue, number)} must have three numbers in columns 31–54, and has "
                f"{line[30:54].rstrip()!r}; write the coordinates anew, within ±9999 Å"
            )
        return known._replace(position=position)

    def _check_columns(self, row: tuple[int, str]) -> None:
        number, line = row
        if line[34] == "." or not re.match(r"(ATOM  |HETATM) *\d{6}", line):
            return
        # three decimals, as where the points of three coordinates should be
        for shift in (1, 2, 3):
            if all(line[at + shift] == "." for at in (34, 42, 50)):
                raise InputError(
                    f"atoms must keep to the columns of the format, those of line {number} of {self._path} are shifted "
                    f"by {shift}, behind a number of {5 + shift} digits; number atoms with at most five"
                )

    def _without_position(self, line: str, number: int) -> Site:
        residue = Residue(
            line[21].strip(), line[22:26].strip(), line[26].strip(), line[17:21].strip(), line[72:76].strip()
        )
        place = self._place(line, residue, number)
        symbol, charge = _symbol_and_charge(line, residue.name, self._aligned, place)
        return Site(
            line[6:11].strip(),
            line[12:16].strip(),
            line[16].strip(),
            residue,
            symbol,
            (math.nan,) * 3,
            _occupancy(line, place),
            charge,
        )

    def _place(self, line: str, residue: Residue, number: int) -> str:
        return f"atom {line[12:16].strip()} of {residue} (line {number} of {self._path})"


def _occupancy(line: str, place: str) -> float | None:
    text = line[54:60].strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError(
            f"the occupancy of {place} must be a number in columns 55–60, and is {text!r}; set it to 1"
        ) from None


def _symbol_and_charge(line: str, residue: str, aligned: bool, place: str) -> tuple[str, int]:
    stated, charge = line[76:78].strip(), line[78:80].strip()
    if re.search(r"\d", stated):
        # files of before 1996 number their lines here
        stated = charge = ""
    symbol = symbol_of(stated) if stated else element_of_name(line[12:16], residue, aligned)
    if symbol is None:
        states = f"states {stated!r}" if stated else "states none, and its name does not tell it"
        raise InputError(
            f"{place} must be of a known element, and {states}; write it into columns 77–78, or remove the atom if it is none "
            "(a lone pair, a virtual site)"
        )
    if (
        (residue in AMINO_ACIDS or residue in NUCLEOTIDES)
        and symbol not in NONMETALS
        and line[12:16].strip() != residue
    ):
        raise InputError(f"{place} must be of an element of its residue, and states {stated!r}; correct columns 77–78")
    return symbol, _charge(charge, place)


def _charge(text: str, place: str) -> int:
    """Formal charge of ``2+``, ``+2``, ``+`` or 0; a number without a sign could be anything."""
    if not text or text == "0":
        return 0
    digit = text.strip("+-")
    if len(text) - len(digit) != 1 or (digit and not digit.isdigit()):
        raise InputError(
            f"the charge of {place} must read like 1+ or 2- in columns 79–80, and reads {text!r}; correct it or leave it blank"
        )
    return int(digit or 1) * (-1 if "-" in text else 1)
