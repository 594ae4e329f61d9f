"""All 255 sub-clusters of an H₈ at FCI/STO-6G, against a plain PySCF loop, on one core in one run.

The loop builds each molecule, runs a restricted mean field and one FCI calculation at the lowest |Sz|. Ours searches every spin,
the first time with the tables of configurations to build. Seconds are those of the core, not of the clock, so that other work on
the machine does not enter. The last line tells how many energies of the loop are not those of the ground state.
"""

from __future__ import annotations

import os
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from _clusters import sub_clusters_of
from _timing import timed_energies

from bodyorder.sources.pyscf.fci import configurations
from bodyorder.sources.pyscf.fci.assembly import assembly
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures import ClusterBatch


def loop(layers: list[ClusterBatch], basis: str = "sto-6g") -> tuple[float, np.ndarray]:
    from pyscf import fci, gto, scf

    begin, energies = time.process_time(), []
    for batch in layers:
        for positions in batch.positions:
            mol = gto.M(atom=[("H", place) for place in positions], basis=basis, spin=len(positions) % 2, verbose=0)
            field = (scf.ROHF if mol.spin else scf.RHF)(mol).run()
            energies.append(fci.FCI(field).kernel()[0] if len(positions) > 1 else field.e_tot)
    return time.process_time() - begin, np.array(energies)


def spec(basis: str) -> str:
    return f"pyscf:fci/{basis}?spin=ground"


def forget() -> None:
    """Throw the tables of configurations away."""
    for table in (configurations.spin_table, configurations.choices, configurations.spin_functions, assembly):
        table.cache_clear()


def main() -> None:
    print(f"{'cluster':16s} {'calculation':34s} {'seconds':>8s} {'ratio':>6s}")
    for name in ("high_density_0", "low_density_0"):
        layers = sub_clusters_of(name)
        with without_checkpoints():
            plain, theirs = loop(layers)
        rows = [("PySCF loop, one sector", plain)]
        forget()
        for label, forces in (("energies, first", False), ("energies", False), ("energies and forces", True)):
            seconds, found = timed_energies(spec("sto-6g"), layers, forces)
            rows.append((f"every spin, {label}", seconds))
        for label, seconds in rows:
            print(f"{name:16s} {label:34s} {seconds:8.3f} {plain / seconds:6.1f}")
        above, below = (theirs > found + 1e-6).sum(), (found - theirs).max()
        print(
            f"{name:16s} loop above ground state: {above} of {len(found)}; ours above loop: {max(below, 0.0):.0e} hartree"
        )


if __name__ == "__main__":
    main()
