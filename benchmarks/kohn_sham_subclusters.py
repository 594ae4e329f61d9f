"""Sub-clusters by unrestricted Kohn–Sham theory in def2-SVP, against a plain PySCF loop, on one core in one run.

The loop builds each molecule and converges it from PySCF's own guess on the same grid, at the lowest number of unpaired
electrons, and does not look whether that is stable. By default the first five atoms of an H₈ and three molecules of water;
``--all`` takes all 255 and 63 sub-clusters of eight atoms and six molecules, which takes the loop an hour.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from ase.units import Hartree
from closed_shells import waters
from fci_subclusters import CLUSTERS
from pyscf import dft, gto

from bodyorder.sources import load_source
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures import ClusterBatch, System

#: Energies (hartree) further apart than this are those of different solutions.
DIFFERENT = 1e-6


def batches(system: System, bodies: list[list[int]]) -> list[ClusterBatch]:
    """All sub-clusters, those of one number of bodies together."""
    found = []
    for order in range(len(bodies), 0, -1):
        rows = np.array([list(itertools.chain(*some)) for some in itertools.combinations(bodies, order)])
        found.append(ClusterBatch.cut({0: system}, np.zeros(len(rows), dtype=int), rows))
    return found


def plain(batch: ClusterBatch, xc: str) -> list[float]:
    energies = []
    for numbers, positions in zip(batch.numbers, batch.positions, strict=True):
        mol = gto.M(
            atom=list(zip(numbers, positions, strict=True)), basis="def2-svp", spin=int(numbers.sum()) % 2, verbose=0
        )
        field = dft.UKS(mol, xc=xc)
        field.grids.level, field.conv_tol = 4, 1e-9
        energies.append(field.kernel())
    return energies


def hydrogen(count: int) -> tuple[System, list[list[int]]]:
    positions = np.array(json.loads((CLUSTERS / "high_density_0.json").read_text())["positions"])[:count]
    return System(np.ones(count, dtype=int), positions), [[atom] for atom in range(count)]


def water(count: int) -> tuple[System, list[list[int]]]:
    return waters(count), [[3 * body, 3 * body + 1, 3 * body + 2] for body in range(count)]


def main() -> None:
    large = "--all" in sys.argv
    heads = ("cluster", "xc", "loop, s", "ours, s", "ratio", "loop above", "ours above", "apart")
    print("{:8s} {:7s} {:>8s} {:>8s} {:>6s} {:>11s} {:>11s} {:>8s}".format(*heads))
    for name, (system, bodies) in {
        f"H{8 if large else 5}": hydrogen(8 if large else 5),
        f"water {6 if large else 3}": water(6 if large else 3),
    }.items():
        for xc in ("pbe", "r2scan"):
            layers, source = batches(system, bodies), load_source(f"pyscf:uks/def2-svp?spin=low&xc={xc}")
            begin = time.process_time()
            ours = np.concatenate([source.energies(batch) for batch in layers]) / Hartree
            middle = time.process_time()
            with without_checkpoints():
                theirs = np.concatenate([plain(batch, xc) for batch in layers])
            seconds, loop = middle - begin, time.process_time() - middle
            apart = ours - theirs
            same = np.abs(apart[np.abs(apart) < DIFFERENT]).max()
            print(
                f"{name:8s} {xc:7s} {loop:8.1f} {seconds:8.1f} {loop / seconds:6.2f} {(apart < -DIFFERENT).sum():11d} "
                f"{(apart > DIFFERENT).sum():11d} {same:8.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
