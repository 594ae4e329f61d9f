"""Sub-clusters per second of ASE calculators: one by one, and many at once.

Energies and forces of sub-clusters of four atoms, one thread, seconds of processor time. Potentials with energies of atoms are
asked for many sub-clusters set apart in one large structure, and held against the batches of their own frameworks where those
have any; those without (DIEP, ANI, SO3LR) go through sources that use these batches (examples/potentials_batches.py). MACE's own
calculator is compared with the native source, which makes one graph of many. What is not installed is left out: all but MACE
comes with `make potentials`. All ways are warmed up before they are timed, they take turns, the best of all rounds counts, and
their numbers are asserted equal. The loop is our own, which costs what ASE costs. Weights of MACE, NequIP and Allegro are random:
they do not change the work.

Run with: python benchmarks/ase_set_apart.py [rounds]
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _clusters import sub_clusters
from _frameworks import OWN
from _models import WIDE, mace
from _timing import seconds

from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

#: Energies and forces of a batch, as a framework itself takes many at once.
Batch = Callable[[ClusterBatch], tuple[np.ndarray, np.ndarray]]
EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path.append(str(EXAMPLES))
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
    "NequIP": ("ase:potentials_made.nequip", "trust=True&additive_cutoff=4", "H"),
    "Allegro": ("ase:potentials_made.allegro", "trust=True&additive_cutoff=4", "H"),
}
#: Modules that the functions of examples/potentials_made.py need.
NEEDS = {"NequIP": "nequip", "Allegro": "allegro", "DIEP": "diep", "ANI-1x": "torchani", "SO3LR": "so3krates_torch"}
#: Functions there, and the source that uses a program's own batches.
BATCHED = {"DIEP": ("diep", "Diep"), "ANI-1x": ("ani", "Ani"), "SO3LR": ("so3lr", "So3lr")}


def compare(
    one_by_one: EnergySource, together: EnergySource, own: Batch | None, batch: ClusterBatch, rounds: int
) -> tuple[list[float], tuple[float, float]]:
    """Seconds per sub-cluster of each way, and the largest differences of energies and forces from the loop."""
    few = batch.select(np.arange(N_LOOP))
    ways: list[tuple[Callable[[], tuple[np.ndarray, np.ndarray]], int]] = [
        (lambda: one_by_one.energies_and_forces(few), N_LOOP),
        (lambda: together.energies_and_forces(batch), N_CLUSTERS),
    ]
    if own is not None:
        ways.append((lambda: own(batch), N_CLUSTERS))
    (wanted, slopes), *others = (way() for way, _ in ways)
    allowed = max(1e-10, 6 * np.sqrt(2) * float(together.precision.sigma(wanted).max()))
    for energies, forces in others:
        off = np.abs(energies[:N_LOOP] - wanted).max(), np.abs(forces[:N_LOOP] - slopes).max()
        assert off[0] < allowed, (off, allowed)
        assert off[1] < 100 * allowed, (off, allowed)
    off = np.abs(others[0][0][:N_LOOP] - wanted).max(), np.abs(others[0][1][:N_LOOP] - slopes).max()
    times = [[seconds(way) / count for way, count in ways] for _ in range(rounds * N_PASSES)]
    return np.min(times, axis=0).tolist(), off


def mace_models(folder: Path) -> dict[str, Path]:
    """Models with random weights, made as the tests make theirs."""
    return {
        "MACE, small": mace(folder / "small.model"),
        "MACE, wide": mace(folder / "wide.model", **WIDE),
    }


def ways_of_all(folder: Path) -> Iterator[tuple[str, EnergySource, EnergySource, Batch | None, str]]:
    """Of each potential: name, loop, many at once, the framework's own batch if it has one, element of the structures."""
    for name, (spec, claim, element) in CALCULATORS.items():
        if is_here(NEEDS.get(name, spec.split(":")[1].split(".")[0])):
            together = load_source(f"{spec}{'&' if '?' in spec else '?'}{claim}")
            assert isinstance(together, CalculatorSource)
            one_by_one = load_source(together.name)
            assert isinstance(one_by_one, CalculatorSource)
            one_by_one._apart = None  # the same in all else
            own = partial(OWN[name], one_by_one.calculator) if name in OWN else None
            yield name, one_by_one, together, own, element
    for name, (maker, source) in BATCHED.items():
        if is_here(NEEDS[name]):
            calculator = getattr(importlib.import_module("potentials_made"), maker)()
            together = getattr(importlib.import_module("potentials_batches"), source)()
            yield name, CalculatorSource(calculator), together, None, "H"
    if is_here("mace"):
        from mace.calculators import MACECalculator

        for name, path in mace_models(folder).items():
            calculator = MACECalculator(str(path), device="cpu")
            yield name, CalculatorSource(calculator), load_source(f"mace:{path}?trust=true"), None, "H"


def is_here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of other programs: deprecated parts of torch
    print(f"{N_CLUSTERS} sub-clusters of four atoms, energies and forces, one thread, best of {rounds} rounds")
    heads = {"loop 1/s": 10, "together 1/s": 14, "ratio": 8, "own 1/s": 10, "over own": 10, "off by eV": 12, "eV/Å": 10}
    print(f"{'calculator':16s}" + "".join(f"{head:>{width}s}" for head, width in heads.items()))
    with tempfile.TemporaryDirectory() as folder:
        for name, one_by_one, together, own, element in ways_of_all(Path(folder)):
            batch = sub_clusters(N_CLUSTERS, element)
            (loop, many, *others), off = compare(one_by_one, together, own, batch, rounds)
            line = f"{name:16s}{1 / loop:10.0f}{1 / many:14.0f}{loop / many:8.1f}"
            line += f"{1 / others[0]:10.0f}{others[0] / many:10.2f}" if others else " " * 20
            print(f"{line}{off[0]:12.1e}{off[1]:10.1e}", flush=True)
            torch.set_default_dtype(torch.float32)  # NequIP and SO3LR make it float64 for all that comes after


if __name__ == "__main__":
    main()
