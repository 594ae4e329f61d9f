"""Workers at calls that take long: one worker against several, all of it timed, the start of their processes too.

Twelve argon atoms to order 3, 288 calls that sleep for 0.2 s each, so that two cores are enough for four workers. Beside it what
`plan` says of them, and how long the batches were. Wall time.

Run with: python benchmarks/slow_workers.py [workers]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.calculators.lj import LennardJones

from bodyorder.engine import decompose
from bodyorder.engine.executors import open_executor
from bodyorder.engine.planning import plan, wall_seconds
from bodyorder.engine.selection import Selection
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.structures import ClusterBatch

SECONDS = 0.2


class Slow(LennardJones):
    """Lennard-Jones that takes its time."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:  # type: ignore[no-untyped-def]
        time.sleep(SECONDS)
        super().calculate(atoms, properties, system_changes)


class Logged(CalculatorSource):
    """Writes down how many sub-clusters were in each batch."""

    folder = ""

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        Path(self.folder, f"{time.monotonic_ns()}").write_text(str(len(batch)))
        return super().energies(batch)


def run(workers: int, cluster: Atoms) -> tuple[float, list[int], np.ndarray]:
    """Seconds, the lengths of batches and the orders."""
    source = Logged(Slow(epsilon=0.0103, sigma=3.4, rc=20.0))
    with tempfile.TemporaryDirectory() as folder:
        source.folder = folder
        begin = time.perf_counter()
        with open_executor(workers) as executor:
            result = decompose(cluster, source, max_order=3, executor=executor)
        seconds = time.perf_counter() - begin
        lengths = [int(path.read_text()) for path in sorted(Path(folder).iterdir())]
    return seconds, lengths, result.contribution.values


def main() -> None:
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    cluster = Atoms("Ar12", positions=np.random.default_rng(0).uniform(0, 12, (12, 3)))
    priced = plan([cluster], CalculatorSource(Slow(rc=20.0)), Selection(3))
    alone, lengths, expected = run(1, cluster)
    print(f"{sum(lengths)} calls of {SECONDS} s by Lennard-Jones")
    print(
        f"one process  {alone:6.1f} s (planned {wall_seconds(priced, 1):.1f}); batches of {min(lengths)} to {max(lengths)}"
    )
    shared, lengths, found = run(workers, cluster)
    same = "the same" if np.array_equal(expected, found) else "NOT the same"
    print(
        f"{workers} workers    {shared:6.1f} s (planned {wall_seconds(priced, workers):.1f}); "
        f"batches of {min(lengths)} to {max(lengths)}"
    )
    print(f"ratio {alone / shared:.2f}; orders bitwise {same}")


if __name__ == "__main__":
    main()
