"""Argument checks with one wording: what must hold, what came, what to do."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any


class InputError(ValueError):
    """The caller gave something that cannot work. The command line turns it into one line and exit code 2."""


class ComputationError(RuntimeError):
    """A computation failed although its input was valid. The command line turns it into one line and exit code 1."""


def check_between(name: str, value: Any, low: int, high: int) -> int:
    """Return ``value`` if it is an integer in ``[low, high]``.

    :raises InputError: if it is not.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InputError(f"`{name}` must be an integer between {low} and {high}, got {value!r}")
    number = int(value.__index__())
    if not low <= number <= high:
        raise InputError(f"`{name}` must be between {low} and {high}, got {number}")
    return number


def check_positive(name: str, value: Any) -> float:
    """Return ``value`` as a float if it is a finite number above zero.

    :raises InputError: if it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise InputError(f"`{name}` must be a positive number, got {value!r}")
    return float(value)


def check_switch(name: str, value: Any) -> bool:
    """Return ``value`` if it is true or false.

    :raises InputError: if it is not.
    """
    if not isinstance(value, bool):
        raise InputError(f"`{name}` must be true or false, got {value!r}")
    return value


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``.

    :raises InputError: if it is not; the message suggests the nearest choice.
    """
    known = sorted(choices)
    if value not in known:
        raise InputError(f"`{name}` must be one of {', '.join(known)}, got {str(value)!r}{did_you_mean(value, known)}")
    return str(value)


def parse_values(name: str, text: str, quantity: str, example: str) -> dict[str, float]:
    """Numbers by element as the command line has them: ``H=-13.6,O=-2041.3``.

    :param name: of the option
    :param quantity: what each number is, in one word
    :param example: what the option takes, with an example
    :raises InputError: for a number that is none, or an element that is given twice
    """
    values: dict[str, float] = {}
    for item in text.split(","):
        label, _, number = item.strip().partition("=")
        if label in values:
            raise InputError(f"`{name}` must give one {quantity} for each element, and gives two for {label}")
        try:
            values[label] = float(number)
        except ValueError:
            raise InputError(f"`{name}` must give {example}, and {item.strip()!r} is none") from None
    return values


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the known name closest to ``name``, or an empty string if none is close."""
    close = difflib.get_close_matches(str(name).lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional ``module``.

    :raises InputError: if it is not installed; the message names the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise InputError(
            f"{module.split('.')[0]} must be installed for this, and is not; "
            f"install it with: pip install 'bodyorder[{extra}]'"
        ) from None


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or ["no message"])[0]


def check_output(path: str | os.PathLike[str], never: Iterable[str | os.PathLike[str]] = ()) -> Path:
    """Return ``path`` if a file can be written there, so that nothing is computed in vain.

    :param path: the file that is wanted; a link stands for what it points to
    :param never: files that are read, and must not be written over
    :raises InputError: if its folder does not exist, folder or file cannot be written, something other than a file is there,
        or it is one of ``never``
    """
    target = Path(path)
    place = Path(os.path.realpath(target)) if target.is_symlink() else target
    if place.is_dir():
        raise InputError(f"output must be a file, {target} is a folder")
    if place.exists() and not place.is_file():
        raise InputError(f"output must be a file, {target} is a device, a pipe or a socket")
    if not place.parent.is_dir():
        raise InputError(f"output must go into an existing folder, {place.parent} is not one; make it first")
    # The new file is made beside the old one, which it then replaces.
    if not os.access(place.parent, os.W_OK | os.X_OK) or (place.exists() and not os.access(place, os.W_OK)):
        raise InputError(f"output must go to a file that can be written, {target} cannot")
    for other in never:
        same = os.path.realpath(other) == os.path.realpath(target)
        if same or (place.exists() and os.path.exists(other) and os.path.samefile(other, place)):
            raise InputError(f"output must not be an input, {target} is")
    return target
