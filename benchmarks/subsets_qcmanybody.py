"""Complete decomposition of 14 bodies with a source that costs nothing, against QCManyBody's build and analyze.

Both cut every sub-cluster and end with the order totals, which are compared. Our time includes the energies, theirs does not.
"""

from __future__ import annotations

import time
import warnings

import ase
import numpy as np

from bodyorder import decompose
from bodyorder.sources import Capabilities, EnergySource, Precision
from bodyorder.structures import ClusterBatch, System

N_BODIES = 14


class ThreeBodySource(EnergySource):
    """A function of the indices of the atoms: cheap, and not zero up to order three."""

    name = "benchmark"
    fingerprint = "benchmark"
    cutoff = None
    precision = Precision(relative=1e-15)
    capabilities = Capabilities(batch_size=4096)

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        x = batch.members + 1.0
        return np.sqrt(x).sum(axis=1) + np.sin(x).sum(axis=1) ** 2 + 0.01 * np.cos(x).sum(axis=1) ** 3


def ours(atoms: ase.Atoms) -> tuple[float, np.ndarray]:
    begin = time.perf_counter()
    result = decompose(atoms, ThreeBodySource())
    return time.perf_counter() - begin, result.contribution.values[0]


def theirs(atoms: ase.Atoms) -> tuple[float, float, np.ndarray]:
    """Seconds to build all sub-systems, seconds to analyze, order totals."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from qcelemental.models.v2 import Molecule
        from qcmanybody.core import ManyBodyCore
        from qcmanybody.utils import delabeler

    fragments = [[body] for body in range(N_BODIES)]
    molecule = Molecule(symbols=["H"] * N_BODIES, geometry=atoms.positions, fragments=fragments)
    begin = time.perf_counter()
    core = ManyBodyCore(
        molecule,
        ["nocp"],
        dict.fromkeys(range(1, N_BODIES + 1), "m"),
        return_total_data=True,
        supersystem_ie_only=False,
        embedding_charges=None,
    )
    labels = [label for _, label, _ in core.iterate_molecules()]
    build = time.perf_counter() - begin

    energies = {}
    for label in labels:
        members = np.array([delabeler(label)[1]]) - 1
        batch = ClusterBatch.cut({0: System.from_atoms(atoms)}, np.zeros(1, dtype=int), members)
        energies[label] = {"energy": float(ThreeBodySource().energies(batch)[0])}
    begin = time.perf_counter()
    results = core.analyze(energies)["results"]
    analyze = time.perf_counter() - begin
    through = [results[f"nocp_corrected_total_energy_through_{order}_body"] for order in range(1, N_BODIES + 1)]
    return build, analyze, np.diff(through, prepend=0.0)


def main() -> None:
    rng = np.random.default_rng(0)
    atoms = ase.Atoms(f"H{N_BODIES}", positions=rng.uniform(0, 12, (N_BODIES, 3)))
    ours(atoms)
    own = float(np.median([ours(atoms)[0] for _ in range(5)]))
    build, analyze, reference = theirs(atoms)
    # The highest orders amplify rounding: 16,259 times at order 9.
    assert np.abs(ours(atoms)[1] - reference).max() < 1e-7
    print(f"complete decomposition of {N_BODIES} bodies, {2**N_BODIES - 1} sub-clusters: seconds")
    print(f"{'QCManyBody, sub-systems':34s} {build:9.3f}")
    print(f"{'QCManyBody, analyze':34s} {analyze:9.3f}")
    print(f"{'bodyorder.decompose (median of 5)':34s} {own:9.3f}")
    print(f"ratio {(build + analyze) / own:.0f} (of analyze alone {analyze / own:.0f})")


if __name__ == "__main__":
    main()
