"""The several energies of a metatomic model: of its ensemble, of all its variants, or the parts that add up to its energy.

The output ``energy_ensemble`` is one of metatomic's standard outputs: a column for each member (F. Bigi et al.,
doi:10.48550/arXiv.2508.15704); last-layer ensembles of metatrain give it (F. Bigi, S. Chong, M. Ceriotti, F. Grasselli,
doi:10.1088/2632-2153/ad805f). Parts are known of models of metatrain, which keep what they add to their network as modules of
their own, ``additive_models``: a table by composition, and the repulsion of Ziegler, Biersack and Littmark.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from metatensor.torch import TensorBlock, TensorMap
from metatomic.torch import AtomisticModel, ModelOutput, System

from bodyorder._checks import InputError, check_choice

#: Which members a model can be asked for; its ensemble is given without being asked for.
KINDS = ("heads", "parts")
#: What metatrain adds to its networks, by the class of the module; all that is left is the network.
ADDED = {"CompositionModel": "composition", "ZBL": "pair repulsion"}
NETWORK = "network"

#: Outputs of the model by name.
Answer = Mapping[str, TensorMap]
#: From a block of atoms or systems to energies of sub-clusters in eV, shape (n, columns).
Summed = Callable[[TensorBlock], torch.Tensor]


class Members(ABC):
    """The members of one model.

    :param kind: what they are to each other, as the ``member_kind`` of a source
    :param outputs: which outputs of the model they need beside its energy
    :param by_atom: whether all that is needed is given atom by atom
    """

    kind: str
    outputs: tuple[str, ...]
    by_atom: bool

    #: names of the members
    names: tuple[str, ...]

    @abstractmethod
    def read(self, answer: Answer, systems: list[System], own: torch.Tensor, summed: Summed) -> torch.Tensor:
        """Energies of the members in eV, shape (n, m).

        :param answer: what the model said
        :param systems: of what
        :param own: energies of the sub-clusters, shape (n,)
        :param summed: what makes energies of sub-clusters of those of atoms
        """


def members_of(label: str, kind: str | None, model: AtomisticModel, energy: str) -> Members | None:
    """The members of a model; None where none are asked for and it has no ensemble.

    :param label: what the user calls it
    :param kind: one of :data:`KINDS`, or None for its ensemble
    :param energy: the output that is its energy
    :raises InputError: if it has none of the kind
    """
    outputs = model.capabilities().outputs
    if kind is None:
        _, slash, variant = energy.partition("/")
        ensemble = f"energy_ensemble{slash}{variant}"
        return Ensemble(ensemble, outputs) if ensemble in outputs else None
    if check_choice("members", kind, KINDS) == "heads":
        return _Heads(label, outputs)
    return _Parts(label, model, energy)


class Ensemble(Members):
    """The output ``energy_ensemble``. How many members it has is told by :meth:`count`, since no model says it."""

    kind = "ensemble"

    def __init__(self, output: str, outputs: Mapping[str, ModelOutput]):
        self.outputs = (output,)
        self.by_atom = outputs[output].sample_kind == "atom"
        self.names = ()

    def count(self, answer: Answer) -> None:
        """Name the members by what the model says of any system."""
        self.names = tuple(str(number) for number in range(answer[self.outputs[0]].block().values.shape[-1]))

    def read(self, answer: Answer, systems: list[System], own: torch.Tensor, summed: Summed) -> torch.Tensor:
        """The columns of the output."""
        return summed(answer[self.outputs[0]].block())


class _Heads(Members):
    """All energies of a model, by their variants."""

    kind = "heads"

    def __init__(self, label: str, outputs: Mapping[str, ModelOutput]):
        self.outputs = tuple(name for name in outputs if name == "energy" or name.startswith("energy/"))
        if len(self.outputs) < 2:
            raise InputError(f"`members=heads` needs a model with several energies (variants), {label} has one")
        self.by_atom = all(outputs[name].sample_kind == "atom" for name in self.outputs)
        self.names = tuple(name.partition("/")[2] or name for name in self.outputs)

    def read(self, answer: Answer, systems: list[System], own: torch.Tensor, summed: Summed) -> torch.Tensor:
        return torch.cat([summed(answer[name].block()) for name in self.outputs], dim=1)


class _Parts(Members):
    """What a model of metatrain adds to its network, asked of its own modules; the network is what they leave of the energy."""

    kind = "parts"
    outputs = ()
    by_atom = True

    def __init__(self, label: str, model: AtomisticModel, energy: str):
        said, module = model.capabilities(), model.module
        module = module.model if hasattr(module, "model") else module  # wrapped for uncertainties
        added = [*module.additive_models.children()] if hasattr(module, "additive_models") else []
        kinds = [str(getattr(one, "original_name", type(one).__name__)) for one in added]
        if not added or not set(kinds) <= ADDED.keys():
            what = f"adds {', '.join(kinds)}" if kinds else "does not tell its parts apart"
            raise InputError(
                f"`members=parts` needs a model of metatrain whose parts are known ({', '.join(ADDED)}), {label} {what}"
            )
        if said.length_unit.lower() not in ("angstrom", "a") or said.outputs[energy].unit.lower() != "ev":
            raise InputError(f"`members=parts` needs a model in Å and eV, {label} is in others")
        self._energy, self._added = energy, added
        self.names = (*(ADDED[kind] for kind in kinds), NETWORK)

    def read(self, answer: Answer, systems: list[System], own: torch.Tensor, summed: Summed) -> torch.Tensor:
        wanted = {self._energy: ModelOutput(unit="eV", sample_kind="atom")}
        with torch.no_grad():
            parts = [self._of(one(systems, wanted, None), summed, own) for one in self._added]
        return torch.cat([*parts, own.detach()[:, None] - sum(parts)], dim=1)

    def _of(self, said: Answer, summed: Summed, own: torch.Tensor) -> torch.Tensor:
        """Energies of one part, shape (n, 1); zero where it adds nothing to this energy."""
        return summed(said[self._energy].block()) if self._energy in said else torch.zeros_like(own)[:, None]
