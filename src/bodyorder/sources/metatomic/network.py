"""A metatomic model in memory, and the one way in which it is called: many sub-clusters of one size at once.

All sub-clusters go to the model as one ``System`` whose neighbour lists hold pairs inside each sub-cluster only, so that the
network sees one large graph of unconnected parts and the fixed cost of a call is paid once for all of them. Energies of
atoms then add up to energies of sub-clusters. Where a model gives no energies of atoms, or feels more than its neighbour
lists (:mod:`~bodyorder.sources.networks.traits` finds out), each sub-cluster is a ``System`` of its own in one call.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence

import ase
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

from bodyorder._checks import InputError, check_choice, first_line
from bodyorder.sources.metatomic.archive import Settings, of_another_version, read_extensions
from bodyorder.sources.metatomic.inputs import Inputs
from bodyorder.sources.networks.network import Clusters, Network, Output, check_device
from bodyorder.sources.pairs import Pairs, pairs_inside, pairs_of_cell
from bodyorder.sources.portions import keep_freed_memory

_PAIR_NAMES = ["first_atom", "second_atom", "cell_shift_a", "cell_shift_b", "cell_shift_c"]


class MetatomicNetwork(Network):
    """A loaded model.

    :param settings: which model, where it runs and in what precision
    :raises InputError: if it cannot be loaded, gives no energy, needs inputs that sub-clusters do not have, or does not
        support the device
    """

    def __init__(self, settings: Settings):
        model = _load(settings)
        capabilities = model.capabilities()
        self.label = f"metatomic:{settings.target}"
        self.elements = sorted(capabilities.atomic_types)
        self.interaction_range = float(capabilities.engine_interaction_range("angstrom"))
        self.output = _energy_output(settings, capabilities.outputs)
        self.gives_atoms = capabilities.outputs[self.output].sample_kind == "atom"
        self._inputs = Inputs(self.label, model.requested_inputs(use_new_names=True), settings)
        self.takes_charges, self.charged = self._inputs.takes_charges, settings.charged
        self.rule, self.context = self._inputs.rule, self._inputs.context
        self.tells_all = self._inputs.tells_all
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
        self.list_cutoff = max((options.engine_cutoff("angstrom") for options in self.lists), default=0.0)
        self._xyz = Labels(["xyz"], torch.arange(3, dtype=torch.int32).reshape(3, 1)).to(self.device)
        self._distance = Labels(["distance"], torch.zeros(1, 1, dtype=torch.int32)).to(self.device)

    def forward(self, clusters: Clusters, *, packed: bool, atoms: bool, forces: bool) -> Output:
        """Run the model once, all sub-clusters as one system if packed, else each as its own.

        Parameters as for :meth:`bodyorder.sources.networks.network.Network.forward`.
        """
        n, k = clusters.numbers.shape
        systems, leaves = self.build(clusters, packed=packed, forces=forces)
        block = self.run(systems, atoms=packed or atoms)
        values = block.values.reshape(-1).to(torch.float64)
        owners = block.samples.column("system").to(torch.int64)
        if not packed and not atoms:
            return Output(values.new_zeros(n).index_add(0, owners, values), None, leaves)
        # of all atoms, in whatever order and however many times the model names them
        sites = block.samples.column("atom").to(torch.int64) + (0 if packed else k * owners)
        shares = values.new_zeros(n * k).index_add(0, sites, values).reshape(n, k)
        return Output(shares.sum(dim=1), shares, leaves)

    def build(self, clusters: Clusters, *, packed: bool, forces: bool) -> tuple[list[System], list[torch.Tensor]]:
        """Systems with their neighbour lists, and the positions in them; parameters as for :meth:`forward`."""
        groups = [slice(None)] if packed else [slice(row, row + 1) for row in range(len(clusters))]
        built = [self._system(clusters.part(group), None, forces) for group in groups]
        return [system for system, _ in built], [leaf for _, leaf in built]

    def run(self, systems: list[System], *, atoms: bool) -> TensorBlock:
        """What the model gives for systems: energies in eV of their atoms, or of the systems."""
        wanted = ModelOutput(unit="eV", sample_kind="atom" if atoms else "system")
        options = ModelEvaluationOptions(length_unit="angstrom", outputs={self.output: wanted})
        # TorchScript's optimizer would spend seconds on the first calls and again whenever shapes change, and what it makes
        # of these networks is slower than what it started from.
        with torch.jit.optimized_execution(False):
            return self.model(systems, options, check_consistency=False)[self.output].block()

    def cell_energy(self, clusters: Clusters, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :param clusters: its atoms
        """
        system, _ = self._system(clusters, atoms, False)
        with torch.no_grad():
            return float(self.run([system], atoms=False).values.to(torch.float64).sum())

    def _slopes(self, energy: torch.Tensor, leaves: list[torch.Tensor]) -> Sequence[torch.Tensor | None]:
        with warnings.catch_warnings():
            # Torch goes on with wrong derivatives where an operator has none.
            warnings.filterwarnings("error", message=".*autograd kernel was not registered", category=UserWarning)
            try:
                return super()._slopes(energy, leaves)
            except UserWarning as warning:
                if "autograd kernel" not in str(warning):
                    raise
                operator = str(warning).partition(": ")[0]
                raise InputError(
                    f"{self.label} has no forces here, since its operator {operator} comes without derivatives; "
                    f"install the Python package that it belongs to"
                ) from warning

    def _system(self, clusters: Clusters, cell: ase.Atoms | None, forces: bool) -> tuple[System, torch.Tensor]:
        """Sub-clusters as one system, or one periodic structure, and its positions as the leaf of differentiation."""
        kind = {"dtype": self.dtype, "device": self.device}
        leaf = torch.tensor(clusters.positions.reshape(-1, 3), requires_grad=forces, **kind)
        types = torch.tensor(clusters.numbers.ravel(), dtype=torch.int32, device=self.device)
        periodic = np.zeros(3, dtype=bool) if cell is None else cell.pbc
        # vectors along which nothing repeats are zero
        vectors = np.zeros((3, 3)) if cell is None else np.where(periodic[:, None], cell.cell.array, 0.0)
        system = System(types, leaf, torch.tensor(vectors, **kind), torch.tensor(periodic, device=self.device))
        for options in self.lists:
            cutoff = options.engine_cutoff("angstrom")
            pairs = pairs_inside(clusters.positions, cutoff) if cell is None else pairs_of_cell(cell, cutoff)
            neighbors = self._neighbors(pairs, both=options.full_list)
            if forces:
                register_autograd_neighbors(system, neighbors, check_consistency=False)
            system.add_neighbor_list(options, neighbors)
        self._inputs.add(system, clusters)
        return system, leaf

    def _neighbors(self, pairs: Pairs, *, both: bool) -> TensorBlock:
        """Pairs in metatomic's own form.

        :param both: whether each is seen from each of its atoms
        """
        m = len(pairs)
        samples = np.empty((2 * m if both else m, 5), dtype=np.int32)
        vectors = np.empty((len(samples), 3, 1))
        samples[:m, 0], samples[:m, 1], samples[:m, 2:], vectors[:m, :, 0] = (
            pairs.first, pairs.second, pairs.shifts, pairs.vectors,
        )  # fmt: skip
        if both:
            samples[m:, 0], samples[m:, 1] = pairs.second, pairs.first
            np.negative(samples[:m, 2:], out=samples[m:, 2:])
            np.negative(vectors[:m], out=vectors[m:])
        return TensorBlock(
            values=torch.from_numpy(vectors).to(dtype=self.dtype, device=self.device),
            samples=Labels(_PAIR_NAMES, torch.from_numpy(samples).to(self.device), assume_unique=True),
            components=[self._xyz],
            properties=self._distance,
        )


def _load(settings: Settings) -> AtomisticModel:
    extensions = read_extensions(settings.path, settings.target)
    missing = [extension.name for extension in extensions if extension.installed is None]
    if foreign := [extension for extension in extensions if extension.installed is None and not extension.fits]:
        raise InputError(
            f"metatomic:{settings.target} needs {foreign[0].name}, whose copy beside it is for torch {foreign[0].torch} and not "
            f"for {torch.__version__}; install the package that it belongs to, or that torch"
        )
    if missing and settings.extensions is not None and not settings.trust:
        raise InputError(
            f"metatomic:{settings.target} must be trusted to be loaded: its operators ({', '.join(missing)}) are not installed "
            f"here, and those in {settings.extensions} are compiled code, which can do anything; say trust=true if you know "
            f"where they come from"
        )
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
        # TorchScript puts the cause of what it cannot read above the lines of code that it found.
        raise InputError(
            f"metatomic:{settings.target} could not be loaded: {first_line(error).rstrip(':')}"
            f"{of_another_version(settings.path)}"
        ) from error
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
    """The last line of a message: TorchScript puts the cause below its trace, and at times its own calls below that."""
    message = str(error).partition("\nAt:\n")[0].strip()
    return (message.splitlines() or ["no message"])[-1].strip()
