"""What a model does, found out on a few test clusters when it is loaded, instead of believing what it says of itself.

Exported models declare their range, but some declare less than they feel (long-range terms, pretrained models with more
layers than the wrapper knows), and none declares its rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.data import covalent_radii

from bodyorder.sources.networks.network import Clusters, Network
from bodyorder.sources.protocol import Precision
from bodyorder.structures.clusters import FloatArray, IntArray

#: What the backward pass may hold on to in one call on a CPU, in bytes: it loses more by arrays that leave its cache than it
#: gains by fewer calls. GPUs want large arrays and give this share of what is free.
HELD_BYTES, HELD_SHARE = 2**25, 1 / 8
#: Atoms in one call, whatever the memory: fewer waste the fixed cost of a call, more gain nothing.
ATOMS, ATOMS_ON_GPU = (32, 4096), (32, 2**15)
#: Number and size of the test clusters.
N_CLUSTERS, N_ATOMS = 8, 8
#: Energies that differ by less than this (eV) are equal enough, whatever the measured rounding.
NEGLIGIBLE = 1e-10
#: Largest difference in eV between the energies of congruent clusters for which one serves all.
SAME = 1e-10


@dataclass(frozen=True)
class Traits:
    """What was found.

    :param packed: whether energies come from the neighbour lists alone, so that all sub-clusters can be one system
    :param atoms: whether there are energies of atoms, which add up to those of sub-clusters
    :param invariant: whether replicas, turned, reflected and with atoms in another order, have the same energy to 1e-10 eV
    :param cutoff: distance in Å beyond which parts do not feel each other at all, or None
    :param precision: error of one energy by rounding
    :param atoms_per_call: how many atoms to give to the model at once
    """

    packed: bool
    atoms: bool
    invariant: bool
    cutoff: float | None
    precision: Precision
    atoms_per_call: int


def measure_traits(network: Network) -> Traits:
    """Find out what a model does.

    Clusters of the model's own elements are evaluated one by one, the same with atoms in another order and shifted in space,
    and all of them as one system in which they lie inside, beside and far from each other.

    - Rounding: the root mean square difference of the first two, over √2. The same as a fraction of their energy is the
      relative error of larger energies, but no less than that of rounding them to the model's type of numbers, ε/√12.
    - If the third equals the first, the model sees nothing but its neighbour lists. Parts farther apart than the largest
      cutoff of these are then exactly additive, message passing or not, because a sub-cluster holds no atoms in between.
    - Else the declared range is tried on two clusters that far apart, and no cutoff is claimed where it does not hold, nor
      where every atom is told the charge or spin of the whole, which parts do not have.
    - Energies of atoms are added up, and replicas of the clusters evaluated, turned, half of them reflected, their atoms in
      another order, with their members if there are any.

    :raises RuntimeError: if the model cannot run
    :raises ValueError: if an energy is not finite
    """
    rng = np.random.default_rng(0)
    given = _clusters(network.elements, rng)
    order = rng.permuted(np.tile(np.arange(N_ATOMS), (N_CLUSTERS, 1)), axis=1)
    shifts = rng.normal(scale=3.0, size=(N_CLUSTERS, 1, 3))
    alone = network.evaluate(given, packed=False).energies
    again = network.evaluate(_reordered(given, given.positions + shifts, order), packed=False).energies
    if not np.isfinite(alone).all():
        raise ValueError("the energy of a test cluster is not finite")
    sigma = float(np.sqrt(np.mean((again - alone) ** 2) / 2))
    unit = torch.finfo(network.dtype).eps
    tolerance = max(NEGLIGIBLE, 20 * sigma + 2 * unit * np.abs(alone).max())

    finite = bool(np.isfinite(network.interaction_range))
    packed = False
    if finite and network.gives_atoms and not network.tells_all:
        spread = np.arange(N_CLUSTERS)[:, None, None] * np.array([max(network.list_cutoff, 1.0) / 2, 0.0, 0.0])
        together = network.evaluate(Clusters(given.numbers, given.positions + spread), packed=True).energies
        packed = bool((np.abs(together - alone) <= tolerance).all())
    cutoff = None
    if packed:
        cutoff = network.list_cutoff or network.interaction_range or None
    elif finite and network.interaction_range > 0 and not network.tells_all:
        apart = _apart(given.positions[0], given.positions[1], network.interaction_range)
        pair = network.evaluate(Clusters(given.numbers[:2].reshape(1, -1), apart), packed=False).energies
        if abs(pair[0] - alone[:2].sum()) <= tolerance:
            cutoff = network.interaction_range
    adds_up = packed
    if network.gives_atoms and not packed:
        shares = network.evaluate(given, packed=False, atoms=True).atom_energies
        adds_up = shares is not None and bool((np.abs(shares.sum(axis=1) - alone) <= tolerance).all())
    turned = _reordered(given, given.positions @ _turns(rng), order)
    replicas = network.evaluate(turned, packed=packed).energies
    invariant = bool((np.abs(replicas - alone) <= SAME).all())
    if network.members:
        here, there = (network.evaluate(some, packed=packed, members=True).members for some in (given, turned))
        assert here is not None
        assert there is not None
        invariant = invariant and bool((np.abs(there - here) <= SAME).all())
    held = _held_bytes_per_atom(network, given, packed)
    relative = max(sigma / np.sqrt(np.mean(alone**2)) if sigma else 0.0, unit / np.sqrt(12))
    return Traits(
        packed=packed,
        atoms=adds_up,
        invariant=invariant,
        cutoff=cutoff,
        precision=Precision(absolute=sigma, relative=float(relative)),
        atoms_per_call=_atoms_per_call(network.device, held),
    )


def _clusters(elements: list[int], rng: np.random.Generator) -> Clusters:
    """Distorted cubes, each atom near all others but none so near that a network that never saw this gives absurd energies."""
    numbers = rng.choice(np.array(elements), size=(N_CLUSTERS, N_ATOMS))
    corners = np.indices((2, 2, 2)).reshape(3, -1).T + rng.uniform(-0.1, 0.1, size=(N_CLUSTERS, N_ATOMS, 3))
    edges = 3.0 * covalent_radii[numbers].mean(axis=1)
    return Clusters(numbers, edges[:, None, None] * corners)


def _reordered(given: Clusters, positions: FloatArray, order: IntArray) -> Clusters:
    """Clusters with atoms at other places (Å, shape (n, k, 3)) and in another order, shape (n, k)."""
    return Clusters(
        np.take_along_axis(given.numbers, order, axis=1), np.take_along_axis(positions, order[:, :, None], axis=1)
    )


def _turns(rng: np.random.Generator) -> FloatArray:
    """Rotations, every other one followed by a reflection, shape (N_CLUSTERS, 3, 3)."""
    turns = np.linalg.qr(rng.normal(size=(N_CLUSTERS, 3, 3)))[0]
    signs = np.where(np.arange(N_CLUSTERS) % 2, -1.0, 1.0) * np.sign(np.linalg.det(turns))
    return signs[:, None, None] * turns


def _apart(one: FloatArray, other: FloatArray, distance: float) -> FloatArray:
    """Two clusters as one, no atom of one closer than ``distance`` (Å) to an atom of the other, shape (1, k + k, 3)."""
    shift = one[:, 0].max() - other[:, 0].min() + 1.001 * distance
    return np.concatenate([one, other + np.array([shift, 0.0, 0.0])])[None]


def _atoms_per_call(device: torch.device, held: int) -> int:
    """How many atoms suit a device.

    :param held: memory that each of them takes, in bytes
    """
    if device.type != "cuda":
        return int(np.clip(HELD_BYTES // held, *ATOMS))
    free, _ = torch.cuda.mem_get_info(device)
    return int(np.clip(HELD_SHARE * free // held, *ATOMS_ON_GPU))


def _held_bytes_per_atom(network: Network, clusters: Clusters, packed: bool) -> int:
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
        graph = network.forward(clusters, packed=packed, atoms=False, forces=True)
    del graph
    return max(1, held // clusters.numbers.size)
