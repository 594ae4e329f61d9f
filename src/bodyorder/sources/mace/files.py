"""Which files of models a target names, and which files are known to be none."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from pathlib import Path

from bodyorder._checks import InputError
from bodyorder.sources.networks.settings import model_file

#: How files of the coming layout of MACE end: tensors, and beside them what is said of them.
_TENSORS = ".safetensors"


def model_files(target: str) -> list[tuple[str, Path]]:
    """The files that a target names, as the user writes each and as an absolute path.

    :param target: a path, several with commas between them, or with ``*`` or ``[…]`` in a name, which stand for all that fit, in
        the order of their names
    :raises InputError: if one is not there, is of a layout that cannot be read, or is named twice
    """
    if os.path.exists(target):  # which, other than a Path, does not mind that many names are too long for one
        return [(target, _file(target))]
    names: list[str] = []
    for pattern in target.split(","):
        fitting = sorted(glob.glob(pattern)) if set(pattern) & set("*[") else [pattern]
        if not fitting:
            raise InputError(f"mace:{target} must name MACE models (.model), and nothing fits {pattern}")
        names += fitting
    files = [(name, _file(name)) for name in names]
    _check_different(target, [path for _, path in files])
    return files


def _file(name: str) -> Path:
    path = Path(name)
    if _is_coming(path):
        raise InputError(
            f"mace:{name} must be a .model file as mace 0.3 writes it, and is of the layout of MACE v1 (safetensors + JSON), "
            f"which no released mace reads; take the .model file that it was converted from"
        )
    return model_file("mace", name, "a MACE model (.model)")


def _is_coming(path: Path) -> bool:
    """Whether this is a checkpoint of the coming layout: tensors with JSON beside them, or a folder of both."""
    if path.is_dir():
        return any(path.glob(f"*{_TENSORS}")) and any(path.glob("*.json"))
    if path.suffix == ".json" and path.is_file():
        try:
            return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
        except ValueError:
            return False
    return path.suffix == _TENSORS and path.is_file()


def _check_different(target: str, paths: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise InputError(f"mace:{target} must name different models, and names {path.name} twice")
        seen.add(path.resolve())
