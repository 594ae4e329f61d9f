"""Calculators that hold what no other process can have, in a module that worker processes find."""

import ctypes
import os
import threading
import uuid
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones


class Held(LennardJones):
    """Lennard-Jones by a program in memory, as far as pickle can tell."""

    def __init__(self, **options):
        super().__init__(**options)
        self.program = ctypes.pointer(ctypes.c_int(1))

    @classmethod
    def from_file(cls, path):
        """With the depth that stands in a file."""
        return cls(epsilon=float(Path(path).read_text()), rc=6.0)


def held(depth=1.0):
    """By a function."""
    return Held(epsilon=depth, rc=6.0)


class Fragile(Held):
    """A program that ends the process on structures of more than 20 atoms."""

    def calculate(self, atoms=None, properties=None, system_changes=()):
        if len(atoms) > 20:
            os._exit(3)
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])


class Sturdy(Held):
    """The same with a program that does not, and says how large its structures were."""

    def __init__(self, **options):
        super().__init__(**options)
        self.sizes = []

    def calculate(self, atoms=None, properties=None, system_changes=()):
        self.sizes.append(len(atoms))
        super().calculate(atoms, properties, ["positions", "numbers", "cell", "pbc"])


class Restless(LennardJones):
    """Has a setting that is another each time it is made."""

    def __init__(self, **options):
        super().__init__(**options)
        self.parameters["folder"] = uuid.uuid4().hex


class Untold(Calculator):
    """Declares a default parameter and is given another thing, which it keeps to itself."""

    implemented_properties = ("energy",)
    default_parameters = {"verbose": False}  # noqa: RUF012

    def __init__(self, model="small", **options):
        super().__init__(**options)
        self.model = model

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = float(len(self.model))


class Commanded(Calculator):
    """Takes a parameter that no list names, as LAMMPSlib does."""

    implemented_properties = ("energy",)
    default_parameters = {"units": "metal"}  # noqa: RUF012

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = float(len(self.parameters.commands))


class Weighed(Calculator):
    """Holds an array of so many numbers, and a lock if wanted."""

    implemented_properties = ("energy",)

    def __init__(self, size, locked):
        super().__init__()
        self.weights = np.zeros(size)
        if locked:
            self.lock = threading.Lock()

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = float(len(self.atoms))
