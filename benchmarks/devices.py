"""Sub-clusters per second of networks on the CPU and on a GPU, and how far their numbers are apart.

Energies and forces of sub-clusters of dense H8, seconds of wall time with everything that a user waits for: building graphs,
moving them, and what comes back. Both devices are warmed up before they are timed, the best of all rounds counts. Without
models on the command line MACE models with random weights are made, float64 and float32. Last column: difference of the
energies, and of the forces, as a fraction of the largest.

Run with: python benchmarks/devices.py [SPEC ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _clusters import SIZE, sub_clusters
from _models import WIDE, mace

from bodyorder.sources.registry import load_source

#: Sub-clusters that each device is given, and rounds.
N_CPU, N_GPU, ROUNDS = 560, 56_000, 3


def mace_models(folder: Path) -> dict[str, str]:
    """Models with random weights, made as the tests make theirs."""
    wide = WIDE | {"irreps": "64x0e + 64x1o"}
    found = {}
    for name, options in {"small": {}, "wide": wide}.items():
        model = mace(folder / f"{name}.model", **options)
        for dtype in ("float64", "float32"):
            found[f"MACE, {name}, {dtype}"] = f"mace:{model}?trust=true&dtype={dtype}"
    return found


def compare(spec: str) -> tuple[float, float, float, float]:
    """Sub-clusters per second on the CPU and the GPU, and relative differences of energies and forces."""
    rates, answers = [], []
    for device, count in (("cpu", N_CPU), ("cuda", N_GPU)):
        source = load_source(f"{spec}{'&' if '?' in spec else '?'}device={device}")
        batch = sub_clusters(count)
        best = np.inf
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            energies, forces = source.energies_and_forces(batch)
            best = min(best, time.perf_counter() - start)
        rates.append(count / best)
        answers.append((energies[:N_CPU], forces[:N_CPU]))
    (energies, forces), (same, equal) = answers
    return (
        *rates,
        np.abs(same - energies).max() / np.abs(energies).max(),
        np.abs(equal - forces).max() / np.abs(forces).max(),
    )


def main() -> int:
    warnings.simplefilter("ignore")  # of other programs: deprecated parts of torch
    if not torch.cuda.is_available():
        print("devices: torch sees no GPU here, nothing to compare")
        return 0
    name = torch.cuda.get_device_name()
    print(f"H{SIZE} sub-clusters, energies and forces, {os.cpu_count()} CPU cores and {name}, best of {ROUNDS} rounds")
    print(f"{'model':32s}{'CPU 1/s':>10s}{'GPU 1/s':>10s}{'ratio':>8s}{'energies off by':>18s}{'forces':>10s}")
    with tempfile.TemporaryDirectory() as folder:
        specs = {spec: spec for spec in sys.argv[1:]} or mace_models(Path(folder))
        for label, spec in specs.items():
            cpu, gpu, energies, forces = compare(spec)
            print(f"{label:32s}{cpu:10.0f}{gpu:10.0f}{gpu / cpu:8.1f}{energies:18.1e}{forces:10.1e}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
