"""How well energies are known, measured on replicas of sub-clusters, which must have the same energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from bodyorder.engine.computation import Wanted, compute
from bodyorder.engine.examples import draw
from bodyorder.engine.pieces import Piece
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch, System
from bodyorder.structures.clusters import evenly

#: A contribution of at most this many standard errors is not above its noise.
SIGNIFICANT = 2.0

#: Size in eV below which an n-body total is zero in any source: rounding of energies in float64.
ROUNDING = 1e-9

#: Sub-clusters of each order of which replicas are made, and structures that they are taken from, both spread over all.
N_REPLICAS, N_STRUCTURES = 32, 8

#: Length (Å) by which a replica is shifted, as a standard deviation.
_SHIFT = 3.0


def measure(pieces: Sequence[Piece], source: EnergySource) -> dict[int, float]:
    """1σ of one energy by the number of bodies of its sub-cluster, in eV.

    Sub-clusters of every order are evaluated as they are, and turned, shifted and with their atoms in another order. The root
    mean square difference over √2 is the error of one of the two. What a model that is not built to be invariant makes of a
    turned structure is part of it.

    :param pieces: the structures
    :param source: where energies come from
    """
    rng = np.random.default_rng(0)
    found = {}
    for order in range(1, max(piece.family.max_order for piece in pieces) + 1):
        holding = [piece for piece in pieces if piece.family.max_order >= order and piece.family.sizes[order - 1]]
        chosen = evenly(len(holding), N_STRUCTURES)
        squares = []
        for index in chosen:
            batch = draw([holding[index]], order, source)[0].batch
            batch = batch.select(evenly(len(batch), -(-N_REPLICAS // len(chosen))))
            energies = [compute(source, some, Wanted()).energies for some in (batch, _replicas(batch, rng))]
            squares.append((energies[1] - energies[0]) ** 2)
        if squares and np.isfinite(np.concatenate(squares)).any():
            found[order] = float(np.sqrt(np.nanmean(np.concatenate(squares)) / 2))
    return found


def variance(
    source: EnergySource, energies: np.ndarray, uncertainty: np.ndarray, measured: float | None = None
) -> np.ndarray:
    """Square of the error of each energy in eV²: what the source claims or what was measured, whichever is larger, and its own.

    :param uncertainty: of single energies beyond the precision of their source, in eV; NaN for none
    :param measured: 1σ of one energy in eV where it was measured
    """
    known = np.maximum(source.precision.sigma(energies), measured or 0.0)
    return known**2 + np.nan_to_num(uncertainty) ** 2


def describe(measured: Mapping[int, float], sampled: bool = False) -> str:
    """Where the noise of a result comes from, for its attributes.

    :param measured: 1σ of one energy in eV by number of bodies, where it was measured
    :param sampled: whether orders are estimated from samples
    """
    energies = "claimed by the source"
    if measured:
        listed = ", ".join(f"{sigma:.1e} eV ({order})" for order, sigma in measured.items())
        energies = f"measured on replicas: {listed}"
    return f"the error of sampling, and what is {energies}" if sampled else energies


def _replicas(batch: ClusterBatch, rng: np.random.Generator) -> ClusterBatch:
    """Each sub-cluster as a structure of its own, turned about its middle, shifted, its atoms in another order."""
    n, k = batch.numbers.shape
    order = rng.permuted(np.tile(np.arange(k), (n, 1)), axis=1)
    turns = Rotation.random(n, random_state=rng).as_matrix()
    middle = batch.positions.mean(axis=1, keepdims=True)
    turned = np.einsum("nax,nyx->nay", batch.positions - middle, turns)
    positions = turned + middle + rng.normal(scale=_SHIFT, size=(n, 1, 3))
    charges, moments, bodies = (batch.of_members(name) for name in ("charges", "moments", "bodies"))
    systems = {
        row: System(
            batch.numbers[row, places],
            positions[row, places],
            charges[row, places],
            moments[row, places],
            bodies[row, places].astype(np.int64),
        )
        for row, places in enumerate(order)
    }
    return ClusterBatch.cut(systems, np.arange(n), np.tile(np.arange(k), (n, 1)))
