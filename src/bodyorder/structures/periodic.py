"""Periodic structures: bodies made whole across the borders of the cell, which of them are near, and images as far as needed."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.data import covalent_radii

from bodyorder._checks import InputError
from bodyorder.structures.bodies import BOND_TOLERANCE, Bodies, BodiesLike, find_bodies
from bodyorder.structures.clusters import System
from bodyorder.structures.joining import cells_along, find_links, join_groups, shortest_tree
from bodyorder.structures.neighbours import neighbours


@dataclass(frozen=True)
class Crystal:
    """A periodic structure, each of its bodies in one piece.

    :param atoms: the structure, atoms moved by lattice vectors so that no body is cut by a border
    :param bodies: its partition
    """

    atoms: ase.Atoms
    bodies: Bodies

    def pairs(self, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of bodies that hold atoms nearer than ``cutoff`` (Å) to each other.

        :return: body of the home cell, the other body, and the cell of that one, shapes (n,), (n,), (n, 3); each pair comes once
            from either end
        """
        first, second, shifts = neighbours("ijS", self.atoms, cutoff)
        rows = np.column_stack([self.bodies.labels[first], self.bodies.labels[second], shifts])
        rows = rows[(rows[:, 0] != rows[:, 1]) | (rows[:, 2:] != 0).any(axis=1)]
        rows = np.unique(rows, axis=0) if len(rows) else rows
        return rows[:, 0], rows[:, 1], rows[:, 2:]

    def images(self, bodies: np.ndarray, cells: np.ndarray) -> tuple[System, Bodies, np.ndarray]:
        """Some bodies in some cells as one free structure.

        :param bodies: shape (n_images,)
        :param cells: shape (n_images, 3)
        :return: the structure, its partition (body i is image i), and the atom of the cell that each of its atoms is an image of
        """
        table = self.bodies.atoms[bodies]
        home = table[table >= 0]
        label = np.repeat(np.arange(len(bodies)), (table >= 0).sum(axis=1))
        positions = self.atoms.positions[home] + cells[label] @ self.atoms.cell.array
        own = System.from_atoms(self.atoms)
        system = System(own.numbers[home], positions, own.charges[home], own.moments[home], label)
        return system, Bodies(label), home


def whole_bodies(atoms: ase.Atoms, bodies: BodiesLike) -> Crystal:
    """Divide a periodic structure into bodies and make each of them whole.

    :param bodies: as in :func:`~bodyorder.structures.find_bodies`; molecules are atoms joined by bonds, across borders too.
        Groups that are given are put together along their shortest links, see :func:`~bodyorder.structures.joining.join_groups`.
    :raises InputError: if a molecule reaches from border to border, the atoms of a group can be put together in several ways,
        or the bodies given do not fit the structure
    """
    n_atoms = len(atoms)
    if isinstance(bodies, str) and bodies == "molecules":
        radii = covalent_radii[atoms.numbers]
        bonds = find_links(atoms, 2 * radii.max() + BOND_TOLERANCE)
        bonds = bonds[bonds.lengths < radii[bonds.first] + radii[bonds.second] + BOND_TOLERANCE]
        partition = Bodies(bonds.components(n_atoms))
        cells = cells_along(shortest_tree(bonds, n_atoms), n_atoms)
        if len(torn := bonds.torn(cells).first):
            raise InputError(
                f"a molecule must be finite, atom {torn[0]} is bonded to its own images; use bodies='atoms'"
            )
    else:
        partition = find_bodies(atoms, bodies)
        cells = join_groups(atoms, partition.labels)
    whole = atoms.copy()
    whole.positions += cells @ atoms.cell.array
    return Crystal(whole, partition)
