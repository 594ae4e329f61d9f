"""All 255 sub-clusters of an H₈ at unrestricted Hartree–Fock, against a plain PySCF loop, on one core in one run.

The loop builds each molecule and converges it from PySCF's own guess, at the same spin. Ours searches the lowest stable solution.
Of each case a line tells how many energies of the loop are not those of the lowest solution known.
"""

from __future__ import annotations

import os
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from _clusters import sub_clusters_of
from _timing import timed_energies

from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures import ClusterBatch

#: Energies (hartree) further apart than this are those of different solutions.
DIFFERENT = 1e-6


def loop(layers: list[ClusterBatch], basis: str) -> tuple[float, np.ndarray]:
    from pyscf import gto, scf

    begin, energies = time.process_time(), []
    for batch in layers:
        for positions in batch.positions:
            mol = gto.M(atom=[("H", place) for place in positions], basis=basis, spin=len(positions) % 2, verbose=0)
            energies.append(scf.UHF(mol).kernel())
    return time.process_time() - begin, np.array(energies)


def main() -> None:
    print(
        f"{'cluster':16s} {'basis':8s} {'loop, s':>8s} {'ours, s':>8s} {'ratio':>6s} {'loop above':>11s} {'ours above':>11s}"
    )
    for basis in ("6-31g", "cc-pvdz"):
        for name in ("high_density_0", "low_density_0"):
            layers = sub_clusters_of(name)
            with without_checkpoints():
                plain, theirs = loop(layers, basis)
            seconds, found = timed_energies(f"pyscf:uhf/{basis}?spin=low", layers)
            above, below = (theirs > found + DIFFERENT).sum(), (found > theirs + DIFFERENT).sum()
            print(f"{name:16s} {basis:8s} {plain:8.2f} {seconds:8.2f} {plain / seconds:6.1f} {above:11d} {below:11d}")


if __name__ == "__main__":
    main()
