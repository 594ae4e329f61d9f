"""Small random clusters to hold a source against, and what can be done to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii
from scipy.spatial.transform import Rotation

from bodyorder.structures.clusters import ClusterBatch, FloatArray, System

#: Neighbours stand this many sums of covalent radii apart, at least and at most: near enough to feel each other.
NEAR, FAR = 1.2, 1.8


def random_cluster(rng: np.random.Generator, species: Sequence[int], n_atoms: int) -> System:
    """Atoms of the given species in turn, each next to one before it and not too close to any."""
    numbers = np.resize(np.asarray(species, dtype=np.int64), n_atoms)
    positions = np.zeros((n_atoms, 3))
    placed = 1
    while placed < n_atoms:
        lengths = covalent_radii[numbers[:placed]] + covalent_radii[numbers[placed]]
        anchor = rng.integers(placed)
        place = positions[anchor] + direction(rng) * lengths[anchor] * rng.uniform(NEAR, FAR)
        if (np.linalg.norm(positions[:placed] - place, axis=1) >= NEAR * lengths).all():
            positions[placed] = place
            placed += 1
    return System(numbers, positions)


def part(system: System, rows: Sequence[int]) -> System:
    """Some atoms of a structure, in the order given."""
    return System(system.numbers[list(rows)], system.positions[list(rows)])


def permuted(system: System) -> System:
    """The same structure, each atom one place further on in the list."""
    return part(system, np.roll(np.arange(len(system)), 1).tolist())


def alone(system: System) -> ClusterBatch:
    """A batch that holds one whole structure."""
    return ClusterBatch.cut({0: system}, np.zeros(1, dtype=np.int64), np.arange(len(system))[None])


def direction(rng: np.random.Generator) -> FloatArray:
    """A random unit vector."""
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def rotated(system: System, rotation: Rotation) -> System:
    """The structure turned about the origin."""
    return System(system.numbers, rotation.apply(system.positions))


def mirrored(system: System) -> System:
    """The mirror image."""
    return System(system.numbers, system.positions * [-1.0, 1.0, 1.0])


def shifted(system: System, rng: np.random.Generator) -> System:
    """The structure somewhere else, some Å away."""
    return System(system.numbers, system.positions + rng.normal(scale=5.0, size=3))


def random_rotation(rng: np.random.Generator) -> Rotation:
    """A rotation, uniform among all."""
    return Rotation.from_quat(rng.standard_normal(4))
