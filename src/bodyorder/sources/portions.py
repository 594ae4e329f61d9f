"""Memory of the backends: how much of a batch goes into one call, and what becomes of what a call frees."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

#: What backends say when memory runs out and they do not raise a class of their own.
_MESSAGES = ("out of memory", "can't allocate memory", "unable to allocate")


#: Numbers of options in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Let the C library keep what one call frees for the next, for backends that make large arrays on the CPU.

    It returns large arrays to the operating system otherwise, and page faults for each 4 kB of the next call take up to a third
    of the time. The process holds on to at most 256 MB more. What the user has set by environment variables stays.
    """
    if sys.platform == "linux" and not {name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}:
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries than glibc do not have it
        if set_option is not None:
            for option, value in ((_M_MMAP_THRESHOLD, 2**25), (_M_TRIM_THRESHOLD, 2**28)):
                set_option(option, value)


class Portions:
    """Sub-clusters in one call: as many as suit, and half of them from then on when memory runs out.

    :param atoms: how many atoms one call takes at first; a sub-cluster with more goes alone
    """

    def __init__(self, atoms: int):
        self.atoms = atoms

    def clusters(self, n_atoms: int) -> int:
        """Most sub-clusters of a size that go into one call."""
        return max(1, self.atoms // n_atoms)

    def over(self, count: int, n_atoms: int, work: Callable[[slice], None]) -> None:
        """Do the work on all rows of a batch, part by part.

        A part that runs out of memory is done again in halves, and no later part is larger than these.

        :param count: rows
        :param n_atoms: atoms of each
        :param work: called with the rows of one part after the other
        :raises Exception: whatever the work raises; of memory only when it runs out for one row
        """
        start = 0
        while start < count:
            rows = slice(start, start + _share(count - start, self.clusters(n_atoms)))
            if _fits(work, rows):
                start = rows.stop
            else:
                self.atoms = n_atoms * ((rows.stop - rows.start) // 2)


def _share(left: int, most: int) -> int:
    """How many of the rows that are left go next, so that all parts are much the same.

    An odd number where they are many: tensors whose atoms are a power of two apart in memory collide in the cache (MACE is 20 %
    slower).
    """
    rows = -(-left // -(-left // most))
    if rows <= 16 or rows % 2 or rows == left:
        return rows
    return rows + 1 if rows < most else rows - 1


def _fits(work: Callable[[slice], None], rows: slice) -> bool:
    """Do one part; False if memory ran out. What it held on to is free once this has returned."""
    try:
        work(rows)
    except Exception as error:
        if rows.stop - rows.start > 1 and is_out_of_memory(error):
            return False
        raise
    return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, numpy's and torch's, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES)
