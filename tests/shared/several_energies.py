"""A source with members: several closed forms at once."""

from __future__ import annotations

import numpy as np

from bodyorder.sources import Capabilities, EnergySource, Precision
from bodyorder.sources.protocol import Evaluation


class Several(EnergySource):
    """The mean, or the sum, of sources that are its members."""

    precision = Precision(relative=1e-15)
    cutoff = None

    def __init__(self, members, kind, **claims):
        self._sources, self.kind = tuple(members), kind
        self.name, self.fingerprint = f"several {kind}", f"{kind} {[own.fingerprint for own in members]}"
        if kind != "parts":
            self.cutoff = members[0].cutoff
        self.calls = 0
        self.capabilities = Capabilities(
            forces=True, members=tuple(f"m{n}" for n in range(len(members))), member_kind=kind, invariant=True, **claims
        )

    def energies(self, batch):
        return self.evaluate_members(batch, False).energies

    def energies_and_forces(self, batch):
        found = self.evaluate_members(batch, True)
        return found.energies, found.forces

    def evaluate_members(self, batch, forces):
        self.calls += 1
        pairs = [own.energies_and_forces(batch) for own in self._sources]
        energies = np.stack([energies for energies, _ in pairs], axis=1)
        weight = 1.0 if self.kind == "parts" else 1 / len(pairs)
        slopes = weight * sum(slopes for _, slopes in pairs)
        return Evaluation(weight * energies.sum(axis=1), slopes if forces else None, members=energies)
