"""An energy source under test, and the clusters that it is tested on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from ase.data import atomic_numbers
from scipy.spatial.transform import Rotation

from bodyorder._checks import ComputationError, InputError, check_between, did_you_mean
from bodyorder.sources.ase.apart import FEWEST
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.rounding import last_digits
from bodyorder.sources.scatter import scatter
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray, System
from bodyorder.testing.checks import Check
from bodyorder.testing.clusters import alone, random_cluster, rotated

#: Energies (eV) closer than this are the same, however precise a source says it is.
FLOOR = 1e-9
Answer = TypeVar("Answer")

#: Lines along which it is looked how energies scatter, and radians by Å by which the cluster is turned along them.
N_LINES, TURN = 3, 10.0

if TYPE_CHECKING:
    from bodyorder.testing.reach import Scan
#: Deviations are allowed up to this many standard errors.
SIGMAS = 6.0


class Subject:
    """An energy source and random clusters.

    :param source: the energy source
    :param species: chemical symbols to build clusters of
    :param seed: of the random clusters
    :raises InputError: for an unknown species
    """

    def __init__(self, source: EnergySource, species: Sequence[str], seed: int):
        for symbol in species:
            if symbol not in atomic_numbers:
                near = did_you_mean(symbol, atomic_numbers)
                raise InputError(f"`species` must be chemical symbols, got {symbol!r}{near}")
        self.source = source
        self.species = [atomic_numbers[symbol] for symbol in species]
        self.seed = check_between("seed", seed, 0, 2**63)
        self.rng = np.random.default_rng(self.seed)
        #: largest difference between two runs of the same cluster: other checks must not blame it on something else
        self.unrest = 0.0
        #: whether batches were found to have the energies of their members
        self.batches_agree = False
        #: energies of atoms that are taken apart (:mod:`bodyorder.testing.reach`), once they have been asked for
        self.scans: list[Scan] = []
        self.clusters = [random_cluster(self.rng, self.species, n_atoms) for n_atoms in (2, 3, 4)]
        self.parents = {n: random_cluster(self.rng, self.species, n) for n in (5, 6)}
        #: so many that a source that evaluates many of one composition at once does so; not drawn from the numbers of the others
        rng = np.random.default_rng([seed, 1])
        self.crowd = {7 + n: random_cluster(rng, self.species, 4) for n in range(2 * FEWEST)}

    def energy(self, cluster: System) -> float:
        """Energy in eV of one cluster, alone in its batch."""
        return float(self.source.energies(alone(cluster))[0])

    def energies(self, clusters: Sequence[System]) -> FloatArray:
        """Energies in eV of several clusters, each alone in its batch."""
        return np.array([self.energy(cluster) for cluster in clusters])

    @cached_property
    def scatter(self) -> float:
        """1σ of one energy in eV about a smooth curve, along small deformations and rotations of the largest cluster."""
        cluster, rng = self.clusters[-1], np.random.default_rng([self.seed, 2])
        shapes = rng.normal(size=(N_LINES, *cluster.positions.shape))
        axes = rng.normal(scale=TURN, size=(N_LINES, 3))

        def ask(lines: IntArray, places: FloatArray) -> FloatArray:
            moved = [
                System(cluster.numbers, cluster.positions + place * shapes[line])
                for line, place in zip(lines, places, strict=True)
            ]
            turns = Rotation.from_rotvec(places[:, None] * axes[lines])
            return self.energies([rotated(system, turn) for system, turn in zip(moved, turns, strict=True)])

        return float(np.sqrt(np.mean(scatter(ask, N_LINES) ** 2)))

    def sigma(self, energies: FloatArray) -> float:
        """1σ in eV of energies of this size: as is claimed, or as they scatter where nothing is."""
        claimed = float(self.source.precision.sigma(energies).max())
        if not self.source.capabilities.unproven_precision:
            return claimed
        return max(claimed, self.scatter, float(last_digits(np.asarray(energies)).max()) / np.sqrt(12))

    def tolerance(self, energies: FloatArray) -> float:
        """Difference in eV that energies of this size may have."""
        return max(FLOOR, SIGMAS * np.sqrt(2) * self.sigma(energies), 10 * self.unrest)

    def compare(self, name: str, found: FloatArray, wanted: FloatArray, detail: str) -> Check:
        """A check that two arrays of energies in eV are the same."""
        return measured(name, np.abs(found - wanted).max(), self.tolerance(wanted), "eV", detail)

    def triples(self) -> ClusterBatch:
        """Sub-clusters of three atoms from two structures of different size."""
        rows = np.array([[0, 1, 2], [2, 3, 4], [4, 0, 1], [1, 2, 3], [0, 4, 3], [3, 1, 0]])
        return self._at_most(ClusterBatch.cut(self.parents, np.array([5, 6, 6, 5, 6, 5]), rows))

    def many(self) -> ClusterBatch:
        """The same, and more from many structures, all of which hold the same elements."""
        few = self.triples()
        rows = np.concatenate([few.members, np.tile([0, 1, 2], (len(self.crowd), 1))])
        parents = np.concatenate([few.parents, list(self.crowd)])
        return self._at_most(ClusterBatch.cut(self.parents | self.crowd, parents, rows))

    def _at_most(self, batch: ClusterBatch) -> ClusterBatch:
        """As much of a batch as the source takes at once."""
        return batch.select(np.arange(min(len(batch), self.source.capabilities.batch_size or len(batch))))

    @staticmethod
    def at_once(ask: Callable[[ClusterBatch], Answer], batch: ClusterBatch) -> Answer:
        """What a source says of a batch whose members it has taken one by one.

        :raises ComputationError: if it does not take them together
        """
        try:
            return ask(batch)
        except InputError as error:
            raise ComputationError(f"what it takes one by one must do together, and does not: {error}") from error


def measured(name: str, value: float, tolerance: float, unit: str, detail: str) -> Check:
    """A check that a deviation is not above what is allowed."""
    return Check(name, bool(value <= tolerance), float(value), float(tolerance), unit, detail)


def split(batch: ClusterBatch) -> list[ClusterBatch]:
    """Every sub-cluster as a batch of its own."""
    return [batch.select(np.array([row])) for row in range(len(batch))]
