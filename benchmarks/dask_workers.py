"""Labelling with one and with two Dask workers, processes of one thread each, in one run.

Worker processes are started and have imported PySCF before the clock runs. The figure means something where two cores are free.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from ase import Atoms
from distributed import LocalCluster

from bodyorder.engine import decompose
from bodyorder.engine.executors import open_executor

SOURCE = "pyscf:uhf/6-31g?spin=ground"
N_STRUCTURES = 12


def structures(count: int, seed: int) -> list[Atoms]:
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        positions = rng.uniform(0, 3.6, (8, 3))
        apart = np.linalg.norm(positions[:, None] - positions[None], axis=2) + 9 * np.eye(8)
        if apart.min() > 0.8:
            found.append(Atoms("H8", positions=positions))
    return found


def seconds(workers: int, source: str, frames: list[Atoms]) -> tuple[float, np.ndarray]:
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        open_executor(url=cluster.scheduler_address) as executor,
    ):
        decompose(structures(workers, 1), source, executor=executor)
        begin = time.perf_counter()
        result = decompose(frames, source, executor=executor)
        return time.perf_counter() - begin, result.contribution.values


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else SOURCE
    frames = structures(N_STRUCTURES, 0)
    alone, first = seconds(1, source, frames)
    shared, second = seconds(2, source, frames)
    same = "the same" if np.array_equal(first, second) else "NOT the same"
    print(f"{len(frames)} H8, {255 * len(frames)} sub-clusters by {source}; sums bitwise {same}")
    print(f"one Dask worker {alone:7.2f} s; two {shared:7.2f} s; ratio {alone / shared:.2f}")


if __name__ == "__main__":
    main()
