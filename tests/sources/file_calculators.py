"""Calculators that run a program on files, in a module that worker processes find."""

from pathlib import Path

import numpy as np
from ase.calculators.calculator import FileIOCalculator
from ase.calculators.genericfileio import BaseProfile, CalculatorTemplate

from bodyorder.sources.registry import load_source

#: A program as many are: reads a file in its folder, takes its time, writes another one.
PROGRAM = """
import time
lines = open("atoms.in").read().split("\\n")
points = [[float(x) for x in line.split()] for line in lines if line]
time.sleep(0.01)
energy = 0.0
for one in range(len(points)):
    for two in range(one):
        energy += sum((a - b) ** 2 for a, b in zip(points[one], points[two])) ** -0.5
with open("energy.out", "w") as file:
    file.write(repr(energy))
"""


def write_atoms(folder, atoms):
    """Write the input, and remove the output of the structure before, which must not be taken for this one's."""
    (Path(folder) / "energy.out").unlink(missing_ok=True)
    np.savetxt(Path(folder) / "atoms.in", atoms.positions, fmt="%.17g")


#: The same, but it ends without a word and writes nothing for three points.
SILENT = PROGRAM.replace("energy = 0.0", "if len(points) == 3:\n    raise SystemExit\nenergy = 0.0")


class Kept(FileIOCalculator):
    """Runs a program and reads what is there, whichever structure it is of."""

    implemented_properties = ("energy",)

    def write_input(self, atoms, properties=None, system_changes=None):
        super().write_input(atoms, properties, system_changes)
        np.savetxt(Path(self.directory) / "atoms.in", atoms.positions, fmt="%.17g")

    def read_results(self):
        self.results = {"energy": float((Path(self.directory) / "energy.out").read_text())}


class Filed(FileIOCalculator):
    """Runs a program on files in its directory."""

    implemented_properties = ("energy",)

    def write_input(self, atoms, properties=None, system_changes=None):
        super().write_input(atoms, properties, system_changes)
        write_atoms(self.directory, atoms)

    def read_results(self):
        self.results = {"energy": float((Path(self.directory) / "energy.out").read_text())}


class Stubborn(Filed):
    """Goes back to the folder that Python runs in, wherever it is put."""

    def calculate(self, *arguments, **options):
        self.directory = "."
        super().calculate(*arguments, **options)


class Template(CalculatorTemplate):
    """The same the newer way of ASE."""

    def __init__(self):
        super().__init__("filed", ["energy"])

    def write_input(self, profile, directory, atoms, parameters, properties):
        write_atoms(directory, atoms)

    def execute(self, directory, profile):
        profile.run(directory, None, "log")

    def read_results(self, directory):
        return {"energy": float((Path(directory) / "energy.out").read_text())}

    def load_profile(self, cfg, **kwargs):
        raise NotImplementedError


class Profile(BaseProfile):
    """How the program is started."""

    def get_calculator_command(self, inputfile):
        return []

    def version(self):
        return "1"


class Fixed(Filed):
    """Works where it was made to, and nowhere else."""

    @property
    def directory(self):
        """Where it works."""
        return self._directory

    @directory.setter
    def directory(self, directory):
        if self._directory is not None:
            raise AttributeError("directory")
        self._directory = str(directory)


def folder_of(spec):
    """Where the calculator works that a spec makes here."""
    return load_source(spec).calculator.directory
