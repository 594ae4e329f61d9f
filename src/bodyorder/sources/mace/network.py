"""A MACE model in memory, and the one way in which it is called: many sub-clusters of one size as one graph.

Edges join atoms of one sub-cluster only, however the sub-clusters lie in space, so that the network sees unconnected parts and
the fixed cost of a call is paid once for all of them. Atoms of different sub-clusters never share an edge; a sub-cluster holds
only its own atoms, so parts of it farther apart than ``r_max`` share none either, whatever the number of interactions: ``r_max``
is the distance beyond which energies add up. Architecture: I. Batatia et al., MACE, doi:10.48550/arXiv.2206.07697.
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from scipy.spatial import cKDTree

from bodyorder._checks import InputError, check_choice, first_line, require
from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.memory import keep_freed_memory
from bodyorder.sources.network import check_device, check_elements
from bodyorder.structures.clusters import FloatArray, IntArray

#: Sub-clusters with more atoms than this have their pairs found by a tree, others by looking at all of them.
DENSE = 64
#: Set by mace when it is imported: torch then loads every pickle of the process without asking.
_ASK_NOTHING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


class Network:
    """A loaded model.

    :param settings: which model, where it runs and in what precision
    :raises InputError: if it cannot be loaded, is no MACE model that gives energies of atoms, wants more than elements and
        positions, or does not run on the device
    """

    #: MACE models give energies of atoms.
    gives_atoms = True

    def __init__(self, settings: Settings):
        self.target = settings.target
        self.device = check_device(settings.device, ("cpu", "cuda"))
        if self.device.type == "cpu":
            keep_freed_memory()
        model = _load(settings, self.device)
        if not hasattr(model, "atomic_numbers") or not hasattr(model, "atomic_energies_fn"):
            raise InputError(
                f"mace:{self.target} must be a MACE model that gives energies, and is a {type(model).__name__}"
            )
        if wanted := getattr(model, "embedding_specs", None):
            raise InputError(
                f"mace:{self.target} must need nothing but elements and positions, and asks for {', '.join(wanted)}"
            )
        self.dtype = getattr(torch, settings.dtype) if settings.dtype else next(model.parameters()).dtype
        self.model = model.to(device=self.device, dtype=self.dtype).eval().requires_grad_(False)
        self.elements = sorted(int(number) for number in model.atomic_numbers)
        self.list_cutoff = float(model.r_max)
        self.interaction_range = self.list_cutoff * int(model.num_interactions)
        heads = list(getattr(model, "heads", None) or ["Default"])
        self.head = _choose_head(settings, heads)
        self._head = heads.index(self.head)
        self._columns = np.full(max(self.elements) + 1, -1)
        self._columns[[int(number) for number in model.atomic_numbers]] = np.arange(len(self.elements))

    def check_elements(self, numbers: IntArray) -> None:
        """Check that the model knows all elements.

        :raises InputError: if it does not
        """
        check_elements(f"mace:{self.target}", self.elements, numbers)

    def forward(
        self, numbers: IntArray, positions: FloatArray, *, packed: bool, forces: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model once.

        :param numbers: atomic numbers, shape (n, k)
        :param positions: in Å, shape (n, k, 3)
        :param packed: sum up energies of atoms, or take the energies that the model gives for sub-clusters
        :param forces: whether the energies shall be differentiable
        :return: energies in eV, shape (n,), float64, and the positions that they can be differentiated by
        """
        graph = self.build(numbers, positions, packed=packed)
        with torch.set_grad_enabled(forces):
            return self.run(graph, numbers.shape, packed=packed), graph["positions"]

    def run(self, graph: dict[str, torch.Tensor], shape: tuple[int, ...], *, packed: bool) -> torch.Tensor:
        """Energies of the sub-clusters of a graph, in eV, shape (n,), float64."""
        # TorchScript's optimizer would spend seconds on the first calls and again whenever shapes change.
        with _default_dtype(self.dtype), torch.jit.optimized_execution(False):
            output = self.model(graph, compute_force=False)
        if packed:
            return output["node_energy"].to(torch.float64).reshape(shape).sum(dim=1)
        return output["energy"].to(torch.float64)

    def build(self, numbers: IntArray, positions: FloatArray, *, packed: bool) -> dict[str, torch.Tensor]:
        """The graph of many sub-clusters as MACE takes it; parameters as for :meth:`forward`."""
        n, k = numbers.shape
        edges = torch.as_tensor(_edges(positions, self.list_cutoff), device=self.device)
        kind = {"dtype": self.dtype, "device": self.device}
        species = torch.as_tensor(self._columns[numbers.ravel()], device=self.device)
        # Each around its own centre, where the numbers are smallest and rounding is least.
        centred = positions - positions.mean(axis=1, keepdims=True)
        n_graphs, size = (1, n * k) if packed else (n, k)
        return {
            "positions": torch.tensor(centred.reshape(-1, 3), **kind),
            "node_attrs": torch.nn.functional.one_hot(species, len(self.elements)).to(self.dtype),
            "edge_index": edges,
            "shifts": torch.zeros(edges.shape[1], 3, **kind),
            "unit_shifts": torch.zeros(edges.shape[1], 3, **kind),
            "cell": torch.zeros(3 * n_graphs, 3, **kind),
            "batch": torch.arange(n_graphs, device=self.device).repeat_interleave(size),
            "ptr": torch.arange(0, n * k + 1, size, device=self.device),
            "head": torch.full((n_graphs,), self._head, device=self.device),
        }

    def evaluate(
        self, numbers: IntArray, positions: FloatArray, *, packed: bool, forces: bool
    ) -> tuple[FloatArray, FloatArray | None]:
        """Energies in eV, shape (n,), and forces in eV/Å, shape (n, k, 3), or None; parameters as for :meth:`forward`."""
        energies, leaf = self.forward(numbers, positions, packed=packed, forces=forces)
        values = energies.detach().cpu().numpy()
        if not forces:
            return values, None
        (slope,) = torch.autograd.grad(energies.sum(), leaf, allow_unused=True) if energies.requires_grad else (None,)
        if slope is None:  # single atoms
            return values, np.zeros(positions.shape)
        return values, -slope.to(torch.float64).cpu().numpy().reshape(positions.shape)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Nuclear charges to the power of a number come in torch's default type, in MACE's repulsion of cores for one."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def _edges(positions: FloatArray, cutoff: float) -> IntArray:
    """Pairs inside each sub-cluster that are nearer than the cutoff, both ways: atoms by index, shape (2, n_edges)."""
    k = positions.shape[1]
    if k > DENSE:
        pairs = [
            cKDTree(cluster).query_pairs(cutoff, output_type="ndarray") + k * row
            for row, cluster in enumerate(positions)
        ]
        once = np.concatenate(pairs).T
    else:
        first, second = np.triu_indices(k, 1)
        squares = ((positions[:, second] - positions[:, first]) ** 2).sum(axis=2)
        rows, chosen = np.nonzero(squares < cutoff**2)
        once = np.stack([first[chosen], second[chosen]]) + k * rows
    return np.concatenate([once, once[::-1]], axis=1).astype(np.int64)


def _load(settings: Settings, device: torch.device) -> torch.nn.Module:
    if zipfile.is_zipfile(settings.path):
        with zipfile.ZipFile(settings.path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise InputError(
                    f"mace:{settings.target} must be a model as MACE trains it, and is compiled; take the .model file that it "
                    f"was made of"
                )
    with _importing_mace():
        require("mace.modules", "mace")
        try:
            model = torch.load(settings.path, map_location=device, weights_only=False)
        except (
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            AttributeError,
            ImportError,
            OSError,
            ValueError,
        ) as error:
            raise InputError(f"mace:{settings.target} could not be loaded: {first_line(error)}") from error
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"mace:{settings.target} must hold a whole model, and holds a {type(model).__name__}")
    return model


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
    return usual[0]
