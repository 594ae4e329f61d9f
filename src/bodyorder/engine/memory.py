"""What one run has computed, kept for sub-clusters that occur again in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bodyorder.sources.evaluation import Evaluation

#: Sub-clusters that are kept: some hundred bytes each.
MOST = 2**20


class _Kept(NamedTuple):
    energy: float
    forces: np.ndarray | None
    atom_energies: np.ndarray | None
    records: dict[str, float]


class Memory:
    """Energies by key, as many as there is room for, and gone with the run. Failures are not kept."""

    def __init__(self, most: int = MOST):
        self._most = most
        self._kept: dict[bytes, _Kept] = {}

    @property
    def room(self) -> int:
        """How many more there is room for."""
        return max(0, self._most - len(self._kept))

    def lookup(self, fingerprint: str, keys: Sequence[bytes], unknown: Evaluation) -> Evaluation:
        """What is known of some sub-clusters.

        :param fingerprint: of the source, which is one
        :param keys: of the sub-clusters
        :param unknown: an evaluation of as many sub-clusters that knows nothing
        :return: ``unknown`` with what is known
        """
        for row, key in enumerate(keys):
            kept = self._kept.get(key)
            if kept is None:
                continue
            unknown.energies[row] = kept.energy
            if unknown.forces is not None:
                unknown.forces[row] = kept.forces
            if unknown.atom_energies is not None:
                unknown.atom_energies[row] = kept.atom_energies
            for name, value in kept.records.items():
                unknown.records.setdefault(name, np.full(len(keys), np.nan))[row] = value
        return unknown

    def add(self, source: tuple[str, str], keys: Sequence[bytes], found: Evaluation) -> None:
        """Keep energies.

        :param source: fingerprint and name, which are those of all
        :param keys: of the first sub-clusters of an evaluation
        :param found: what the source said of them, atoms in the order of the key
        """
        for row, key in enumerate(keys):
            if row not in found.messages:
                records = {name: float(values[row]) for name, values in found.records.items()}
                forces, shares = (
                    None if array is None else array[row] for array in (found.forces, found.atom_energies)
                )
                self._kept[key] = _Kept(float(found.energies[row]), forces, shares, records)
