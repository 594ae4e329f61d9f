"""What a small file is to say. Lengths are numbers in the unit of the file: no writer converts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers


@dataclass(frozen=True)
class Content:
    """What a file is to say: ``said`` has what not every format can, by name."""

    symbols: tuple[str, ...]
    positions: np.ndarray
    molecules: tuple[int, ...]
    cell: np.ndarray | None = None
    unit: str = "Å"
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def box(self) -> np.ndarray:
        """The cell, or a wide one where a format must have one."""
        return np.eye(3) * 30.0 if self.cell is None else self.cell

    @property
    def fractions(self) -> np.ndarray:
        """Positions in fractions of the box."""
        return self.positions @ np.linalg.inv(self.box)

    @property
    def kinds(self) -> list[str]:
        """Its elements, each once."""
        return list(dict.fromkeys(self.symbols))

    @property
    def bonds(self) -> list[tuple[int, int]]:
        """The first atom of each molecule with the others in it."""
        firsts = {number: self.molecules.index(number) for number in self.molecules}
        return [(firsts[number], atom) for atom, number in enumerate(self.molecules) if firsts[number] != atom]

    def of(self, name: str, default: Any) -> list[Any]:
        """What is said of each atom, or a default."""
        return list(self.said.get(name, [default] * len(self.symbols)))

    def rows(self, form: str = "{s} {x:.8f} {y:.8f} {z:.8f}") -> list[str]:
        """A line for each atom."""
        return [
            form.format(s=s, x=x, y=y, z=z, Z=atomic_numbers[s], k=self.kinds.index(s) + 1)
            for s, (x, y, z) in zip(self.symbols, self.positions, strict=True)
        ]


def vectors(content: Content, form: str = "{:.8f} {:.8f} {:.8f}", start: str = "") -> list[str]:
    return [start + form.format(*row) for row in content.box]


def lines_of(*lines: Any) -> str:
    """Lines and lists of lines as one text."""
    return "".join(f"{line}\n" for some in lines for line in ([some] if isinstance(some, str) else some))


def in_a_row(one: Callable[[Content], str], between: str = "") -> Callable[[Path, list[Content]], None]:
    """A writer of frames, one behind the other."""
    return lambda path, frames: path.write_text(between.join(map(one, frames)), encoding="utf-8") and None
