"""The comment of an xyz frame: pairs of key and value, and words that are no pairs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bodyorder.structures.reading.place import quote

#: Keys that count in any case, spelled as extended XYZ spells them.
LAYOUT_KEYS = {"lattice": "Lattice", "pbc": "pbc", "properties": "Properties"}
#: Keys whose value stays a string.
TEXT_KEYS = {"uid"}
#: Keys of 3 × 3 tensors; nine numbers stand column by column.
TENSOR_KEYS = {"stress", "virial"}
#: Keys that name the unit of positions, and units of length other than Å.
UNIT_KEYS = re.compile(r"(?:(?:pos|positions?|coords?|coordinates?|length|distance)[_-]?)?units?", re.IGNORECASE)
OTHER_LENGTHS = {"bohr", "au", "a.u.", "atomic", "atomic_unit", "atomic_units", "a0", "nm", "nanometer", "pm", "m"}

TRUTHS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
SWITCHES = {"T": True, "F": False} | {
    spelling: text == "true" for text in ("true", "false") for spelling in (text, text.capitalize(), text.upper())
}

_END = r"(?=[\s,;)]|$)"
_PIECE = re.compile(
    rf"""[\s,;]*(?:
        (?P<key>"(?:[^"\\]|\\.)+"|[^\s="'{{}}\[\],;]+)\s*=\s*
        (?: "(?P<double>(?:[^"\\]|\\.)*)"{_END} | '(?P<single>(?:[^'\\]|\\.)*)'{_END}
          | \{{(?P<brace>[^{{}}]*)\}}{_END} | \[(?P<bracket>(?:[^\[\]]|\[[^\[\]]*\])*)\]{_END}
          | (?P<open>["'{{\[].*) | (?P<bare>(?:(?![,;][A-Za-z_][\w-]*\s*=)\S)*) )
      | (?P<word>\S+) )""",
    re.VERBOSE,
)
#: Longer ones are rounded, as ASE has them.
_INTEGER = re.compile(r"[-+]?\d{1,18}")


class CommentError(ValueError):
    """A comment that cannot be read as meant: what it must, and what it is."""

    def __init__(self, must: str, came: str):
        super().__init__(must, came)
        self.must, self.came = must, came


@dataclass
class Comment:
    """What a comment says.

    :param pairs: values by key, numbers and truth values converted
    :param words: what stands beside the pairs; the whole text if there are none
    :param lattice: lattice vectors as rows, Å
    :param pbc: periodic directions; nothing if they are not said
    :param properties: columns of the atom lines, as extended XYZ names them
    """

    pairs: dict[str, Any] = field(default_factory=dict)
    words: str = ""
    lattice: np.ndarray | None = None
    pbc: tuple[bool, ...] | None = None
    properties: str | None = None


def parse_comment(text: str) -> Comment:
    """Read the comment of an extended XYZ frame; prose without a ``key=value`` is no metadata.

    Keys of the format itself count in any case. A word without a value is no key.

    :raises CommentError: if a key has two values, a quotation mark does not close, or cell, periodic directions or tensors
        are not what the format knows
    """
    text = text.strip()
    if "=" not in text:
        return Comment(words=text)
    comment, words = Comment(), []
    raw: dict[str, str] = {}
    last = ""
    for piece in _PIECE.finditer(text):
        if piece["word"] is not None:
            words.append(piece["word"])
            if last == "pbc" and piece["word"].lower() in TRUTHS:
                raise CommentError("have quotation marks around its pbc", f"its comment is {quote(text)}")
            last = ""
            continue
        if piece["key"] is None:
            continue
        key, value = _pair(piece)
        last = key if piece["bare"] else ""
        if raw.setdefault(key, value) != value:
            raise CommentError(f"name {key} once", f"its comment has {quote(raw[key])} and {quote(value)}")
    for key, value in raw.items():
        _store(comment, key, value)
    comment.words = " ".join(words) if raw else text
    return comment


def parse_directions(text: str) -> tuple[bool, ...]:
    """Periodic directions from one truth value or three: T, true or 1, in brackets, with commas or without.

    :raises CommentError: if they are something else
    """
    words = re.sub(r"[\[\](){},\"']", " ", text).lower().split()
    if len(words) not in (1, 3) or not all(word in TRUTHS for word in words):
        raise CommentError('have a pbc such as "T T F"', f"its comment has pbc={quote(text)}")
    found = [TRUTHS[word] for word in words]
    return tuple(found if len(found) == 3 else found * 3)


def parse_lattice(text: str) -> np.ndarray:
    """Lattice vectors as rows (3, 3) in Å, from nine numbers or from the three lengths of a box.

    :raises CommentError: if they are something else
    """
    words = re.sub(r"[\[\](){},;\"']", " ", text).split()
    try:
        numbers = np.array([real(word) for word in words])
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) not in (3, 9):
        raise CommentError("have a Lattice of 9 or 3 numbers in quotation marks", f"its comment has {quote(text)}")
    return np.diag(numbers) if len(numbers) == 3 else numbers.reshape(3, 3)


def real(text: str) -> float:
    """A number; Fortran's exponent D is one.

    :raises ValueError: if it is none
    """
    try:
        return _decimal(text)
    except ValueError:
        return _decimal(re.sub(r"(?<=[\d.])[dD](?=[-+]?\d+$)", "e", text))


def _pair(piece: re.Match[str]) -> tuple[str, str]:
    if piece["open"] is not None:
        raise CommentError("close its quotation marks and brackets", f"its comment has {quote(piece['open'])}")
    key = piece["key"]
    bare = key.lstrip("(#") or key
    spoken = key.startswith("(") and key != bare  # (charge=1)
    key = _plain(key[1:-1]) if key.startswith('"') else bare
    key = LAYOUT_KEYS.get(key.lower(), key)
    for kind in ("double", "single"):
        if piece[kind] is not None:
            return key, _plain(piece[kind])
    for kind in ("brace", "bracket"):
        if piece[kind] is not None:
            return key, piece[kind]
    return key, piece["bare"].rstrip(",;)" if spoken else ",;")


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _store(comment: Comment, key: str, value: str) -> None:
    if key == "Lattice":
        comment.lattice = parse_lattice(value)
    elif key == "pbc":
        comment.pbc = parse_directions(value)
    elif key == "Properties":
        comment.properties = value
    elif key in TENSOR_KEYS:
        comment.pairs[key] = _tensor(key, value)
    elif UNIT_KEYS.fullmatch(key) and value.lower() in OTHER_LENGTHS:
        raise CommentError("have lengths in Å", f"its comment has {key}={quote(value)}; convert its positions and cell")
    else:
        comment.pairs[key] = value if key.lower() in TEXT_KEYS else _typed(value)


def _tensor(key: str, text: str) -> np.ndarray:
    value = _typed(text)
    if not isinstance(value, np.ndarray) or value.shape not in ((9,), (6,)):
        raise CommentError(f"have a {key} of 9 or 6 numbers", f"its comment has {key}={quote(text)}")
    return value.reshape((3, 3), order="F") if len(value) == 9 else value


def _typed(text: str) -> Any:
    """Numbers and truth values as extended XYZ has them, alone or in a row; else the text."""
    words = re.findall(r"[^\s,]+", text)
    if not words:
        return text
    if text.startswith("_JSON "):
        return _json(text)
    if all(word in SWITCHES for word in words):
        switches = [SWITCHES[word] for word in words]
        return switches[0] if len(switches) == 1 else switches
    numbers: list[Any]
    try:
        numbers = [int(word) if _INTEGER.fullmatch(word) else _decimal(word) for word in words]
    except ValueError:
        return text
    if len(numbers) > 1:
        return np.array(numbers)
    return numbers[0]


def _decimal(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _json(text: str) -> Any:
    try:
        value = json.loads(text.removeprefix("_JSON "))
        array = np.array(value)
    except ValueError:
        return text
    return array if array.dtype.kind in "ifb" else value
