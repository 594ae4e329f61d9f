"""Names of groups, energies and numbers as a person writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bodyorder.plots.style import group_title
from bodyorder.report.numbers import (  # noqa: F401
    NEGLIGIBLE,
    energy,
    power_of_ten,
    with_spread,
)


def group_words(name: str) -> str:
    """Name of a group within a sentence; empty if structures are not grouped."""
    return group_title(name)


def place(group: str) -> str:
    """Where a group's structures are, to begin a sentence or to end one."""
    return f"in {group}" if group_title(group) else ""


def capitalized(text: str) -> str:
    """A text that begins with a capital letter, and is otherwise as it is."""
    return text[:1].upper() + text[1:]


def sentence(*parts: str) -> str:
    """A sentence that begins with a place, if there is one."""
    text = ", ".join(part for part in parts if part)
    return f"{capitalized(text)}."


def two_digits(value: float) -> str:
    """A number above zero with two digits that count."""
    return f"{value:.2g}" if value < 100 else f"{float(f'{value:.2g}'):.0f}"


def extremes(values: Mapping[Any, float], number: Callable[[float], str], name: Callable[[Any], str] = str) -> str:
    """The smallest and the largest of some values, and whose they are."""
    least, most = min(values, key=lambda key: values[key]), max(values, key=lambda key: values[key])
    if number(values[least]) == number(values[most]):
        return number(values[least])
    return f"{number(values[least])} ({name(least)}) to {number(values[most])} ({name(most)})"


def and_(parts: Sequence[str]) -> str:
    """A list within a sentence."""
    if len(parts) < 2:
        return "".join(parts)
    between = "; " if any("," in part for part in parts) else ", "
    return f"{between.join(parts[:-1])}{';' if between == '; ' else ''} and {parts[-1]}"
