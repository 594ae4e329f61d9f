"""What a model does, found out on a few test clusters when it is loaded, instead of believing what it says of itself.

Exported models declare their range, but some declare less than they feel (long-range terms, pretrained models with more
layers than the wrapper knows), and none declares its rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from ase.data import covalent_radii

from bodyorder.sources.base import Precision
from bodyorder.structures.clusters import FloatArray, IntArray

#: What the backward pass may hold on to in one call, in bytes. A CPU loses more by arrays that
#: leave its cache than it gains by fewer calls; GPUs want large arrays.
HELD_BYTES = {"cpu": 2**25, "cuda": 2**30}
#: Atoms in one call, whatever the memory: fewer waste the fixed cost of a call, more gain nothing.
ATOMS = (32, 4096)
#: Number and size of the test clusters.
N_CLUSTERS, N_ATOMS = 8, 8
#: Energies that differ by less than this (eV) are equal enough, whatever the measured rounding.
NEGLIGIBLE = 1e-10


class Network(Protocol):
    """A model in memory.

    :param elements: atomic numbers that it knows
    :param gives_atoms: whether it gives energies of atoms
    :param interaction_range: distance in Å that it says it feels
    """

    elements: list[int]
    gives_atoms: bool
    interaction_range: float
    dtype: torch.dtype
    device: torch.device
    model: torch.nn.Module

    @property
    def list_cutoff(self) -> float:
        """Largest cutoff of its neighbour lists in Å; 0 if there are none."""
        ...

    def check_elements(self, numbers: IntArray) -> None:
        """Raise :class:`~bodyorder._checks.InputError` for an element that it does not know."""
        ...

    def forward(
        self, numbers: IntArray, positions: FloatArray, *, packed: bool, forces: bool
    ) -> tuple[torch.Tensor, Any]:
        """Energies in eV, shape (n,), and what they can be differentiated by."""
        ...

    def evaluate(
        self, numbers: IntArray, positions: FloatArray, *, packed: bool, forces: bool
    ) -> tuple[FloatArray, FloatArray | None]:
        """Energies in eV, shape (n,), and forces in eV/Å, shape (n, k, 3), or None."""
        ...


@dataclass(frozen=True)
class Traits:
    """What was found.

    :param packed: whether energies come from the neighbour lists alone, so that all sub-clusters can be one system
    :param cutoff: distance in Å beyond which parts do not feel each other at all, or None
    :param precision: error of one energy by rounding
    :param atoms_per_call: how many atoms to give to the model at once
    """

    packed: bool
    cutoff: float | None
    precision: Precision
    atoms_per_call: int


def probe(network: Network) -> Traits:
    """Find out what a model does.

    Clusters of the model's own elements are evaluated one by one, the same with atoms in another order and shifted in space,
    and all of them as one system in which they lie inside, beside and far from each other.

    - Rounding: the root mean square difference of the first two, over √2. The same as a fraction of their energy is the
      relative error of larger energies, but no less than that of rounding them to the model's type of numbers, ε/√12.
    - If the third equals the first, the model sees nothing but its neighbour lists. Parts farther apart than the largest
      cutoff of these are then exactly additive, message passing or not, because a sub-cluster holds no atoms in between.
    - Else the declared range is tried on two clusters that far apart, and no cutoff is claimed where it does not hold.

    :raises RuntimeError: if the model cannot run
    :raises ValueError: if an energy is not finite
    """
    rng = np.random.default_rng(0)
    numbers, positions = _clusters(network.elements, rng)
    order = rng.permuted(np.tile(np.arange(N_ATOMS), (N_CLUSTERS, 1)), axis=1)
    shifted = positions + rng.normal(scale=3.0, size=(N_CLUSTERS, 1, 3))
    moved = np.take_along_axis(shifted, order[:, :, None], axis=1)
    alone, _ = network.evaluate(numbers, positions, packed=False, forces=False)
    again, _ = network.evaluate(np.take_along_axis(numbers, order, axis=1), moved, packed=False, forces=False)
    if not np.isfinite(alone).all():
        raise ValueError("the energy of a test cluster is not finite")
    sigma = float(np.sqrt(np.mean((again - alone) ** 2) / 2))
    unit = torch.finfo(network.dtype).eps
    tolerance = max(NEGLIGIBLE, 20 * sigma + 2 * unit * np.abs(alone).max())

    finite = np.isfinite(network.interaction_range)
    packed = False
    if finite and network.gives_atoms:
        spread = np.arange(N_CLUSTERS)[:, None, None] * np.array([max(network.list_cutoff, 1.0) / 2, 0.0, 0.0])
        together, _ = network.evaluate(numbers, positions + spread, packed=True, forces=False)
        packed = bool((np.abs(together - alone) <= tolerance).all())
    cutoff = None
    if packed:
        cutoff = network.list_cutoff or network.interaction_range or None
    elif finite and network.interaction_range > 0:
        apart = _apart(positions[0], positions[1], network.interaction_range)
        pair, _ = network.evaluate(numbers[:2].reshape(1, -1), apart, packed=False, forces=False)
        if abs(pair[0] - alone[:2].sum()) <= tolerance:
            cutoff = network.interaction_range
    held = _held_bytes_per_atom(network, numbers, positions, packed)
    atoms = int(np.clip(HELD_BYTES.get(network.device.type, HELD_BYTES["cuda"]) // held, *ATOMS))
    relative = max(sigma / np.sqrt(np.mean(alone**2)) if sigma else 0.0, unit / np.sqrt(12))
    return Traits(packed, cutoff, Precision(absolute=sigma, relative=float(relative)), atoms)


def _clusters(elements: list[int], rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
    """Distorted cubes, each atom near all others but none so near that a network that never saw this gives absurd energies."""
    numbers = rng.choice(np.array(elements), size=(N_CLUSTERS, N_ATOMS))
    corners = np.indices((2, 2, 2)).reshape(3, -1).T + rng.uniform(-0.1, 0.1, size=(N_CLUSTERS, N_ATOMS, 3))
    edges = 3.0 * covalent_radii[numbers].mean(axis=1)
    return numbers, edges[:, None, None] * corners


def _apart(one: FloatArray, other: FloatArray, distance: float) -> FloatArray:
    """Two clusters as one, no atom of one closer than ``distance`` (Å) to an atom of the other, shape (1, k + k, 3)."""
    shift = one[:, 0].max() - other[:, 0].min() + 1.001 * distance
    return np.concatenate([one, other + np.array([shift, 0.0, 0.0])])[None]


def _held_bytes_per_atom(network: Network, numbers: IntArray, positions: FloatArray, packed: bool) -> int:
    """Memory that a differentiable call holds on to for the backward pass, per atom, weights not counted."""
    weights = [*network.model.parameters(), *network.model.buffers()]
    seen = {weight.untyped_storage().data_ptr() for weight in weights}
    held = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal held
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            held += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        graph = network.forward(numbers, positions, packed=packed, forces=True)
    del graph
    return max(1, held // numbers.size)
