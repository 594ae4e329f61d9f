"""Children end when the process that started them is gone, however it went: a pipe closes that nobody else holds.

Run as a program it is the start of another one: ``python -P _lifeline.py DESCRIPTOR MODULE ARGUMENT…``.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any


def end_with(wait: Callable[[], object], last: Callable[[], object] | None = None) -> None:
    """End this process as soon as its parent is gone, and all that it started if they are a group of their own.

    :param wait: returns, or raises, when the parent is gone
    :param last: what is done before
    """

    def watch() -> None:
        with suppress(EOFError, OSError):
            wait()
        try:
            if last is not None:
                last()
        finally:
            if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
                os.killpg(os.getpid(), signal.SIGKILL)
            os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def run_module(arguments: Sequence[str], *, pass_fds: Sequence[int] = (), **options: Any) -> int:
    """Run a module as a program that ends with this process, and wait for it.

    :param arguments: its dotted name, and what it is given
    :param pass_fds: descriptors that it inherits
    :param options: of :class:`subprocess.Popen`
    :return: exit status, as :mod:`subprocess` has it
    """
    theirs, ours = os.pipe()
    try:
        # by its path, for the program may run where this package is not found, and without the path's folder to import from
        command = [sys.executable, "-P", __file__, str(theirs), *arguments]
        try:
            process = subprocess.Popen(command, pass_fds=(*pass_fds, theirs), **options)
        finally:
            os.close(theirs)
        with process:
            try:
                return process.wait()
            except BaseException:
                process.kill()
                raise
    finally:
        os.close(ours)


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())  # as `python -m MODULE` has it
    descriptor, sys.argv = int(sys.argv[1]), sys.argv[2:]
    end_with(lambda: os.read(descriptor, 1))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
