"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bodyorder._checks import ComputationError, InputError, first_line

#: The fault of the machine, not of whoever named the file.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


@contextmanager
def replacing(path: str | os.PathLike[str], what: str) -> Iterator[Path]:
    """A new file beside ``path`` for the time of a ``with`` block, which then takes its place in one step.

    :param path: the file that is wanted; it stays as it is if the block raises. A link stays, and what it points to is
        replaced. The new file has the permissions of the old one.
    :param what: what is written, for the message
    :raises InputError: if the file cannot be written, or something other than a file is there
    :raises ComputationError: if the disk is full or broken
    """
    target = Path(path)
    try:
        place = Path(os.path.realpath(target))
        mode = place.stat().st_mode if place.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            raise InputError(f"{what} must go to a file, {target} is a folder, a device, a pipe or a socket")
        partial = place.with_name(f".{secrets.token_hex(8)}.partial")
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield partial
            if mode is not None:
                partial.chmod(stat.S_IMODE(mode))
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        kind = ComputationError if error.errno in _MACHINE else InputError
        reason = error.strerror or first_line(error)
        raise kind(f"{what} must go to a file that can be written, {target} cannot: {reason}") from None
