"""Elements by the labels that files give to atoms."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from bodyorder.structures.reading.elements import ISOTOPES, symbol_of

#: ASE's symbol of a ghost, which is for those who compute energies to refuse.
GHOST = "X"

#: Spelled in one case, these are as well names of atoms in proteins, nucleic acids and haem, or types of force fields.
AMBIGUOUS = frozenset((
    "CA", "CD", "CE", "CF", "CM", "CN", "CO", "CS", "HE", "HF", "HG", "HO", "HS", "NA", "NB", "ND", "NE", "NH", "NO", "NP",
    "OG", "OS", "PA", "PB", "SB", "SC", "SG", "SN",
))  # fmt: skip


class LabelError(ValueError):
    """The label of an atom is no element; ``index`` is the number of the atom, ``reason`` a clause on its label."""

    def __init__(self, index: int, reason: str):
        super().__init__(reason)
        self.index, self.reason = index, reason


@lru_cache(maxsize=64)
def find_elements(labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray | None]:
    """Atomic numbers, and masses where isotopes are named: D and T are hydrogen of 2.014 and 3.016 u.

    :param labels: symbols in any case, or atomic numbers throughout
    :returns: int (atoms,), and in u (atoms,) or nothing; both are shared and not to be written to
    :raises LabelError: if a label is no element, or could as well be the name of an atom (CA: calcium or an alpha carbon)
    """
    if all(label.isascii() and label.isdigit() for label in labels):
        numbers = [_by_number(index, label) for index, label in enumerate(labels)]
    else:
        numbers = [_by_symbol(index, label) for index, label in enumerate(labels)]
    found = np.array(numbers, dtype=int)
    if not any(label.upper() in ISOTOPES for label in labels):
        return found, None
    masses = atomic_masses[found].copy()
    for index, label in enumerate(labels):
        masses[index] = ISOTOPES.get(label.upper(), masses[index])
    return found, masses


def _by_number(index: int, label: str) -> int:
    if not 1 <= int(label) < len(atomic_masses):
        raise LabelError(index, f"{label!r} is no atomic number")
    return int(label)


def _by_symbol(index: int, label: str) -> int:
    if label == GHOST:
        return 0
    symbol = symbol_of(label)
    if symbol is None:
        raise LabelError(index, f"{label!r} is no element")
    if label != symbol and label.upper() in AMBIGUOUS:
        raise LabelError(index, f"{label!r} may be {symbol} or the name of an atom of another element")
    return 1 if symbol in ISOTOPES else atomic_numbers[symbol]
