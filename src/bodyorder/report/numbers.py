"""Numbers as a person writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

#: What stands where nothing is known.
MISSING = "—"

#: Energies (eV per body) below this are called small, and given in meV.
SMALL = 0.05

#: Energies (eV per body) below this are as good as zero.
NEGLIGIBLE = 1e-6


#: Numbers below this stand with a power of ten.
_SMALLEST = 1e-3

#: Letters of a power of ten.
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Any, digits: int = 3) -> str:
    """A number with a true minus, a whole one without a point; text as it is; a dash if it is missing."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return str(value).replace("-", "−")
    if not np.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}".replace("-", "−")
    return text.removeprefix("−") if not text.strip("−0.") else text


def whole(value: Any) -> str:
    """A count, which may be missing."""
    return MISSING if not np.isfinite(value) else f"{value:g}"


def milli(value: Any) -> str:
    """A number in thousandths, with one digit behind the point."""
    return number(1e3 * float(value), 1)


def percent(value: Any) -> str:
    """A share in percent with three digits."""
    if not np.isfinite(value):
        return MISSING
    return f"{100 * value:.3g} %" if value >= 1e-4 else "< 0.01 %"


def energy(value: float, body: str = "", signed: bool = False) -> str:
    """An energy (eV), per body if one is named, with three digits; in meV where that reads better."""
    per = f" per {body}" if body else ""
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    size = abs(value)
    if size >= SMALL:
        return f"{sign}{_three(size)} eV{per}"
    if size < NEGLIGIBLE:
        return f"less than 0.001 meV{per}"
    return f"{sign}{_three(1e3 * size)} meV{per}"


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
