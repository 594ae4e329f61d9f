"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bodyorder._checks import InputError


@contextmanager
def replacing(path: str | os.PathLike[str], what: str) -> Iterator[Path]:
    """A new file beside ``path`` for the time of a ``with`` block, which then takes its place in one step.

    :param path: the file that is wanted; it stays as it is if the block raises
    :param what: what is written, for the message
    :raises InputError: if the file cannot be written
    """
    target = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as handle:
            partial = Path(handle.name)
        try:
            yield partial
            partial.chmod(0o644)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{what} must go to a file that can be written, {target} cannot: {error.strerror}") from None
