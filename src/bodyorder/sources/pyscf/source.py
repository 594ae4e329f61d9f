"""The energy source: sub-clusters in, energies and forces out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ase.units import Bohr, Hartree

from bodyorder._checks import InputError
from bodyorder.sources.base import FailedClusters, Precision, format_spec, package_version
from bodyorder.sources.pyscf import methods
from bodyorder.sources.pyscf.integrals import IntegralCache, nuclear_gradient, nuclear_repulsion, single_thread
from bodyorder.sources.pyscf.spin import candidate_spins
from bodyorder.structures.clusters import ClusterBatch

#: Goes up whenever an energy could change although PySCF does not.
SOLVER = 1
#: Nuclei closer than this (Å) are a mistake.
CLOSEST = 0.05
#: 1σ of one energy in eV: rounding and convergence.
PRECISION = {"fci": 1e-8, "uhf": 1e-7}
#: Sub-clusters per call.
BATCH = {"fci": 128, "uhf": 16}


class PyscfSource:
    """*Ab initio* energies of sub-clusters in vacuum, each with the basis functions of its own atoms.

    Forces are those of the state whose energy is given. Where that state is degenerate (an atom with an open p shell, an
    equilateral H₃) they are the forces of one state of the degenerate set and may lack its symmetry.

    :param method: ``fci`` or ``uhf``
    :param basis: name of the basis set
    :param spin: spin rule
    :param memory: MB that one process may use for wave functions and integrals
    """

    cutoff = None
    processes = True

    def __init__(self, method: str, basis: str, spin: str, memory: float):
        self.method = method
        self.basis = basis
        self.spin = spin
        self.memory = memory
        self.name = format_spec("pyscf", f"{method}/{basis}", {"spin": spin})
        self.fingerprint = f"{self.name} pyscf={package_version('pyscf')} solver={SOLVER}"
        self.versions = {"pyscf": package_version("pyscf")}
        self.precision = Precision(absolute=PRECISION[method])
        self.batch_size = BATCH[method]
        self._cache = self._new_cache()

    def _new_cache(self) -> IntegralCache:
        return IntegralCache(self.basis, 0.25e6 * self.memory)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_cache"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache = self._new_cache()

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies in eV, shape (n,).

        :raises InputError: for overlapping nuclei, an element that the basis lacks, an impossible charge
        :raises FailedClusters: if the search for the lowest state failed for some sub-clusters
        """
        return self._evaluate(batch, with_forces=False)[0]

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[np.ndarray, np.ndarray]:
        """Energies in eV, shape (n,), and forces in eV/Å, shape (n, k, 3).

        :raises InputError: as :meth:`energies`
        :raises FailedClusters: as :meth:`energies`, and where the basis is too close to linear dependence for forces
        """
        return self._evaluate(batch, with_forces=True)

    def _evaluate(self, batch: ClusterBatch, with_forces: bool) -> tuple[np.ndarray, np.ndarray]:
        check_distances(batch)
        energies = np.full(len(batch), np.nan)
        forces = np.full((len(batch), batch.n_atoms, 3), np.nan)
        messages: dict[int, str] = {}
        with single_thread():
            for rows in self._groups(batch, with_forces):
                outcome = self._compute(batch.select(rows), with_forces)
                energies[rows] = outcome.energies * Hartree
                forces[rows] = outcome.gradients * (-Hartree / Bohr)
                messages.update({int(rows[place]): message for place, message in outcome.messages.items()})
        if messages:
            raise FailedClusters(messages, energies, forces if with_forces else None)
        return energies, forces

    def _compute(self, batch: ClusterBatch, with_forces: bool) -> methods.Outcome:
        numbers, charge = batch.numbers[0], int(batch.charges[0])
        n_functions = int(self._cache.functions(numbers).sum())
        spins = candidate_spins(self.spin, numbers, charge, n_functions)
        task = methods.Task(batch, spins, with_forces, 0.5e6 * self.memory)
        if task.n_electrons == 0:
            return methods.Outcome(nuclear_repulsion(batch), nuclear_gradient(batch), {})
        needed = self._room(numbers, with_forces)
        if needed > self.memory:
            outcome = methods.Outcome.empty(batch)
            message = f"{n_functions} basis functions need about memory={needed:.0f} (MB) for their integrals"
            outcome.messages.update(dict.fromkeys(range(len(batch)), message))
            return outcome
        return {"fci": methods.fci, "uhf": methods.uhf}[self.method](task, self._cache)

    def _groups(self, batch: ClusterBatch, with_forces: bool) -> Iterator[np.ndarray]:
        """Rows of one sequence of elements and one charge, as many at a time as their integrals leave room for."""
        kinds = np.concatenate([batch.charges[:, None], batch.numbers], axis=1)
        _, group = np.unique(kinds, axis=0, return_inverse=True)
        for kind in range(int(group.max(initial=-1)) + 1):
            rows = np.flatnonzero(group == kind)
            step = max(1, int(0.25 * self.memory / self._room(batch.numbers[rows[0]], with_forces)))
            for first in range(0, len(rows), step):
                yield rows[first : first + step]

    def _room(self, numbers: np.ndarray, with_forces: bool) -> float:
        """MB that the integrals of one sub-cluster and what is made of them take."""
        copies = {"fci": 5.0 if with_forces else 3.0, "uhf": 0.5}[self.method]  # of all (pq|rs)
        return 8e-6 * copies * float(self._cache.functions(numbers).sum()) ** 4


def check_distances(batch: ClusterBatch) -> None:
    """Check that no two nuclei coincide.

    :raises InputError: if two are closer than :data:`CLOSEST`
    """
    first, second = np.triu_indices(batch.n_atoms, 1)
    if not len(first) or not len(batch):
        return
    distances = np.linalg.norm(batch.positions[:, first] - batch.positions[:, second], axis=2)
    row, pair = np.unravel_index(np.argmin(distances), distances.shape)
    if not distances[row, pair] >= CLOSEST:
        atoms = batch.members[row, [first[pair], second[pair]]]
        raise InputError(
            f"two nuclei must be at least {CLOSEST} Å apart, atoms {atoms[0]} and {atoms[1]} of structure "
            f"{batch.parents[row]} are {distances[row, pair]:.4f} Å apart; move or remove one of them"
        )
