"""Comments of i-PI's xyz files, as its own reader understands them (``ipi.utils.io``, version 3.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from ase.geometry import cell_to_cellpar
from ase.units import Bohr

from bodyorder.structures.reading.cells import vectors_of
from bodyorder.structures.reading.comment import CommentError, real
from bodyorder.structures.reading.place import quote

#: Quantities of i-PI's trajectories; the others are no places of atoms.
POSITIONS = {"positions", "x_centroid", "x_centroid_even", "x_centroid_odd"}
OTHERS = {
    "velocities", "momenta", "becx", "becy", "becz", "forces", "forces_spring", "Eforces", "forces_sc", "v_centroid",
    "v_centroid_even", "v_centroid_odd", "p_centroid", "f_centroid", "kinetic_cv", "kinetic_od", "r_gyration", "extras",
    "forces_component", "forces_component_raw", "extras_component_raw", "extras_bias", "isotope_zetatd", "isotope_zetasc",
}  # fmt: skip

#: Units of length in Å; i-PI's default is the atomic unit. Prefixes may stand before each.
LENGTHS = {"": Bohr, "automatic": Bohr, "atomic_unit": Bohr, "angstrom": 1.0, "ase": 1.0, "meter": 1e10}
PREFIXES = {
    "yotta": 1e24, "zetta": 1e21, "exa": 1e18, "peta": 1e15, "tera": 1e12, "giga": 1e9, "mega": 1e6, "kilo": 1e3,
    "milli": 1e-3, "micro": 1e-6, "nano": 1e-9, "pico": 1e-12, "femto": 1e-15, "atto": 1e-18, "zepto": 1e-21, "yocto": 1e-24,
}  # fmt: skip

_CELL = re.compile(r"CELL[(\[{](abcABC|H|GENH)[)\]}]\s*:?((?:\s+[-+]?[\d.]+(?:[eEdD][-+]?\d+)?(?!\S))*)", re.IGNORECASE)
_BRACES = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)?\{([^{}]*)\}")
_NAMES = "|".join(sorted(POSITIONS | OTHERS, key=len, reverse=True))
_OTHER_BRACKETS = re.compile(rf"\b(?:cell|{_NAMES})(?:\([^()]*\)|\[[^\[\]]*\])")
_SPOKEN = re.compile(r"(?<![\w/])(?:angstroms?|ångstr[öo]ms?|Å|bohr)(?!\w)", re.IGNORECASE)
_BARE = re.compile(rf"\bTraj:\s*({'|'.join(sorted(OTHERS, key=len, reverse=True))})(?![\w{{])")
_MARKS = re.compile(rf"CELL[(\[{{](?:abcABC|H|GENH)[)\]}}]|\b(?:cell|{_NAMES})\{{", re.IGNORECASE)
#: Older versions of ASE write words of a comment that they did not understand as keys, without their braces.
_KEPT_BY_ASE = re.compile(rf"(?<![^\s\"])(cell|{_NAMES})([A-Za-z][A-Za-z_]*)=T(?!\S)")
_COUNTERS = re.compile(r"\b(Step|Bead):\s*(\d+)", re.IGNORECASE)


@dataclass
class IpiComment:
    """What a comment of i-PI says.

    :param length: the unit of the positions in Å
    :param lattice: lattice vectors as rows in Å; without one the atoms are free
    :param turn: what positions are multiplied by from the right; i-PI turns cells with three general vectors
    :param info: step and bead
    :param words: the rest
    """

    length: float
    lattice: np.ndarray | None
    turn: np.ndarray | None
    info: dict[str, Any]
    words: str


def is_ipi(text: str) -> bool:
    """Whether a comment is one of i-PI: ``CELL(abcABC):``, ``positions{...}`` and the like."""
    return _MARKS.search(text) is not None


def check_extended(text: str) -> None:
    """Check what i-PI says in a comment of extended XYZ, whose positions and cell are in Å.

    :raises CommentError: if it names another unit, a second cell, or a quantity that is no position
    """
    text = _KEPT_BY_ASE.sub(r"\1{\2}", text)
    if (cell := _CELL.search(text)) and cell[2]:
        raise CommentError("have one cell, its Lattice", f"its comment has {quote(cell[0])}; remove it")
    said = [match for match in _BRACES.finditer(text) if match[1] == "cell" or match[1] in POSITIONS | OTHERS]
    for match in said:
        if match[1] in OTHERS and not any(other[1] in POSITIONS for other in said):
            raise CommentError("hold positions of i-PI", f"it holds {match[1]} ({quote(match[0])} in its comment)")
        if match[1] not in OTHERS and LENGTHS.get(match[2].lower()) != 1:
            raise CommentError(
                "have lengths in Å beside Lattice or Properties", f"its comment has {quote(match[0])}; convert them"
            )


def parse_ipi(text: str) -> IpiComment:
    """Read a comment of i-PI.

    Cells are given by lengths and angles (abcABC), by an upper triangular matrix whose columns are the lattice vectors (H),
    or by three vectors in rows (GENH), which i-PI turns with the atoms so that the first lies along x. Without units, cell
    and positions are in bohr.

    :raises CommentError: if the quantity is not a position, a unit is no length or unknown, or the cell is none of these
    """
    cells = list(_CELL.finditer(text))
    if len(cells) > 1:
        raise CommentError("name its cell once", f"its comment is {quote(text)}")
    rest = _CELL.sub(" ", text)
    units = _units(rest, text)
    needed = {"positions", "cell"} if cells else {"positions"}
    if not needed <= units.keys() and (spoken := _SPOKEN.search(_BRACES.sub(" ", rest))):
        _refuse_unit(spoken[0])
    lattice, turn = _lattice(cells[0][1].lower(), cells[0][2].split(), text) if cells else (None, None)
    info = {name.lower(): int(number) for name, number in _COUNTERS.findall(rest)}
    words = re.sub(r"\bTraj:|#", " ", _COUNTERS.sub(" ", _BRACES.sub(" ", rest)))
    return IpiComment(
        length=units.get("positions", Bohr),
        lattice=None if lattice is None else lattice * units.get("cell", Bohr),
        turn=turn,
        info=info,
        words=" ".join(words.split()),
    )


def _units(rest: str, text: str) -> dict[str, float]:
    """Å in the units of positions and cell, as far as they are named."""
    units: dict[str, float] = {}
    if bare := _BARE.search(rest):
        raise CommentError("hold positions of i-PI", f"it holds {bare[1]} ({quote(bare[0])} in its comment)")
    if other_brackets := _OTHER_BRACKETS.search(rest):
        _refuse_unit(other_brackets[0])
    for match in _BRACES.finditer(rest):
        name, unit = match[1], match[2]
        if name is None and LENGTHS.get(unit.lower()) == Bohr:
            continue  # says no more than the default
        role = "cell" if name == "cell" else "positions" if name in POSITIONS else None
        if name in OTHERS:
            raise CommentError("hold positions of i-PI", f"it holds {name} ({quote(match[0])} in its comment)")
        if role is None:
            _refuse_unit(match[0])
        elif role in units:
            raise CommentError(f"name the unit of its {role} once", f"its comment is {quote(text)}")
        else:
            units[role] = _length(name, unit)
    return units


def _refuse_unit(said: str) -> NoReturn:
    raise CommentError("name units as positions{angstrom} and cell{angstrom}", f"its comment has {quote(said)}")


def _length(name: str, unit: str) -> float:
    text = unit.lower()
    prefix = next((prefix for prefix in PREFIXES if text.startswith(prefix)), "")
    base = text.removeprefix(prefix)
    if base not in LENGTHS or (prefix and not base):
        raise CommentError(f"have a unit of length for its {name}, such as angstrom or atomic_unit", f"it has {unit!r}")
    return LENGTHS[base] * PREFIXES.get(prefix, 1.0)


def _lattice(kind: str, words: list[str], text: str) -> tuple[np.ndarray, np.ndarray | None]:
    wanted = 6 if kind == "abcabc" else 9
    if len(words) != wanted:
        raise CommentError(f"have a cell of {wanted} numbers", f"its comment is {quote(text)}")
    try:
        numbers = np.array([real(word) for word in words])
    except ValueError:
        raise CommentError(f"have a cell of {wanted} numbers", f"its comment is {quote(text)}") from None
    if kind == "abcabc":
        return _from_parameters(numbers, text), None
    matrix = numbers.reshape(3, 3)
    if kind == "h":
        if np.tril(matrix, -1).any():
            raise CommentError("have an upper triangular cell H, lattice vectors in columns", f"it has {quote(text)}")
        return matrix.T.copy(), None
    if not abs(np.linalg.det(matrix)) > 0:
        raise CommentError("have a cell that is not singular", f"its comment is {quote(text)}")
    turned = _from_parameters(cell_to_cellpar(matrix), text)
    return turned, np.linalg.solve(matrix, turned)


def _from_parameters(numbers: np.ndarray, text: str) -> np.ndarray:
    """Vectors as rows, the first along x, the second in the xy plane; a right angle is exact."""
    vectors = vectors_of(numbers.tolist())
    if vectors is None:
        raise CommentError("have a cell of positive lengths and possible angles", f"its comment is {quote(text)}")
    return vectors
