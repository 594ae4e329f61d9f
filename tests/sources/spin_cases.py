"""Sub-clusters with charges, moments and bodies, and toy calculators that are told what they need as real ones are."""

import ase
import numpy as np
from ase.calculators.calculator import Calculator

from bodyorder.structures import ClusterBatch, System

RULES = ("low", "ground", "high", "pattern", f"{__name__}:highest")
SQUARE = ase.Atoms("H4", [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], magmoms=[1, -1, 1, -1])


def highest(numbers, positions, charge):
    """A rule as a user writes it: the lowest spin of small sub-clusters, a triplet or quartet of larger ones too."""
    count = int(numbers.sum()) - charge
    return [1 + count % 2] if len(numbers) < 2 or count < 3 else [1 + count % 2, 3 + count % 2]


def pieces_of(atoms, size, bodies=None):
    """All sub-clusters of so many atoms as one batch."""
    from itertools import combinations

    members = np.array(list(combinations(range(len(atoms)), size)))
    return ClusterBatch.cut({0: System.from_atoms(atoms, bodies)}, np.zeros(len(members), dtype=int), members)


class Recorder(Calculator):
    """Remembers what it was told; its energy has a minimum at a multiplicity that depends on the structure."""

    implemented_properties = ("energy", "forces", "energies")

    def __init__(self, key="spin"):
        super().__init__()
        self.key, self.told = key, []

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.told.append(dict(self.atoms.info))
        shares, forces = exchange(self.atoms.positions, self.atoms.info[self.key])
        self.results.update(energy=shares.sum(), energies=shares, forces=forces)


def exchange(positions, multiplicity):
    """Energies of atoms in eV and forces in eV/Å of E = Σ_a (m − 1 − 3 d_a²)² / 10, with m the multiplicity and d_a the distance
    of an atom in Å from the middle of all.
    """
    apart = positions - positions.mean(axis=0)
    off = multiplicity - 1 - 3 * (apart**2).sum(axis=1)
    pulls = 1.2 * off[:, None] * apart
    return off**2 / 10, pulls - pulls.mean(axis=0)
