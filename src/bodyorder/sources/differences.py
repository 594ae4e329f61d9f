"""Forces as differences of energies, for sources whose own forces are not the gradient, or that have none.

Central differences of fourth order: −F ≈ (E₋₂ₕ − 8E₋ₕ + 8E₊ₕ − E₊₂ₕ)/12h, which leave h⁴/30 of the fifth derivative. As shifting
everything changes nothing, the last atom needs none of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bodyorder.sources.protocol import Evaluation, FailedClusters, Precision
from bodyorder.structures.clusters import ClusterBatch, FloatArray, System

#: Places along each direction in steps, and the weights of their energies in a derivative times the step.
PLACES, WEIGHTS = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([1.0, -8.0, 8.0, -1.0]) / 12
#: Shortest and longest step in Å: shorter ones lose to rounding in float64, longer ones to the curvature of repulsive walls.
STEPS = (1e-3, 2e-2)


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
    found = Evaluation.unknown(len(batch), batch.n_atoms)
    assert found.forces is not None
    for row in range(len(batch)):
        try:
            slopes = _slopes(energies, batch.select(np.array([row])), step)
        except FailedClusters as error:
            found.messages[row] = f"moved by {2 * step:g} Å for its forces: {next(iter(error.messages.values()))}"
            continue
        found.forces[row, :-1] = -slopes
        found.forces[row, -1] = slopes.sum(axis=0)
    return found


def _slopes(energies: Callable[[ClusterBatch], FloatArray], one: ClusterBatch, step: float) -> FloatArray:
    """Derivatives of the energy of one sub-cluster by all of its atoms but the last, shape (k − 1, 3)."""
    free = one.n_atoms - 1
    if not free:
        return np.zeros((0, 3))
    along = np.zeros((free, 3, len(PLACES), one.n_atoms, 3))
    for atom in range(free):
        for axis in range(3):
            along[atom, axis, :, atom, axis] = step * PLACES
    moves = along.reshape(-1, one.n_atoms, 3)
    numbers = one.numbers[0]
    context = [one.of_members(name)[0] for name in ("charges", "moments", "bodies")]
    systems = {place: System(numbers, one.positions[0] + move, *context) for place, move in enumerate(moves)}
    members = np.tile(np.arange(one.n_atoms), (len(moves), 1))
    displaced = energies(ClusterBatch.cut(systems, np.arange(len(moves)), members))
    return displaced.reshape(free, 3, len(PLACES)) @ WEIGHTS / step
