"""Whether a program survives a large structure, found out in a process of its own.

Programs that calculators call as libraries (LAMMPS) end the process when they fail, and with it all that was computed.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import ase
from ase.calculators.abc import GetPropertiesMixin

from bodyorder.sources.ase.fingerprint import programs
from bodyorder.sources.ase.folders import remove_folders
from bodyorder.sources.ase.pickling import pack
from bodyorder.sources.ase.with_torch import uses_torch

#: Modules are found there as they are here.
_CODE = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from bodyorder.sources.ase.survival import ask; ask()"
#: What the process says when it has what it was given, and when it has done it.
_READY, _DONE = b"bodyorder: ready", b"bodyorder: done"


class Asked(Protocol):
    """A source that has an ASE calculator."""

    def ask(self, atoms: ase.Atoms, names: Sequence[str]) -> list[Any]:
        """Some of ``energy``, ``energies`` and ``forces`` of one structure, by the calculator."""
        ...


def may_end_process(calculator: GetPropertiesMixin) -> bool:
    """Whether there is a program behind a calculator that runs inside this process, other than a network of torch.

    One that ASE wraps is known; what holds anything that cannot be pickled is taken for another.
    """
    return bool(programs(calculator)) or (not uses_torch(calculator) and bool(pack(calculator)[1]))


def survives(source: Asked, atoms: ase.Atoms, names: Sequence[str]) -> bool:
    """Whether a process is still there after the calculator was asked; true where it cannot be tried.

    This takes the time that Python, ASE and the package of the calculator need to start. Errors that the calculator raises are no
    matter here.

    :param source: whose calculator is asked, in a copy
    :param atoms: a structure
    :param names: what is asked for
    """
    try:
        given = pickle.dumps(sys.path) + pickle.dumps(pickle.dumps((source, atoms, names)))
    except Exception:  # of any object inside
        return True
    done = subprocess.run([sys.executable, "-c", _CODE], input=given, capture_output=True, check=False)
    return _READY not in done.stdout or _DONE in done.stdout


def ask() -> None:
    """What the process does."""
    source, atoms, names = pickle.loads(pickle.load(sys.stdin.buffer))
    os.write(1, _READY + b"\n")
    with suppress(Exception):  # raised again, and seen to, where it is not only tried
        source.ask(atoms, names)
    os.write(1, _DONE + b"\n")
    remove_folders()
    os._exit(0)  # not what the program does at its end
