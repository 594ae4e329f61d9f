"""From structures and families to a stream of dense batches. Memory holds a few batches, however many sub-clusters there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bodyorder.structures import Bodies, ClusterBatch, System
from bodyorder.subsets import Family

#: Sub-clusters per batch for sources that do not say what suits them.
DEFAULT_BATCH_SIZE = 512

#: Order under which the energy of a whole structure travels when its family does not hold it.
WHOLE = 0


@dataclass(frozen=True)
class Piece:
    """A structure ready to be cut.

    :param system: its atoms
    :param bodies: its partition into bodies
    :param family: which subsets of the bodies are wanted
    """

    system: System
    bodies: Bodies
    family: Family

    @property
    def holds_whole(self) -> bool:
        """Whether the family contains the set of all bodies."""
        return self.family.max_order == len(self.bodies) and len(self.family.members[-1]) == 1

    @property
    def n_clusters(self) -> int:
        """Sub-clusters to evaluate, the whole structure included."""
        return sum(self.family.sizes) + (not self.holds_whole)


@dataclass(frozen=True)
class Task:
    """A batch and where its energies belong.

    :param batch: n sub-clusters
    :param orders: number of bodies of each, shape (n,); :data:`WHOLE` for a whole structure outside its family
    :param rows: row of each among the family's members of its order, shape (n,)
    """

    batch: ClusterBatch
    orders: np.ndarray
    rows: np.ndarray


def make_tasks(pieces: Sequence[Piece], batch_size: int) -> Iterator[Task]:
    """Cut all sub-clusters of all structures into batches of one number of atoms each.

    :param pieces: the structures
    :param batch_size: largest number of sub-clusters in a batch
    """
    systems = {index: piece.system for index, piece in enumerate(pieces)}
    waiting: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    counts: dict[int, int] = defaultdict(int)

    def flush(n_atoms: int) -> Task:
        structures, orders, rows, atoms = (np.concatenate(parts) for parts in zip(*waiting.pop(n_atoms), strict=True))
        counts.pop(n_atoms)
        return Task(ClusterBatch.cut(systems, structures, atoms), orders, rows)

    for index, piece in enumerate(pieces):
        for order, first, subsets in _chunks(piece, batch_size):
            for rows, atoms in _atoms_of_subsets(piece.bodies.atoms, subsets):
                n_atoms = atoms.shape[1]
                while len(rows):
                    room = batch_size - counts[n_atoms]
                    taken = len(rows[:room])
                    waiting[n_atoms].append(
                        (np.full(taken, index), np.full(taken, order), rows[:room] + first, atoms[:room])
                    )
                    counts[n_atoms] += taken
                    rows, atoms = rows[room:], atoms[room:]
                    if counts[n_atoms] == batch_size:
                        yield flush(n_atoms)
    for n_atoms in sorted(waiting, reverse=True):
        yield flush(n_atoms)


def _chunks(piece: Piece, batch_size: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """(order, first row, subsets) over the family, and the whole structure behind it where the family lacks it."""
    for order, members in enumerate(piece.family.members, start=1):
        for first in range(0, len(members), batch_size):
            yield order, first, members[first : first + batch_size]
    if not piece.holds_whole:
        yield WHOLE, 0, np.arange(len(piece.bodies))[None, :]


def _atoms_of_subsets(body_atoms: np.ndarray, subsets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and atoms of the subsets, one pair for each number of atoms that occurs."""
    atoms = body_atoms[subsets].reshape(len(subsets), -1)
    sizes = (atoms >= 0).sum(axis=1)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        chosen = atoms[rows]
        yield rows, chosen[chosen >= 0].reshape(len(rows), size)
