"""Checkpoints of metatrain, which are no models yet: what can be told of one without running what is in it."""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from pathlib import Path

#: Keys of every checkpoint.
_ARCHITECTURE, _VERSION = "architecture_name", "model_ckpt_version"

#: What pickles say between a key and its value.
_BETWEEN = ("BINPUT", "LONG_BINPUT", "MEMOIZE")


def describe_checkpoint(path: Path) -> str | None:
    """What a checkpoint is of, such as "pet, version 16", None for any other file.

    The version is that of the layout of the architecture's checkpoints: metatrain exports those up to its own.

    :param path: of the file
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl")]
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError):  # no archive, a damaged or an encrypted one
        return None
    for content in pickles:
        found = _values(content)
        if _VERSION in found:
            return f"{found.get(_ARCHITECTURE, 'unknown')}, version {found[_VERSION]}"
    return None


def _values(content: bytes) -> dict[str, object]:
    """Values of the keys, as the pickle spells them out."""
    found: dict[str, object] = {}
    key = None
    try:
        for operation, argument, _ in pickletools.genops(content):
            if operation.name in _BETWEEN:
                continue
            if key is not None:
                found[key] = argument
            key = argument if argument in (_ARCHITECTURE, _VERSION) else None
    except ValueError:  # of what is no pickle
        pass
    return found
