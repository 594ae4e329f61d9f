"""Working folders of calculators that work in files: processes that share one read each other's results.

A copy of a calculator that comes into another process or thread is given a temporary folder, which is removed when the copy is
no longer needed, and at the latest when its process ends; so is one that a spec names, unless it says in which folder. A
calculator that a user made works where it always did.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from multiprocessing.util import Finalize
from pathlib import Path, PurePath
from typing import Any

from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import FileIOCalculator
from ase.calculators.genericfileio import GenericFileIOCalculator

#: Attributes that tell a calculator without a `directory` that works in files all the same (CASTEP's).
_TELLING = {"_directory", "command"}

#: Temporary folders of this process that are still there.
_open: set[str] = set()


class WorkingFolder:
    """A temporary folder for a calculator, and one in it for each folder that its parts work in.

    :param calculator: its parts work there from now on
    """

    def __init__(self, calculator: GetPropertiesMixin):
        path = tempfile.mkdtemp(prefix="bodyorder-")
        _open.add(path)
        # other than those of tempfile it is also removed where a process ends as multiprocessing's forks do
        self._remove = Finalize(self, _remove, args=(path,), exitpriority=10)
        places: dict[str, str] = {}
        self._places = places
        for part in _with_directory(calculator):
            was = part.directory
            place = places.setdefault(os.path.abspath(was), os.path.join(path, str(len(places))))
            os.makedirs(place, exist_ok=True)
            part.directory = Path(place) if isinstance(was, PurePath) else place

    def empty(self) -> None:
        """Remove what the last structure left: a program that writes no output must not have its old one read."""
        for place in self._places.values():
            for entry in os.scandir(place):
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


def give_folder(calculator: GetPropertiesMixin) -> WorkingFolder | None:
    """Have a calculator work in a folder of its own.

    :return: what the folder lives as long as; None for a calculator without a working folder
    """
    return WorkingFolder(calculator) if any(_with_directory(calculator)) else None


def writes_files(calculator: GetPropertiesMixin) -> bool:
    """Whether a calculator, or a part of it, runs a program on files in its working folder."""
    return any(isinstance(part, FileIOCalculator | GenericFileIOCalculator) for part in parts_of(calculator))


def remove_folders() -> None:
    """Remove all temporary folders of this process, which is about to be killed."""
    for path in list(_open):
        _remove(path)


def why_one_process(calculator: GetPropertiesMixin) -> str:
    """Why a calculator cannot run in several processes at once; empty if it can."""
    for part in parts_of(calculator):
        if not _can_move(part) and _works_in_files(part):
            return (
                f"{type(part).__name__} works in files and has no `directory` that can be set, so processes would write over "
                "each other's"
            )
    return ""


def _remove(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _open.discard(path)


def _with_directory(calculator: GetPropertiesMixin) -> Iterator[Any]:
    return (part for part in parts_of(calculator) if _can_move(part))


def parts_of(calculator: GetPropertiesMixin) -> Iterator[Any]:
    """A calculator and all that it is made of: sums, corrections on top of others, wrappers."""
    seen: set[int] = set()
    left: list[Any] = [calculator]
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, GetPropertiesMixin):
            yield part
        for held in getattr(part, "__dict__", {}).values():
            several = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else [held]
            left += [other for other in several if _may_hold(other)]


def _may_hold(value: Any) -> bool:
    return isinstance(value, GetPropertiesMixin) or type(value).__module__.startswith("ase.calculators")


def _works_in_files(part: Any) -> bool:
    return isinstance(part, FileIOCalculator | GenericFileIOCalculator) or not _TELLING.isdisjoint(vars(part))


def _can_move(part: Any) -> bool:
    """Whether the working folder can be set, which setting it as it is tells."""
    directory = getattr(part, "directory", None)
    if not isinstance(directory, str | PurePath):
        return False
    try:
        part.directory = directory
    except (AttributeError, NotImplementedError):
        return False
    return True
