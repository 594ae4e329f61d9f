"""What networks are to the rest of the package, whatever program made them: what goes in, and what comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import ase
import numpy as np
import torch
from ase.data import chemical_symbols

from bodyorder._checks import InputError
from bodyorder.sources.evaluation import Evaluation
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray


@dataclass(frozen=True)
class Clusters:
    """Sub-clusters of one size as networks take them.

    :param numbers: atomic numbers, shape (n, k)
    :param positions: in Å, shape (n, k, 3)
    :param charges: of each sub-cluster in elementary charges, shape (n,); zero if not given
    :param atom_charges: of its atoms, shape (n, k); zero if not given
    """

    numbers: IntArray
    positions: FloatArray
    charges: IntArray = None  # type: ignore[assignment]
    atom_charges: FloatArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.charges is None:
            object.__setattr__(self, "charges", np.zeros(len(self), dtype=np.int64))
        if self.atom_charges is None:
            object.__setattr__(self, "atom_charges", np.zeros(self.numbers.shape))

    @classmethod
    def of(cls, batch: ClusterBatch, charged: bool) -> Clusters:
        """The sub-clusters of a batch.

        :param charged: whether their charges are handed over, or left out
        """
        if charged:
            return cls(batch.numbers, batch.positions, batch.charges, batch.of_members("charges"))
        return cls(batch.numbers, batch.positions)

    @classmethod
    def of_cell(cls, atoms: ase.Atoms, charged: bool) -> Clusters:
        """The atoms of one cell of a periodic structure.

        :param charged: whether their charges are handed over, or left out
        """
        held = atoms.get_initial_charges() if charged else np.zeros(len(atoms))
        return cls(
            np.asarray(atoms.numbers, dtype=np.int64)[None],
            np.asarray(atoms.positions, dtype=np.float64)[None],
            np.rint(held.sum(keepdims=True)).astype(np.int64),
            held[None],
        )

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def multiplicities(self) -> IntArray:
        """2S + 1 of the lowest spin that the number of electrons allows, 1 or 2, shape (n,)."""
        return 1 + (self.numbers.sum(axis=1) - self.charges) % 2

    def part(self, rows: slice) -> Clusters:
        """Some of the sub-clusters."""
        return Clusters(self.numbers[rows], self.positions[rows], self.charges[rows], self.atom_charges[rows])


class Answer(NamedTuple):
    """What a network says before it is differentiated.

    :param energies: of the sub-clusters in eV, float64, shape (n,)
    :param atoms: of their atoms if asked for, shape (n, k)
    :param leaves: the positions that they depend on
    """

    energies: torch.Tensor
    atoms: torch.Tensor | None
    leaves: list[torch.Tensor]


class Network(ABC):
    """A model in memory.

    :param label: what the user calls it
    :param elements: atomic numbers that it knows
    :param gives_atoms: whether it gives energies of atoms
    :param takes_charges: whether it can be told charges
    :param charged: whether it is told them
    :param context: what else of the structure it is told, as the ``context`` of a source
    :param tells_all: whether every atom is told the charge or spin of its whole sub-cluster, however far away the others are
    :param interaction_range: distance in Å that it says it feels
    :param list_cutoff: largest cutoff of its neighbour lists in Å; 0 if there are none
    """

    label: str
    elements: list[int]
    gives_atoms: bool
    takes_charges: bool
    charged: bool
    context: tuple[str, ...]
    tells_all: bool
    interaction_range: float
    list_cutoff: float
    dtype: torch.dtype
    device: torch.device
    model: torch.nn.Module

    @abstractmethod
    def forward(self, clusters: Clusters, *, packed: bool, atoms: bool, forces: bool) -> Answer:
        """Run the model once.

        :param packed: add up the energies of the atoms of all sub-clusters at once, or take the energies that the model gives
            for sub-clusters
        :param atoms: whether energies of atoms are wanted
        :param forces: whether the energies shall be differentiable
        """

    @abstractmethod
    def cell_energy(self, clusters: Clusters, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :param clusters: its atoms
        """

    def check(self, clusters: Clusters) -> None:
        """Check that the model knows what it is asked for.

        :raises InputError: for an element that it does not know
        """
        unknown = np.setdiff1d(clusters.numbers, self.elements)
        if len(unknown):
            raise InputError(
                f"{self.label} must know every element, and has not seen {_symbols(unknown)}; it knows "
                f"{_symbols(self.elements)}"
            )

    def evaluate(self, clusters: Clusters, *, packed: bool, atoms: bool = False, forces: bool = False) -> Evaluation:
        """Energies of the sub-clusters, and what else is wanted of them; parameters as for :meth:`forward`."""
        answer = self.forward(clusters, packed=packed, atoms=atoms, forces=forces)
        found = Evaluation(answer.energies.detach().cpu().numpy())
        if atoms:
            assert answer.atoms is not None
            found.atom_energies = answer.atoms.detach().cpu().numpy()
        if forces:
            found.forces = np.zeros(clusters.positions.shape)
            if answer.energies.requires_grad:
                slopes = self._slopes(answer.energies.sum(), answer.leaves)
                parts = [
                    # what no energy depends on: the positions of single atoms
                    torch.zeros_like(leaf) if slope is None else slope
                    for slope, leaf in zip(slopes, answer.leaves, strict=True)
                ]
                found.forces -= torch.cat(parts).to(torch.float64).cpu().numpy().reshape(found.forces.shape)
        return found

    def _slopes(self, energy: torch.Tensor, leaves: list[torch.Tensor]) -> Sequence[torch.Tensor | None]:
        return torch.autograd.grad(energy, leaves, allow_unused=True)


def _symbols(numbers: Iterable[int]) -> str:
    return ", ".join(chemical_symbols[number] for number in numbers)
