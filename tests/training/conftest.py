"""Hydrogen clusters labelled with a Morse potential: real labels that cost nothing."""

from __future__ import annotations

from collections.abc import Callable

import ase
import numpy as np
import pytest
from ase.calculators.morse import MorsePotential

from bodyorder.training import LabelledClusters, label


def draw_cluster(n_atoms: int, group: str, seed: int) -> ase.Atoms:
    """Hydrogen atoms at random, none closer than 0.6 Å."""
    generator = np.random.default_rng([seed, n_atoms])
    radius = 1.2 if group == "high" else 3.0
    positions: list[np.ndarray] = []
    while len(positions) < n_atoms:
        candidate = generator.uniform(-radius, radius, 3)
        if all(np.linalg.norm(candidate - other) > 0.6 for other in positions):
            positions.append(candidate)
    return ase.Atoms(f"H{n_atoms}", positions, info={"group": group})


@pytest.fixture(scope="session")
def hydrogen() -> Callable[[int, str, int], ase.Atoms]:
    return draw_cluster


@pytest.fixture(scope="session")
def morse() -> MorsePotential:
    return MorsePotential(epsilon=4.5, r0=0.74, rho0=1.5, rcut1=8.0, rcut2=9.0)


@pytest.fixture(scope="session")
def labelled(morse: MorsePotential) -> LabelledClusters:
    """Six H4 of low and six of high group with all their sub-clusters."""
    return label([draw_cluster(4, group, seed) for group in ("low", "high") for seed in range(6)], morse)
