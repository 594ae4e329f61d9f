"""What a source says about a batch: energies, forces, what failed, and what is known of the state of every sub-cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

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
    :param atom_energies: energies of the atoms in eV, which add up to the energy of their sub-cluster, NaN in rows that failed,
        shape (n, k), or None where none were asked for
    """

    energies: np.ndarray
    forces: np.ndarray | None = None
    messages: dict[int, str] = field(default_factory=dict)
    records: dict[str, np.ndarray] = field(default_factory=dict)
    atom_energies: np.ndarray | None = None

    @classmethod
    def unknown(
        cls, count: int, n_atoms: int | None = None, *, forces: bool = True, atom_energies: bool = False
    ) -> Evaluation:
        """Nothing known of so many sub-clusters.

        :param n_atoms: atoms of each; without it there are neither forces nor energies of atoms
        :param forces: whether there are to be forces
        :param atom_energies: whether there are to be energies of atoms
        """
        return cls(
            np.full(count, np.nan),
            None if n_atoms is None or not forces else np.full((count, n_atoms, 3), np.nan),
            atom_energies=None if n_atoms is None or not atom_energies else np.full((count, n_atoms), np.nan),
        )

    def put(self, rows: np.ndarray, other: Evaluation) -> None:
        """Take what another answer says of some rows; messages are not taken."""
        self.energies[rows] = other.energies
        if self.forces is not None:
            self.forces[rows] = other.forces
        if self.atom_energies is not None:
            self.atom_energies[rows] = other.atom_energies
        for name, values in other.records.items():
            self.records.setdefault(name, np.full(len(self.energies), np.nan))[rows] = values

    def part(self, rows: np.ndarray) -> Evaluation:
        """What this says of some rows, shape (m,)."""
        return Evaluation(
            self.energies[rows],
            None if self.forces is None else self.forces[rows],
            {place: self.messages[row] for place, row in enumerate(rows.tolist()) if row in self.messages},
            {name: values[rows] for name, values in self.records.items()},
            None if self.atom_energies is None else self.atom_energies[rows],
        )

    def reordered(self, permutation: np.ndarray) -> Evaluation:
        """The same with the atoms of every sub-cluster in another order.

        :param permutation: of the atoms of each, shape (n, k)
        """
        forces, shares = self.forces, self.atom_energies
        if forces is not None:
            forces = np.take_along_axis(forces, permutation[:, :, None], axis=1)
        if shares is not None:
            shares = np.take_along_axis(shares, permutation, axis=1)
        return replace(self, forces=forces, atom_energies=shares)

    def whole(self) -> Evaluation:
        """This answer, if it is one to every row.

        :raises FailedClusters: if some rows failed
        """
        if self.messages:
            raise FailedClusters(self.messages, self.energies, self.forces)
        return self

    @classmethod
    def joined(cls, first: Evaluation, second: Evaluation) -> Evaluation:
        """Two answers, one behind the other."""
        offset = len(first.energies)
        held = [array for array in (first.forces, first.atom_energies) if array is not None]
        whole = cls.unknown(
            offset + len(second.energies),
            held[0].shape[1] if held else None,
            forces=first.forces is not None,
            atom_energies=first.atom_energies is not None,
        )
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

    def __reduce__(self) -> tuple[Any, ...]:
        """For workers, which send it back."""
        return type(self), (self.messages, self.energies, self.forces)
