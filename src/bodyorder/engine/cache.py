"""What one run has computed, kept for sub-clusters that occur again in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bodyorder.sources.protocol import Evaluation

#: Sub-clusters that are kept: some hundred bytes each.
MOST = 2**20


class RunCache:
    """Energies by key, as many as there is room for, and gone with the run. Failures are not kept."""

    def __init__(self, most: int = MOST):
        self._most = most
        # an evaluation, and which of its rows
        self._kept: dict[bytes, tuple[Evaluation, int]] = {}

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
        known: dict[int, tuple[Evaluation, list[int], list[int]]] = {}
        for row, key in enumerate(keys):
            if key in self._kept:
                found, place = self._kept[key]
                _, rows, places = known.setdefault(id(found), (found, [], []))
                rows.append(row)
                places.append(place)
        for found, rows, places in known.values():
            unknown.put(np.array(rows), found.part(np.array(places)))
        return unknown

    def add(self, source: tuple[str, str], keys: Sequence[bytes], found: Evaluation) -> None:
        """Keep energies.

        :param source: fingerprint and name, which are those of all
        :param keys: of the first sub-clusters of an evaluation
        :param found: what the source said of them, atoms in the order of the key
        """
        self._kept.update({key: (found, row) for row, key in enumerate(keys) if row not in found.messages})
