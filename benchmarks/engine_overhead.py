"""What `decompose` and `variance_shares` take beyond the bare model: all sub-clusters of dense H8, with energies alone and with
forces, and clusters of which atoms are replaced.

The bare model runs forward, and backward for forces, on graphs of the same batches that are already built; `decompose` finds the
sub-clusters, batches them, builds graphs, runs the model, inverts and assembles. Float64, one thread, seconds of processor time.
Both are warmed up before they are timed, they take turns, the best of all rounds counts. Weights are random: they do not
change the work.

Run with: python benchmarks/engine_overhead.py [rounds]
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _models import WIDE, curated, mace
from _timing import seconds

from bodyorder import decompose, load_source, variance_shares
from bodyorder.engine.batching import make_tasks
from bodyorder.engine.pieces import Piece
from bodyorder.engine.replacement import replaced
from bodyorder.engine.selection import Selection
from bodyorder.sources.networks.network import Clusters
from bodyorder.sources.networks.source import NetworkSource
from bodyorder.sources.pairs import pairs_inside
from bodyorder.structures import read_structures
from bodyorder.structures.bodies import divide
from bodyorder.structures.hydrogen import high_density

N_STRUCTURES = 40
#: Structures whose atoms are replaced, displacement (Å), and draws of each.
REPLACED, WIDTH, DRAWS = 4, 0.2, 2


def sources(folder: Path) -> dict[str, NetworkSource]:
    """The curated small models through metatomic, and MACE as it is."""
    found: dict[str, Any] = {}
    for name in ("soap-bpnn", "pet", "mace"):
        found[name] = load_source(f"metatomic:{curated(folder / name, name)}")
    for name, options in {"mace, native": {}, "mace, native, wide": WIDE}.items():
        model = mace(folder / f"{len(found)}.model", **options)
        found[name] = load_source({"source": f"mace:{model}", "trust": True})
    return found


def prepared(source: NetworkSource, pieces: list[Piece], *, forces: bool) -> list[Callable[[], object]]:
    """The calls of the model that some pieces take, their graphs built."""
    network, packed = source._network, source._traits.packed
    calls: list[Callable[[], object]] = []

    def differentiated(energies: torch.Tensor, leaves: list[torch.Tensor]) -> object:
        return torch.autograd.grad(energies.sum(), leaves, allow_unused=True) if energies.requires_grad else energies

    for task in make_tasks(pieces, source):
        clusters = Clusters.of(task.batch, False)

        def add(rows: slice, clusters: Clusters = clusters) -> None:
            part = clusters.part(rows)
            if hasattr(network, "lists"):
                systems, leaves = network.build(part, packed=packed, forces=forces)  # type: ignore[call-arg]

                def metatomic() -> object:
                    with torch.set_grad_enabled(forces):
                        return differentiated(network.run(systems, atoms=packed).values, leaves)

                calls.append(metatomic)
            else:
                graph = network.build(part, pairs_inside(part.positions, network.list_cutoff), packed=packed)

                def native() -> object:
                    graph["positions"] = graph["positions"].detach()
                    with torch.set_grad_enabled(forces):
                        answer = network.run(graph, part.numbers.shape, packed=packed)
                        return differentiated(answer.energies, answer.leaves)

                calls.append(native)

        source._portions.over(len(clusters), task.batch.n_atoms, add)
    return calls


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of other programs: deprecated parts of torch
    frames = read_structures(high_density(8, N_STRUCTURES, 0))
    print(f"all sub-clusters of {N_STRUCTURES} dense H8, float64, one thread, best of {rounds} rounds")
    print(f"{'model':20s}{'':10s}{'clusters':>10s}{'bare 1/s':>10s}{'ours 1/s':>10s}{'overhead':>10s}")
    with tempfile.TemporaryDirectory() as folder:
        for name, source in sources(Path(folder)).items():
            subsets = Selection().pieces(frames, source)
            mixtures = replaced(frames[:REPLACED], divide(frames[:REPLACED]), WIDTH, DRAWS, [0, 0])
            works: dict[str, tuple[list[Piece], bool, Callable[[], object]]] = {
                "energies": (subsets, False, lambda source=source: decompose(frames, source)),
                "forces": (subsets, True, lambda source=source: decompose(frames, source, forces=True)),
                "variance": (
                    mixtures,
                    False,
                    lambda source=source: variance_shares(frames[:REPLACED], source, [WIDTH], draws=DRAWS),
                ),
            }
            for what, (pieces, forces, ours) in works.items():
                calls = prepared(source, pieces, forces=forces)

                def bare(calls: list = calls) -> None:
                    for call in calls:
                        call()

                bare(), ours()
                times = np.array([(seconds(bare), seconds(ours)) for _ in range(rounds)]).min(axis=0)
                count = sum(piece.n_clusters for piece in pieces)
                rates = count / times
                print(
                    f"{name:20s}{what:10s}{count:10d}{rates[0]:10.0f}{rates[1]:10.0f}{times[1] / times[0] - 1:10.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
