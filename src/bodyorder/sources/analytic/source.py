"""A source whose energies are a function of the pair distances alone.

With a ``cutoff`` every term is multiplied by a switch of each pair distance in it, S(x) = 1 − 10x³ + 15x⁴ − 6x⁵ with
x = (r − r_on)/(r_cut − r_on) and r_on = 0.75 r_cut: terms are smooth to their second derivatives, and parts farther apart than
the cutoff do not feel each other at all. Without a cutoff the energies of distant parts never add up exactly.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from typing import Any

import ase
import numpy as np

from bodyorder._checks import ComputationError, check_positive
from bodyorder.sources.pairs import Pairs, pairs_of_cell
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.spec import format_spec
from bodyorder.structures.clusters import ClusterBatch, FloatArray

#: Where the switching function leaves 1, as a fraction of the cutoff.
SWITCH_ONSET = 0.75
#: Pair distances treated at once: a bound on memory (a few dozen arrays of this length) that also suits the cache.
CHUNK = 2**17


@dataclass(kw_only=True, repr=False)
class AnalyticSource(EnergySource):
    """An energy that is a function of the pair distances alone, evaluated for many sub-clusters at once in float64.

    :param cutoff: strict cutoff in Å of every pair distance, or None
    :raises InputError: if a parameter is not a positive number
    """

    cutoff: float | None = None
    name: str = field(init=False)
    fingerprint: str = field(init=False)
    precision: Precision = field(init=False, default=Precision(absolute=1e-14, relative=4e-15))
    capabilities: Capabilities = field(init=False)

    #: what follows ``analytic:`` in a spec, and the option ``kind`` where the target has several
    target, kind = "", ""

    def __post_init__(self) -> None:
        settings: dict[str, Any] = {"kind": self.kind} if self.kind else {}
        for key in parameters(type(self)):
            if (value := getattr(self, key)) is not None:
                settings[key] = check_positive(key, value)
                setattr(self, key, settings[key])
        self.name = format_spec("analytic", self.target, settings)
        self.fingerprint = f"{self.name} bodyorder {version('bodyorder')}"
        endless = {"cell_energy": "without a cutoff its sum over images does not end"} if self.cutoff is None else {}
        self.capabilities = Capabilities(forces=True, atom_energies=True, cell_energy=not endless, missing=endless)

    @abstractmethod
    def _shares_and_slopes(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies of the atoms (n, k) and derivatives dE/dr_ij (n, k, k) from distances (n, k, k), infinite on the diagonal."""

    @abstractmethod
    def _energy_by_cell(self, pairs: Pairs, n_atoms: int) -> float:
        """Energy in eV of a periodic structure by cell from its pairs nearer than the cutoff."""

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV.

        :raises FailedClusters: for sub-clusters with atoms so close that the energy is not finite
        """
        return self._evaluate(batch, atoms=False, forces=False).whole().energies

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å, by analytic differentiation.

        :raises FailedClusters: for sub-clusters with atoms so close that energy or forces are not finite
        """
        found = self._evaluate(batch, atoms=False, forces=True).whole()
        assert found.forces is not None
        return found.energies, found.forces

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of their atoms, which share what they make together, and forces if wanted.

        Atoms so close that the energy is not finite are a failure of their sub-cluster.
        """
        return self._evaluate(batch, atoms=True, forces=forces)

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy in eV of a periodic structure by cell, exact.

        :raises InputError: without a cutoff, where sums do not end
        :raises ComputationError: for atoms so close that it is not finite
        """
        if self.cutoff is None:
            raise self._without("cell_energy")
        with np.errstate(all="ignore"):
            energy = self._energy_by_cell(pairs_of_cell(atoms, self.cutoff), len(atoms))
        if not np.isfinite(energy):
            raise ComputationError(
                f"{self.name} must give the energy of the periodic structure, and failed: atoms too close: it is not finite"
            )
        return energy

    def _evaluate(self, batch: ClusterBatch, *, atoms: bool, forces: bool) -> Evaluation:
        found = Evaluation.unknown(len(batch), batch.n_atoms, forces=forces, atom_energies=atoms)
        step = max(1, CHUNK // batch.n_atoms**2)
        with np.errstate(all="ignore"):
            for rows in (slice(start, start + step) for start in range(0, len(batch), step)):
                separations, distances = _geometry(batch.positions[rows])
                shares, slopes = self._shares_and_slopes(distances)
                found.energies[rows] = shares.sum(axis=1)
                if found.atom_energies is not None:
                    found.atom_energies[rows] = shares
                if found.forces is not None:
                    found.forces[rows] = -np.einsum("nij,nijx->nix", slopes / distances, separations)
            finite = np.isfinite(found.energies)
            if found.forces is not None:
                finite &= np.isfinite(found.forces).all(axis=(1, 2))
        found.messages = dict.fromkeys(np.flatnonzero(~finite).tolist(), "atoms too close: the energy is not finite")
        found.energies[~finite] = np.nan
        if found.atom_energies is not None:
            found.atom_energies[~finite] = np.nan
        return found

    def switched(self, distances: FloatArray, value: FloatArray, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A function of the distance and its derivative, brought smoothly to zero at the cutoff."""
        switch, switch_slope = self.switch(distances)
        return value * switch, slope * switch + value * switch_slope

    def switch(self, distances: FloatArray) -> tuple[FloatArray | float, FloatArray | float]:
        """The switching function and its derivative at distances in Å."""
        if self.cutoff is None:
            return 1.0, 0.0
        width = (1 - SWITCH_ONSET) * self.cutoff
        y = np.clip((self.cutoff - distances) / width, 0.0, 1.0)  # 1 − x: S goes to zero without cancellation
        return y**3 * (10 - 15 * y + 6 * y**2), -30 * (y * (1 - y)) ** 2 / width


def parameters(source: type[AnalyticSource]) -> list[str]:
    """Names of what can be set."""
    return [parameter.name for parameter in fields(source) if parameter.init]


def _geometry(positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Separations r_i − r_j (n, k, k, 3) and distances (n, k, k), infinite between an atom and itself."""
    separations = positions[:, :, None] - positions[:, None, :]
    distances = np.sqrt(np.einsum("nijx,nijx->nij", separations, separations))
    itself = np.arange(positions.shape[1])
    distances[:, itself, itself] = np.inf
    return separations, distances
