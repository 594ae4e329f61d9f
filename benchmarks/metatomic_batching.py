"""Sub-clusters per second of a metatomic model: ASE's calculator in a loop, and one system for all sub-clusters.

Energies and forces of H4 sub-clusters of dense H8, float64, one thread, seconds of processor time. Both ways are warmed up
before they are timed, they take turns, the best pass of all rounds counts, and their numbers are asserted equal. The loop makes
an ASE structure out of each sub-cluster and asks a calculator with default settings for its energy and its forces, which is
one evaluation. Weights are random: they do not change the work. The first three models are the curated small ones; the
others are wider. "network" is the share of our time that the bare model takes, forward and backward, on systems that are
already built.

Run with: python benchmarks/metatomic_batching.py [rounds]
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from _clusters import sub_clusters
from _models import curated, exported
from _timing import seconds
from metatomic_ase import MetatomicCalculator

from bodyorder.sources.metatomic.source import load_network
from bodyorder.sources.networks.network import Clusters
from bodyorder.sources.portions import Portions
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

N_CLUSTERS = 500
#: Sub-clusters in one pass of the loop, and passes of each way in a round.
N_LOOP, N_PASSES = 25, 3
#: Calls that TorchScript's optimizer takes to settle, and more.
N_WARM = 15

#: Architecture and options of models that are not curated.
WIDER = {
    "pet, wide nodes": ("pet", {"d_pet": 32, "num_attention_layers": 1, "num_gnn_layers": 2}),
    "mace, correlation 3": ("experimental.mace", {"hidden_irreps": "16x0e + 16x1o"}),
}


def compare(path: Path, batch: ClusterBatch, rounds: int) -> tuple[float, float, float, int]:
    """Seconds per sub-cluster of the loop and of the source, the bare network's share of the latter, atoms in one call."""
    source = load_source(f"metatomic:{path}")
    network, traits, _ = load_network(source.settings)
    calculator = MetatomicCalculator(path, extensions_directory=path.parent / "extensions", device="cpu")

    def loop(rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        energies, forces = [], []
        for row in rows:
            atoms = batch.to_atoms(row)
            atoms.calc = calculator
            energies.append(atoms.get_potential_energy())
            forces.append(atoms.get_forces())
        return np.array(energies), np.array(forces)

    def best(work: Callable[[], object]) -> float:
        return min(seconds(work) for _ in range(N_PASSES))

    step = Portions(traits.atoms_per_call).clusters(batch.n_atoms)
    clusters = Clusters.of(batch, False)
    parts = [slice(start, start + step) for start in range(0, N_CLUSTERS, step)]

    def bare() -> float:
        total = 0.0
        for part in parts:
            systems, leaves = network.build(clusters.part(part), packed=traits.packed, forces=True)
            total += seconds(
                lambda systems=systems, leaves=leaves: torch.autograd.grad(
                    network.run(systems, atoms=traits.packed).values.sum(), leaves
                )
            )
        return total

    energies, forces = loop(range(N_WARM))
    found, slopes = source.energies_and_forces(batch.select(np.arange(N_WARM)))
    np.testing.assert_allclose(found, energies, rtol=0, atol=1e-11)
    np.testing.assert_allclose(slopes, forces, rtol=0, atol=1e-11)
    times = np.array(
        [
            (
                best(lambda: loop(range(N_LOOP))) / N_LOOP,
                best(lambda: source.energies_and_forces(batch)),
                min(bare() for _ in range(N_PASSES)),
            )
            for _ in range(rounds)
        ]
    )
    one_by_one, together, network_alone = times.min(axis=0)
    return one_by_one, together / N_CLUSTERS, network_alone / together, step * batch.n_atoms


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of other programs: deprecated parts of torch
    batch = sub_clusters(N_CLUSTERS)
    print(f"{N_CLUSTERS} H4 sub-clusters, energies and forces, float64, one thread, best of {rounds} rounds")
    print(f"{'model':22s}{'ASE loop 1/s':>14s}{'batched 1/s':>14s}{'ratio':>8s}{'network':>9s}{'atoms per call':>16s}")
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: curated(Path(folder) / name, name) for name in ("soap-bpnn", "pet", "mace")}
        paths |= {name: exported(Path(folder) / name, *network) for name, network in WIDER.items()}
        for name, path in paths.items():
            loop, batched, share, atoms = compare(path, batch, rounds)
            print(
                f"{name:22s}{1 / loop:14.0f}{1 / batched:14.0f}{loop / batched:8.1f}{share:9.0%}{atoms:16d}", flush=True
            )


if __name__ == "__main__":
    main()
