"""Periodic structures: bodies made whole across the borders of the cell, which of them are near, and images as far as needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.structures.bodies import Bodies, BodiesLike, divide, stated_molecules
from bodyorder.structures.bonds import bonds_of, contested_hydrogen
from bodyorder.structures.clusters import System
from bodyorder.structures.joining import cells_along, join_groups, shortest_tree
from bodyorder.structures.keys import MOLECULES_UNCLEAR
from bodyorder.structures.links import place_of
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


def whole_bodies(atoms: ase.Atoms, bodies: BodiesLike, name: str = "the structure") -> Crystal:
    """Divide a periodic structure into bodies and make each of them whole.

    :param bodies: as in :func:`~bodyorder.structures.find_bodies`; molecules are atoms joined by bonds, across borders too.
        Groups that are given, by the structure too, are put together along their shortest links, see
        :func:`~bodyorder.structures.joining.join_groups`.
    :param name: what messages call the structure
    :raises InputError: if a molecule reaches from border to border, the atoms of a group can be put together in several ways,
        or the bodies given do not fit the structure
    """
    return make_whole([atoms], divide([atoms], bodies, [name]), bodies, [name])[0]


def make_whole(
    structures: Sequence[ase.Atoms], partitions: Sequence[Bodies], bodies: BodiesLike, names: Sequence[str]
) -> list[Crystal]:
    """Periodic structures with their bodies made whole, as by :func:`whole_bodies`, and faster than one by one.

    :param partitions: the bodies of each
    :param bodies: how they were asked for
    :param names: what messages call the structures
    :raises InputError: as there
    """
    asked = isinstance(bodies, str) and bodies == "molecules"
    by_bonds = [asked and stated_molecules(*one) is None for one in zip(structures, names, strict=True)]
    chosen = [index for index, own in enumerate(by_bonds) if own]
    cells = iter(_cells_of_molecules([structures[index] for index in chosen], [names[index] for index in chosen]))
    return [
        _moved(atoms, partition, next(cells) if own else join_groups(atoms, partition.labels))
        for atoms, partition, own in zip(structures, partitions, by_bonds, strict=True)
    ]


def put_together(atoms: ase.Atoms, name: str = "the structure") -> ase.Atoms:
    """A copy of a periodic structure in which no border cuts a molecule; networks of bonds without an end stay as they are.

    :param name: what messages call the structure
    :raises InputError: if the structure names its molecules, and the atoms of one can be put together in several ways
    """
    if MOLECULES_UNCLEAR not in atoms.info and stated_molecules(atoms, name) is not None:
        return whole_bodies(atoms, "molecules", name).atoms
    bonds, _ = bonds_of([atoms])
    labels, cells = bonds.components(len(atoms)), cells_along(shortest_tree(bonds, len(atoms)), len(atoms))
    endless = np.isin(labels, labels[bonds.torn(cells).first])
    whole = atoms.copy()
    whole.positions += np.where(endless[:, None], 0, cells) @ atoms.cell.array
    return whole


def _moved(atoms: ase.Atoms, partition: Bodies, cells: np.ndarray) -> Crystal:
    whole = atoms.copy()
    whole.positions += cells @ atoms.cell.array
    return Crystal(whole, partition)


def _cells_of_molecules(structures: Sequence[ase.Atoms], names: Sequence[str]) -> list[np.ndarray]:
    """The cell that each atom has to be moved to for molecules to be in one piece, shape (n_atoms, 3) for each structure."""
    if not structures:
        return []
    starts = np.cumsum([0] + [len(atoms) for atoms in structures])
    bonds, contested = bonds_of(structures)
    cells = cells_along(shortest_tree(bonds, starts[-1]), starts[-1])
    if len(torn := bonds.torn(cells).first):
        place, atom = place_of(torn[0], structures)
        raise InputError(
            f"a molecule must be finite, atom {atom} of {names[place]} is bonded to its own images; use bodies='atoms'"
        )
    if len((between := contested.torn(cells)).first):
        raise contested_hydrogen(between, structures, names)
    return np.split(cells, starts[1:-1])
