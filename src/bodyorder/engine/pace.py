"""How long sub-clusters take, as it is seen while they are evaluated, and how many of them make a batch."""

from __future__ import annotations

from bodyorder.engine.batching import BATCH_SECONDS
from bodyorder.engine.timing import FIRST_POWER
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch

#: Seconds of work that need not be divided further: long beside the way to a worker and back.
SHORT = 0.1

#: A batch holds at most so many times as many sub-clusters as have been timed: the first ones may not be like the others.
_GROWTH = 8

#: Number of atoms of a sub-cluster, and of those that lend their functions.
Shape = tuple[int, int]


class Pace:
    """Seconds of one sub-cluster by its numbers of atoms, those of the last batch.

    What a source says of itself is believed until it is seen otherwise: that a batch is as long as it should be (``seconds``),
    and how many sub-clusters suit it (``batch_size``), unless it computes one after the other anyway. Of others the first
    sub-cluster goes alone.

    :param source: where energies come from
    """

    def __init__(self, source: EnergySource):
        can = source.capabilities
        self._estimates = can.seconds
        self._trusted = can.seconds or (can.batch_size is not None and not can.serial)
        self._seen: dict[Shape, float] = {}
        self._n_timed = 0

    def saw(self, batch: ClusterBatch, seconds: float) -> None:
        """Learn from a batch that was computed.

        :param seconds: that it took
        """
        self._seen[shape_of(batch)] = seconds / len(batch)
        self._n_timed += len(batch)

    def has_seen(self, shape: Shape) -> bool:
        """Whether such sub-clusters have been timed."""
        return shape in self._seen

    def seconds(self, shape: Shape) -> float | None:
        """Of one sub-cluster, None where nothing is known.

        Those that have not been timed take as long as the next larger ones that have; where none is larger, they take longer
        than the largest by the power of the number of atoms that :mod:`~bodyorder.engine.timing` begins with. A source that
        estimates its costs knows better, and batches are cut by what it says.
        """
        if shape in self._seen:
            return self._seen[shape]
        if self._estimates or not self._seen:
            return None
        size = sum(shape)
        larger = [other for other in self._seen if sum(other) >= size]
        if larger:
            return self._seen[min(larger, key=sum)]
        largest = max(self._seen, key=sum)
        return self._seen[largest] * (size / sum(largest)) ** FIRST_POWER

    def rows(self, shape: Shape, left: int) -> int:
        """How many sub-clusters make the next batch.

        :param left: how many there are
        """
        one = self.seconds(shape)
        if one is None:
            return left if self._trusted else 1
        if left * one > SHORT:  # else it does not matter
            left = min(left, max(1, int(BATCH_SECONDS / one)), max(1, _GROWTH * self._n_timed))
        return left


def shape_of(batch: ClusterBatch) -> Shape:
    """What the cost of the sub-clusters of a batch is taken to follow from."""
    return batch.n_atoms, batch.ghosts.shape[1]
