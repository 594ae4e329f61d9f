"""The several energies of one MACE model: those of all its heads, or the parts that add up to its energy.

A MACE energy is E = Σ_i E0(Z_i) + Σ_i [s (V_i + Σ_t R_t(h_i)) + b] with the energies E0 of isolated atoms, the readouts R_t of
the network's features h, and where the model has it the repulsion V of Ziegler, Biersack and Littmark, a sum over pairs. Scale s
and shift b belong to the head. Source: I. Batatia et al., MACE, doi:10.48550/arXiv.2206.07697; ``ScaleShiftMACE`` of mace-torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from bodyorder._checks import InputError, check_choice
from bodyorder.sources.networks.network import Output

#: Which members a model can be asked for.
KINDS = ("heads", "parts")
#: Parts of an energy, by the block of the model that gives them; all that is left are readouts.
ATOMS, REPULSION, NETWORK = "isolated atoms", "pair repulsion", "network"

#: Runs the model on a graph.
Run = Callable[[dict[str, torch.Tensor]], Output]


class Members(ABC):
    """How the members of a model are evaluated.

    :param names: of the members
    """

    names: tuple[str, ...]

    @abstractmethod
    def run(self, run: Run, graph: dict[str, torch.Tensor]) -> Output:
        """Run the model on a graph: energies of its head, which can be differentiated, and members of all sub-clusters."""


def members_of(label: str, kind: str, model: torch.nn.Module, heads: Sequence[str], head: int) -> Members:
    """The members of a model.

    :param label: what the user calls it
    :param kind: one of :data:`KINDS`
    :param heads: names of its heads
    :param head: number of the one whose energy it gives
    :raises InputError: if it has none of the kind
    """
    if check_choice("members", kind, KINDS) == "parts":
        return _Parts(label, model, head)
    if len(heads) < 2:
        raise InputError(f"`members=heads` needs a model with several heads, {label} has one, {heads[0]}")
    return _Heads(heads, head)


class _Heads(Members):
    """One run for each head, on the same graph."""

    def __init__(self, heads: Sequence[str], head: int):
        self.names, self._head = tuple(heads), head

    def run(self, run: Run, graph: dict[str, torch.Tensor]) -> Output:
        own = run(graph)
        with torch.no_grad():
            given = {key: value.detach() for key, value in graph.items()}
            energies = [
                own.energies.detach()
                if head == self._head
                else run(given | {"head": torch.full_like(graph["head"], head)}).energies
                for head in range(len(self.names))
            ]
        return own._replace(members=torch.stack(energies, dim=1))


class _Parts(Members):
    """What the blocks of a model say as it runs. The readouts are added up by themselves, so that the sum of all parts tells
    whether the model has others."""

    def __init__(self, label: str, model: torch.nn.Module, head: int):
        self._model, self._head = model, head
        if not hasattr(model, "readouts"):
            raise InputError(
                f"`members=parts` needs a MACE model with readouts, and {label} is a {type(model).__name__}"
            )
        self._blocks: dict[str, list[Any]] = {ATOMS: [model.atomic_energies_fn]}
        if hasattr(model, "pair_repulsion"):
            self._blocks[REPULSION] = [model.pair_repulsion_fn]
        self._blocks[NETWORK] = [*model.readouts]
        # what a model adds to the energy of an atom for the charge and spin that it is told
        self._told = [model.embedding_readout] if hasattr(model, "embedding_readout") else []
        self.names = tuple(self._blocks)

    def run(self, run: Run, graph: dict[str, torch.Tensor]) -> Output:
        said: dict[str, list[torch.Tensor]] = {name: [] for name in self.names}
        told: list[torch.Tensor] = []
        with ExitStack() as hooks:
            for name, blocks in self._blocks.items():
                for block in blocks:
                    hooks.enter_context(_listening(block, said[name]))
            for block in self._told:
                hooks.enter_context(_listening(block, told))
            own = run(graph)
        count = len(graph["node_attrs"])
        by_atom = {name: sum(self._of_head(values, count) for values in said[name]) for name in self.names}
        scale, shift = self._scale_and_shift()
        for name in (REPULSION, NETWORK):
            if name in by_atom:
                by_atom[name] = scale * by_atom[name]
        by_atom[NETWORK] = by_atom[NETWORK] + shift + sum(self._of_head(values, count) for values in told)
        members = torch.stack([values.to(torch.float64) for values in by_atom.values()], dim=1)
        return own._replace(members=members.reshape(len(own.energies), -1, len(self.names)).sum(dim=1))

    def _of_head(self, values: torch.Tensor, count: int) -> torch.Tensor:
        """Energies of atoms, shape (count,), of what has a column for each head, or one for all."""
        columns = values.reshape(count, -1)
        return columns[:, self._head if columns.shape[1] > 1 else 0]

    def _scale_and_shift(self) -> tuple[torch.Tensor | float, torch.Tensor | float]:
        block = getattr(self._model, "scale_shift", None)
        if block is None:
            return 1.0, 0.0
        scale, shift = (torch.atleast_1d(values) for values in (block.scale, block.shift))
        return scale[self._head if len(scale) > 1 else 0], shift[self._head if len(shift) > 1 else 0]


def _listening(block: torch.nn.Module, said: list[torch.Tensor]) -> Any:
    """Hears what a block says, while the context lasts."""

    def hear(block: torch.nn.Module, given: Any, answer: torch.Tensor) -> None:
        said.append(answer.detach())

    return block.register_forward_hook(hear)
