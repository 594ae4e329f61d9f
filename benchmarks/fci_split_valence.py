"""Sub-clusters of an H₈ at FCI/6-31G, against a plain PySCF loop, on one core in one run.

The loop builds each molecule, runs a restricted mean field and one FCI calculation at the lowest |Sz|; ours searches every spin.
Seconds are those of the core. Memory is the most that a process of its own held beyond what it did with everything imported. A
line tells how many energies of the loop are not those of the ground state. By default these are the 63 sub-clusters of six of
the atoms and the 127 of seven; ``--all`` takes the 255 of all eight, too, which is some minutes. ``against_commit.py COMMIT
--slow`` holds those of eight against an earlier commit.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from multiprocessing import get_context

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import fci_subclusters  # and with it, before memory is measured, what computes
import numpy as np
from _clusters import sub_clusters_of
from _timing import timed_energies

from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints

BASIS, CLUSTER = "6-31g", "high_density_0"


def peak() -> float:
    """MB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024e-3


def ours(count: int) -> tuple[float, np.ndarray, float]:
    before = peak()
    seconds, energies = timed_energies(fci_subclusters.spec(BASIS), sub_clusters_of(CLUSTER, count))
    return seconds, energies, peak() - before


def loop(count: int) -> tuple[float, np.ndarray, float]:
    before = peak()
    with without_checkpoints():
        seconds, energies = fci_subclusters.loop(sub_clusters_of(CLUSTER, count), BASIS)
    return seconds, energies, peak() - before


def alone(work: Callable[[int], tuple[float, np.ndarray, float]], count: int) -> tuple[float, np.ndarray, float]:
    """Some work in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (count,))


def main() -> None:
    print(f"{'sub-clusters':16s} {'calculation':34s} {'seconds':>8s} {'ratio':>6s} {'MB':>6s}")
    for count in (6, 7, 8) if "--all" in sys.argv[1:] else (6, 7):
        name = f"{2**count - 1} of H{count}"
        plain, theirs, held = alone(loop, count)
        seconds, found, most = alone(ours, count)
        print(f"{name:16s} {'PySCF loop, one sector':34s} {plain:8.3f} {1:6.1f} {held:6.0f}")
        print(f"{name:16s} {'every spin, energies':34s} {seconds:8.3f} {plain / seconds:6.1f} {most:6.0f}")
        above, below = (theirs > found + 1e-6).sum(), (found - theirs).max()
        print(
            f"{name:16s} loop above ground state: {above} of {len(found)}; ours above loop: {max(below, 0.0):.0e} hartree",
            flush=True,
        )


if __name__ == "__main__":
    main()
