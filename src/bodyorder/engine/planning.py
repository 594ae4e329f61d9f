"""What a decomposition will cost, from a small timed example, before anything runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ase
import numpy as np
import xarray as xr

from bodyorder.engine.computation import Wanted
from bodyorder.engine.counterpoise import VMFC, evaluations_per_subset
from bodyorder.engine.examples import WHOLE, Example, draw
from bodyorder.engine.executors import START_SECONDS
from bodyorder.engine.pieces import Piece
from bodyorder.engine.selection import Selection
from bodyorder.engine.timing import Timer
from bodyorder.results.variables import describe
from bodyorder.sources.protocol import EnergySource
from bodyorder.subsets import order_coefficients

#: Seconds that the timed example may take; sizes beyond are extrapolated.
BUDGET = 20.0
#: Where the noise comes from of a source that claims no precision.
MEASURED_LATER = "measured when it runs, with about a tenth of the energies more"


def plan(  # noqa: PLR0913 - every option has a default
    structures: Sequence[ase.Atoms],
    source: EnergySource,
    selection: Selection,
    *,
    forces: bool = False,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.perf_counter,
    announce: Callable[[str], object] | None = None,
) -> xr.Dataset:
    """Counts, cost, memory and noise of each order, before anything runs.

    Sub-clusters of the largest structures are timed from cheap to costly, each kind once to warm up and once for the
    figure. A kind is not begun when these runs would take longer than what is left of the budget, by its cost as the source
    estimates it (``seconds``) relative to the last kind timed; its cost then follows from the same ratio. For a source that
    estimates nothing it follows from the number of atoms, exponentially from the last two sizes timed up to twice the atoms of
    the last, and with the power law reached there beyond. A whole structure outside its family is treated alike. Sub-clusters are
    given the functions of other atoms that the counterpoise correction of the source asks for.

    :param structures: what would be decomposed
    :param source: where the energies would come from
    :param selection: which sub-clusters would be taken
    :param forces: whether forces are wanted too
    :param budget: seconds for the timed example
    :param clock: seconds that have gone by
    :param announce: is told what was read before anything is timed; the attribute ``input`` holds it
    :return: a dataset along ``order`` (those that hold sub-clusters, with 0 for whole structures outside their family):
        ``n_clusters``, ``seconds_per_cluster``, ``measured`` (False where extrapolated), ``core_seconds``, ``longest_seconds``
        of one sub-cluster, ``megabytes`` of one worker as the source estimates it and ``resident_megabytes`` as seen here (NaN
        where it does not, or where nothing ran), and ``expected_noise`` in eV of the largest structure, NaN where energies
        it needs are not known, and of a source that claims no precision, whose noise is measured when it runs (the attribute
        ``noise`` says which). Of a sample the first round is priced, and the noise is without the error of sampling, which is
        not known before its contributions are; the attribute ``sampling`` says ``once``, or until which error, and ``none``
        where nothing is.
    :raises InputError: if the input cannot work
    """
    pieces = selection.pieces(structures, source)
    said = selection.inventory(structures, pieces, source)
    if announce is not None:
        announce(said)
    counts = np.zeros(1 + max(piece.family.max_order for piece in pieces), dtype=np.int64)
    for piece in pieces:
        counts[WHOLE] += piece.asks_whole
        counts[1 : piece.family.max_order + 1] += piece.clusters_by_order
    pieces = sorted(pieces, key=lambda piece: piece.n_bodies, reverse=True)
    orders = np.flatnonzero(counts)
    examples = {int(order): draw(pieces, int(order), source) for order in orders}
    timer = Timer(source, Wanted(forces), clock, clock() + budget)
    timer.time_all([example for kinds in examples.values() for example in kinds])
    costs = [_cost(kinds, timer) for kinds in examples.values()]
    seconds = np.array([cost.seconds for cost in costs])
    energies = np.full(len(counts), np.nan)
    for order, kinds in examples.items():
        energies[order] = timer.energies.get(kinds[0], np.nan)
    result = xr.Dataset(
        {
            "n_clusters": ("order", counts[orders]),
            "seconds_per_cluster": ("order", seconds),
            "measured": ("order", [cost.measured for cost in costs]),
            "core_seconds": ("order", counts[orders] * seconds),
            "longest_seconds": ("order", [cost.longest for cost in costs]),
            "megabytes": ("order", [_megabytes(kinds, source, forces) for kinds in examples.values()]),
            "resident_megabytes": ("order", [cost.resident for cost in costs]),
            "expected_noise": ("order", _noise(pieces[0], source, energies, len(counts))[orders]),
        },
        coords={"order": orders},
        attrs={
            "source": source.name,
            "forces": str(forces),
            "n_structures": len(structures),
            "input": said,
            "sampling": _sampling(pieces, selection),
            "noise": MEASURED_LATER if source.capabilities.unproven_precision else "claimed by the source",
        },
    )
    return describe(result)


def wall_seconds(plan: xr.Dataset, workers: int) -> float:
    """Seconds that a run takes: workers share it evenly, and a sub-cluster cannot be shared.

    :param plan: of :func:`plan`
    :param workers: processes that are started for it; 1 for none
    """
    shared = max(float(plan.core_seconds.sum()) / workers, float(plan.longest_seconds.max()))
    return shared + (START_SECONDS if workers > 1 else 0.0)


@dataclass(frozen=True)
class _Cost:
    """Of one sub-cluster of an order, all kinds of them counted as often as they occur."""

    seconds: float
    longest: float
    measured: bool
    resident: float


def _cost(kinds: list[Example], timer: Timer) -> _Cost:
    seconds = np.array([timer.seconds_of(kind) for kind in kinds])
    weights = np.array([kind.weight for kind in kinds], dtype=np.float64)
    measured = [kind in timer.seconds for kind in kinds]
    resident = [timer.resident[kind] for kind in kinds if kind in timer.resident]
    mean = float((weights * seconds).sum() / weights.sum())
    return _Cost(mean, float(seconds.max()), all(measured), max(resident, default=np.nan))


def _megabytes(kinds: list[Example], source: EnergySource, forces: bool) -> float:
    if not source.capabilities.megabytes:
        return np.nan
    return max(float(source.megabytes(kind.batch, forces)) for kind in kinds)


def _sampling(pieces: Sequence[Piece], selection: Selection) -> str:
    """Whether orders are estimated from samples, and how often more is drawn; of few bodies a sample may be all there is."""
    if selection.sampling is None or not any(piece.is_estimated for piece in pieces):
        return "none"
    error = selection.sampling.error
    return "once" if error is None else f"until {error:g} eV"


def _noise(piece: Piece, source: EnergySource, energies: np.ndarray, n_orders: int) -> np.ndarray:
    """Expected 1σ of each order total in eV (0 for the whole), NaN for orders of which no energy is known."""
    variance = np.zeros(n_orders)
    stop = piece.family.max_order + 1
    counts_for = None if piece.sample is None else piece.sample.weights()
    for order, weights in enumerate(order_coefficients(piece.family, counts_for), start=1):
        size = piece.family.sizes[order - 1]
        if not size:
            continue
        sigma = source.precision.sigma(energies[order : order + 1])
        if source.capabilities.unproven_precision:
            sigma = np.full(1, np.nan)
        if piece.counterpoise == VMFC:  # every contribution has energies of its own
            variance[order] += size * evaluations_per_subset(VMFC, order) * sigma[0] ** 2
        else:
            counted = size if weights.shape[1] == 1 else 1
            variance[order:stop] += (weights[order - 1 :] ** 2).sum(axis=1) * counted * sigma**2
    return np.sqrt(variance)
