"""A metatomic model in memory, and the one way in which it is called: many sub-clusters of one size at once.

All sub-clusters go to the model as one ``System`` whose neighbour lists hold pairs inside each sub-cluster only, so that the
network sees one large graph of unconnected parts and the fixed cost of a call is paid once for all of them. Energies of
atoms then add up to energies of sub-clusters. Where a model gives no energies of atoms, or feels more than its neighbour
lists (:mod:`~bodyorder.sources.probe` finds out), each sub-cluster is a ``System`` of its own in one call.
"""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import torch
from metatensor.torch import Labels, TensorBlock
from metatomic.torch import (
    AtomisticModel,
    ModelEvaluationOptions,
    ModelOutput,
    System,
    check_atomistic_model,
    load_model_extensions,
    register_autograd_neighbors,
)

from bodyorder._checks import InputError, check_choice
from bodyorder.sources.memory import keep_freed_memory
from bodyorder.sources.metatomic.archive import Settings, read_extensions
from bodyorder.sources.network import check_device, check_elements
from bodyorder.structures.clusters import FloatArray, IntArray

_PAIR_NAMES = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]


class Network:
    """A loaded model.

    :param settings: which model, where it runs and in what precision
    :raises InputError: if it cannot be loaded, gives no energy, needs inputs that sub-clusters do not have, or does not
        support the device
    """

    def __init__(self, settings: Settings):
        model = _load(settings)
        capabilities = model.capabilities()
        self.target = settings.target
        self.elements = sorted(capabilities.atomic_types)
        self.interaction_range = float(capabilities.engine_interaction_range("angstrom"))
        self.output = _energy_output(settings, capabilities.outputs)
        self.gives_atoms = capabilities.outputs[self.output].sample_kind == "atom"
        if wanted := model.requested_inputs(use_new_names=True):
            raise InputError(
                f"metatomic:{self.target} must need nothing but elements and positions, and asks for {', '.join(wanted)}"
            )
        self.device = check_device(settings.device, capabilities.supported_devices)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.dtype = getattr(torch, settings.dtype or capabilities.dtype)
        if self.device.type != "cpu" or settings.dtype:
            with warnings.catch_warnings():
                # Moving a TorchScript module makes metatensor complain about the library that exported it.
                warnings.filterwarnings("ignore", message=".*_mts_buffer_names", category=UserWarning)
                model = model.to(device=self.device, dtype=self.dtype)
        self.model = model
        self.lists = self.model.requested_neighbor_lists()
        self._cell = torch.zeros(3, 3, dtype=self.dtype, device=self.device)
        self._pbc = torch.zeros(3, dtype=torch.bool, device=self.device)
        self._xyz = Labels(["xyz"], torch.arange(3, dtype=torch.int32).reshape(3, 1)).to(self.device)
        self._distance = Labels(["distance"], torch.zeros(1, 1, dtype=torch.int32)).to(self.device)

    @property
    def list_cutoff(self) -> float:
        """Largest cutoff of the neighbour lists in Å; 0 if there are none."""
        return max((options.engine_cutoff("angstrom") for options in self.lists), default=0.0)

    def check_elements(self, numbers: IntArray) -> None:
        """Check that the model knows all elements.

        :raises InputError: if it does not
        """
        check_elements(f"metatomic:{self.target}", self.elements, numbers)

    def forward(
        self, numbers: IntArray, positions: FloatArray, *, packed: bool, forces: bool
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Run the model once.

        :param numbers: atomic numbers, shape (n, k)
        :param positions: in Å, shape (n, k, 3)
        :param packed: all sub-clusters as one system, or each as its own
        :param forces: whether the energies shall be differentiable
        :return: energies in eV, shape (n,), float64, and the positions that they can be differentiated by
        """
        n, k = numbers.shape
        systems, leaves = self.build(numbers, positions, packed=packed, forces=forces)
        block = self.run(systems, packed=packed)
        owners = block.samples.column("atom" if packed else "system").to(torch.int64)
        if packed:
            owners = torch.div(owners, k, rounding_mode="floor")
        values = block.values.reshape(-1).to(torch.float64)
        energies = torch.zeros(n, dtype=torch.float64, device=self.device).index_add(0, owners, values)
        return energies, leaves

    def build(
        self, numbers: IntArray, positions: FloatArray, *, packed: bool, forces: bool
    ) -> tuple[list[System], list[torch.Tensor]]:
        """Systems with their neighbour lists, and the positions in them; parameters as for :meth:`forward`."""
        groups = [slice(None)] if packed else [slice(row, row + 1) for row in range(len(numbers))]
        built = [self._system(numbers[group], positions[group], forces) for group in groups]
        return [system for system, _ in built], [leaf for _, leaf in built]

    def run(self, systems: list[System], *, packed: bool) -> TensorBlock:
        """What the model gives for systems: energies in eV of their atoms if packed, else of the systems."""
        wanted = ModelOutput(unit="eV", sample_kind="atom" if packed else "system")
        options = ModelEvaluationOptions(length_unit="angstrom", outputs={self.output: wanted})
        # TorchScript's optimizer would spend seconds on the first calls and again whenever shapes change, and what it makes
        # of these networks is slower than what it started from.
        with torch.jit.optimized_execution(False):
            return self.model(systems, options, check_consistency=False)[self.output].block()

    def evaluate(
        self, numbers: IntArray, positions: FloatArray, *, packed: bool, forces: bool
    ) -> tuple[FloatArray, FloatArray | None]:
        """Energies in eV, shape (n,), and forces in eV/Å, shape (n, k, 3), or None; parameters as for :meth:`forward`."""
        energies, leaves = self.forward(numbers, positions, packed=packed, forces=forces)
        values = energies.detach().cpu().numpy()
        if not forces:
            return values, None
        if not energies.requires_grad:
            return values, np.zeros(positions.shape)
        slopes = self._slopes(energies, leaves)
        parts = [torch.zeros_like(leaf) if slope is None else slope for slope, leaf in zip(slopes, leaves, strict=True)]
        return values, -torch.cat(parts).to(torch.float64).cpu().numpy().reshape(positions.shape)

    def _slopes(self, energies: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor | None]:
        with warnings.catch_warnings():
            # Torch goes on with wrong derivatives where an operator has none.
            warnings.filterwarnings("error", message=".*autograd kernel was not registered", category=UserWarning)
            try:
                return torch.autograd.grad(energies.sum(), leaves, allow_unused=True)
            except UserWarning as warning:
                if "autograd kernel" not in str(warning):
                    raise
                operator = str(warning).partition(": ")[0]
                raise InputError(
                    f"metatomic:{self.target} has no forces here, since its operator {operator} comes without derivatives; "
                    f"install the Python package that it belongs to"
                ) from warning

    def _system(self, numbers: IntArray, positions: FloatArray, forces: bool) -> tuple[System, torch.Tensor]:
        """Sub-clusters as one system, and its positions as the leaf of automatic differentiation."""
        leaf = torch.tensor(positions.reshape(-1, 3), dtype=self.dtype, device=self.device, requires_grad=forces)
        types = torch.tensor(numbers.ravel(), dtype=torch.int32, device=self.device)
        system = System(types, leaf, self._cell, self._pbc)
        for options in self.lists:
            pairs = self._pairs(positions, options.engine_cutoff("angstrom"), options.full_list)
            if forces:
                register_autograd_neighbors(system, pairs, check_consistency=False)
            system.add_neighbor_list(options, pairs)
        return system, leaf

    def _pairs(self, positions: FloatArray, cutoff: float, full: bool) -> TensorBlock:
        """Pairs inside each sub-cluster that are no farther apart than the cutoff: each once, or both ways."""
        k = positions.shape[1]
        first, second = np.nonzero(~np.eye(k, dtype=bool)) if full else np.triu_indices(k, 1)
        vectors = positions[:, second] - positions[:, first]
        row, pair = np.nonzero(np.einsum("npx,npx->np", vectors, vectors) <= cutoff**2)
        samples = np.zeros((len(row), len(_PAIR_NAMES)), dtype=np.int32)
        samples[:, 0] = row * k + first[pair]
        samples[:, 1] = row * k + second[pair]
        return TensorBlock(
            values=torch.tensor(vectors[row, pair, :, None], dtype=self.dtype, device=self.device),
            samples=Labels(_PAIR_NAMES, torch.from_numpy(samples).to(self.device), assume_unique=True),
            components=[self._xyz],
            properties=self._distance,
        )


def _load(settings: Settings) -> AtomisticModel:
    extensions = read_extensions(settings.path, settings.target)
    missing = [extension.name for extension in extensions if extension.installed is None]
    path = str(settings.path)
    try:
        for extension in extensions:
            # Installed libraries come first: torch ends the process when Python later imports a second copy of one. And their
            # packages must be imported, because some (sphericart) register the derivatives of their operators there.
            if extension.package:
                importlib.import_module(extension.package)
            elif extension.installed is not None:
                torch.ops.load_library(str(extension.installed))
        if missing and settings.extensions is not None:
            load_model_extensions(path, str(settings.extensions))
        check_atomistic_model(path)
        model = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        if missing and settings.extensions is None:
            raise InputError(
                f"metatomic:{settings.target} needs compiled operators that are not installed ({', '.join(missing)}); "
                f"give the folder that came with the model as `extensions`"
            ) from error
        raise InputError(f"metatomic:{settings.target} could not be loaded: {last_line(error)}") from error
    return AtomisticModel(model, model.metadata(), model.capabilities())


def _energy_output(settings: Settings, outputs: dict[str, ModelOutput]) -> str:
    energies = [name for name in outputs if name == "energy" or name.startswith("energy/")]
    wanted = "energy" if settings.variant is None else f"energy/{settings.variant}"
    if wanted in energies:
        return wanted
    if not energies:
        raise InputError(
            f"metatomic:{settings.target} must give an energy, and gives {', '.join(outputs) or 'nothing'}"
        )
    variants = [name.partition("/")[2] for name in energies if "/" in name]
    if settings.variant is None:
        raise InputError(f"`variant` must be given for metatomic:{settings.target}, one of {', '.join(variants)}")
    if not variants:
        raise InputError(
            f"`variant` must be left out for metatomic:{settings.target}, which has one energy; got {settings.variant!r}"
        )
    return check_choice("variant", settings.variant, variants)


def last_line(error: BaseException) -> str:
    """The last line of a message: TorchScript puts the cause below its trace."""
    return (str(error).strip().splitlines() or ["no message"])[-1].strip()
