"""The atom lines of an xyz frame: columns by the names, types and widths of extended XYZ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bodyorder.structures.reading.comment import TRUTHS, real
from bodyorder.structures.reading.place import Place, quote

#: Columns of a frame that names none.
PLAIN = "species:S:1:pos:R:3"
#: ASE's names of columns by those of files, in any case.
ROLES = {
    "species": "symbols",
    "symbols": "symbols",
    "z": "numbers",
    "numbers": "numbers",
    "pos": "positions",
    "positions": "positions",
}
#: ASE's names of columns by those of files, as they are spelled.
NAMES = {"charge": "charges"}


@dataclass(frozen=True)
class Column:
    """One property of the atoms: its name in ASE, its type (R, I, S or L) and where it stands in a line."""

    name: str
    kind: str
    start: int
    stop: int


class PropertiesError(ValueError):
    """Properties that extended XYZ does not know; says what is wrong with them."""


@lru_cache(maxsize=64)
def parse_properties(text: str) -> tuple[Column, ...]:
    """Columns from ``name:type:width`` in a row.

    :raises PropertiesError: if they are something else, or elements or positions are not among them
    """
    fields = text.split(":")
    if len(fields) % 3:
        raise PropertiesError("are no row of name:type:width")
    columns: list[Column] = []
    for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
        start = columns[-1].stop if columns else 0
        if kind.upper() not in ("R", "I", "S", "L") or not name:
            raise PropertiesError(f"have {name}:{kind}, and types are R, I, S and L")
        if not width.isdigit() or not int(width):
            raise PropertiesError(f"have a width of {width!r}")
        role = ROLES.get(name.lower()) or NAMES.get(name, name)
        columns.append(Column(role, kind.upper(), start, start + int(width)))
    found = {column.name: (column.kind, column.stop - column.start) for column in columns}
    if len(found) < len(columns):
        raise PropertiesError("name a column twice")
    if found.get("positions") not in (("R", 3), ("I", 3)):
        raise PropertiesError("lack pos:R:3")
    if found.get("symbols") != ("S", 1) and found.get("numbers") != ("I", 1):
        raise PropertiesError("lack species:S:1")
    return tuple(columns)


def read_columns(
    lines: Sequence[str], columns: Sequence[Column], place: Place, first: int, exact: bool
) -> tuple[dict[str, np.ndarray], int]:
    """Arrays of the atoms by ASE's names, as its reader shapes them: (atoms,) or (atoms, width); and how many words are over.

    :param lines: one for each atom
    :param first: the number of the first line in the file
    :param exact: whether a line may have no more words than the columns
    :raises InputError: if a line has too few words, or a word is not of its type
    """
    rows = [line.split() for line in lines]
    width = columns[-1].stop
    sizes = set(map(len, rows))
    if rows and (min(sizes) < width or (exact and max(sizes) > width)):
        index = next(i for i, row in enumerate(rows) if len(row) < width or (exact and len(row) > width))
        place.refuse(f"have {width} columns for each atom", f"atom {index} has {quote(lines[index])}", first + index)
    return {column.name: _array(rows, column, place, first) for column in columns}, max(sizes, default=width) - width


def _array(rows: list[list[str]], column: Column, place: Place, first: int) -> np.ndarray:
    start, stop = column.start, column.stop
    words: list[Any] = [row[start] for row in rows] if stop == start + 1 else [row[start:stop] for row in rows]
    if column.kind == "S":
        return np.array(words, dtype=object)
    if column.kind == "R" or column.name == "positions":
        try:
            return np.array(words, dtype=float)
        except ValueError:
            return _convert(rows, column, place, first, real, "a number")
    if column.kind == "I":
        return _convert(rows, column, place, first, int, "an integer")
    return _convert(rows, column, place, first, _truth, "T or F")


def _convert(
    rows: list[list[str]], column: Column, place: Place, first: int, convert: Callable[[str], Any], kind: str
) -> np.ndarray:
    table: list[Any] = []
    for index, row in enumerate(rows):
        values = []
        for word in row[column.start : column.stop]:
            try:
                values.append(convert(word))
            except (KeyError, ValueError):
                place.refuse(
                    f"have {kind} for every value of {column.name}", f"atom {index} has {quote(word)}", first + index
                )
        table.append(values if len(values) > 1 else values[0])
    return np.array(table)


def _truth(word: str) -> bool:
    return TRUTHS[word.lower()]
