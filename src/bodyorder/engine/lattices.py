"""Lattices that sum up in other ways: of a largest order that is not kept, of dressed sub-clusters, of samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bodyorder.engine.batching import Task
from bodyorder.engine.counterpoise import VMFC
from bodyorder.engine.lattice import Evaluated, Lattice
from bodyorder.engine.pieces import Piece
from bodyorder.sources.protocol import Evaluation
from bodyorder.subsets import Sample, order_coefficients
from bodyorder.subsets.moebius import with_nothing


def empty(piece: Piece, evaluated: Evaluated) -> Lattice:
    """Room for all energies of a structure, none of them known."""
    kind = Lattice
    if piece.counterpoise == VMFC:
        kind = DressedLattice
    elif piece.sample is not None:
        kind = SampledLattice
    elif piece.family.streams:
        kind = StreamedLattice
    weights = None if piece.sample is None else piece.sample.weights()
    return kind(piece, evaluated, order_coefficients(piece.family, weights))


@dataclass
class StreamedLattice(Lattice):
    """The subsets of the largest order are reduced to their sum as their energies arrive, after all smaller ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sum = self._variance = 0.0

    def totals(self, epsilons: list[np.ndarray]) -> np.ndarray:
        """Order totals in eV, shape (max_order,)."""
        return np.append(super().totals(epsilons), self._sum)

    def noise(self) -> np.ndarray:
        """1σ of each order total in eV, shape (max_order,)."""
        variance = super().noise() ** 2
        variance[-1] += self._variance
        return np.sqrt(variance)

    @cached_property
    def _below(self) -> list[np.ndarray]:
        """The contributions of all smaller orders, once their energies are known."""
        return [with_nothing(values) for values in self.contributions()]

    def _keep(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        if order <= len(self.energies):
            super()._keep(order, task, computed, here)
            return
        energies = computed.energies[here]
        epsilon = energies.copy()
        for size, index in self.piece.family.inside(task.parts[here]):
            epsilon -= self._below[size - 1][index]
        self._sum += float(epsilon.sum())
        uncertainty = computed.records.get("uncertainty", np.zeros(len(computed.energies)))[here]
        self._variance += float(self._variance_of(order, energies, uncertainty).sum())
        self._count(order, computed, here)


@dataclass
class DressedLattice(Lattice):
    """Contributions summed up directly, each from energies in the basis functions of its own subset.

    Counterpoise after Valiron and Mayer, see :mod:`bodyorder.engine.counterpoise`. ``energies`` are those of the subsets in
    their own functions; their sum rule does not hold, the difference being the superposition error.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sums = [np.zeros(size) for size in self.piece.family.sizes]
        self._variances = np.zeros(self.piece.family.max_order)

    def contributions(self) -> list[np.ndarray]:
        """ε(S) in eV for each order, shape (n_subsets,)."""
        return self._sums

    def noise(self) -> np.ndarray:
        """1σ of each order total in eV, shape (max_order,)."""
        return np.sqrt(self._variances)

    def _take(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        energies, present = computed.energies[here], task.present[here]
        np.add.at(self._sums[order - 1], task.rows[here], np.where((order - present) % 2, -1.0, 1.0) * energies)
        uncertainty = computed.records.get("uncertainty", np.zeros(len(computed.energies)))[here]
        self._variances[order - 1] += self._variance_of(order, energies, uncertainty).sum()
        self._keep(order, task, computed, here[present == order])


@dataclass
class SampledLattice(Lattice):
    """Order totals estimated from a sample of the subsets; their noise holds the error of the sampling."""

    @property
    def sample(self) -> Sample:
        """What was drawn."""
        assert self.piece.sample is not None
        return self.piece.sample

    def totals(self, epsilons: list[np.ndarray]) -> np.ndarray:
        """Unbiased estimates of the order totals in eV, shape (max_order,)."""
        return self.sample.totals(epsilons)[0]

    def sampling_errors(self) -> np.ndarray:
        """Standard error of each order total in eV from the scatter of the contributions drawn, shape (max_order,)."""
        return self.sample.totals(self.contributions())[1]

    def noise(self) -> np.ndarray:
        """1σ of each order total in eV from the sampling, the source and the uncertainties of energies, shape (max_order,)."""
        return np.hypot(super().noise(), self.sampling_errors())
