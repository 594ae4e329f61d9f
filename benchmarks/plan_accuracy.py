"""Core seconds that a plan predicts from a small timed sample, against those of the run itself.

The last row gives the plan too little time for the largest sub-cluster, whose time it extrapolates. Processor time throughout.
"""

from __future__ import annotations

import os
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from ase import Atoms

from bodyorder.engine import decompose
from bodyorder.engine.planning import BUDGET, plan
from bodyorder.engine.selection import Selection
from bodyorder.sources import load_source
from bodyorder.structures import ClusterBatch
from bodyorder.structures.hydrogen import high_density


def run(spec: str, atoms: Atoms, budget: float) -> tuple[float, float]:
    """Predicted and spent seconds."""
    predicted = plan([atoms], load_source(spec), Selection(), budget=budget, clock=time.process_time)
    source = load_source(spec)
    source.energies(ClusterBatch.from_atoms([atoms]))  # tables are made once
    begin = time.process_time()
    decompose(atoms, source)
    return float(predicted.core_seconds.sum()), time.process_time() - begin


def main() -> None:
    print(f"{'source':32s} {'atoms':>5s} {'predicted, s':>12s} {'spent, s':>9s} {'ratio':>6s}")
    for spec, n_atoms, budget in (
        ("pyscf:fci/sto-6g?spin=ground", 7, BUDGET),
        ("pyscf:uhf/sto-6g?spin=ground", 7, BUDGET),
        ("pyscf:uhf/cc-pvdz?spin=low", 6, BUDGET),
        ("pyscf:fci/6-31g?spin=ground", 6, 1.0),
    ):
        predicted, spent = run(spec, high_density(n_atoms, 1, seed=0)[0], budget)
        print(f"{spec:32s} {n_atoms:5d} {predicted:12.3f} {spent:9.3f} {predicted / spent:6.2f}")


if __name__ == "__main__":
    main()
