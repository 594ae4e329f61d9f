"""What networks are to the rest of the package, whatever program made them: how they are asked for, what goes in and out."""

from __future__ import annotations

import logging
import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import ase
import numpy as np
import torch
from ase.data import chemical_symbols

from bodyorder._checks import InputError, check_choice
from bodyorder.sources.protocol import Evaluation
from bodyorder.sources.spin import CHOICES, SpinRule, spin_rule
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clusters:
    """Sub-clusters of one size as networks take them.

    :param numbers: atomic numbers, shape (n, k)
    :param positions: in Å, shape (n, k, 3)
    :param charges: of each sub-cluster in elementary charges, shape (n,); zero if not given
    :param atom_charges: of its atoms, shape (n, k); zero if not given
    :param unpaired: electrons of each sub-cluster without a partner, shape (n,); as few as their number allows if not given
    """

    numbers: IntArray
    positions: FloatArray
    charges: IntArray = None  # type: ignore[assignment]
    atom_charges: FloatArray = None  # type: ignore[assignment]
    unpaired: IntArray | None = None

    def __post_init__(self) -> None:
        if self.charges is None:
            object.__setattr__(self, "charges", np.zeros(len(self), dtype=np.int64))
        if self.atom_charges is None:
            object.__setattr__(self, "atom_charges", np.zeros(self.numbers.shape))

    @classmethod
    def of(cls, batch: ClusterBatch, charged: bool, unpaired: IntArray | None = None) -> Clusters:
        """The sub-clusters of a batch.

        :param charged: whether their charges are handed over, or left out
        :param unpaired: as above
        """
        if charged:
            return cls(batch.numbers, batch.positions, batch.charges, batch.of_members("charges"), unpaired)
        return cls(batch.numbers, batch.positions, unpaired=unpaired)

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
        """2S + 1, shape (n,)."""
        return 1 + ((self.numbers.sum(axis=1) - self.charges) % 2 if self.unpaired is None else self.unpaired)

    def part(self, rows: slice) -> Clusters:
        """Some of the sub-clusters."""
        unpaired = None if self.unpaired is None else self.unpaired[rows]
        return Clusters(self.numbers[rows], self.positions[rows], self.charges[rows], self.atom_charges[rows], unpaired)


class Output(NamedTuple):
    """What a network says before it is differentiated.

    :param energies: of the sub-clusters in eV, float64, shape (n,)
    :param atoms: of their atoms if asked for, shape (n, k)
    :param leaves: the positions that they depend on
    :param forces: on the atoms in eV/Å if the network predicts them itself, shape (n, k, 3)
    :param members: several energies of each in eV if asked for, float64, shape (n, m)
    """

    energies: torch.Tensor
    atoms: torch.Tensor | None
    leaves: list[torch.Tensor]
    forces: torch.Tensor | None = None
    members: torch.Tensor | None = None


class Network(ABC):
    """A model in memory.

    :param label: what the user calls it
    :param elements: atomic numbers that it knows
    :param gives_atoms: whether it gives energies of atoms
    :param takes_charges: whether it can be told charges
    :param charged: whether it is told them
    :param rule: by which it is told the spin of each sub-cluster, None where it takes none
    :param context: what else of the structure it is told, as the ``context`` of a source
    :param tells_all: whether every atom is told the charge or spin of its whole sub-cluster, however far away the others are
    :param interaction_range: distance in Å that it says it feels
    :param list_cutoff: largest cutoff of its neighbour lists in Å; 0 if there are none
    :param force_kind: what its forces are, as the ``force_kind`` of a source
    :param members: names of the several energies that it was asked for or has, none if there are none
    :param member_kind: what these are, as the ``member_kind`` of a source
    """

    label: str
    elements: list[int]
    gives_atoms: bool
    takes_charges: bool
    charged: bool
    rule: SpinRule | None
    context: tuple[str, ...]
    tells_all: bool
    interaction_range: float
    list_cutoff: float
    force_kind: str = "gradient"
    dtype: torch.dtype
    device: torch.device
    model: torch.nn.Module
    members: tuple[str, ...] = ()
    member_kind: str = ""
    #: what to do for members where there are none, as the end of a sentence
    no_members: str = "the model has one energy"

    @property
    def most_unpaired(self) -> int | None:
        """Unpaired electrons beyond which it has no states, None where it sets no limit."""
        return None

    @abstractmethod
    def forward(self, clusters: Clusters, *, packed: bool, atoms: bool, forces: bool, members: bool = False) -> Output:
        """Run the model once.

        :param packed: add up the energies of the atoms of all sub-clusters at once, or take the energies that the model gives
            for sub-clusters
        :param atoms: whether energies of atoms are wanted
        :param forces: whether the energies shall be differentiable, or forces be there if they are ``direct``
        :param members: whether members are wanted, which are never differentiated
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
        self.check_elements(clusters.numbers)

    def check_elements(self, numbers: IntArray) -> None:
        """Check that the model knows some atomic numbers.

        :raises InputError: for one that it does not know
        """
        unknown = np.setdiff1d(numbers, self.elements)
        if len(unknown):
            raise InputError(
                f"{self.label} must know every element, and has not seen {_symbols(unknown)}; it knows "
                f"{_symbols(self.elements)}"
            )

    def evaluate(
        self, clusters: Clusters, *, packed: bool, atoms: bool = False, forces: bool = False, members: bool = False
    ) -> Evaluation:
        """Energies of the sub-clusters, and what else is wanted of them; parameters as for :meth:`forward`."""
        answer = self.forward(clusters, packed=packed, atoms=atoms, forces=forces, members=members)
        found = Evaluation(answer.energies.detach().cpu().numpy())
        if members:
            assert answer.members is not None
            found.members = answer.members.detach().cpu().numpy()
        if atoms:
            assert answer.atoms is not None
            found.atom_energies = answer.atoms.detach().cpu().numpy()
        if answer.forces is not None:
            found.forces = answer.forces.detach().cpu().numpy()
        elif forces:
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


def tell_default(model: str, what: str, names: Sequence[str], taken: str, option: str) -> None:
    """Warn that one of several energies is taken that nobody named; workers take what they are given, and say nothing.

    :param model: what the user calls it
    :param what: what it has several of
    :param names: of all of them
    :param option: that names one
    """
    if multiprocessing.parent_process() is None:
        logger.warning(
            "%s has several %s (%s), and none is named: %r is taken; say %s=… for another one, members=heads for all",
            model,
            what,
            ", ".join(names),
            taken,
            option,
        )


def rule_of(model: str, *, charge: bool, spin: bool, charged: bool, rule: str | None) -> SpinRule | None:
    """The rule by which a model is told the spin of sub-clusters: it is told charge and spin if and only if it takes them.

    :param model: what the user calls it
    :param charge: whether it takes a charge; without being told it takes all for neutral
    :param spin: whether it takes a spin
    :param charged: whether it shall be told the charge
    :param rule: name of a spin rule, or None
    :raises InputError: if it is told what it does not take, or is not told a spin
    """
    if charged and not charge:
        raise InputError(f"`charged` must be left out for {model}, which takes no charges")
    if rule is not None and not spin:
        raise InputError(f"`spin` must be left out for {model}, which takes no spin")
    if spin and rule is None:
        raise InputError(f"`spin` must be given for {model}, which takes the spin of every sub-cluster; {CHOICES}")
    return None if rule is None else spin_rule(rule)


def check_known(model: str, asked: Collection[str], known: Collection[str]) -> None:
    """Check that all that a model asks for can be given.

    :raises InputError: if it cannot
    """
    if unknown := [name for name in asked if name not in known]:
        raise InputError(
            f"{model} must need nothing but elements, positions, charges and spins, and asks for {', '.join(unknown)}"
        )


def check_device(device: str, supported: Iterable[str]) -> torch.device:
    """The device of a name.

    :param device: such as ``cpu``, ``cuda`` or ``cuda:1``
    :param supported: kinds that the model runs on
    :raises InputError: if it runs on no such device, or there is none
    """
    kind, _, index = device.partition(":")
    check_choice("device", kind, supported)
    if kind == "cuda":
        count = torch.cuda.device_count()
        if not (index or "0").isdigit() or int(index or "0") >= count:
            raise InputError(
                f"`device` must be there, got {device!r} and torch sees {count} GPUs; device=cpu always works"
            )
    return torch.device(device)
