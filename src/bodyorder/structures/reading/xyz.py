"""Reading of xyz files: plain, extended, and of i-PI.

Frames are told apart by their number of atoms alone, so that empty lines between them, or an empty comment, do no harm.
ASE's reader is not used: it ends at the first empty line, and takes every word of a comment for a key.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.io.extxyz import per_config_properties

from bodyorder.structures.keys import UNNAMED_COLUMNS
from bodyorder.structures.reading.columns import PLAIN, PropertiesError, parse_properties, read_columns
from bodyorder.structures.reading.comment import Comment, CommentError, parse_comment, real
from bodyorder.structures.reading.ipi import check_extended, is_ipi, parse_ipi
from bodyorder.structures.reading.labels import LabelError, find_elements
from bodyorder.structures.reading.place import Place, quote
from bodyorder.structures.reading.text import read_lines
from bodyorder.structures.reading.unread import refuse_unread

#: Widths of columns that ASE computes with.
WIDTHS = {
    "initial_charges": (1,),
    "initial_magmoms": (1, 3),
    "masses": (1,),
    "momenta": (3,),
    "tags": (1,),
    "move_mask": (1, 3),
}
#: The comment that LAMMPS writes into its dumps as xyz, in which numbers are types of atoms.
_TYPES = re.compile(r"\s*Atoms\b.*\bTimestep\b")


def read_xyz(path: Path) -> list[ase.Atoms]:
    """Read every frame of an xyz file, positions and cell in Å.

    Comments of key and value are those of extended XYZ, as ASE has them: calculated energies, forces, … become the results
    of a calculator, other columns and keys stay in ``arrays`` and ``info``. Words that are no pairs go to
    ``info["comment"]``. Comments of i-PI give cell and units, its step and bead go to ``info``. A frame that names no columns
    and has more than four keeps the number of the others as ``info["unnamed_columns"]``.

    :param path: the file, may be compressed
    :returns: one structure for each frame
    :raises InputError: if a frame is cut short or cannot be read as it is meant; the message names frame and line
    """
    lines = read_lines(path)
    frames: list[ase.Atoms] = []
    at = 0
    while True:
        while at < len(lines) and not lines[at].strip():
            at += 1
        if at == len(lines):
            return frames
        atoms, at = _read_frame(lines, at, Place(path, len(frames)))
        frames.append(atoms)


def _read_frame(lines: list[str], at: int, place: Place) -> tuple[ase.Atoms, int]:
    """The frame whose number of atoms stands in line ``at``, and the line after it."""
    count = lines[at].strip()
    if not (count.isascii() and count.isdigit() and len(count) < 12):
        place.refuse("begin with its number of atoms", f"found {quote(count)}", at + 1)
    begin, end = at + 2, at + 2 + int(count)
    if end > len(lines) or (int(count) and not lines[end - 1].strip() and not any(map(str.strip, lines[end - 1 :]))):
        have = sum(1 for line in lines[begin:] if line.strip())
        place.refuse(f"have {count} atoms, and the file ends after {have}", "it is cut short", at + 1)
    try:
        atoms = _build(lines, begin, end, place)
    except CommentError as error:
        place.refuse(error.must, error.came, begin)
    vectors = end
    while vectors < min(end + 3, len(lines)) and lines[vectors].lstrip().startswith("VEC"):
        vectors += 1
    if vectors > end:
        _set_vectors(atoms, lines[end:vectors], place, end + 1)
    return atoms, vectors


def _build(lines: list[str], begin: int, end: int, place: Place) -> ase.Atoms:
    text = lines[begin - 1]
    comment, found = parse_comment(text), None
    if ("{" in text or "CELL" in text.upper()) and is_ipi(text):
        if comment.lattice is not None or comment.properties is not None:
            check_extended(text)
        else:
            found = parse_ipi(comment.words)
            comment = Comment(comment.pairs | found.info, found.words, found.lattice, comment.pbc)
    refuse_unread(comment, comment.words, units_said=found is not None)
    try:
        columns = parse_properties(comment.properties or PLAIN)
    except PropertiesError as error:
        place.refuse(f"have Properties such as {PLAIN}", f"{quote(comment.properties or '')} {error}", begin)
    first = lines[begin].split() if end > begin else []
    if first and first[0].isdigit() and _TYPES.match(text):
        came = f"its first column has types of LAMMPS, {quote(lines[begin])}; dump them with element"
        place.refuse("name elements", came, begin + 1)
    arrays, left_over = read_columns(lines[begin:end], columns, place, begin + 1, exact=comment.properties is not None)
    if found is not None:
        arrays["positions"] = arrays["positions"] * found.length
        if found.turn is not None:
            arrays["positions"] = arrays["positions"] @ found.turn
    atoms = _atoms(arrays, comment, place, begin + 1)
    if left_over:
        atoms.info[UNNAMED_COLUMNS] = left_over
    return atoms


def _atoms(arrays: dict[str, np.ndarray], comment: Comment, place: Place, first: int) -> ase.Atoms:
    numbers, masses = _elements(arrays, place, first)
    for name in WIDTHS.keys() & arrays.keys():
        width = 1 if arrays[name].ndim == 1 else arrays[name].shape[1]
        if width not in WIDTHS[name] or arrays[name].dtype.kind not in "ifb":
            place.refuse(
                f"have numbers as {name}, {WIDTHS[name][-1]} for each atom", "its Properties say otherwise", first - 1
            )
    pbc = comment.pbc if comment.pbc is not None else comment.lattice is not None
    info = dict(comment.pairs)
    if comment.words:
        info["comment"] = f"{info['comment']} {comment.words}" if "comment" in info else comment.words
    atoms = ase.Atoms(
        numbers=numbers,
        positions=arrays.pop("positions"),
        masses=masses,
        charges=arrays.pop("initial_charges", None),
        cell=comment.lattice,
        pbc=pbc,
        info=info,
    )
    if "move_mask" in arrays:
        _fix(atoms, arrays.pop("move_mask"))
    results: dict[str, Any] = {}
    for name, array in arrays.items():
        if name in all_properties and array.dtype.kind in "if":
            results[name] = array
        else:
            atoms.set_array(name, array)
    for key in per_config_properties:
        if key in atoms.info and not isinstance(atoms.info[key], str | bool | list | dict):
            value = atoms.info.pop(key)
            results[key] = value if key != "stress" or value.size == 6 else value.flat[[0, 4, 8, 5, 2, 1]]
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _elements(arrays: dict[str, np.ndarray], place: Place, first: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Atomic numbers and, where the file names isotopes and has no masses of its own, masses."""
    symbols, numbers = arrays.pop("symbols", None), arrays.pop("numbers", None)
    labels = symbols if symbols is not None else numbers
    try:
        found, masses = find_elements(tuple(map(str, labels)))  # type: ignore[arg-type]
    except LabelError as error:
        place.refuse("have an element for every atom", f"{error.reason} (atom {error.index})", first + error.index)
    if symbols is not None and numbers is not None and (differ := np.flatnonzero(found != numbers)).size:
        index = int(differ[0])
        place.refuse(
            "have one element for each atom", f"atom {index} is {symbols[index]} and {numbers[index]}", first + index
        )
    return found, None if "masses" in arrays else masses


def _fix(atoms: ase.Atoms, mask: np.ndarray) -> None:
    free = mask.astype(bool)
    if free.ndim == 1:
        atoms.set_constraint(FixAtoms(mask=~free))
    else:
        atoms.set_constraint([FixCartesian(index, mask=~row) for index, row in enumerate(free)])


def _set_vectors(atoms: ase.Atoms, lines: list[str], place: Place, first: int) -> None:
    """Lattice vectors in lines of their own after the atoms, as ADF writes them."""
    if atoms.cell.any():
        place.refuse("have one cell", "it has a Lattice and lines VEC", first)
    cell = np.zeros((3, 3))
    for index, line in enumerate(lines):
        words = line.split()
        try:
            if words[0] != f"VEC{index + 1}":
                raise ValueError(words[0])
            cell[index] = [real(word) for word in words[1:]]
        except ValueError:
            place.refuse("have vectors VEC1, VEC2, … of three numbers", f"found {quote(line)}", first + index)
    atoms.cell = cell
    atoms.pbc = [index < len(lines) for index in range(3)]
