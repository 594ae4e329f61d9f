"""Sub-clusters of H₈ and of a water hexamer at unrestricted Kohn–Sham theory (PBE, r²SCAN) in def2-SVP, against a plain PySCF
loop, on one core in one run.

The loop builds each molecule and converges it from PySCF's own guess, on the same grid, at the same spin. Ours searches the
lowest stable solution. Of each case a line tells how far energies are apart where both end in one solution, and how often either
ends above the other. By default one in ten of the 255 sub-clusters of an H₈ are taken and one of each size of the hexamer's 63;
what is evaluated once for a structure is shared by fewer then. ``--all`` takes all, which is an hour and more.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from _clusters import sub_clusters_of, water_hexamer
from _timing import timed_energies
from ase.data import chemical_symbols

from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures import ClusterBatch, System
from bodyorder.subsets import complete

#: Energies (hartree) further apart than this are those of different solutions.
DIFFERENT = 1e-6
BASIS, GRID = "def2-svp", 4


def molecules() -> list[ClusterBatch]:
    """Those of the hexamer, by numbers of molecules."""
    system = {0: System.from_atoms(water_hexamer())}
    layers = [(3 * rows[:, :, None] + np.arange(3)).reshape(len(rows), -1) for rows in complete(6).members]
    return [ClusterBatch.cut(system, np.zeros(len(rows), dtype=int), rows) for rows in layers]


def some(layers: list[ClusterBatch], step: int) -> list[ClusterBatch]:
    """The first of each size and every so many after it."""
    return [layer.select(np.arange(0, len(layer), step)) for layer in layers]


def spec(xc: str) -> str:
    return f"pyscf:uks/{BASIS}?spin=low&xc={xc}&grid={GRID}"


def loop(layers: list[ClusterBatch], xc: str) -> tuple[float, np.ndarray]:
    from pyscf import dft, gto

    begin, energies = time.process_time(), []
    for batch in layers:
        symbols = [chemical_symbols[number] for number in batch.numbers[0]]
        for positions in batch.positions:
            mol = gto.M(
                atom=list(zip(symbols, positions, strict=True)),
                basis=BASIS,
                spin=int(batch.numbers[0].sum()) % 2,
                verbose=0,
            )
            field = dft.UKS(mol, xc=xc).set(conv_tol=1e-9)
            field.grids.level = GRID
            energies.append(field.kernel())
    return time.process_time() - begin, np.array(energies)


def main() -> None:
    whole = "--all" in sys.argv[1:]
    cases = {name: some(sub_clusters_of(name), 1 if whole else 10) for name in ("high_density_0", "low_density_0")}
    cases["water_hexamer"] = some(molecules(), 1 if whole else 20)
    timed_energies(spec("pbe"), cases["water_hexamer"][:1])  # what is loaded once
    print(
        f"{'cluster':16s} {'functional':10s} {'number':>6s} {'loop, s':>8s} {'ours, s':>8s} {'ratio':>6s} {'difference':>11s} "
        f"{'loop above':>11s} {'ours above':>11s}"
    )
    for name, layers in cases.items():
        for xc in ("pbe", "r2scan"):
            seconds, found = timed_energies(spec(xc), layers)
            with without_checkpoints():
                plain, theirs = loop(layers, xc)
            apart = found - theirs
            one = np.abs(apart) < DIFFERENT
            print(
                f"{name:16s} {xc:10s} {len(found):6d} {plain:8.1f} {seconds:8.1f} {plain / seconds:6.1f} "
                f"{np.abs(apart[one]).max():11.1e} {(apart < -DIFFERENT).sum():11d} {(apart > DIFFERENT).sum():11d}",
                flush=True,
            )


if __name__ == "__main__":
    main()
