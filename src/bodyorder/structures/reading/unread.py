"""What the comment of an xyz frame says of cell and lengths in other words than extended XYZ has; it is refused, not lost."""

from __future__ import annotations

import re
from typing import Any

from bodyorder.structures.reading.comment import Comment, CommentError
from bodyorder.structures.reading.place import quote

#: Keys that programs give a cell, in lower case without ``_``, ``-`` and digits behind.
CELL_KEYS = {
    "cell", "box", "unitcell", "abc", "latticevectors", "cellvectors", "cellparameters", "cellpar", "celllengths", "boxsize",
    "boxvectors",
}  # fmt: skip
#: Keys that say which directions are periodic, and are not ``pbc``.
PERIODIC_KEYS = {"periodic", "periodicity", "boundary", "boundaryconditions", "periodicboundaryconditions"}
#: Keys that say what coordinates are.
COORDINATE_KEYS = {"coordinates", "coords", "coordinatetype", "coordinatesystem", "positions", "pos", "units", "unit"}

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
_CELL = re.compile(
    r"\b(?:unit[ _-]?)?(?:cell|box|abc|lattice)(?:[ _](?:size|parameters|lengths|vectors|dimensions))?"
    rf"(?:\s*[(\[{{]\w*[)\]}}]\s*:|\s*:?(?:[\s,;x×([]*{_NUMBER}){{3}})[^a-zA-Z]*",
    re.IGNORECASE,
)
_FRACTIONS = re.compile(
    r"\bfractional\b(?!\s+(?:occup|charge|electron))|\b(?:scaled|crystal|reduced|direct)\s+(?:coord|positions)",
    re.IGNORECASE,
)
_FRACTION_VALUES = re.compile(r"(?:frac|scaled|crystal|reduced|direct)", re.IGNORECASE)
_BOHR = re.compile(r"(?<![/\w*·])(?<!per )bohrs?(?![\w^*·⁻³²]|\s*(?:\^|\*|-\s*[123]\b))", re.IGNORECASE)
_OTHER_UNIT = re.compile(
    r"\b(?:positions|coordinates|coords|lengths|distances)\b[^,;.=]{0,20}?"
    r"(?<![\w/])(atomic[ _]units?|a\.u\.|au|nm|nanometers?|pm|picometers?)(?!\w)",
    re.IGNORECASE,
)


def refuse_unread(comment: Comment, words: str, units_said: bool = False) -> None:
    """Refuse what a comment says of cell, periodic directions and lengths, if it is not read as that.

    :param comment: the comment, with its cell if it has one that is read
    :param words: its prose
    :param units_said: whether it names the unit of positions, so that prose does not
    :raises CommentError: if it has a cell or periodic directions by other keys or in prose, fractional coordinates, or lengths
        that are not in Å
    """
    for key, value in comment.pairs.items():
        _refuse_pair(key, value, comment)
    if comment.lattice is None and (found := _CELL.search(words)):
        raise CommentError(
            "give its cell as Lattice", f"its comment has {quote(found[0])}; write Lattice=…, or remove it"
        )
    prose = f"{words} {comment.pairs['comment']}" if "comment" in comment.pairs else words
    if found := _FRACTIONS.search(prose):
        _refuse_fractions(found[0])
    if units_said:
        return
    if _BOHR.search(prose):
        _refuse_unit("bohr")
    if found := _OTHER_UNIT.search(prose):
        _refuse_unit(found[1])


def _refuse_pair(key: str, value: Any, comment: Comment) -> None:
    name = key.lower().replace("_", "").replace("-", "")
    if name in CELL_KEYS and comment.lattice is None and re.search(r"\d", str(value)):
        raise CommentError(
            "give its cell as Lattice", f"its comment has {key}={quote(str(value))}; write Lattice=…, or remove it"
        )
    if name in PERIODIC_KEYS and comment.lattice is not None and comment.pbc is None:
        raise CommentError(
            "name its periodic directions by pbc",
            f'its comment has {key}={quote(str(value))}; write pbc="T T T", or remove it',
        )
    if (name == "fractional" and value is not False and value != 0) or (
        name in COORDINATE_KEYS and isinstance(value, str) and _FRACTION_VALUES.match(value)
    ):
        _refuse_fractions(f"{key}={value}")


def _refuse_fractions(said: str) -> None:
    raise CommentError(
        "have positions in Å", f"its comment has {quote(said)}; multiply them by the cell, or remove the word"
    )


def _refuse_unit(unit: str) -> None:
    raise CommentError("have lengths in Å", f"its comment speaks of {unit}; convert them, or remove the word")
