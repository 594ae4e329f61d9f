"""Sub-clusters per second of ASE calculators: one by one, and many at once.

Energies and forces of sub-clusters of four atoms, one thread, seconds of processor time. Classical potentials are asked for many
sub-clusters set apart in one large structure, MACE's own calculator is compared with the native source, which makes one graph of
them; where SevenNet or CHGNet are installed, their pretrained models are set apart too. Both ways are warmed up before they are
timed, they take turns, the best of all rounds counts, and their numbers are asserted equal. The loop is our own, which costs
what ASE costs. Weights of the MACE model are random: they do not change the work.

Run with: python benchmarks/ase_set_apart.py [rounds]
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from _clusters import sub_clusters
from _models import WIDE, mace
from _timing import seconds

from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

N_CLUSTERS = 500
#: Sub-clusters in one pass of the loop, and passes of each way in a round.
N_LOOP, N_PASSES = 50, 3

#: Spec without a claim, what is claimed of it, and the element of the structures.
CALCULATORS = {
    "Lennard-Jones": ("ase:ase.calculators.lj.LennardJones?epsilon=0.01&sigma=1.1&rc=5", "additive_cutoff=5", "H"),
    "EMT": ("ase:ase.calculators.emt.EMT", "additive_cutoff=6", "Cu"),
    "SevenNet-0": (
        "ase:sevenn.calculator.SevenNetCalculator?model=7net-0",
        "additive_cutoff=5&energy_error=1e-5",
        "H",
    ),
    "CHGNet": (
        "ase:chgnet.model.CHGNetCalculator?return_site_energies=True",
        "boxed=True&additive_cutoff=6&energy_error=1e-5",
        "H",
    ),
}


def compare(one_by_one: EnergySource, together: EnergySource, batch: ClusterBatch, rounds: int) -> tuple[float, ...]:
    """Seconds per sub-cluster of both ways, and the largest differences of energies and forces."""
    few = batch.select(np.arange(N_LOOP))

    def loop() -> tuple[np.ndarray, np.ndarray]:
        return one_by_one.energies_and_forces(few)

    def many() -> tuple[np.ndarray, np.ndarray]:
        return together.energies_and_forces(batch)

    wanted, slopes = loop()
    energies, forces = many()
    off = np.abs(energies[:N_LOOP] - wanted).max(), np.abs(forces[:N_LOOP] - slopes).max()
    allowed = max(1e-10, 6 * np.sqrt(2) * float(together.precision.sigma(wanted).max()))
    assert off[0] < allowed, (off, allowed)
    assert off[1] < 100 * allowed, (off, allowed)
    ways = [(loop, N_LOOP), (many, N_CLUSTERS)]
    times = [[seconds(way) / count for way, count in ways] for _ in range(rounds * N_PASSES)]
    return (*np.min(times, axis=0), *off)


def mace_models(folder: Path) -> dict[str, Path]:
    """Models with random weights, made as the tests make theirs."""
    return {
        "MACE, small": mace(folder / "small.model"),
        "MACE, wide": mace(folder / "wide.model", **WIDE),
    }


def pairs_of_ways(folder: Path) -> dict[str, tuple[EnergySource, EnergySource, str]]:
    """The loop, many at once, and the element of the structures, by name."""
    ways = {}
    for name, (spec, claim, element) in CALCULATORS.items():
        package = spec.split(":")[1].split(".")[0]
        if importlib.util.find_spec(package) is not None:
            together = load_source(f"{spec}{'&' if '?' in spec else '?'}{claim}")
            assert isinstance(together, CalculatorSource)
            one_by_one = load_source(together.name)
            one_by_one._apart = None  # type: ignore[attr-defined]  # the same in all else
            ways[name] = (one_by_one, together, element)
    if importlib.util.find_spec("mace") is not None:
        models = mace_models(folder)
        from mace.calculators import MACECalculator

        for name, path in models.items():
            calculator = MACECalculator(str(path), device="cpu")
            ways[name] = (CalculatorSource(calculator), load_source(f"mace:{path}?trust=true"), "H")
    return ways


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of other programs: deprecated parts of torch
    with tempfile.TemporaryDirectory() as folder:
        ways = pairs_of_ways(Path(folder))
        print(f"{N_CLUSTERS} sub-clusters of four atoms, energies and forces, one thread, best of {rounds} rounds")
        print(f"{'calculator':16s}{'loop 1/s':>10s}{'together 1/s':>14s}{'ratio':>8s}{'off by eV':>12s}{'eV/Å':>10s}")
        for name, (one_by_one, together, element) in ways.items():
            loop, many, *off = compare(one_by_one, together, sub_clusters(N_CLUSTERS, element), rounds)
            print(
                f"{name:16s}{1 / loop:10.0f}{1 / many:14.0f}{loop / many:8.1f}{off[0]:12.1e}{off[1]:10.1e}", flush=True
            )


if __name__ == "__main__":
    main()
