"""How well energies are known: what their source claims, what they are seen to be rounded to, and what is measured.

Sub-clusters are moved along short lines on which their energy is smooth but for its noise (:mod:`bodyorder.sources.scatter`); and
where a source can converge its energies tighter, some are asked for again that way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from bodyorder.engine.examples import draw
from bodyorder.engine.pieces import Piece
from bodyorder.engine.replicas import Asking, Line
from bodyorder.sources.protocol import EnergySource
from bodyorder.sources.scatter import N_POINTS, scatter
from bodyorder.structures import System
from bodyorder.structures.clusters import evenly

#: A contribution of at most this many standard errors is not above its noise.
SIGNIFICANT = 2.0

#: Size in eV below which an n-body total is zero in any source: rounding of energies in float64.
ROUNDING = 1e-9

#: Sub-clusters of each order that are moved along a line, each from another structure where there are as many.
N_LINES = 4
#: Share of all evaluations that goes into lines where nobody asked for them, as long as that is one line at least.
SHARE = 1 / 10

#: Sub-clusters of each order, at least, whose energies are asked for converged tighter, too.
N_TIGHTENED = 2


@dataclass(frozen=True)
class Measured:
    """What was found out about the error of one energy.

    :param scatter: 1σ in eV by number of bodies, about a smooth curve; NaN where energies failed
    :param convergence: root mean square change in eV by number of bodies where energies are converged tighter. Iterations end
        above the energy that they would reach, of like sub-clusters after as many: all of one size share that error.
    """

    scatter: dict[int, float] = field(default_factory=dict)
    convergence: dict[int, float] = field(default_factory=dict)

    def of(self, order: int) -> float:
        """1σ of one energy of a sub-cluster of so many bodies in eV, the larger of both; NaN where nothing was measured.

        Where its own order was not looked at, what was found of more bodies counts, or else of as many as there are.
        """
        if not self.scatter:
            return math.nan
        return float(np.fmax(_nearest(self.scatter, order), self.shared(order)))

    def shared(self, order: int) -> float:
        """The part of it that all sub-clusters of so many bodies share; NaN where it is not known.

        A few of them may happen to be converged by far: those of one body more count as well.
        """
        return float(np.hypot(_nearest(self.convergence, order), _nearest(self.convergence, order + 1)) / np.sqrt(2))


def _nearest(by_order: Mapping[int, float], order: int) -> float:
    known = [size for size, sigma in by_order.items() if np.isfinite(sigma)]
    return by_order[min((size for size in known if size >= order), default=max(known))] if known else np.nan


def measure(pieces: Sequence[Piece], source: EnergySource, executor: Executor | None, *, asked: bool) -> Measured:
    """1σ of one energy by the number of bodies of its sub-cluster.

    Some sub-clusters are deformed by thousandths of an Å along a line, and at each of its places turned, shifted and with their
    atoms in another order. What a source that is not built to be invariant makes of that is part of its error.

    :param pieces: the structures
    :param source: where energies come from
    :param executor: where they are computed; None for this process
    :param asked: whether the user asked for it: every order is measured then; else some are, the largest first, with about a
        tenth as many energies as the decomposition takes
    """
    rng = np.random.default_rng(0)
    chosen = _chosen(pieces, source, asked)
    orders = np.repeat(list(chosen), [len(systems) for systems in chosen.values()])
    lines = [Line(system, rng) for systems in chosen.values() for system in systems]
    asking = Asking(source, executor)

    def ask(numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
        return asking.energies([lines[n].at(place, rng) for n, place in zip(numbers, places, strict=True)])

    found = scatter(ask, len(lines))
    return Measured(
        {order: _rms(found[orders == order]) for order in chosen},
        _change(pieces, source, executor, asked) if source.capabilities.tightened else {},
    )


def _change(pieces: Sequence[Piece], source: EnergySource, executor: Executor | None, asked: bool) -> dict[int, float]:
    """Root mean square change in eV of some energies of each number of bodies when they are converged tighter."""
    orders, n_clusters = _orders(pieces), sum(piece.n_clusters for piece in pieces)
    each = N_LINES if asked else int(np.clip(SHARE / 2 * n_clusters / len(orders), N_TIGHTENED, N_LINES))
    chosen = {order: _spread(pieces, order, source, each) for order in orders}
    systems = [system for of_order in chosen.values() for system in of_order]
    change = Asking(source.tightened(), executor).energies(systems) - Asking(source, executor).energies(systems)
    ends = np.cumsum([len(of_order) for of_order in chosen.values()])[:-1]
    return {order: _rms(values) for order, values in zip(chosen, np.split(change, ends), strict=True)}


def variance(
    source: EnergySource, energies: np.ndarray, uncertainty: np.ndarray, digits: np.ndarray, measured: float
) -> np.ndarray:
    """Square of the error of each energy in eV²: the largest of what is claimed, measured and seen, and its own.

    Seen is rounding to float32: the error of a number that is rounded to steps of length s is s/√12.

    :param uncertainty: of single energies beyond the precision of their source, in eV; NaN for none
    :param digits: steps in eV that energies are seen to be rounded to, 0 for none
    :param measured: 1σ of one energy in eV where it was measured; NaN where it was not, or where all energies failed
    :return: NaN where nothing is claimed and nothing was measured
    """
    if math.isnan(measured) and not source.capabilities.unproven_precision:
        measured = 0.0
    known = np.maximum(source.precision.sigma(energies), digits / np.sqrt(12))
    return np.maximum(known, measured) ** 2 + np.nan_to_num(uncertainty) ** 2


def describe(source: EnergySource, measured: Measured, *, rounded: bool = False, sampled: bool = False) -> str:
    """Where the noise of a result comes from, for its attributes.

    :param measured: what was measured, if it was
    :param rounded: whether energies are seen to be float32 numbers
    :param sampled: whether orders are estimated from samples
    """
    if measured.scatter:
        energies = f"measured on replicas: {_listed(measured.scatter)}"
        if measured.convergence:
            energies += f"; by converging tighter: {_listed(measured.convergence)}"
    elif source.capabilities.unproven_precision:
        energies = "unknown (NaN): the source claims no precision, and none was measured"
    else:
        energies = "claimed by the source"
    if rounded:
        energies += "; at least the rounding of float32 numbers, which the energies are"
    return f"the error of sampling, and what is {energies}" if sampled else energies


def _listed(by_order: dict[int, float]) -> str:
    return ", ".join(
        f"{sigma:.1e} eV ({order})" if np.isfinite(sigma) else f"unknown, as all energies failed ({order})"
        for order, sigma in sorted(by_order.items())
    )


def _rms(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if len(known) else np.nan


def _chosen(pieces: Sequence[Piece], source: EnergySource, asked: bool) -> dict[int, list[System]]:
    """The sub-clusters that are looked at, by their number of bodies."""
    orders, each = _orders(pieces), N_LINES
    if not asked:
        n_lines = max(1, int(SHARE / N_POINTS * sum(piece.n_clusters for piece in pieces)))
        each = int(np.clip(n_lines // len(orders), 1, N_LINES))
        orders = [orders[index] for index in sorted({n * len(orders) // n_lines for n in range(n_lines)})]
    return {order: _spread(pieces, order, source, each) for order in orders}


def _orders(pieces: Sequence[Piece]) -> list[int]:
    """Numbers of bodies of which there are sub-clusters, the largest first."""
    top = max(piece.family.max_order for piece in pieces)
    return [order for order in range(top, 0, -1) if any(_holds(piece, order) for piece in pieces)]


def _holds(piece: Piece, order: int) -> bool:
    return piece.family.max_order >= order and piece.family.sizes[order - 1] > 0


def _spread(pieces: Sequence[Piece], order: int, source: EnergySource, count: int) -> list[System]:
    """So many sub-clusters of one order as structures of their own, spread over structures that have any."""
    pieces = [piece for piece in pieces if _holds(piece, order)]
    chosen = evenly(len(pieces), count)
    found = []
    for index in chosen:
        batch = draw([pieces[index]], order, source)[0].batch
        some = batch.select(evenly(len(batch), -(-count // len(chosen))))
        found += some.systems_at(some.positions)
    return [found[index] for index in evenly(len(found), count)]
