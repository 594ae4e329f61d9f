"""Second derivatives as differences of forces, for sources that have none of their own.

Central differences of fourth order: H ≈ −(F₋₂ₕ − 8F₋ₕ + 8F₊ₕ − F₊₂ₕ)/12h, which leave h⁴/30 of the fifth derivative of a force.
As shifting everything changes nothing, the last atom needs none of its own. Both triangles come about independently: what they
differ by is their error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bodyorder.sources.differences import PLACES, derivatives, displaced, displacements, step_for
from bodyorder.sources.protocol import Evaluation, Precision
from bodyorder.structures.clusters import ClusterBatch

#: What both triangles may differ by: in eV/Å², and as a part of the largest element. Forces of float32 lose a third of that.
SYMMETRIC, RELATIVE = 0.02, 1e-3


def numerical_hessians(
    evaluate: Callable[[ClusterBatch], Evaluation], given: Evaluation, batch: ClusterBatch, precision: Precision
) -> Evaluation:
    """The answer to a batch with second derivatives.

    :param evaluate: energies and forces of a batch
    :param given: what it says of this one
    :param batch: n sub-clusters of k atoms, of which 12(k − 1)n displaced ones are asked for, sub-cluster by sub-cluster
    :param precision: of one energy
    :return: second derivatives in eV/Å², symmetric, shape (n, k, k, 3, 3), and a message for each row of which a displaced
        sub-cluster failed, or whose forces do not belong to one energy
    """
    n, k = len(batch), batch.n_atoms
    hessians = np.zeros((n, k, k, 3, 3))
    messages = dict(given.messages)
    for row in range(n):
        if row in messages or k == 1:
            continue
        # half of that for energies: forces have lost less to rounding, and curve as much
        step = 0.5 * step_for(precision, float(given.energies[row]))
        moves = step * displacements(k).reshape(-1, k, 3)
        moved = evaluate(displaced(batch, np.full(len(moves), row), moves))
        assert moved.forces is not None
        if moved.messages:
            messages[row] = f"moved by {2 * step:g} Å for its second derivatives: {next(iter(moved.messages.values()))}"
            continue
        # as many derivatives as there are forces, each by every position
        forces = moved.forces.reshape(k - 1, 3, len(PLACES), k * 3).transpose(3, 0, 1, 2)
        rows = -derivatives(forces, step).reshape(k, 3, k, 3).transpose(2, 0, 3, 1)
        mirrored = rows.transpose(1, 0, 3, 2)
        off, largest = np.abs(rows - mirrored).max(), np.abs(rows).max()
        if off > SYMMETRIC + RELATIVE * largest:
            messages[row] = (
                f"second derivatives must be symmetric, those by differences of forces differ by {off:.2g} eV/Å²; forces are not "
                "the gradient of one smooth energy here"
            )
            continue
        hessians[row] = 0.5 * (rows + mirrored)
    hessians[list(messages)] = np.nan
    return replace(given, messages=messages, hessians=hessians)
