"""From structures and families to a stream of dense batches. Memory holds a few batches, however many sub-clusters there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bodyorder.engine import counterpoise
from bodyorder.engine.pieces import Piece
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch

#: Sub-clusters per batch for sources that do not say what suits them.
DEFAULT_BATCH_SIZE = 512

#: What a batch should take (s): long beside the way to a worker and back, short beside a run.
BATCH_SECONDS = 2.0

#: Structures whose sub-clusters are cut from the largest to the smallest before those of others.
GROUP = 16

#: Order under which the energy of a whole structure travels when its family does not hold it.
WHOLE = 0


@dataclass(frozen=True)
class Task:
    """A batch and where its energies belong.

    :param batch: n sub-clusters
    :param orders: number of bodies of each, shape (n,); :data:`WHOLE` for a whole structure outside its family
    :param rows: row of each among the subsets of its order, shape (n,)
    :param present: number of bodies of that subset that are there and not only lend their functions, shape (n,)
    :param parts: for subsets that their family does not keep, their parts one body smaller (see
        :class:`bodyorder.subsets.family.Chunk`), shape (n, order); of others nothing, shape (n, 0)
    """

    batch: ClusterBatch
    orders: np.ndarray
    rows: np.ndarray
    present: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True)
class _Some:
    """Some subsets of one order of one structure: the first of their rows, their bodies, and their parts if they are not kept."""

    structure: int
    order: int
    first: int
    subsets: np.ndarray
    parts: np.ndarray


def make_tasks(pieces: Sequence[Piece], source: EnergySource) -> Iterator[Task]:
    """Cut all sub-clusters of all structures into batches of one number of atoms each, the largest first.

    Batches are about as long as the source says that suits it, in sub-clusters (``batch_size``) and in time (``seconds``); by the
    time that they are seen to take they are divided further (:class:`~bodyorder.engine.pace.Pace`). Tasks
    come in groups of a few structures, and inside a group from the largest sub-clusters to the smallest: a large one begun
    last would keep one worker busy while the others have nothing left to do. An order that a family makes when it is asked for
    comes after all smaller ones, by which its energies are reduced to contributions as they arrive.

    :param pieces: the structures
    :param source: where the energies will come from
    """
    packer = _Packer(pieces, source)
    for some in _all_subsets(pieces, packer.largest):
        yield from packer.add(some) if some is not None else packer.flush()
    yield from packer.flush()


def rows_per_batch(source: EnergySource, example: ClusterBatch) -> int:
    """Sub-clusters like an example that make a batch.

    :param example: one sub-cluster
    """
    largest = source.capabilities.batch_size or DEFAULT_BATCH_SIZE
    if not source.capabilities.seconds:
        return largest
    return max(1, min(largest, int(BATCH_SECONDS / max(source.seconds(example), 1e-9))))


class _Packer:
    """Gathers sub-clusters of one number of atoms until they make a batch."""

    def __init__(self, pieces: Sequence[Piece], source: EnergySource):
        self.largest = source.capabilities.batch_size or DEFAULT_BATCH_SIZE
        self._pieces, self._source = pieces, source
        self._systems = {index: piece.system for index, piece in enumerate(pieces)}
        # by the number of atoms that are there and of those that lend their functions
        self._waiting: dict[tuple[int, int], _Waiting] = defaultdict(_Waiting)
        self._begun = WHOLE

    def add(self, some: _Some) -> Iterator[Task]:
        """Take subsets, and give the batches that they fill."""
        if some.order != self._begun:
            self._begun = some.order
            for shape in [shape for shape in sorted(self._waiting, reverse=True) if self._goes_first(shape)]:
                yield self._pop(shape)
        piece = self._pieces[some.structure]
        scheme = counterpoise.NONE if some.order == WHOLE else piece.counterpoise
        for there, lent in counterpoise.parts(scheme, some.subsets, len(piece.bodies)):
            for rows, atoms, ghosts in _atoms_of_bodies(piece.body_atoms, there, lent):
                yield from self._pack(some, there.shape[1], (rows, atoms, ghosts))

    def flush(self) -> Iterator[Task]:
        """Batches of all that waits, the largest sub-clusters first."""
        for shape in sorted(self._waiting, reverse=True):
            if self._waiting[shape].count:
                yield self._pop(shape)

    def _pack(self, some: _Some, present: int, found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Iterator[Task]:
        rows, atoms, ghosts = found
        shape = atoms.shape[1], ghosts.shape[1]
        size = self._size(some.structure, atoms, ghosts)
        if self._waiting[shape].count >= size:  # what came before was lighter
            yield self._pop(shape)
        self._waiting[shape].takes = BATCH_SECONDS / size if size < self.largest else 0.0
        taken = 0
        while taken < len(rows):
            chosen = slice(taken, taken + size - self._waiting[shape].count)
            here = rows[chosen]
            known = [np.full(len(here), number) for number in (some.structure, some.order, present)]
            columns = (known[0], known[1], here + some.first, known[2], some.parts[here], atoms[chosen], ghosts[chosen])
            self._waiting[shape].add(*columns)
            taken += len(here)
            if self._waiting[shape].count == size:
                yield self._pop(shape)

    def _size(self, structure: int, atoms: np.ndarray, ghosts: np.ndarray) -> int:
        """Sub-clusters in a batch."""
        if not self._source.capabilities.seconds:  # few do, and those that do not must not pay for it
            return self.largest
        heaviest = self._pieces[structure].system.numbers[atoms].sum(axis=1).argmax()
        example = [np.array([structure]), atoms[heaviest][None], ghosts[heaviest][None]]
        return rows_per_batch(self._source, ClusterBatch.cut(self._systems, *example))

    def _goes_first(self, shape: tuple[int, int]) -> bool:
        """Whether sub-clusters are worth a batch of their own before smaller ones begin, though more of them would fit in."""
        can, waiting = self._source.capabilities, self._waiting[shape]
        # one after the other is computed anyway, and takes nobody knows how long
        return waiting.takes_long or (can.serial and not can.seconds and waiting.count > 0)

    def _pop(self, shape: tuple[int, int]) -> Task:
        structures, orders, rows, present, parts, atoms, ghosts = self._waiting.pop(shape).columns()
        return Task(ClusterBatch.cut(self._systems, structures, atoms, ghosts), orders, rows, present, parts)


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


def _all_subsets(pieces: Sequence[Piece], length: int) -> Iterator[_Some | None]:
    """What has to be evaluated, a bounded number at a time; None where all that came must be evaluated before what comes."""
    kept = [index for index, piece in enumerate(pieces) if not piece.family.streams]
    for begin in range(0, len(kept), GROUP):
        yield from _from_the_largest(pieces, kept[begin : begin + GROUP], length)
    for index, piece in enumerate(pieces):
        if piece.family.streams:
            yield from _from_the_largest(pieces, [index], length)
            yield None
            for chunk in piece.family.chunks(piece.family.max_order):
                for first in range(0, len(chunk.members), length):
                    rows = slice(first, first + length)
                    order = piece.family.max_order
                    yield _Some(index, order, chunk.first + first, chunk.members[rows], chunk.parts[rows])
            yield None


def _from_the_largest(pieces: Sequence[Piece], group: Sequence[int], length: int) -> Iterator[_Some]:
    """The subsets that are kept, the whole structure too where its family lacks it."""

    def some(index: int, order: int, first: int, subsets: np.ndarray) -> _Some:
        return _Some(index, order, first, subsets, np.empty((len(subsets), 0), dtype=np.int32))

    for index in group:
        if pieces[index].asks_whole:
            yield some(index, WHOLE, 0, np.arange(len(pieces[index].bodies))[None, :])
    for order in range(max(len(pieces[index].family.members) for index in group), 0, -1):
        for index in group:
            for members in pieces[index].family.members[order - 1 : order]:
                for first in range(0, len(members), length):
                    yield some(index, order, first, members[first : first + length])


def _atoms_of_bodies(
    body_atoms: np.ndarray, there: np.ndarray, lent: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, atoms and ghosts of the subsets, one triple for each pair of numbers of atoms that occurs."""
    atoms, ghosts = (body_atoms[bodies].reshape(len(bodies), -1) for bodies in (there, lent))
    if body_atoms.shape[1] == 1:  # single atoms need no counting, and are most of what there is
        yield np.arange(len(there)), atoms, ghosts
        return
    counts = (atoms >= 0).sum(axis=1), (ghosts >= 0).sum(axis=1)
    shapes = counts[0] * (ghosts.shape[1] + 1) + counts[1]
    for shape in np.unique(shapes):
        n_atoms, n_ghosts = divmod(int(shape), ghosts.shape[1] + 1)
        rows = np.flatnonzero(shapes == shape)
        some, others = atoms[rows], ghosts[rows]
        yield rows, some[some >= 0].reshape(len(rows), n_atoms), others[others >= 0].reshape(len(rows), n_ghosts)
