"""Names of groups, energies and numbers as a person writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bodyorder.plots.style import group_title

#: Energies (eV per body) below this are called small, and given in meV.
SMALL = 0.05

#: Energies (eV per body) below this are as good as zero.
NEGLIGIBLE = 1e-6


#: Numbers below this stand with a power of ten.
_SMALLEST = 1e-3

#: Letters of a power of ten.
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def group_words(name: str) -> str:
    """Name of a group within a sentence; empty if structures are not grouped."""
    return group_title(name)


def place(group: str) -> str:
    """Where a group's structures are, to begin a sentence or to end one."""
    return f"in {group}" if group_title(group) else ""


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
    return f"{value:.{_digits(value, 3)}f}"


def _digits(value: float, count: int) -> int:
    """Digits behind the point that show so many that count."""
    return max(0, count - 1 - int(np.floor(np.log10(value)))) if value > 0 else 0


def with_spread(mean: float, spread: float = np.nan) -> str:
    """A number with three digits at most, and as far as its spread lets it be known: "63 ± 8"; the spread may be NaN."""
    if 0 < abs(mean) < _SMALLEST:
        power = int(np.floor(np.log10(abs(mean))))
        text = with_spread(mean / 10.0**power, spread / 10.0**power)
        return f"{text if np.isnan(spread) else f'({text})'}·10{str(power).translate(_SUPERSCRIPTS)}"
    digits = _digits(abs(mean), 3)
    if spread > 0:
        digits = min(digits, _digits(spread, 1))
    elif float(mean).is_integer():
        digits = 0
    text = f"{mean:.{digits}f}"
    if not np.isnan(spread):
        known = f"{spread:.{digits}f}"
        text += f" ± {known if float(known) else 0}"
    return text.replace("-", "−")


def power_of_ten(value: float) -> str:
    """A number of any size with one digit, such as 6·10⁻¹²; with two where it needs no power of ten."""
    if value == 0 or abs(value) >= _SMALLEST or np.isnan(value):
        return f"{float(f'{value:.2g}'):g}".replace("-", "−")
    digit, power = f"{value:.0e}".split("e")
    return f"{digit}·10{str(int(power)).translate(_SUPERSCRIPTS)}".replace("-", "−")


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
