"""What the engine itself takes: complete and connected families of growing size, time and memory of a process of its own.

Three tables. All sub-clusters of 20 bodies with a source that costs nothing. Periodic silicon of 512 to 8,000 atoms to order 3
with the same source and with a three-body potential, cost per atom against the smallest. And more than ten million connected
sub-clusters, whose largest order is streamed. Every line is a process of its own, which has imported everything and run a small
case before it is timed; memory is the largest that the process ever had, the modules that it imports included.

Run with: python benchmarks/scaling.py [rounds]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
from ase import Atoms
from ase.build import bulk

from bodyorder import decompose
from bodyorder.engine.timing import peak_megabytes
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.sources.registry import load_source

THREE_BODY = "analytic:axilrod-teller?cutoff={cutoff}"


class Nothing(EnergySource):
    """Energies that cost nothing, of pairs nearer than a cutoff or of all bodies."""

    name, fingerprint, precision = "nothing", "nothing", Precision(absolute=1e-14)
    capabilities = Capabilities(batch_size=4096)

    def __init__(self, cutoff: float | None):
        self.cutoff = cutoff

    def energies(self, batch):
        return batch.positions[:, :, 0].sum(axis=1)


def complete(_: EnergySource) -> int:
    positions = 3 * np.random.default_rng(0).normal(size=(20, 3))
    return int(decompose(Atoms("H20", positions=positions), Nothing(None)).n_evaluations[0])


def silicon(repeats: int, source: EnergySource) -> int:
    atoms = bulk("Si", cubic=True).repeat(repeats)
    atoms.rattle(0.05, seed=1)
    return int(decompose(atoms, source, max_order=3).n_evaluations[0])


def measure(case: str, repeats: int, spec: str, cutoff: float) -> None:
    """Run one case and print seconds, megabytes and sub-clusters."""
    source = load_source(spec.format(cutoff=cutoff)) if spec else Nothing(cutoff)
    silicon(1, source)
    begin = time.perf_counter()
    count = complete(source) if case == "complete" else silicon(repeats, source)
    print(time.perf_counter() - begin, peak_megabytes(), count)


def run(*arguments: object) -> tuple[float, float, int]:
    """One case in a process of its own: seconds, megabytes, sub-clusters."""
    command = [sys.executable, __file__, "--case", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return float(printed[0]), float(printed[1]), int(printed[2])


def best(rounds: int, *arguments: object) -> tuple[float, float, int]:
    return min(run(*arguments) for _ in range(rounds))


def main() -> None:
    if sys.argv[1:2] == ["--case"]:
        measure(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds, megabytes, count = best(rounds, "complete", 0, "", 5.0)
    print(f"all {count:,} sub-clusters of 20 bodies, no cost of energies: {seconds:.2f} s, {megabytes:.0f} MB")

    print(f"\nperiodic silicon to order 3, best of {rounds}")
    print(
        f"{'energies':>16s}{'atoms':>8s}{'sub-clusters':>14s}{'s':>8s}{'µs each':>9s}{'ms/atom':>9s}{'ratio':>7s}{'MB':>6s}"
    )
    for name, spec in (("nothing", ""), ("three-body", THREE_BODY)):
        first = None
        for repeats in (4, 6, 8, 10):
            atoms = 8 * repeats**3
            seconds, megabytes, count = best(rounds, "silicon", repeats, spec, 5.0)
            first = first or seconds / atoms
            print(
                f"{name:>16s}{atoms:8,d}{count:14,d}{seconds:8.2f}{1e6 * seconds / count:9.2f}{1e3 * seconds / atoms:9.3f}"
                f"{seconds / atoms / first:7.2f}{megabytes:6.0f}",
                flush=True,
            )

    seconds, megabytes, count = run("silicon", 10, "", 7.5)
    print(f"\n{count:,} connected sub-clusters of 8,000 atoms, streamed: {seconds:.1f} s, {megabytes:.0f} MB")


if __name__ == "__main__":
    main()
