"""Whether a calculator can be sent to another process, found out without making gigabytes of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from bodyorder._checks import first_line

#: A calculator whose pickle is at most this many bytes is kept in its unused state.
SMALL = 2**20
#: Packages whose objects are addresses in memory: they can be pickled, and end the process that uses them after that.
ADDRESSES = {"f90wrap"}


def pack(value: Any) -> tuple[bytes | None, str]:
    """Pickle something if it is small.

    :return: the pickle, None if it is large or there is none; why it cannot be pickled, empty if it can
    """
    kept = _Kept()
    try:
        _Checked(kept).dump(value)
        return b"".join(kept.parts), ""
    except _TooLarge:
        pass
    except Exception as error:  # pickling runs code of every object inside, which may raise anything
        return None, _reason(error)
    try:
        _Outline(_Dropped()).dump(value)
    except Exception as error:
        return None, _reason(error)
    return None, ""


def check_no_address(value: Any) -> None:
    """Check that something means the same in other processes.

    :raises PicklingError: if it is an address
    """
    if any(kind.__module__.partition(".")[0] in ADDRESSES for kind in type(value).__mro__):
        raise pickle.PicklingError(f"{type(value).__name__} is an address in the memory of this process")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


class _TooLarge(Exception):
    """There is more than is kept."""


class _Kept:
    """Keeps what is written as long as it is small."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._size = 0

    def write(self, content: bytes | memoryview) -> int:
        self._size += len(content)
        if self._size > SMALL:
            raise _TooLarge
        self.parts.append(bytes(content))
        return len(content)


class _Dropped:
    """Keeps nothing."""

    def write(self, content: bytes | memoryview) -> int:
        return len(content)


class _Checked(pickle.Pickler):
    """Stops at what does not come back."""

    def reducer_override(self, value: Any) -> Any:
        check_no_address(value)
        if _is_array(value) and value.nbytes > SMALL:
            raise _TooLarge
        return NotImplemented


class _Outline(_Checked):
    """Leaves out the numbers of arrays and tensors."""

    def reducer_override(self, value: Any) -> tuple[Callable[[], None], tuple[()]] | Any:
        return (_nothing, ()) if _is_array(value) else super().reducer_override(value)


def _is_array(value: Any) -> bool:
    is_plain = isinstance(value, np.ndarray) and not value.dtype.hasobject
    return is_plain or hasattr(type(value), "untyped_storage")  # torch's


def _nothing() -> None:
    """What an array is replaced by."""
