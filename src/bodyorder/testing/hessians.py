"""Check of the second derivatives that a source gives."""

from __future__ import annotations

import numpy as np

from bodyorder._checks import ComputationError
from bodyorder.sources.hessians import numerical_hessians
from bodyorder.sources.protocol import Evaluation
from bodyorder.structures.clusters import ClusterBatch
from bodyorder.testing.checks import Check
from bodyorder.testing.clusters import alone
from bodyorder.testing.subject import Subject, measured

#: What they may differ by from differences of forces, in eV/Å², and as a part of the largest element.
ALLOWED, RELATIVE = 1e-3, 1e-4


def hessians(subject: Subject, name: str) -> Check:
    """Second derivatives are those of the forces, and of the energies that come without them."""
    source = subject.source
    if not source.capabilities.hessians:
        return Check(name, None, detail=f"not claimed{source.capabilities.why_not('hessians')}")
    if not source.capabilities.forces:
        return Check(name, None, detail="there are no forces to hold them against")

    def forces(batch: ClusterBatch) -> Evaluation:
        return Evaluation(*source.energies_and_forces(batch))

    off, largest = [], []
    for cluster in subject.clusters:
        batch = alone(cluster)
        given = source.evaluate_hessians(batch, False)
        wanted = numerical_hessians(forces, forces(batch), batch, source.precision).whole()
        if given.hessians is None or np.shape(given.hessians) != (1, len(cluster), len(cluster), 3, 3):
            shape = None if given.hessians is None else np.shape(given.hessians)
            raise ComputationError(f"`hessians` must be of shape {(1, len(cluster), len(cluster), 3, 3)}, got {shape}")
        assert wanted.hessians is not None
        off.append(float(np.abs(given.hessians - wanted.hessians).max()))
        largest.append(float(np.abs(wanted.hessians).max()))
        off.append(
            abs(float(given.energies[0]) - subject.energy(cluster)) * ALLOWED / subject.tolerance(given.energies)
        )
    return measured(name, max(off), ALLOWED + RELATIVE * max(largest), "eV/Å²", "against differences of forces")
