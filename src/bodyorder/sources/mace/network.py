"""A MACE model in memory, and the one way in which it is called: many sub-clusters of one size as one graph.

Edges join atoms of one sub-cluster only, however the sub-clusters lie in space, so that the network sees unconnected parts and
the fixed cost of a call is paid once for all of them. Atoms of different sub-clusters never share an edge; a sub-cluster holds
only its own atoms, so parts of it farther apart than ``r_max`` share none either, whatever the number of interactions: ``r_max``
is the distance beyond which energies add up. That ends where a model is told the charge or spin of each sub-cluster, which
enters at every atom. Architecture: I. Batatia et al., MACE, doi:10.48550/arXiv.2206.07697.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ase
import numpy as np
import torch

from bodyorder._checks import InputError, check_choice, first_line, require
from bodyorder.sources.mace.members import members_of
from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.networks.checkpoint import describe_checkpoint
from bodyorder.sources.networks.network import (
    Clusters,
    Network,
    Output,
    check_device,
    check_known,
    rule_of,
    tell_default,
)
from bodyorder.sources.pairs import Pairs, pairs_inside, pairs_of_cell
from bodyorder.sources.portions import keep_freed_memory

#: What a model can be told of each sub-cluster: its charge, and its multiplicity 2S + 1.
CHARGE, SPIN = "total_charge", "total_spin"
#: Set by mace when it is imported: torch then loads every pickle of the process without asking.
_ASK_NOTHING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


class MaceNetwork(Network):
    """A loaded model.

    :param settings: which model, where it runs and in what precision
    :raises InputError: if it cannot be loaded, is no MACE model that gives energies of atoms, wants more than elements,
        positions, charge and spin, or does not run on the device
    """

    #: MACE models give energies of atoms.
    gives_atoms = True
    #: They are told the charge of the whole, whichever atom carries it.
    context = ()

    def __init__(self, settings: Settings):
        self.label = f"mace:{settings.target}"
        self.device = check_device(settings.device, ("cpu", "cuda"))
        if self.device.type == "cpu":
            keep_freed_memory()
        model = _load(settings, self.device)
        if not hasattr(model, "atomic_numbers") or not hasattr(model, "atomic_energies_fn"):
            raise InputError(f"{self.label} must be a MACE model that gives energies, and is a {type(model).__name__}")
        self._told: dict[str, dict[str, Any]] = dict(getattr(model, "embedding_specs", None) or {})
        asked = [name + " of each atom" * (spec["per"] != "graph") for name, spec in self._told.items()]
        check_known(self.label, asked, (CHARGE, SPIN))
        self.takes_charges = CHARGE in self._told
        self.rule = rule_of(
            self.label,
            charge=self.takes_charges,
            spin=SPIN in self._told,
            charged=settings.charged,
            rule=settings.spin,
        )
        self.charged = settings.charged
        self.tells_all = settings.charged or SPIN in self._told
        self.dtype = getattr(torch, settings.dtype) if settings.dtype else next(model.parameters()).dtype
        self.model = model.to(device=self.device, dtype=self.dtype).eval().requires_grad_(False)
        self.elements = sorted(int(number) for number in model.atomic_numbers)
        self.list_cutoff = float(model.r_max)
        self.interaction_range = self.list_cutoff * int(model.num_interactions)
        heads = list(getattr(model, "heads", None) or ["Default"])
        self.head = _choose_head(settings, heads)
        self._head = heads.index(self.head)
        self._members = (
            None if settings.members is None else members_of(self.label, settings.members, model, heads, self._head)
        )
        if self._members is not None:
            self.members, self.member_kind = self._members.names, str(settings.members)
        self.no_members = "say members=parts" + ", or members=heads" * (len(heads) > 1)
        self._columns = np.full(max(self.elements) + 1, -1)
        self._columns[[int(number) for number in model.atomic_numbers]] = np.arange(len(self.elements))

    def check(self, clusters: Clusters) -> None:
        """Check that the model knows what it is asked for.

        :raises InputError: for an element, or a charge, that it does not know
        """
        super().check(clusters)
        for name, values in self._features(clusters).items():
            low, high = self._limits(name)
            if ((values < low) | (values > high)).any():
                strange = values[(values < low) | (values > high)][0]
                raise InputError(f"`{name}` for {self.label} must be between {low} and {high}, got {strange:g}")

    @property
    def most_unpaired(self) -> int | None:
        """Unpaired electrons beyond which it has no states, None where it sets no limit."""
        most = self._limits(SPIN)[1] if SPIN in self._told else np.inf
        return int(most) - 1 if np.isfinite(most) else None

    def _limits(self, name: str) -> tuple[float, float]:
        """The least and the greatest value that the model has a place for."""
        spec = self._told[name]
        if spec["type"] != "categorical":
            return -np.inf, np.inf
        offset = spec.get("offset", 0)
        return -offset, spec["num_classes"] - 1 - offset

    def forward(self, clusters: Clusters, *, packed: bool, atoms: bool, forces: bool, members: bool = False) -> Output:
        """Run the model once; parameters as for :meth:`bodyorder.sources.networks.network.Network.forward`."""
        graph = self.build(clusters, pairs_inside(clusters.positions, self.list_cutoff), packed=packed)

        def run(graph: dict[str, torch.Tensor]) -> Output:
            return self.run(graph, clusters.numbers.shape, packed=packed)

        with torch.set_grad_enabled(forces):
            return self._members.run(run, graph) if members and self._members is not None else run(graph)

    def cell_energy(self, clusters: Clusters, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :param clusters: its atoms
        """
        pairs = pairs_of_cell(atoms, self.list_cutoff)
        graph = self.build(clusters, pairs, packed=False, cell=atoms.cell.array)
        with torch.no_grad():
            return float(self.run(graph, clusters.numbers.shape, packed=False).energies[0])

    def run(self, graph: dict[str, torch.Tensor], shape: tuple[int, ...], *, packed: bool) -> Output:
        """What the model says of the sub-clusters of a graph."""
        # TorchScript's optimizer would spend seconds on the first calls and again whenever shapes change.
        with _default_dtype(self.dtype), torch.jit.optimized_execution(False):
            output = self.model(graph, compute_force=False)
        atoms = output["node_energy"].to(torch.float64).reshape(shape)
        energies = atoms.sum(dim=1) if packed else output["energy"].to(torch.float64)
        return Output(energies, atoms, [graph["positions"]])

    def build(
        self, clusters: Clusters, pairs: Pairs, *, packed: bool, cell: np.ndarray | None = None
    ) -> dict[str, torch.Tensor]:
        """The graph of many sub-clusters as MACE takes it.

        :param pairs: edges, each once
        :param packed: as for :meth:`forward`
        :param cell: vectors of the cell in Å, shape (3, 3), of a periodic structure
        """
        n, k = clusters.numbers.shape
        pairs = pairs.both_ways()
        kind = {"dtype": self.dtype, "device": self.device}
        species = torch.as_tensor(self._columns[clusters.numbers.ravel()], device=self.device)
        # Each around its own centre, where the numbers are smallest and rounding is least.
        centred = clusters.positions - clusters.positions.mean(axis=1, keepdims=True)
        n_graphs, size = (1, n * k) if packed else (n, k)
        box = np.zeros((3 * n_graphs, 3)) if cell is None else cell
        graph = {
            "positions": torch.tensor(centred.reshape(-1, 3), **kind),
            "node_attrs": torch.nn.functional.one_hot(species, len(self.elements)).to(self.dtype),
            "edge_index": torch.as_tensor(np.stack([pairs.first, pairs.second]), device=self.device),
            "shifts": torch.tensor(pairs.shifts @ box[:3], **kind),
            "unit_shifts": torch.tensor(pairs.shifts, **kind),
            "cell": torch.tensor(box, **kind),
            "batch": torch.arange(n_graphs, device=self.device).repeat_interleave(size),
            "ptr": torch.arange(0, n * k + 1, size, device=self.device),
            "head": torch.full((n_graphs,), self._head, device=self.device),
        }
        # One graph for all is for models that are told nothing, or that all sub-clusters are neutral.
        told = self._features(clusters.part(slice(n_graphs)))
        return graph | {name: torch.tensor(values, **kind) for name, values in told.items()}

    def _features(self, clusters: Clusters) -> dict[str, np.ndarray]:
        """What the model is told of each sub-cluster."""
        given = {CHARGE: clusters.charges, SPIN: clusters.multiplicities}
        return {name: given[name].astype(np.float64) for name in self._told}


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Nuclear charges to the power of a number come in torch's default type, in MACE's repulsion of cores for one."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def _load(settings: Settings, device: torch.device) -> torch.nn.Module:
    _check_kind(settings)
    with _importing_mace():
        require("mace.modules", "mace")
        try:
            model = torch.load(settings.path, map_location=device, weights_only=False)
        except Exception as error:  # whatever the code in a pickle raises
            raise InputError(
                f"mace:{settings.target} could not be loaded: {type(error).__name__}: {first_line(error)}"
            ) from error
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"mace:{settings.target} must hold a whole model, and holds a {type(model).__name__}")
    return model


def _check_kind(settings: Settings) -> None:
    """Refuse what is known to be no pickled MACE model before anything in it is run."""
    try:
        with zipfile.ZipFile(settings.path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:  # what it is is told where it is loaded
        return
    if any(name.endswith("/constants.pkl") for name in names):
        raise InputError(
            f"mace:{settings.target} must be a model as MACE trains it, and is compiled; take the .model file that it was made of"
        )
    if checkpoint := describe_checkpoint(settings.path):
        raise InputError(
            f"mace:{settings.target} must be a model as MACE trains it, and is a checkpoint of metatrain ({checkpoint}); `mtt "
            f"export` makes a metatomic model of it"
        )


@contextmanager
def _importing_mace() -> Iterator[None]:
    """What e3nn needs to be imported by a recent torch, and nothing of what mace changes for the rest of the process."""
    before = os.environ.get(_ASK_NOTHING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mace's dependencies, on their own old ways
        try:
            with torch.serialization.safe_globals([slice]):
                yield
        finally:
            os.environ.pop(_ASK_NOTHING, None)
            if before is not None:
                os.environ[_ASK_NOTHING] = before


def _choose_head(settings: Settings, heads: list[str]) -> str:
    if settings.head is not None:
        return check_choice("head", settings.head, heads)
    usual = [head for head in heads if head.lower() == "default"] or heads
    if len(usual) > 1:
        raise InputError(f"`head` must be given for mace:{settings.target}, one of {', '.join(heads)}")
    if len(heads) > 1 and settings.members != "heads":
        tell_default(f"mace:{settings.target}", "heads", heads, usual[0], "head")
    return usual[0]
