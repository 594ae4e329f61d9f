"""Names of groups, energies and numbers as a person writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bodyorder.analysis.alignment import UNGROUPED

#: Energies (eV per body) below this are called small, and given in meV.
SMALL = 0.05

#: Energies (eV per body) below this are as good as zero.
NEGLIGIBLE = 1e-6

_SHORT_GROUPS = {"low": "low density", "high": "high density", UNGROUPED: ""}


def group_words(name: str) -> str:
    """Name of a group within a sentence, such as "low density"; empty if structures are not grouped."""
    return _SHORT_GROUPS.get(name, name.replace("_", " ").replace("-", " "))


def group_title(name: str) -> str:
    """Name of a group as a title, such as "Low density"; empty if structures are not grouped."""
    words = group_words(name)
    return words[:1].upper() + words[1:]


def place(group: str) -> str:
    """Where a group's structures are, to begin a sentence or to end one."""
    words = group_words(group)
    if words.endswith("density"):
        return f"at {words}"
    return f"in group {words}" if words else ""


def energy(value: float, body: str, signed: bool = False) -> str:
    """An energy per body (eV) with three digits, in meV where that reads better."""
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    size = abs(value)
    if size >= SMALL:
        return f"{sign}{_three(size)} eV per {body}"
    if size < NEGLIGIBLE:
        return f"less than 0.001 meV per {body}"
    return f"{sign}{_three(1e3 * size)} meV per {body}"


def _three(value: float) -> str:
    """Three digits that count, without an exponent."""
    digits = max(0, 2 - int(np.floor(np.log10(value)))) if value > 0 else 0
    return f"{value:.{digits}f}"


def plain_number(value: float, _position: Any = None) -> str:
    """A tick label without powers of ten: −0.01, 1, 20."""
    return f"{value:.6f}".rstrip("0").rstrip(".").replace("-", "−") if value else "0"
