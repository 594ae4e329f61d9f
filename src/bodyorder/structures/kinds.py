"""Kinds of atoms: what tells the lone atoms of structures apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ase.data import atomic_numbers, chemical_symbols

from bodyorder._checks import InputError

#: An element and its charge, as chemistry writes them.
_LABEL = re.compile(r"([A-Z][a-z]?)(?:(\d*)([+-]))?")


@dataclass(frozen=True)
class AtomKind:
    """An element in a state of charge, and of magnetization where energies see that.

    :param number: atomic number
    :param charge: in elementary charges
    :param moment: unpaired electrons, without their direction
    """

    number: int
    charge: int = 0
    moment: float = 0.0

    def __str__(self) -> str:
        size = abs(self.charge)
        charge = f"{size if size > 1 else ''}{'+' if self.charge > 0 else '-'}" if size else ""
        return f"{chemical_symbols[self.number]}{charge}" + (f"({self.moment:g})" if self.moment else "")

    @classmethod
    def parse(cls, label: object) -> AtomKind:
        """The kind that a label such as ``H``, ``Na+`` or ``O2-`` names.

        :raises InputError: if it names none
        """
        found = _LABEL.fullmatch(label) if isinstance(label, str) else None
        if found is None or found[1] not in atomic_numbers:
            raise InputError(
                f"a lone atom must be an element, with its charge if it has one (H, Na+, O2-), got {label!r}"
            )
        return cls(atomic_numbers[found[1]], int(f"{found[3]}{found[2] or 1}") if found[3] else 0)


def pair_label(pair: tuple[AtomKind, AtomKind]) -> str:
    """Two atoms, such as ``H O`` or ``Cl- Na+``, in alphabetical order."""
    return " ".join(sorted(map(str, pair)))
