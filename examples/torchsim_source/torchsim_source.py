"""The source ``torchsim:package.module.Model?option=value``: models of torch-sim, many sub-clusters as one state.

torch-sim's ``ModelInterface`` wraps MACE, SevenNet, Orb, UMA, MatterSim, NequIP, metatomic and more. It gives no energies of
atoms, and says nothing of a cutoff; what is known of the model is said in the spec, as for ``ase:``.
"""

from __future__ import annotations

import hashlib
import importlib
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from bodyorder import InputError
from bodyorder.sources import Capabilities, EnergySource, Precision

#: Rounding of one energy, relative to it.
ROUNDING = {torch.float64: 1e-14, torch.float32: 1e-6}
#: Å around each sub-cluster in the cell that every system must have, though nothing is periodic.
MARGIN = 20.0


class TorchSimSource(EnergySource):
    """A model of torch-sim.

    :param name: the spec, without claims
    :param cutoff: in Å, beyond which parts do not feel each other; None if there is none
    :param precision: of one energy; None if nobody claims one, and it is measured
    """

    def __init__(self, model: ModelInterface, name: str, cutoff: float | None, precision: Precision | None):
        self.name, self.cutoff = name, cutoff
        self.precision = precision or Precision(relative=ROUNDING[model.dtype])
        # a file that an option names may be written again, so the numbers in it count, not its name alone
        self.fingerprint = f"{name} {weights(model)} torch-sim {version('torch-sim-atomistic')}"
        self.capabilities = Capabilities(
            forces=model.compute_forces,
            batch_size=1024,
            single_precision=model.dtype == torch.float32,
            unproven_cutoff=cutoff is not None,
            unproven_precision=precision is None,
        )
        self._model = model

    def energies(self, batch):
        return self._ask(batch)["energy"].detach().cpu().numpy().astype(np.float64)

    def energies_and_forces(self, batch):
        found = self._ask(batch)
        energies, forces = (found[what].detach().cpu().numpy().astype(np.float64) for what in ("energy", "forces"))
        return energies, forces.reshape(batch.positions.shape)

    def _ask(self, batch):
        kind = {"device": self._model.device, "dtype": self._model.dtype}
        positions = torch.tensor(batch.positions - batch.positions.mean(axis=1, keepdims=True), **kind)
        edge = 2 * (float(positions.abs().max()) + MARGIN)
        state = SimState(
            positions=positions.reshape(-1, 3),
            masses=torch.ones(batch.numbers.size, **kind),
            cell=edge * torch.eye(3, **kind).repeat(len(batch), 1, 1),
            pbc=False,
            atomic_numbers=torch.tensor(batch.numbers.reshape(-1), device=kind["device"]),
            system_idx=torch.arange(len(batch), device=kind["device"]).repeat_interleave(batch.n_atoms),
        )
        return self._model(state)


def weights(model: ModelInterface) -> str:
    """Hash of the numbers that a model holds."""
    digest = hashlib.blake2b(digest_size=16)
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if isinstance(values, torch.Tensor):
            digest.update(values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def load(
    target: str,
    *,
    additive_cutoff: float | None = None,
    energy_error: float | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    trust: bool = False,
    **options: Any,
) -> TorchSimSource:
    """What the entry point stands for.

    :param target: dotted name of a class of models, or of a function that returns one; it is called with the options
    :param trust: must be true, since whatever is named is imported and called
    :raises InputError: if it must be trusted and is not, is not there, rejects its options, or gives no model of torch-sim
    """
    if not trust:
        raise InputError(f"torchsim:{target} must be trusted, since it is called whatever it does; say trust=true")
    module, _, name = target.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"torchsim:{target} must be there to be imported, and is not: {error}") from error
    if dtype not in ("float32", "float64"):
        raise InputError(f"`dtype` must be float32 or float64, got {dtype!r}")
    try:
        model = factory(device=torch.device(device), dtype=getattr(torch, dtype), **options)
    except Exception as error:
        raise InputError(
            f"torchsim:{target} could not be made with {options}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, ModelInterface):
        raise InputError(f"torchsim:{target} must give a model of torch-sim, got {type(model).__name__}")
    precision = None if energy_error is None else Precision(float(energy_error))
    text = "&".join(f"{key}={value}" for key, value in sorted(options.items()))
    return TorchSimSource(model, f"torchsim:{target}?{text}&dtype={dtype}", additive_cutoff, precision)
