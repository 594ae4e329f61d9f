"""MOL and SDF files, V2000 and V3000: CTfile Formats, Dassault Systèmes BIOVIA (2020).

RDKit was tried and loses what must not be lost: singlet and triplet (``RAD`` 1 and 3) become one, ``A``, ``Q`` and ``LP`` one
atom without an element, and what is wrong with a record goes to its log alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.structures.keys import MOLECULE, MOLECULES_UNCLEAR
from bodyorder.structures.links import components
from bodyorder.structures.reading.elements import atoms_of, symbol_of
from bodyorder.structures.reading.residues import ends_of
from bodyorder.structures.reading.text import read_lines

T = TypeVar("T")

#: Charges by the codes of atom lines; code 4 is a doublet radical.
_CODES = {0: 0, 1: 3, 2: 2, 3: 1, 4: 0, 5: -1, 6: -2, 7: -3}

#: Unpaired electrons of ``RAD``: none, singlet, doublet, triplet.
_UNPAIRED = {0: 0, 1: 0, 2: 1, 3: 2}

#: Type of bond that is a hydrogen bond.
_HYDROGEN_BOND = 10

_HYDROGENS = {2: "D", 3: "T"}


@dataclass
class _Table:
    """A connection table as it is written, atoms counted from 0."""

    symbols: list[str] = field(default_factory=list)
    positions: list[list[float]] = field(default_factory=list)
    bonds: list[tuple[int, int]] = field(default_factory=list)
    charges: dict[int, int] = field(default_factory=dict)
    radicals: dict[int, int] = field(default_factory=dict)
    isotopes: dict[int, int] = field(default_factory=dict)


def read_molfile(path: Path) -> list[ase.Atoms]:
    """Read all records of a MOL or SDF file.

    Each has formal charges as initial charges, unpaired electrons as initial magnetic moments, and the array ``molecule`` of the
    atoms that are bonded, hydrogen bonds apart. A record without any bond tells molecules only if all of its atoms are ions. One
    whose bonds leave out a neutral hydrogen tells none, and ``info["molecules_unclear"]`` says so.
    ``info`` has the title as ``name`` and the data fields, numbers as numbers.

    :return: records in the order of the file, lengths in Å
    :raises InputError: if there is none; for drawings in two dimensions, atoms that are no elements, lines that cannot be read
    """
    lines = read_lines(path)
    ends = [row for row, line in enumerate(lines) if line.startswith("$$$$")]
    starts = [0, *(end + 1 for end in ends)]
    records = [lines[start:end] for start, end in zip(starts, [*ends, len(lines)], strict=True)]
    if not any(line.strip() for line in records[-1]):
        records.pop()
    if not records:
        raise InputError(f"a MOL or SDF file must have records, {path} has none")
    return [_structure(record, f"record {index} of {path}") for index, record in enumerate(records)]


def _structure(lines: list[str], place: str) -> ase.Atoms:
    if len(lines) < 4:
        raise InputError(f"{place} must have four lines before its atoms, and has {len(lines)}")
    modern = lines[3][33:39].strip() == "V3000"
    table = _modern_table(lines, place) if modern else _table(lines, place)
    if not table.symbols:
        raise InputError(f"{place} must have atoms, and has none; remove it")
    positions = np.array(table.positions)
    if lines[1][20:22] == "2D" and len(positions) > 1 and not positions[:, 2].any():
        raise InputError(f"{place} must have coordinates in space, and holds a drawing (2D); make them first")
    symbols = [_symbol(text, row, table, place) for row, text in enumerate(table.symbols)]
    n_atoms = len(symbols)
    charges = [table.charges.get(row, 0) for row in range(n_atoms)]
    atoms = atoms_of(symbols, positions, charges, [table.radicals.get(row, 0) for row in range(n_atoms)])
    bonded = {row for bond in table.bonds for row in bond}
    bare = [row for row in np.flatnonzero(atoms.numbers == 1).tolist() if not charges[row] and row not in bonded]
    if table.bonds and bare:
        atoms.info[MOLECULES_UNCLEAR] = f"the bonds of its file leave hydrogen {bare[0]} without one"
    elif table.bonds or all(charges):
        atoms.set_array(MOLECULE, components(*ends_of(table.bonds), n_atoms))
    if title := lines[0].strip():
        atoms.info["name"] = title
    atoms.info.update(_data(lines))
    return atoms


def _symbol(text: str, row: int, table: _Table, place: str) -> str:
    symbol = symbol_of(text)
    if symbol is None:
        raise InputError(
            f"atoms must be of known elements, atom {row} of {place} is {text!r}; replace it, or remove it if it is none"
        )
    return _HYDROGENS.get(table.isotopes.get(row, 0), symbol) if symbol == "H" else symbol


def _table(lines: list[str], place: str) -> _Table:
    counts = lines[3]
    n_atoms, n_bonds = (_read(int, counts[at : at + 3], "the counts (line 4)", place) for at in (0, 3))
    end = 4 + n_atoms + n_bonds
    if len(lines) < end or min(n_atoms, n_bonds) < 0:
        raise InputError(f"{place} must have {n_atoms} atoms and {n_bonds} bonds, and ends before")
    table = _Table()
    for row, line in enumerate(lines[4 : 4 + n_atoms]):
        what = f"atom {row}"
        table.positions.append([_coordinate(line[at : at + 10], what, place) for at in (0, 10, 20)])
        table.symbols.append(line[31:34].strip())
        code = _read(int, line[36:39].strip() or "0", f"the charge code of {what}", place)
        if code not in _CODES:
            raise InputError(f"the charge code of {what} of {place} must be between 0 and 7, and is {code}")
        table.charges[row] = _CODES[code]
        table.radicals[row] = int(code == 4)
        table.isotopes[row] = 1 + _read(int, line[34:36].strip() or "0", f"the mass difference of {what}", place)
    for row, line in enumerate(lines[4 + n_atoms : end]):
        first, second, kind = (_read(int, line[at : at + 3], f"bond {row}", place) for at in (0, 3, 6))
        _add_bond(table, (first, second), kind, row, place)
    _read_properties(lines[end:], table, place)
    return table


def _read_properties(lines: list[str], table: _Table, place: str) -> None:
    """``M  CHG``, ``RAD`` and ``ISO``. One line of the first two replaces all charges and radicals of atom lines."""
    found: dict[str, dict[int, int]] = {"M  CHG": {}, "M  RAD": {}, "M  ISO": {}}
    for line in lines:
        if line.startswith("M  END"):
            break
        values = found.get(line[:6])
        if values is None:
            continue
        numbers = [_read(int, text, line.strip(), place) for text in line[6:].split()]
        if (
            not numbers
            or len(numbers) != 1 + 2 * numbers[0]
            or not all(0 < n <= len(table.symbols) for n in numbers[1::2])
        ):
            raise InputError(f"{place} must have pairs of atoms and values behind {line[:6]}, and has {line.strip()!r}")
        values.update({atom - 1: value for atom, value in zip(numbers[1::2], numbers[2::2], strict=True)})
    if found["M  CHG"] or found["M  RAD"]:
        table.charges = found["M  CHG"]
        table.radicals = {row: _unpaired(value, row, place) for row, value in found["M  RAD"].items()}
    table.isotopes.update(found["M  ISO"])


def _modern_table(lines: list[str], place: str) -> _Table:
    table = _Table()
    rows: dict[str, int] = {}
    section, counts = "", None
    for words in _modern_lines(lines):
        if words[0] in ("BEGIN", "END"):
            section = words[1] if words[0] == "BEGIN" and len(words) > 1 else ""
        elif words[0] == "COUNTS":
            counts = tuple(_read(int, text, "the counts", place) for text in words[1:3])
        elif section == "ATOM":
            if len(words) < 6:
                raise InputError(
                    f"atoms of {place} must have a number, a symbol and three coordinates, one is {' '.join(words)!r}"
                )
            _add_modern_atom(table, words, place)
            rows[words[0]] = len(rows)
        elif section == "BOND":
            if len(words) < 4 or not {words[2], words[3]} <= rows.keys():
                raise InputError(f"bonds of {place} must be between its atoms, one is {' '.join(words)!r}")
            kind = _read(int, words[1], f"bond {words[0]}", place)
            _add_bond(table, (rows[words[2]] + 1, rows[words[3]] + 1), kind, len(table.bonds), place)
        elif section == "TEMPLATE":
            raise InputError(f"{place} must have all of its atoms, and has templates; expand them first")
    if counts is None or counts[0] != len(table.symbols):
        raise InputError(f"{place} must have as many atoms as its COUNTS say, and has {len(table.symbols)}")
    return table


def _modern_lines(lines: list[str]) -> list[list[str]]:
    """Words of the lines of a V3000 table; a minus at the end of a line continues it."""
    found, open_text = [], ""
    for line in lines[4:]:
        if line.startswith("M  END"):
            break
        if not line.startswith("M  V30 "):
            continue
        text = open_text + line[7:].rstrip()
        if text.endswith("-"):
            open_text = text[:-1]
            continue
        open_text = ""
        if words := text.split():
            found.append(words)
    return found


def _add_modern_atom(table: _Table, words: list[str], place: str) -> None:
    row = len(table.symbols)
    table.symbols.append(words[1].strip('"'))
    table.positions.append([_coordinate(text, f"atom {row}", place) for text in words[2:5]])
    for word in words[6:]:
        key, _, text = word.partition("=")
        if key in ("CHG", "RAD", "MASS"):
            value = _read(int, text, f"{key} of atom {row}", place)
            if key == "CHG":
                table.charges[row] = value
            elif key == "RAD":
                table.radicals[row] = _unpaired(value, row, place)
            else:
                table.isotopes[row] = value


def _add_bond(table: _Table, ends: tuple[int, int], kind: int, row: int, place: str) -> None:
    if not all(0 < end <= len(table.symbols) for end in ends):
        raise InputError(
            f"bond {row} of {place} must be between two of its {len(table.symbols)} atoms, it names {ends[0]}, {ends[1]}"
        )
    if kind != _HYDROGEN_BOND:
        table.bonds.append((ends[0] - 1, ends[1] - 1))


def _unpaired(value: int, row: int, place: str) -> int:
    if value not in _UNPAIRED:
        raise InputError(
            f"RAD of atom {row} of {place} must be 0, 1 (singlet), 2 (doublet) or 3 (triplet), and is {value}"
        )
    return _UNPAIRED[value]


def _coordinate(text: str, what: str, place: str) -> float:
    number = _read(float, text, f"a coordinate of {what}", place)
    if not np.isfinite(number):
        raise InputError(f"a coordinate of {what} of {place} must be finite, and is {text.strip()!r}")
    return number


def _read(kind: Callable[[str], T], text: str, what: str, place: str) -> T:
    try:
        return kind(text)
    except ValueError:
        raise InputError(
            f"{what} of {place} must be a number in its columns, and is {text.strip()!r}; correct it"
        ) from None


def _data(lines: list[str]) -> dict[str, object]:
    """The data fields of a record."""
    found: dict[str, object] = {}
    row = next((row for row, line in enumerate(lines) if line.startswith("M  END")), len(lines))
    while row < len(lines):
        head = re.match(r">.*<([^>]+)>", lines[row])
        row += 1
        if head:
            stop = next((end for end in range(row, len(lines)) if not lines[end].strip()), len(lines))
            found[head[1]] = _value("\n".join(lines[row:stop]).strip())
            row = stop
    return found


def _value(text: str) -> object:
    # numbers of catalogues begin with zeros and are names
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)", text):
        return int(text)
    return float(text) if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", text) else text
