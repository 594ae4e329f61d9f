"""Periodic structures: bodies made whole across the borders of the cell, which of them are near, and images as far as needed."""

from __future__ import annotations

from dataclasses import dataclass

import ase
import numpy as np
from ase.data import covalent_radii
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from bodyorder._checks import InputError
from bodyorder.structures.bodies import BOND_TOLERANCE, Bodies, BodiesLike, find_bodies
from bodyorder.structures.clusters import System
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
        Bodies that are given are put together by nearest images.
    :raises InputError: if a molecule reaches from border to border, or the bodies given do not fit the structure
    """
    whole = atoms.copy()
    if not isinstance(bodies, str) or bodies != "molecules":
        partition = find_bodies(atoms, bodies)
        first = partition.atoms[partition.labels, 0]
        apart = atoms.positions - atoms.positions[first]
        cells = np.where(atoms.pbc, -np.rint(atoms.cell.scaled_positions(apart)), 0.0)
        whole.positions += cells @ atoms.cell.array
        return Crystal(whole, partition)
    radii = covalent_radii[atoms.numbers]
    first, second, shifts, lengths = neighbours("ijSd", atoms, 2 * radii.max() + BOND_TOLERANCE)
    bonded = lengths < radii[first] + radii[second] + BOND_TOLERANCE
    first, second, shifts = first[bonded], second[bonded], shifts[bonded]
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(atoms), len(atoms))).tocsr()
    labels = connected_components(graph, directed=False)[1]
    cells = _cells_along_bonds(labels, graph, (first, second, shifts))
    torn = cells[first] + shifts != cells[second]
    if torn.any():
        raise InputError(
            f"a molecule must be finite, atom {first[torn.any(axis=1)][0]} is bonded to its own images; use bodies='atoms'"
        )
    whole.positions += cells @ atoms.cell.array
    return Crystal(whole, Bodies(labels))


def _cells_along_bonds(
    labels: np.ndarray, graph: coo_array, bonds: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """The cell that every atom has to be moved to for its molecule to be whole, shape (n_atoms, 3)."""
    step = {(int(i), int(j)): shift for i, j, shift in zip(*bonds, strict=True)}
    cells = np.zeros((len(labels), 3), dtype=np.int64)
    for root in np.unique(labels, return_index=True)[1]:
        order, before = breadth_first_order(graph, root, directed=False)
        for atom in order[1:]:
            cells[atom] = cells[before[atom]] + step[int(before[atom]), int(atom)]
    return cells
