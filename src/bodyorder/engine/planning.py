"""What a decomposition will cost, from a small timed sample, before anything runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp, log

import ase
import numpy as np
import xarray as xr

from bodyorder.engine.batching import DEFAULT_BATCH_SIZE, WHOLE, Piece
from bodyorder.engine.evaluation import compute
from bodyorder.engine.results import describe
from bodyorder.engine.selection import Selection
from bodyorder.sources.base import EnergySource
from bodyorder.structures import ClusterBatch
from bodyorder.subsets import order_coefficients

#: Seconds that the timed sample may take; sizes beyond are extrapolated.
BUDGET = 20.0

#: Until two sizes are timed, cost is taken to grow like this power of the number of atoms, as in mean-field methods.
_FIRST_POWER = 3.0

#: Part of the time left that a batch may take, so that one size does not spend what the others need.
_BATCH_SHARE = 1 / 20

#: Largest logarithm of a predicted growth; beyond it no figure means anything, and floats end.
_LARGEST_GROWTH = 500.0


def plan(
    structures: Sequence[ase.Atoms],
    source: EnergySource,
    selection: Selection,
    *,
    forces: bool = False,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.perf_counter,
) -> xr.Dataset:
    """Counts, cost and noise of each order, before anything runs.

    Sub-clusters of the largest structures are timed from few atoms to many, each size once to warm up and once for the
    figure. A size is not begun when the growth so far says that these runs would take longer than what is left of the budget;
    its cost then follows from its number of atoms, exponentially from the last two sizes timed up to twice the atoms of the
    last, and with the power law reached there beyond. A whole structure outside its family is treated alike.

    :param structures: what would be decomposed
    :param source: where the energies would come from
    :param selection: which sub-clusters would be taken
    :param forces: whether forces are wanted too
    :param budget: seconds for the timed sample
    :param clock: seconds that have gone by
    :return: a dataset along ``order`` (those that hold sub-clusters, with 0 for whole structures outside their family):
        ``n_clusters``, ``seconds_per_cluster``, ``measured`` (False where extrapolated), ``core_seconds``, and
        ``expected_noise`` in eV of the largest structure, NaN where energies it needs are not known
    :raises InputError: if the input cannot work
    """
    pieces = selection.pieces(structures, source)
    counts = np.zeros(1 + max(piece.family.max_order for piece in pieces), dtype=np.int64)
    for piece in pieces:
        counts[WHOLE] += not piece.holds_whole
        counts[1 : piece.family.max_order + 1] += piece.family.sizes
    pieces = sorted(pieces, key=lambda piece: len(piece.bodies), reverse=True)
    rows = min(getattr(source, "batch_size", DEFAULT_BATCH_SIZE), DEFAULT_BATCH_SIZE)
    orders = np.flatnonzero(counts)
    samples = {int(order): _sample(pieces, int(order), rows) for order in orders}
    timer = _Timer(source, forces, clock, clock() + budget)
    for order, batch in sorted(samples.items(), key=lambda sample: sample[1].n_atoms):
        if not timer.time(order, batch):
            break
    seconds = np.array([timer.seconds_of(order, batch.n_atoms) for order, batch in samples.items()])
    energies = np.full(len(counts), np.nan)
    energies[list(timer.energies)] = list(timer.energies.values())
    result = xr.Dataset(
        {
            "n_clusters": ("order", counts[orders]),
            "seconds_per_cluster": ("order", seconds),
            "measured": ("order", [order in timer.seconds for order in samples]),
            "core_seconds": ("order", counts[orders] * seconds),
            "expected_noise": ("order", _noise(pieces[0], source, energies, len(counts))[orders]),
        },
        coords={"order": orders},
        attrs={"source": source.name, "forces": str(forces), "n_structures": len(structures)},
    )
    return describe(result)


def _sample(pieces: Sequence[Piece], order: int, count: int) -> ClusterBatch:
    """Sub-clusters of one order, spread over the first structure that has any, all of the number of atoms that is typical."""
    if order == WHOLE:
        piece = next(piece for piece in pieces if not piece.holds_whole)
        return ClusterBatch.cut({0: piece.system}, np.zeros(1, dtype=np.int64), np.arange(len(piece.system))[None, :])
    piece = next(p for p in pieces if p.family.max_order >= order and len(p.family.members[order - 1]))
    members = piece.family.members[order - 1]
    chosen = members[np.unique(np.linspace(0, len(members) - 1, count).astype(np.int64))]
    atoms = piece.bodies.atoms[chosen].reshape(len(chosen), -1)
    sizes = (atoms >= 0).sum(axis=1)
    typical = np.sort(sizes)[len(sizes) // 2]
    atoms = atoms[sizes == typical]
    atoms = atoms[atoms >= 0].reshape(len(atoms), typical)
    return ClusterBatch.cut({0: piece.system}, np.zeros(len(atoms), dtype=np.int64), atoms)


@dataclass
class _Timer:
    """Times sub-clusters in ascending size for as long as there is time.

    :param end: when by the clock there is none left
    :param sizes: atoms of the sizes timed, ascending
    :param singles: seconds of one sub-cluster alone, for each of them
    :param seconds: of one sub-cluster in a batch, by order
    :param energies: typical energy in eV, by order
    """

    source: EnergySource
    forces: bool
    clock: Callable[[], float]
    end: float
    sizes: list[int] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)
    seconds: dict[int, float] = field(default_factory=dict)
    energies: dict[int, float] = field(default_factory=dict)

    def time(self, order: int, batch: ClusterBatch) -> bool:
        """Time one order, or say that it would take too long: twice its predicted cost, as it runs once to warm up."""
        if self.sizes and 2 * self._predict(batch.n_atoms) > self.end - self.clock():
            return False
        one = batch.select(np.arange(1))
        single, energies = self._run(one)
        if single <= self.end - self.clock():
            single, energies = self._run(one)
        seconds = single
        # A batch shows what batching saves, where there is time for one.
        rows = int(min(len(batch), (self.end - self.clock()) * _BATCH_SHARE / max(single, 1e-6)))
        if rows > 1:
            seconds, energies = self._run(batch.select(np.arange(rows)))
            seconds /= rows
        self.sizes.append(batch.n_atoms)
        self.singles.append(max(single, 1e-9))
        self.seconds[order] = seconds
        if np.isfinite(energies).any():
            self.energies[order] = float(np.nanmean(energies))
        return True

    def seconds_of(self, order: int, n_atoms: int) -> float:
        """Seconds of one sub-cluster of an order, from its number of atoms if it was not timed."""
        if order in self.seconds:
            return self.seconds[order]
        last = list(self.seconds.values())[-1]
        return last * self._predict(n_atoms) / self.singles[-1]

    def _run(self, batch: ClusterBatch) -> tuple[float, np.ndarray]:
        start = self.clock()
        energies = compute(self.source, batch, self.forces).energies
        return self.clock() - start, energies

    def _predict(self, n_atoms: int) -> float:
        """Seconds of one sub-cluster of so many atoms, no fewer than the last that was timed."""
        last, cost = self.sizes[-1], self.singles[-1]
        smaller = [place for place, size in enumerate(self.sizes) if size < last]
        rate = _FIRST_POWER / last
        if smaller:
            rate = max(0.0, log(cost / self.singles[smaller[-1]])) / (last - self.sizes[smaller[-1]])
        near = min(n_atoms, 2 * last)
        growth = rate * (near - last) + rate * near * log(n_atoms / near)
        return cost * exp(min(growth, _LARGEST_GROWTH))


def _noise(piece: Piece, source: EnergySource, energies: np.ndarray, n_orders: int) -> np.ndarray:
    """Expected 1σ of each order total in eV (0 for the whole), NaN for orders of which no energy is known."""
    variance = np.zeros(n_orders)
    stop = piece.family.max_order + 1
    for order, weights in enumerate(order_coefficients(piece.family), start=1):
        size = piece.family.sizes[order - 1]
        if size:
            sigma = source.precision.sigma(energies[order : order + 1])
            counted = size if weights.shape[1] == 1 else 1
            variance[order:stop] += (weights[order - 1 :] ** 2).sum(axis=1) * counted * sigma**2
    return np.sqrt(variance)
