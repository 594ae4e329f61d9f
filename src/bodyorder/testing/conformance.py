"""The checks that every energy source must pass."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from scipy.spatial.transform import Rotation

from bodyorder._checks import ComputationError, InputError, check_between, did_you_mean
from bodyorder.sources.base import EnergySource, Precision
from bodyorder.sources.evaluation import FailedClusters
from bodyorder.structures.clusters import ClusterBatch, FloatArray, System
from bodyorder.testing.clusters import (
    alone,
    at_distance,
    direction,
    part,
    permuted,
    random_cluster,
    random_rotation,
    rotated,
)
from bodyorder.testing.report import Check, Report

#: Energies (eV) closer than this are the same, however precise a source says it is.
FLOOR = 1e-9
#: Deviations are allowed up to this many standard errors.
SIGMAS = 6.0
#: Distance (Å) at which additivity is reported for a source that claims no cutoff.
FAR = 30.0
#: Distance (Å) beyond the claimed cutoff at which additivity is tested.
GAP = 0.01


def check_source(
    source: EnergySource, *, species: Sequence[str] | None = None, forces: bool | None = None, seed: int = 0
) -> Report:
    """Hold an energy source against what the protocol promises, on random clusters of up to six atoms.

    Checked are: attributes; shape and type of what comes back; single atoms; the same numbers on repetition, after
    pickling, for any order of atoms, rotation and translation, alone and in a batch, cut from a parent and standing alone;
    that energies of parts farther apart than the claimed cutoff add up; that the noise of an energy is not above the
    claimed precision; and that forces are the negative gradient. Tolerances are 6σ of the claimed precision, and at least
    1e-9 eV. All but the checks of batches evaluate one cluster at a time.

    :param source: the energy source
    :param species: chemical symbols to build clusters of, hydrogen if not given
    :param forces: True: a source without forces fails; False: forces are not looked at; None: they are if there are any
    :param seed: of the random clusters
    :return: a report; ``raise_if_failed()`` turns it into an exception for tests
    :raises InputError: for an unknown species, or when the source rejects the clusters as input (an element it does not know)
    """
    return Report(str(getattr(source, "name", source)), tuple(_Kit(source, species or ("H",), forces, seed).run()))


class _Kit:
    def __init__(self, source: EnergySource, species: Sequence[str], forces: bool | None, seed: int):
        for symbol in species:
            if symbol not in atomic_numbers:
                near = did_you_mean(symbol, atomic_numbers)
                raise InputError(f"`species` must be chemical symbols, got {symbol!r}{near}")
        self.source = source
        self.species = [atomic_numbers[symbol] for symbol in species]
        self.forces = forces
        self.fingerprint, self.copied_fingerprint = getattr(source, "fingerprint", None), None
        self.rng = np.random.default_rng(check_between("seed", seed, 0, 2**63))
        #: largest difference between two runs of the same cluster: other checks must not blame it on something else
        self.unrest = 0.0
        self.clusters = [random_cluster(self.rng, self.species, n_atoms) for n_atoms in (2, 3, 4)]
        self.parents = {n: random_cluster(self.rng, self.species, n) for n in (5, 6)}

    def run(self) -> Iterator[Check]:
        """Every check in turn; without the first two the others mean nothing."""
        for name, look in {"attributes": self.attributes, "output": self.output}.items():
            check = self._guarded(name, look)
            yield check
            if check.passed is False:
                return
        checks = {
            "repetition": self.repetition,
            "single atoms": self.single_atoms,
            "permutation": lambda name: self.symmetry(name, permuted),
            "rotation": lambda name: self.symmetry(name, lambda cluster: rotated(cluster, random_rotation(self.rng))),
            "translation": lambda name: self.symmetry(name, self._shifted),
            "batch": self.batch,
            "parent": self.parent,
            "additivity": self.additivity,
            "precision": self.noise,
            "energies with forces": self.energies_with_forces,
            "forces": self.gradient,
            "forces in a batch": self.forces_in_batch,
            "pickling": self.pickling,
            "fingerprint": self.same_fingerprint,
        }
        for name, look in checks.items():
            no_forces = self.no_forces if "forces" in name else ""
            yield Check(name, None, detail=no_forces) if no_forces else self._guarded(name, look)

    def attributes(self, name: str) -> Check:
        """Name, fingerprint, cutoff and precision are what they must be."""
        source = self.source
        wrong = [
            f"`{attribute}` must be {wanted}, got {getattr(source, attribute, None)!r}"
            for attribute, wanted, right in (
                ("name", "a text", isinstance(getattr(source, "name", None), str)),
                ("fingerprint", "a text", isinstance(self.fingerprint, str) and self.fingerprint),
                ("cutoff", "a length in Å or None", _is_length(getattr(source, "cutoff", "missing"))),
                ("precision", "a Precision", isinstance(getattr(source, "precision", None), Precision)),
            )
            if not right
        ]
        return Check(name, not wrong, detail="; ".join(wrong))

    def output(self, name: str) -> Check:
        """Arrays of the promised shape and type, and whether there are forces."""
        wrong = []
        self.no_forces = "not asked for" if self.forces is False else ""
        if not self.no_forces and not hasattr(self.source, "energies_and_forces"):
            self.no_forces = "the source has none"
        for batch in (alone(part(self.parents[5], [0])), self._triples()):
            wrong += _misfit("energies", self.source.energies(batch), (len(batch),))
            try:
                both = self.source.energies_and_forces(batch) if not self.no_forces else None  # type: ignore[attr-defined]
            except InputError as error:
                self.no_forces, both = str(error), None
            if hasattr(self.source, "evaluate"):
                wrong += _misfit("energies of evaluate()", self.source.evaluate(batch, False).energies, (len(batch),))
            if both is not None:
                wrong += _misfit("energies with forces", both[0], (len(batch),))
                wrong += _misfit("forces", both[1], batch.positions.shape)
        if self.forces and self.no_forces:
            wrong.append(f"forces must be there: {self.no_forces}")
        return Check(name, not wrong, detail="; ".join(wrong))

    def repetition(self, name: str) -> Check:
        """The same cluster again, with others in between and in another order."""
        order = [*self.clusters, *self.clusters, *reversed(self.clusters)]
        energies = np.array([self._energy(cluster) for cluster in order]).reshape(3, -1)
        energies[2] = energies[2, ::-1]
        tolerance, self.unrest = self._tolerance(energies), float(np.ptp(energies, axis=0).max())
        return _measured(name, self.unrest, tolerance, "eV", "the same clusters three times")

    def single_atoms(self, name: str) -> Check:
        """One atom of each species has an energy."""
        energies = [self._energy(System(np.array([number]), np.zeros((1, 3)))) for number in self.species]
        found = ", ".join(
            f"{chemical_symbols[number]} {energy:.6g} eV" for number, energy in zip(self.species, energies, strict=True)
        )
        return Check(name, bool(np.isfinite(energies).all()), detail=found)

    def symmetry(self, name: str, change: Callable[[System], System]) -> Check:
        """A change of the cluster that its energy must not see."""
        changed, given = self._energies([change(cluster) for cluster in self.clusters]), self._energies(self.clusters)
        return self._compare(name, changed, given, f"{name}s of clusters of 2 to 4 atoms")

    def batch(self, name: str) -> Check:
        """A batch against its members one by one."""
        batch = self._triples()
        together = np.asarray(self.source.energies(batch))
        single = np.array([self.source.energies(one)[0] for one in _split(batch)])
        if hasattr(self.source, "evaluate"):  # what the engine asks for in place of the energies
            together = np.stack([together, self.source.evaluate(batch, False).energies])
        return self._compare(name, together, single, f"{len(batch)} sub-clusters at once and one by one")

    def parent(self, name: str) -> Check:
        """Sub-clusters cut from a larger structure against the same atoms standing alone."""
        cuts = [(index, rows) for index in self.parents for rows in ([1], [0, 3], [3, 0, 2], [4, 1, 2])]
        batches = [ClusterBatch.cut(self.parents, np.array([index]), np.array([rows])) for index, rows in cuts]
        inside = np.array([self.source.energies(batch)[0] for batch in batches])
        outside = self._energies([part(self.parents[i], rows) for i, rows in cuts])
        return self._compare(name, inside, outside, "sub-clusters cut from 5 and 6 atoms, and the same standing alone")

    def additivity(self, name: str) -> Check:
        """Energies of parts beyond the claimed cutoff add up."""
        distance = FAR if self.source.cutoff is None else self.source.cutoff + GAP
        sizes = ((1, 1), (1, 2), (3, 2), (2, 3))
        parts = [tuple(random_cluster(self.rng, self.species, size) for size in pair) for pair in sizes]
        both = self._energies([at_distance(one, other, direction(self.rng), distance) for one, other in parts])
        separate = self._energies([one for one, _ in parts]) + self._energies([other for _, other in parts])
        found = self._compare(name, both, separate, f"parts {distance:g} Å apart")
        if self.source.cutoff is None:
            return replace(found, passed=None, detail=f"no cutoff is claimed; parts {FAR:g} Å apart")
        return found

    def noise(self, name: str) -> Check:
        """Scatter of the energy about a smooth curve, along a small deformation and rotation: rounding and the like."""
        cluster = self.clusters[-1]
        axis, shape = direction(self.rng), self.rng.normal(scale=1e-3, size=cluster.positions.shape)
        steps = np.linspace(-1, 1, 24)
        moved = [System(cluster.numbers, cluster.positions + step * shape) for step in steps]
        turns = [Rotation.from_rotvec(0.02 * step * axis) for step in steps]
        energies = self._energies([rotated(system, turn) for system, turn in zip(moved, turns, strict=True)])
        # A polynomial of degree 6 follows any energy that is smooth over thousandths of an Å to better than 1e-12 of it.
        powers = np.vander(steps, 7)
        rest = energies - powers @ np.linalg.lstsq(powers, energies - energies[0], rcond=None)[0] - energies[0]
        scatter = np.sqrt((rest**2).sum() / (len(steps) - 7))
        sigma = self.source.precision.sigma(energies).max()
        tolerance = max(FLOOR, 3 * sigma, 10 * self.unrest)
        return _measured(name, scatter, tolerance, "eV", f"scatter of one energy; {sigma:.1e} eV claimed")

    def energies_with_forces(self, name: str) -> Check:
        """The energies that come with forces are those that come without."""
        batches = [alone(cluster) for cluster in self.clusters]
        found = np.array([self._both(batch)[0][0] for batch in batches])
        return self._compare(name, found, self._energies(self.clusters), "energies asked for with and without forces")

    def gradient(self, name: str) -> Check:
        """Forces against central differences of the energy with steps h and 2h, extrapolated to h = 0."""
        cluster = self.clusters[-1]
        forces = self._both(alone(cluster))[1][0]
        sigma = max(float(self.source.precision.sigma(np.array(self._energy(cluster)))), self.unrest, FLOOR / 10)
        step = float(np.clip(0.1 * sigma**0.2, 1e-3, 2e-2))
        fine, coarse = self._slopes(cluster, step), self._slopes(cluster, 2 * step)
        # What the extrapolation leaves is to fine − coarse as step² is to the square of the length at which slopes change;
        # 5 step/Å is above that for lengths of 0.1 Å and more.
        tolerance = 10 * sigma / step + 5 * step * np.abs(fine - coarse).max()
        worst = np.abs(forces + (4 * fine - coarse) / 3).max()
        return _measured(name, worst, tolerance, "eV/Å", "forces and central differences of the energy")

    def forces_in_batch(self, name: str) -> Check:
        """Forces of a batch against its members one by one."""
        batch = self._triples()
        energies, together = self._both(batch)
        single = np.concatenate([self._both(one)[1] for one in _split(batch)])
        # An error of the energy is an error of the force over the length at which energies change, at worst about 0.01 Å.
        tolerance, worst = 100 * self._tolerance(energies), np.abs(together - single).max()
        return _measured(name, worst, tolerance, "eV/Å", f"{len(batch)} sub-clusters at once and one by one")

    def pickling(self, name: str) -> Check:
        """A copy that went through pickle gives the same energies: worker processes get such copies."""
        try:
            copy = pickle.loads(pickle.dumps(self.source))
        except Exception as error:  # pickling runs code of every object inside, which may raise anything
            return Check(name, False, detail=f"{type(error).__name__}: {error}")
        self.copied_fingerprint = copy.fingerprint
        found = np.array([copy.energies(alone(cluster))[0] for cluster in self.clusters])
        return self._compare(name, found, self._energies(self.clusters), "energies of an unpickled copy")

    def same_fingerprint(self, name: str) -> Check:
        """The fingerprint has not moved, neither by use nor by pickling."""
        after = {str(self.source.fingerprint), str(self.copied_fingerprint or self.fingerprint)}
        changed = after != {self.fingerprint}
        return Check(name, not changed, detail=f"{self.fingerprint} became {sorted(after)}" if changed else "")

    def _guarded(self, name: str, look: Callable[[str], Check]) -> Check:
        try:
            return look(name)
        except (FailedClusters, ComputationError) as error:
            return Check(name, False, detail=f"the source failed: {error}")

    def _energy(self, cluster: System) -> float:
        return float(self.source.energies(alone(cluster))[0])

    def _energies(self, clusters: Sequence[System]) -> FloatArray:
        return np.array([self._energy(cluster) for cluster in clusters])

    def _slopes(self, cluster: System, step: float) -> FloatArray:
        """Derivatives of the energy by central differences, in the shape of the positions."""
        moves = step * np.eye(cluster.positions.size).reshape(-1, *cluster.positions.shape)
        ahead = self._energies([System(cluster.numbers, cluster.positions + move) for move in moves])
        behind = self._energies([System(cluster.numbers, cluster.positions - move) for move in moves])
        return (ahead - behind).reshape(cluster.positions.shape) / (2 * step)

    def _both(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        return self.source.energies_and_forces(batch)  # type: ignore[attr-defined]

    def _tolerance(self, energies: FloatArray) -> float:
        sigma = self.source.precision.sigma(energies).max()
        return max(FLOOR, SIGMAS * np.sqrt(2) * sigma, 10 * self.unrest)

    def _compare(self, name: str, found: FloatArray, wanted: FloatArray, detail: str) -> Check:
        return _measured(name, np.abs(found - wanted).max(), self._tolerance(wanted), "eV", detail)

    def _triples(self) -> ClusterBatch:
        """Sub-clusters of three atoms from two structures of different size."""
        rows = np.array([[0, 1, 2], [2, 3, 4], [4, 0, 1], [1, 2, 3], [0, 4, 3], [3, 1, 0]])
        return ClusterBatch.cut(self.parents, np.array([5, 6, 6, 5, 6, 5]), rows)

    def _shifted(self, cluster: System) -> System:
        return System(cluster.numbers, cluster.positions + self.rng.normal(scale=5.0, size=3))


def _measured(name: str, value: float, tolerance: float, unit: str, detail: str) -> Check:
    return Check(name, bool(value <= tolerance), float(value), float(tolerance), unit, detail)


def _split(batch: ClusterBatch) -> list[ClusterBatch]:
    return [batch.select(np.array([row])) for row in range(len(batch))]


def _is_length(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and 0 < value < np.inf)


def _misfit(what: str, array: Any, shape: tuple[int, ...]) -> list[str]:
    if isinstance(array, np.ndarray) and array.dtype == np.float64 and array.shape == shape:
        return []
    found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
    return [f"{what} must be a float64 array of shape {shape}, got {found}"]
