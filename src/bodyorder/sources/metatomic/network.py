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
from ase.data import covalent_radii
from metatensor.torch import Labels, TensorBlock, TensorMap
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
from bodyorder.sources.metatomic.members import Ensemble, Members, members_of
from bodyorder.sources.networks.network import Clusters, Network, Output, check_device, tell_default
from bodyorder.sources.pairs import Pairs, pairs_inside, pairs_of_cell
from bodyorder.sources.portions import keep_freed_memory

#: metatomic's names of forces that a model predicts itself, today's and the one before.
DIRECT_FORCES = ("non_conservative_force", "non_conservative_forces")
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
        self.force_kind = settings.forces
        self.force_output = _force_output(settings, self.output, capabilities.outputs)
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
        self._members = members_of(self.label, settings.members, model, self.output)
        self._xyz = Labels(["xyz"], torch.arange(3, dtype=torch.int32).reshape(3, 1)).to(self.device)
        self._distance = Labels(["distance"], torch.zeros(1, 1, dtype=torch.int32)).to(self.device)
        self.no_members = (
            "the model has no output energy_ensemble; say members=parts, or members=heads for its variants"
        )
        if self._members is not None:
            try:
                self._try_members(self._members)
            except (RuntimeError, torch.jit.Error) as error:  # the second of what its code raises
                said = f"its {self._members.kind} cannot be computed: {last_line(error)}"
                if settings.members is not None:
                    raise InputError(f"{self.label} must give its members, and {said}") from error
                self._members, self.no_members = None, said
                self.members, self.member_kind = (), ""

    def forward(self, clusters: Clusters, *, packed: bool, atoms: bool, forces: bool, members: bool = False) -> Output:
        """Run the model once, all sub-clusters as one system if packed, else each as its own.

        Parameters as for :meth:`bodyorder.sources.networks.network.Network.forward`.
        """
        n, k = clusters.numbers.shape
        several = self._members if members else None
        packed = packed and (several is None or several.by_atom)
        direct = forces and self.force_kind == "direct"
        systems, leaves = self.build(clusters, packed=packed, forces=forces and not direct)
        wanted = (self.output, *(several.outputs if several else ()))
        answer = self.ask(systems, wanted, atoms=packed or atoms, direct=direct)

        def by_atom(block: TensorBlock) -> torch.Tensor:
            return _by_atom(block, 0 if packed else k, n, k)

        def by_cluster(block: TensorBlock) -> torch.Tensor:
            if "atom" in block.samples.names:
                return by_atom(block).sum(dim=1)
            values, owners = _rows(block), block.samples.column("system").to(torch.int64)
            return values.new_zeros(n, values.shape[1]).index_add(0, owners, values)

        block = answer[self.output].block()
        shares = by_atom(block)[:, :, 0] if packed or atoms else None
        energies = by_cluster(block)[:, 0] if shares is None else shares.sum(dim=1)
        found = None if several is None else several.read(answer, systems, energies, by_cluster).detach()
        predicted = by_atom(answer[self.force_output].block()) if direct else None
        return Output(energies, shares, leaves, predicted, found)

    def build(self, clusters: Clusters, *, packed: bool, forces: bool) -> tuple[list[System], list[torch.Tensor]]:
        """Systems with their neighbour lists, and the positions in them; parameters as for :meth:`forward`."""
        groups = [slice(None)] if packed else [slice(row, row + 1) for row in range(len(clusters))]
        built = [self._system(clusters.part(group), None, forces) for group in groups]
        return [system for system, _ in built], [leaf for _, leaf in built]

    def run(self, systems: list[System], *, atoms: bool) -> TensorBlock:
        """What the model gives for systems: energies in eV of their atoms, or of the systems."""
        return self.ask(systems, (self.output,), atoms=atoms)[self.output].block()

    def ask(
        self, systems: list[System], outputs: Sequence[str], *, atoms: bool, direct: bool = False
    ) -> dict[str, TensorMap]:
        """Some outputs of the model for systems, in eV, by atom or by system, and forces in eV/Å if direct ones are wanted."""
        wanted = dict.fromkeys(outputs, ModelOutput(unit="eV", sample_kind="atom" if atoms else "system"))
        if direct:
            wanted[self.force_output] = ModelOutput(unit="eV/A", sample_kind="atom")
        options = ModelEvaluationOptions(length_unit="angstrom", outputs=wanted)
        # TorchScript's optimizer would spend seconds on the first calls and again whenever shapes change, and what it makes
        # of these networks is slower than what it started from.
        with torch.jit.optimized_execution(False):
            return self.model(systems, options, check_consistency=False)

    def _try_members(self, members: Members) -> None:
        """Find out how many members there are, and whether those of atoms add up to those of systems."""
        pair = _pair(self.elements[0])
        if isinstance(members, Ensemble):
            with torch.no_grad():
                systems, _ = self.build(pair, packed=False, forces=False)
                members.count(self.ask(systems, members.outputs, atoms=False))
        self.members, self.member_kind = members.names, members.kind
        if members.by_atom and members.outputs and self.gives_atoms:
            with torch.no_grad():
                ways = [
                    self.forward(pair, packed=packed, atoms=False, forces=False, members=True).members
                    for packed in (True, False)
                ]
            assert ways[0] is not None
            assert ways[1] is not None
            allowed = max(1e-10, 100 * torch.finfo(self.dtype).eps * float(ways[1].abs().max()))
            members.by_atom = bool((ways[0] - ways[1]).abs().max() <= allowed)

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


def _rows(block: TensorBlock) -> torch.Tensor:
    """A row for each sample, a column for each of several values, in float64."""
    return block.values.reshape(len(block.values), -1).to(torch.float64)


def _pair(number: int) -> Clusters:
    """Two atoms of an element one bond apart."""
    bond = 2 * covalent_radii[number]
    return Clusters(np.full((1, 2), number), np.array([[[0.0, 0.0, 0.0], [bond, 0.0, 0.0]]]))


def _energy_output(settings: Settings, outputs: dict[str, ModelOutput]) -> str:
    energies = [name for name in outputs if name == "energy" or name.startswith("energy/")]
    wanted = "energy" if settings.variant is None else f"energy/{settings.variant}"
    if wanted in energies:
        if settings.variant is None and len(energies) > 1 and settings.members != "heads":
            tell_default(f"metatomic:{settings.target}", "energies", energies, wanted, "variant")
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


def _force_output(settings: Settings, energy: str, outputs: dict[str, ModelOutput]) -> str:
    """Name of the output that holds the forces that belong to an energy; empty where they are not asked for."""
    if settings.forces != "direct":
        return ""
    known = [name for name in outputs if name.partition("/")[0] in DIRECT_FORCES]
    wanted = [name for name in known if name.partition("/")[2] == energy.partition("/")[2]]
    if not wanted:
        there = f"has direct forces for other energies only ({', '.join(known)})" if known else "predicts none"
        raise InputError(
            f"`forces` must be gradient for metatomic:{settings.target}, which {there}; got {settings.forces!r}"
        )
    return wanted[0]


def _by_atom(block: TensorBlock, n_atoms: int, n: int, k: int) -> torch.Tensor:
    """Values of all atoms in float64, shape (n, k, …), in whatever order and however many times a model names them.

    :param n_atoms: of each system, or 0 if all are one
    """
    values = _rows(block)
    sites = block.samples.column("atom").to(torch.int64) + n_atoms * block.samples.column("system").to(torch.int64)
    return values.new_zeros(n * k, values.shape[1]).index_add(0, sites, values).reshape(n, k, -1)


def last_line(error: BaseException) -> str:
    """The last line of a message: TorchScript puts the cause below its trace, and at times its own calls below that."""
    message = str(error).partition("\nAt:\n")[0].strip()
    return (message.splitlines() or ["no message"])[-1].strip()
