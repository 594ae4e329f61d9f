"""From structures and families to a stream of dense batches. Memory holds a few batches, however many sub-clusters there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bodyorder.engine import counterpoise
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
    :param counterpoise: whose basis functions a sub-cluster is given (see :mod:`bodyorder.engine.counterpoise`)
    """

    system: System
    bodies: Bodies
    family: Family
    counterpoise: str = counterpoise.NONE

    @property
    def holds_whole(self) -> bool:
        """Whether the family contains the set of all bodies."""
        return self.family.max_order == len(self.bodies) and len(self.family.members[-1]) == 1

    @property
    def n_clusters(self) -> int:
        """Sub-clusters to evaluate, the whole structure included."""
        return sum(self.clusters_by_order) + (not self.holds_whole)

    @property
    def clusters_by_order(self) -> list[int]:
        """Sub-clusters to evaluate for each order of the family."""
        return [
            size * counterpoise.evaluations_per_subset(self.counterpoise, order)
            for order, size in enumerate(self.family.sizes, start=1)
        ]


@dataclass(frozen=True)
class Task:
    """A batch and where its energies belong.

    :param batch: n sub-clusters
    :param orders: number of bodies of each, shape (n,); :data:`WHOLE` for a whole structure outside its family
    :param rows: row of each among the family's members of its order, shape (n,)
    :param present: number of bodies of that subset that are there and not only lend their functions, shape (n,)
    """

    batch: ClusterBatch
    orders: np.ndarray
    rows: np.ndarray
    present: np.ndarray


def make_tasks(pieces: Sequence[Piece], batch_size: int) -> Iterator[Task]:
    """Cut all sub-clusters of all structures into batches of one number of atoms each.

    :param pieces: the structures
    :param batch_size: largest number of sub-clusters in a batch
    """
    systems = {index: piece.system for index, piece in enumerate(pieces)}
    # by the number of atoms that are there and of those that lend their functions
    waiting: dict[tuple[int, int], list[tuple[np.ndarray, ...]]] = defaultdict(list)
    counts: dict[tuple[int, int], int] = defaultdict(int)

    def flush(shape: tuple[int, int]) -> Task:
        structures, orders, rows, present, atoms, ghosts = (
            np.concatenate(columns) for columns in zip(*waiting.pop(shape), strict=True)
        )
        counts.pop(shape)
        return Task(ClusterBatch.cut(systems, structures, atoms, ghosts), orders, rows, present)

    for index, piece in enumerate(pieces):
        for order, first, subsets in _chunks(piece, batch_size):
            scheme = counterpoise.NONE if order == WHOLE else piece.counterpoise
            for there, lent in counterpoise.parts(scheme, subsets, len(piece.bodies)):
                for rows, atoms, ghosts in _atoms_of_bodies(piece.bodies.atoms, there, lent):
                    shape = atoms.shape[1], ghosts.shape[1]
                    taken = 0
                    while taken < len(rows):
                        chosen = slice(taken, taken + batch_size - counts[shape])
                        here = rows[chosen] + first
                        known = [np.full(len(here), number) for number in (index, order, there.shape[1])]
                        waiting[shape].append((known[0], known[1], here, known[2], atoms[chosen], ghosts[chosen]))
                        counts[shape] += len(here)
                        taken += len(here)
                        if counts[shape] == batch_size:
                            yield flush(shape)
    for shape in sorted(waiting, reverse=True):
        yield flush(shape)


def _chunks(piece: Piece, batch_size: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """(order, first row, subsets) over the family, and the whole structure behind it where the family lacks it."""
    for order, members in enumerate(piece.family.members, start=1):
        for first in range(0, len(members), batch_size):
            yield order, first, members[first : first + batch_size]
    if not piece.holds_whole:
        yield WHOLE, 0, np.arange(len(piece.bodies))[None, :]


def _atoms_of_bodies(
    body_atoms: np.ndarray, there: np.ndarray, lent: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, atoms and ghosts of the subsets, one triple for each pair of numbers of atoms that occurs."""
    atoms, ghosts = (body_atoms[bodies].reshape(len(bodies), -1) for bodies in (there, lent))
    sizes = np.stack([(atoms >= 0).sum(axis=1), (ghosts >= 0).sum(axis=1)], axis=1)
    for n_atoms, n_ghosts in np.unique(sizes, axis=0):
        rows = np.flatnonzero((sizes == (n_atoms, n_ghosts)).all(axis=1))
        some, others = atoms[rows], ghosts[rows]
        yield rows, some[some >= 0].reshape(len(rows), n_atoms), others[others >= 0].reshape(len(rows), n_ghosts)
