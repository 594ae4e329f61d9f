"""Where in a file something stands, for messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bodyorder._checks import InputError

#: Longest piece of a file that a message quotes.
QUOTED = 60


@dataclass(frozen=True)
class Place:
    """A frame of a file; frames and atoms are counted from 0, lines from 1."""

    path: Path
    frame: int

    def refuse(self, must: str, came: str, line: int | None = None) -> NoReturn:
        """Say what the frame must have and what it has instead.

        :raises InputError: always
        """
        where = "" if line is None else f", line {line}"
        raise InputError(f"frame {self.frame} of {self.path}{where} must {must}, {came}")


def quote(text: str) -> str:
    """A piece of a file in one short line."""
    short = " ".join(text.split())
    return repr(short if len(short) <= QUOTED else short[:QUOTED] + "…")
