"""Forces as differences of energies, for sources whose own forces are not the gradient, or that have none.

Central differences of fourth order: −F ≈ (E₋₂ₕ − 8E₋ₕ + 8E₊ₕ − E₊₂ₕ)/12h, which leave h⁴/30 of the fifth derivative. As shifting
everything changes nothing, the last atom needs none of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bodyorder.sources.protocol import Evaluation, FailedClusters, Precision
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray

#: Places along each direction in steps, and the weights of their energies in a derivative times the step.
PLACES, WEIGHTS = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([1.0, -8.0, 8.0, -1.0]) / 12
#: Shortest and longest step in Å: shorter ones lose to rounding in float64, longer ones to the curvature of repulsive walls.
STEPS = (1e-3, 2e-2)


def displacements(n_atoms: int) -> FloatArray:
    """All atoms but the last moved each way, in steps, shape (k − 1, 3, 4, k, 3)."""
    moves = np.zeros((n_atoms - 1, 3, len(PLACES), n_atoms, 3))
    atoms, axes, places = np.indices(moves.shape[:3])
    moves[atoms, axes, places, atoms, axes] = PLACES[places]
    return moves


def displaced(batch: ClusterBatch, rows: IntArray, moves: FloatArray) -> ClusterBatch:
    """Sub-clusters with their atoms moved, each a structure of its own.

    :param rows: of the batch, shape (t,)
    :param moves: in Å, shape (t, k, 3)
    """
    chosen = batch.select(rows)
    positions = chosen.positions + moves
    systems = dict(enumerate(chosen.systems_at(positions)))
    members = np.tile(np.arange(batch.n_atoms), (len(rows), 1))
    return ClusterBatch(chosen.numbers, positions, np.arange(len(rows)), members, systems, chosen.charges)


def derivatives(energies: FloatArray, step: float) -> FloatArray:
    """Derivatives by the positions of all atoms.

    :param energies: at the places of :func:`displacements`, shape (…, k − 1, 3, 4)
    :param step: between the places
    :return: shape (…, k, 3)
    """
    found = energies @ WEIGHTS / step
    return np.concatenate([found, -found.sum(axis=-2, keepdims=True)], axis=-2)


def step_for(precision: Precision, energy: float) -> float:
    """Displacement in Å at which rounding and what the differences leave are about equal, for derivatives of 1 eV/Å⁵.

    :param precision: of one energy
    :param energy: its size in eV
    """
    sigma = max(float(precision.sigma(np.array(energy))), 1e-13)
    return float(np.clip((30 * sigma) ** 0.2, *STEPS))


def numerical_forces(energies: Callable[[ClusterBatch], FloatArray], batch: ClusterBatch, step: float) -> Evaluation:
    """Forces on all atoms; energies are left NaN.

    :param energies: of a batch of sub-clusters in eV, shape (n,); it may raise FailedClusters
    :param batch: n sub-clusters of k atoms, of which 12(k − 1)n displaced ones are asked for, sub-cluster by sub-cluster
    :param step: displacement in Å
    :return: forces in eV/Å, shape (n, k, 3), and a message for each row of which a displaced sub-cluster failed
    """
    k = batch.n_atoms
    found = Evaluation.unknown(len(batch), k)
    assert found.forces is not None
    moves = step * displacements(k).reshape(-1, k, 3)
    for row in range(len(batch)):
        try:
            moved = energies(displaced(batch, np.full(len(moves), row), moves)) if k > 1 else np.empty(0)
        except FailedClusters as error:
            found.messages[row] = f"moved by {2 * step:g} Å for its forces: {next(iter(error.messages.values()))}"
            continue
        found.forces[row] = -derivatives(moved.reshape(k - 1, 3, len(PLACES)), step)
    return found
