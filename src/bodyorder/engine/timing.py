"""Sub-clusters timed from cheap to costly for as long as there is time, and what the others would take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp, log
from pathlib import Path

import numpy as np

from bodyorder.engine.computation import Wanted, compute
from bodyorder.engine.examples import Example
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch

#: Until two sizes are timed, cost is taken to grow like this power of the number of atoms, as in mean-field methods.
FIRST_POWER = 3.0

#: Part of the time left that a batch may take, so that one size does not spend what the others need.
_BATCH_SHARE = 1 / 20

#: Largest logarithm of a predicted growth; beyond it no figure means anything, and floats end.
_LARGEST_GROWTH = 500.0


@dataclass
class Timer:
    """Times sub-clusters.

    :param source: where their energies come from
    :param wanted: what is asked of it beside energies
    :param clock: seconds that have gone by
    :param end: when by the clock there is no time left
    :param singles: seconds of one sub-cluster alone, in the order in which they were timed
    :param seconds: of one sub-cluster in a batch
    :param energies: typical energy in eV
    :param resident: largest resident memory of this process until then, in MB
    """

    source: EnergySource
    wanted: Wanted
    clock: Callable[[], float]
    end: float
    singles: dict[Example, float] = field(default_factory=dict)
    seconds: dict[Example, float] = field(default_factory=dict)
    energies: dict[Example, float] = field(default_factory=dict)
    resident: dict[Example, float] = field(default_factory=dict)

    def time_all(self, examples: Sequence[Example]) -> None:
        """Time examples from cheap to costly, until one would take too long."""
        for example in sorted(examples, key=lambda example: (self._estimate(example), example.size, example.present)):
            # twice its predicted cost, as it runs once to warm up
            if self.singles and 2 * self._predict(example) > self.end - self.clock():
                break
            self._time(example)

    def seconds_of(self, example: Example) -> float:
        """Seconds of one sub-cluster in a batch, predicted if it was not timed."""
        if example in self.seconds:
            return self.seconds[example]
        last = list(self.seconds)[-1]
        return self.seconds[last] * self._predict(example) / self.singles[last]

    def _time(self, example: Example) -> None:
        one = example.batch.select(np.arange(1))
        single, energies = self._run(one)
        if single <= self.end - self.clock():
            single, energies = self._run(one)
        seconds = single
        # A batch shows what batching saves, where there is time for one.
        rows = int(min(len(example.batch), (self.end - self.clock()) * _BATCH_SHARE / max(single, 1e-6)))
        if rows > 1:
            seconds, energies = self._run(example.batch.select(np.arange(rows)))
            seconds /= rows
        self.singles[example] = max(single, 1e-9)
        self.seconds[example] = seconds
        self.resident[example] = peak_megabytes()
        if np.isfinite(energies).any():
            self.energies[example] = float(np.nanmean(energies))

    def _run(self, batch: ClusterBatch) -> tuple[float, np.ndarray]:
        start = self.clock()
        energies = compute(self.source, batch, self.wanted).energies
        return self.clock() - start, energies

    def _estimate(self, example: Example) -> float:
        """What the source says, in seconds; 0 if it says nothing."""
        return float(self.source.seconds(example.batch)) if self.source.capabilities.seconds else 0.0

    def _predict(self, example: Example) -> float:
        """Seconds of one sub-cluster alone, from those that were timed."""
        last = list(self.singles)[-1]
        if self._estimate(last) > 0:
            return self.singles[last] * self._estimate(example) / self._estimate(last)
        return self._by_size(example.size)

    def _by_size(self, size: int) -> float:
        """Seconds of one sub-cluster of so many atoms, no fewer than the last that was timed."""
        timed = list(self.singles.items())
        last, cost = timed[-1][0].size, timed[-1][1]
        smaller = [(example.size, seconds) for example, seconds in timed if example.size < last]
        rate = FIRST_POWER / last
        if smaller:
            rate = max(0.0, log(cost / smaller[-1][1])) / (last - smaller[-1][0])
        near = min(size, 2 * last)
        growth = rate * (near - last) + rate * near * log(size / near)
        return cost * exp(min(growth, _LARGEST_GROWTH))


def peak_megabytes() -> float:
    """Largest resident memory that this process has had, in MB; NaN where the system does not say."""
    status = Path("/proc/self/status")
    # what the other source says includes the process that started this one
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1.024e-3
    try:
        import resource
    except ImportError:  # not a Unix
        return np.nan
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_bytes / (1e6 if sys.platform == "darwin" else 1e3)
