"""Files that are written whole or not at all, and folders that one process holds alone."""

from __future__ import annotations

import errno
import fcntl
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
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{what} must go to a file, got {type(path).__name__}")
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


@contextmanager
def held(folder: Path, activity: str) -> Iterator[int]:
    """Hold a folder alone for the time of a ``with`` block.

    :param folder: an existing folder
    :param activity: what goes on in it, for the message: "another study is running"
    :return: descriptor of the lock; a process that inherits it goes on holding the folder
    :raises InputError: if the folder cannot be written
    :raises ComputationError: if another process holds it
    """
    try:
        handle = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(f"{folder} must be a folder that can be written, and cannot: {error.strerror}") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ComputationError(f"{folder} must be free, and {activity} in it; wait for it, or end it") from None
        yield handle.fileno()
