"""Sub-clusters as structures of their own, turned, shifted, with their atoms in another order, and deformed a little."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from scipy.spatial.transform import Rotation

from bodyorder.engine.batching import rows_per_batch
from bodyorder.engine.computation import Wanted
from bodyorder.engine.dispatch import Answer, Dispatcher
from bodyorder.sources.ase.apart import FEWEST
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.scatter import N_POINTS
from bodyorder.structures import ClusterBatch, System

#: Length (Å) by which a replica is shifted, as a standard deviation.
_SHIFT = 3.0


class Line:
    """A sub-cluster that is deformed along a line.

    :param system: the sub-cluster
    """

    def __init__(self, system: System, rng: np.random.Generator):
        self.system = system
        self._shape = rng.normal(size=system.positions.shape)

    def at(self, place: float, rng: np.random.Generator) -> System:
        """A replica at some place in Å: turned about its middle, shifted, its atoms in another order."""
        system, order = self.system, rng.permutation(len(self.system))
        middle = system.positions.mean(axis=0)
        deformed = system.positions - middle + place * self._shape
        turned = deformed @ Rotation.random(random_state=rng).as_matrix().T
        positions = turned + middle + rng.normal(scale=_SHIFT, size=3)
        arrays = (system.numbers, positions, system.charges, system.moments, system.bodies)
        return System(*(array[order] for array in arrays))


class Asking:
    """Energies of single structures, by whoever computes.

    :param source: where energies come from
    :param executor: where they are computed; None for this process
    """

    def __init__(self, source: EnergySource, executor: Executor | None):
        self._source = source
        self._executor = None if source.capabilities.one_process else executor
        self._dispatcher = Dispatcher(source, Wanted(), self._executor)

    def energies(self, systems: Sequence[System]) -> np.ndarray:
        """Energies in eV, NaN for failures, shape (n,)."""
        energies = np.full(len(systems), np.nan)
        sizes = np.array([len(system) for system in systems])
        waiting = []
        for size in np.unique(sizes)[::-1]:
            rows = np.flatnonzero(sizes == size)
            some = {int(row): systems[int(row)] for row in rows}
            batch = ClusterBatch.cut(some, rows, np.tile(np.arange(size), (len(rows), 1)))
            most = rows_per_batch(self._source, batch.select(np.arange(1)))
            most = most if self._executor is None else min(most, N_POINTS)
            if (
                size == 1
            ):  # so few are not set apart, which a claimed cutoff need not stand for where all bodies are alone
                most = min(most, FEWEST - 1)
            for start in range(0, len(rows), most):
                part = batch.select(np.arange(start, min(start + most, len(rows))))
                waiting.append((rows[start : start + most], part, self._dispatcher.hand_out(part, 0)))
        for rows, part, future in waiting:
            answer = self._dispatcher.take(future, part, 0)
            if isinstance(answer, Answer):  # else their worker died, and they are as unknown as failures
                energies[rows] = answer.computed.energies
        return energies
