"""The structures that ``potentials.py`` resolves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import ase
import numpy as np
from ase.build import bulk

from bodyorder.structures.hydrogen import high_density, low_density


class Structure(NamedTuple):
    """Structures of one kind.

    :param make: gives them
    :param name: for tables
    :param bodies: as bodyorder takes it
    :param sizes: atoms of each body, which stand together; one each if None
    """

    make: Callable[[], list[ase.Atoms]]
    name: str
    bodies: str = "atoms"
    sizes: tuple[int, ...] | None = None

    def labels(self, atoms: ase.Atoms) -> np.ndarray:
        """Number of the body of each atom."""
        return np.arange(len(atoms)) if self.sizes is None else np.repeat(np.arange(len(self.sizes)), self.sizes)


def hydrogen() -> list[ase.Atoms]:
    """Eight atoms, as molecules and pressed together."""
    return low_density(8, 1, seed=1) + high_density(8, 1, seed=1)


def water_ring() -> list[ase.Atoms]:
    """Six molecules in a ring, each giving one hydrogen bond to the next, the other hydrogens up and down in turn."""
    turn = np.deg2rad(60 * np.arange(6))
    oxygens = 2.75 * np.column_stack([np.cos(turn), np.sin(turn), np.zeros(6)])
    along = np.roll(oxygens, -1, axis=0) - oxygens
    outward = oxygens / 2.75 + [[0, 0, 1.5], [0, 0, -1.5]] * 3
    return [_water(oxygens, along, outward)]


def hydronium() -> list[ase.Atoms]:
    """H₃O⁺ that gives a hydrogen bond to each of three molecules of water. The charge stands at its oxygen."""
    turn = np.deg2rad(120 * np.arange(3))
    out = np.column_stack([np.cos(turn), np.sin(turn), np.full(3, -0.3)])
    out /= np.linalg.norm(out, axis=1)[:, None]
    ion = ase.Atoms("OH3", np.concatenate([np.zeros((1, 3)), 1.01 * out]), charges=[1, 0, 0, 0])
    across = np.cross(out, [0, 0, 1.0])
    return [ion + _water(2.6 * out, out + across, out - across)]


def water_cell() -> list[ase.Atoms]:
    """Eight molecules in a periodic cube, 1 g/cm³: cubic ice by the ice rules, shaken."""
    edge = 6.208
    corners = edge * np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    bonds = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    oxygens = np.concatenate([corners, corners + edge / 4])
    # one half of the molecules gives its hydrogens along two kinds of bonds, the other along the other two, backwards
    first, second = (np.repeat([bonds[kind], -bonds[kind + 2]], 4, axis=0) for kind in (0, 1))
    random = np.random.default_rng(0)
    shaken = [vectors + random.normal(0, 0.06, (8, 3)) for vectors in (oxygens, first, second)]
    atoms = _water(*shaken)
    atoms.set_cell([edge] * 3)
    atoms.pbc = True
    return [atoms]


def argon() -> list[ase.Atoms]:
    """An octahedron of six atoms, shaken."""
    places = 2.65 * np.concatenate([np.eye(3), -np.eye(3)])
    atoms = ase.Atoms("Ar6", places)
    atoms.rattle(0.1, seed=0)
    return [atoms]


def gold() -> list[ase.Atoms]:
    """A tetrahedron of ten atoms cut from the crystal, shaken."""
    steps = [step for step in product(range(3), repeat=3) if sum(step) <= 2]
    atoms = ase.Atoms("Au10", steps @ bulk("Au").cell.array)
    atoms.rattle(0.1, seed=0)
    return [atoms]


def silicon() -> list[ase.Atoms]:
    """The periodic crystal of two atoms in a cell, displaced."""
    atoms = bulk("Si", "diamond", 5.431)
    atoms.rattle(0.1, seed=0)
    return [atoms]


def carbide() -> list[ase.Atoms]:
    """Silicon carbide, cubic, two atoms in a cell, displaced."""
    atoms = bulk("SiC", "zincblende", 4.36)
    atoms.rattle(0.1, seed=0)
    return [atoms]


def _water(oxygens: np.ndarray, first: np.ndarray, second: np.ndarray) -> ase.Atoms:
    """Molecules as in vacuum, one O–H along ``first``, the other as near to ``second`` as the angle lets it."""
    length, angle = 0.9572, np.deg2rad(104.52)
    along = first / np.linalg.norm(first, axis=1)[:, None]
    across = second - (second * along).sum(axis=1)[:, None] * along
    across /= np.linalg.norm(across, axis=1)[:, None]
    hydrogens = [along, np.cos(angle) * along + np.sin(angle) * across]
    places = np.stack([oxygens, *(oxygens + length * vectors for vectors in hydrogens)], axis=1)
    return ase.Atoms("OH2" * len(oxygens), places.reshape(-1, 3))


#: By the part of a case's name that stands for them.
STRUCTURES = {
    "h8": Structure(hydrogen, "H8, molecules and dense"),
    "water": Structure(water_ring, "water, ring of six", "molecules", (3,) * 6),
    "ion": Structure(hydronium, "H₃O⁺(H₂O)₃", "molecules", (4, 3, 3, 3)),
    "argon": Structure(argon, "argon, six atoms"),
    "gold": Structure(gold, "gold, ten atoms"),
    "silicon": Structure(silicon, "silicon, periodic"),
    "sic": Structure(carbide, "silicon carbide, periodic"),
    "cell": Structure(water_cell, "water, periodic", "molecules", (3,) * 8),
}
