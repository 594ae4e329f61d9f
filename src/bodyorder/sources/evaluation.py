"""What a source says about a batch: energies, forces, what failed, and what is known of the state of every sub-cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

#: What can be known of the state behind one energy beside the energy; NaN where it is not known.
RECORDS = {
    "multiplicity": "2S + 1",
    "contamination": "⟨S²⟩ − S(S + 1)",
    "gap": "energy of the next state above this one, in eV",
    "uncertainty": "1σ of this energy in eV, beyond the precision of its source",
    "discarded_weight": "weight of the states left out of a matrix product state",
    "extrapolation": "energy extrapolated to no discarded weight minus the energy, in eV",
}

#: Above this ⟨S²⟩ − S(S + 1) a state counts as spin contaminated.
CONTAMINATED = 0.1

#: Records that are energies.
ENERGY_RECORDS = ("gap", "uncertainty", "extrapolation")


@dataclass
class Evaluation:
    """The answer of a source to a batch of n sub-clusters of k atoms.

    :param energies: in eV, NaN in rows that failed, shape (n,)
    :param forces: in eV/Å, shape (n, k, 3), or None where none were asked for
    :param messages: one line for each row that failed
    :param records: some of :data:`RECORDS`, each of shape (n,)
    """

    energies: np.ndarray
    forces: np.ndarray | None = None
    messages: dict[int, str] = field(default_factory=dict)
    records: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def unknown(cls, count: int, n_atoms: int | None = None) -> Evaluation:
        """Nothing known of so many sub-clusters.

        :param n_atoms: atoms of each if there are to be forces
        """
        return cls(np.full(count, np.nan), None if n_atoms is None else np.full((count, n_atoms, 3), np.nan))

    def put(self, rows: np.ndarray, other: Evaluation) -> None:
        """Take what another answer says of some rows; messages are not taken."""
        self.energies[rows] = other.energies
        if self.forces is not None:
            self.forces[rows] = other.forces
        for name, values in other.records.items():
            self.records.setdefault(name, np.full(len(self.energies), np.nan))[rows] = values

    @classmethod
    def joined(cls, first: Evaluation, second: Evaluation) -> Evaluation:
        """Two answers, one behind the other."""
        offset = len(first.energies)
        n_atoms = None if first.forces is None else first.forces.shape[1]
        whole = cls.unknown(offset + len(second.energies), n_atoms)
        whole.put(np.arange(offset), first)
        whole.put(np.arange(offset, len(whole.energies)), second)
        whole.messages = first.messages | {row + offset: message for row, message in second.messages.items()}
        return whole


class FailedClusters(Exception):
    """Raised by a source that could not compute some sub-clusters of a batch, with all that it did compute.

    :param messages: one line for each row that failed
    :param energies: shape (n,), NaN in rows that failed
    :param forces: shape (n, k, 3), or None where no forces were asked for
    """

    def __init__(self, messages: Mapping[int, str], energies: np.ndarray, forces: np.ndarray | None = None):
        super().__init__("; ".join(messages.values()))
        self.messages = dict(messages)
        self.energies = energies
        self.forces = forces
