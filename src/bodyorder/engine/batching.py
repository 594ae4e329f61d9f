"""From structures and families to a stream of dense batches. Memory holds a few batches, however many sub-clusters there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bodyorder.engine import counterpoise
from bodyorder.sources.base import EnergySource
from bodyorder.structures import Bodies, ClusterBatch, System
from bodyorder.structures.periodic import Crystal
from bodyorder.subsets import Family, Sample

#: Sub-clusters per batch for sources that do not say what suits them.
DEFAULT_BATCH_SIZE = 512

#: What a batch should take (s): long beside the way to a worker and back, short beside a run.
BATCH_SECONDS = 2.0

#: Structures whose sub-clusters are cut from the largest to the smallest before those of others.
GROUP = 16

#: Order under which the energy of a whole structure travels when its family does not hold it.
WHOLE = 0


@dataclass(frozen=True)
class Cell:
    """The cell of a periodic structure, of which a piece holds images.

    :param crystal: the structure
    :param home: the atom of the cell that each atom of the piece's system is an image of, shape (n_atoms,)
    """

    crystal: Crystal
    home: np.ndarray


@dataclass(frozen=True)
class Piece:
    """A structure ready to be cut.

    :param system: its atoms; of a periodic structure, all images that its sub-clusters need
    :param bodies: its partition into bodies
    :param family: which subsets of the bodies are wanted
    :param counterpoise: whose basis functions a sub-cluster is given (see :mod:`bodyorder.engine.counterpoise`)
    :param sample: what the subsets of the family count for if they are a sample
    :param cell: of a periodic structure
    """

    system: System
    bodies: Bodies
    family: Family
    counterpoise: str = counterpoise.NONE
    sample: Sample | None = None
    cell: Cell | None = None

    @property
    def holds_whole(self) -> bool:
        """Whether the family contains the set of all bodies."""
        free = self.cell is None
        return free and self.family.max_order == len(self.bodies) and len(self.family.members[-1]) == 1

    @property
    def asks_whole(self) -> bool:
        """Whether the whole structure is one more sub-cluster to evaluate."""
        return self.cell is None and not self.holds_whole

    @property
    def n_bodies(self) -> int:
        """Bodies of the structure, of one cell if it is periodic."""
        return len(self.bodies if self.cell is None else self.cell.crystal.bodies)

    @property
    def n_sites(self) -> int:
        """Atoms of the structure, of one cell if it is periodic."""
        return len(self.system if self.cell is None else self.cell.crystal.atoms)

    @property
    def body_of_site(self) -> np.ndarray:
        """Body of each atom of the structure, shape (n_sites,)."""
        return (self.bodies if self.cell is None else self.cell.crystal.bodies).labels

    def sites(self, atoms: np.ndarray) -> np.ndarray:
        """The atoms of the structure that some atoms of ``system`` are or are images of."""
        return atoms if self.cell is None else self.cell.home[atoms]

    @property
    def n_clusters(self) -> int:
        """Sub-clusters to evaluate, the whole structure included."""
        return sum(self.clusters_by_order) + self.asks_whole

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


def make_tasks(pieces: Sequence[Piece], source: EnergySource) -> Iterator[Task]:
    """Cut all sub-clusters of all structures into batches of one number of atoms each, the largest first.

    Batches are about as long as the source says that suits it, in sub-clusters (``batch_size``) and in time (``seconds``). Tasks
    come in groups of a few structures, and inside a group from the largest sub-clusters to the smallest: a large one begun
    last would keep one worker busy while the others have nothing left to do.

    :param pieces: the structures
    :param source: where the energies will come from
    """
    systems = {index: piece.system for index, piece in enumerate(pieces)}
    largest = getattr(source, "batch_size", DEFAULT_BATCH_SIZE)
    # by the number of atoms that are there and of those that lend their functions
    waiting: dict[tuple[int, int], _Waiting] = defaultdict(_Waiting)

    def flush(shape: tuple[int, int]) -> Task:
        structures, orders, rows, present, atoms, ghosts = waiting.pop(shape).columns()
        return Task(ClusterBatch.cut(systems, structures, atoms, ghosts), orders, rows, present)

    begun = WHOLE
    for index, order, first, subsets in _chunks(pieces, largest):
        if order != begun:
            begun = order
            for shape in [shape for shape in sorted(waiting, reverse=True) if waiting[shape].takes_long]:
                yield flush(shape)
        piece = pieces[index]
        scheme = counterpoise.NONE if order == WHOLE else piece.counterpoise
        for there, lent in counterpoise.parts(scheme, subsets, len(piece.bodies)):
            for rows, atoms, ghosts in _atoms_of_bodies(piece.bodies.atoms, there, lent):
                shape = atoms.shape[1], ghosts.shape[1]
                size = largest
                if hasattr(source, "seconds"):  # few do, and those that do not must not pay for it
                    heaviest = piece.system.numbers[atoms].sum(axis=1).argmax()
                    example = [np.array([index]), atoms[heaviest][None], ghosts[heaviest][None]]
                    size = rows_per_batch(source, ClusterBatch.cut(systems, *example))
                if waiting[shape].count >= size:  # what came before was lighter
                    yield flush(shape)
                waiting[shape].takes = BATCH_SECONDS / size if size < largest else 0.0
                taken = 0
                while taken < len(rows):
                    chosen = slice(taken, taken + size - waiting[shape].count)
                    here = rows[chosen] + first
                    known = [np.full(len(here), number) for number in (index, order, there.shape[1])]
                    waiting[shape].add(known[0], known[1], here, known[2], atoms[chosen], ghosts[chosen])
                    taken += len(here)
                    if waiting[shape].count == size:
                        yield flush(shape)
    for shape in sorted(waiting, reverse=True):
        if waiting[shape].count:
            yield flush(shape)


def rows_per_batch(source: EnergySource, example: ClusterBatch) -> int:
    """Sub-clusters like an example that make a batch.

    :param example: one sub-cluster
    """
    largest = getattr(source, "batch_size", DEFAULT_BATCH_SIZE)
    if not hasattr(source, "seconds"):
        return largest
    return max(1, min(largest, int(BATCH_SECONDS / max(source.seconds(example), 1e-9))))


class _Waiting:
    """Sub-clusters of one number of atoms that do not fill a batch yet, as columns of arrays."""

    def __init__(self) -> None:
        self.count = 0
        #: rough seconds of each, 0 if that is not known or little
        self.takes = 0.0
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, *columns: np.ndarray) -> None:
        self._parts.append(columns)
        self.count += len(columns[0])

    @property
    def takes_long(self) -> bool:
        """Whether they are worth a batch although more of them would fit in."""
        return self.count * self.takes >= BATCH_SECONDS / 8

    def columns(self) -> list[np.ndarray]:
        return [np.concatenate(parts) for parts in zip(*self._parts, strict=True)]


def _chunks(pieces: Sequence[Piece], length: int) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """(structure, order, first row, subsets), the whole structure too where its family lacks it."""
    for begin in range(0, len(pieces), GROUP):
        group = list(enumerate(pieces[begin : begin + GROUP], start=begin))
        for index, piece in group:
            if piece.asks_whole:
                yield index, WHOLE, 0, np.arange(len(piece.bodies))[None, :]
        for order in range(max(piece.family.max_order for _, piece in group), 0, -1):
            for index, piece in group:
                for members in piece.family.members[order - 1 : order]:
                    for first in range(0, len(members), length):
                        yield index, order, first, members[first : first + length]


def _atoms_of_bodies(
    body_atoms: np.ndarray, there: np.ndarray, lent: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, atoms and ghosts of the subsets, one triple for each pair of numbers of atoms that occurs."""
    atoms, ghosts = (body_atoms[bodies].reshape(len(bodies), -1) for bodies in (there, lent))
    counts = (atoms >= 0).sum(axis=1), (ghosts >= 0).sum(axis=1)
    shapes = counts[0] * (ghosts.shape[1] + 1) + counts[1]
    for shape in np.unique(shapes) if np.ptp(shapes) else shapes[:1]:  # of single atoms there is one
        n_atoms, n_ghosts = divmod(int(shape), ghosts.shape[1] + 1)
        rows = np.flatnonzero(shapes == shape)
        some, others = atoms[rows], ghosts[rows]
        yield rows, some[some >= 0].reshape(len(rows), n_atoms), others[others >= 0].reshape(len(rows), n_ghosts)
