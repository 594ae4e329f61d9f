"""What a decomposition will cost, from a small timed sample, before anything runs."""

from __future__ import annotations

import time
from collections.abc import Sequence

import ase
import numpy as np
import xarray as xr

from bodyorder.engine.batching import DEFAULT_BATCH_SIZE, WHOLE, Piece, make_tasks
from bodyorder.engine.evaluation import compute
from bodyorder.engine.results import describe
from bodyorder.engine.selection import Selection
from bodyorder.sources.base import EnergySource
from bodyorder.subsets import order_coefficients

#: Seconds that the timed sample may take; orders beyond are extrapolated.
BUDGET = 20.0


def plan(
    structures: Sequence[ase.Atoms],
    source: EnergySource,
    selection: Selection,
    *,
    forces: bool = False,
    budget: float = BUDGET,
) -> xr.Dataset:
    """Counts, cost and noise of each order, before anything runs.

    Sub-clusters of the first structure are timed, from single bodies up, each order once to warm up and once for the figure.
    Orders that the budget does not reach are extrapolated from the growth between the last two that it does.

    :param structures: what would be decomposed
    :param source: where the energies would come from
    :param selection: which sub-clusters would be taken
    :param forces: whether forces are wanted too
    :param budget: seconds for the timed sample
    :return: a dataset along ``order`` (with 0 for whole structures outside their family): ``n_clusters``,
        ``seconds_per_cluster``, ``measured`` (False where extrapolated), ``core_seconds``, and ``expected_noise`` in eV of the
        first structure
    :raises InputError: if the input cannot work
    """
    pieces = selection.pieces(structures, source)
    top = max(piece.family.max_order for piece in pieces)
    counts = np.zeros(top + 1, dtype=np.int64)
    for piece in pieces:
        counts[WHOLE] += not piece.holds_whole
        counts[1 : piece.family.max_order + 1] += piece.family.sizes
    largest = max(pieces, key=lambda piece: len(piece.bodies))
    seconds, energies = _time(largest, source, forces, budget)
    measured = np.isfinite(seconds)
    seconds = _extrapolate(seconds)
    orders = np.arange(0 if counts[WHOLE] else 1, top + 1)
    result = xr.Dataset(
        {
            "n_clusters": ("order", counts[orders]),
            "seconds_per_cluster": ("order", seconds[orders]),
            "measured": ("order", measured[orders]),
            "core_seconds": ("order", (counts * seconds)[orders]),
            "expected_noise": ("order", _noise(largest, source, energies)[orders]),
        },
        coords={"order": orders},
        attrs={"source": source.name, "forces": str(forces), "n_structures": len(structures)},
    )
    return describe(result)


def _time(piece: Piece, source: EnergySource, forces: bool, budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and a typical energy of one sub-cluster of each order (0 for the whole), NaN where the budget ended."""
    seconds = np.full(piece.family.max_order + 1, np.nan)
    energies = np.full(piece.family.max_order + 1, np.nan)
    if piece.holds_whole:
        seconds[WHOLE] = 0.0
    begin = time.perf_counter()
    size = min(getattr(source, "batch_size", DEFAULT_BATCH_SIZE), DEFAULT_BATCH_SIZE)
    tasks = sorted(make_tasks([piece], size), key=lambda task: task.batch.n_atoms)
    for task in tasks:
        order = int(task.orders[0])
        elapsed = time.perf_counter() - begin
        if np.isfinite(seconds[order]) or 2 * elapsed > budget:
            continue
        one = task.batch.select(np.arange(1))
        compute(source, one, forces)
        start = time.perf_counter()
        compute(source, one, forces)
        single = time.perf_counter() - start
        # A batch shows what batching saves, where there is time for one.
        rows = min(len(task.batch), max(1, int((budget - elapsed) / (20 * max(single, 1e-6)))))
        batch = task.batch.select(np.arange(rows))
        start = time.perf_counter()
        computed = compute(source, batch, forces)
        seconds[order] = (time.perf_counter() - start) / rows
        energies[order] = np.nanmean(computed.energies) if np.isfinite(computed.energies).any() else np.nan
    return seconds, energies


def _extrapolate(seconds: np.ndarray) -> np.ndarray:
    """Fill in the orders that were not timed: constant growth from the last two that were."""
    filled = seconds.copy()
    known = [order for order in range(1, len(filled)) if np.isfinite(filled[order])]
    growth = 1.0
    if len(known) > 1:
        growth = max(1.0, (filled[known[-1]] / filled[known[-2]]) ** (1 / (known[-1] - known[-2])))
    for order in range(1, len(filled)):
        if np.isnan(filled[order]):
            filled[order] = filled[order - 1] * growth
    if np.isnan(filled[WHOLE]):
        filled[WHOLE] = filled[-1]
    return filled


def _noise(piece: Piece, source: EnergySource, energies: np.ndarray) -> np.ndarray:
    """Expected 1σ of each order total in eV, NaN for orders of which no energy is known."""
    variance = np.zeros(len(energies))
    for order, weights in enumerate(order_coefficients(piece.family), start=1):
        sigma = source.precision.sigma(energies[order : order + 1])
        counted = piece.family.sizes[order - 1] if weights.shape[1] == 1 else 1
        variance[order:] += (weights[order - 1 :] ** 2).sum(axis=1) * counted * sigma**2
    return np.sqrt(variance)
