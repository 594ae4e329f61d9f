"""What all networks in memory have in common as energy sources, and the checks of what they are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from ase.data import chemical_symbols

from bodyorder._checks import InputError, check_choice
from bodyorder.sources.memory import Portions
from bodyorder.sources.probe import Network, Traits
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray


class NetworkSource:
    """A network, evaluated for many sub-clusters at once.

    ``cutoff`` and ``precision`` are those that :func:`~bodyorder.sources.probe.probe` measured.

    :param network: the model in memory
    :param traits: what was found out about it
    """

    name: str
    fingerprint: str
    #: Sub-clusters per call that keep the model busy; how many of them go through the network at once is measured.
    batch_size = 500
    processes = False

    def __init__(self, network: Network, traits: Traits):
        self._network, self._traits = network, traits
        self._portions = Portions(traits.atoms_per_call)
        self.cutoff = traits.cutoff
        self.precision = traits.precision

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV and float64, whatever the model computes in.

        :raises InputError: for an element that the model does not know, or a charged sub-cluster
        """
        return self._evaluate(batch, None)

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces −dE/dr, shape (n, k, 3), in eV/Å, by automatic differentiation.

        :raises InputError: for an element that the model does not know, or a charged sub-cluster
        """
        forces = np.empty(batch.positions.shape)
        return self._evaluate(batch, forces), forces

    def _evaluate(self, batch: ClusterBatch, forces: FloatArray | None) -> FloatArray:
        self._network.check_elements(batch.numbers)
        if batch.charges.any():
            raise InputError(f"{self.name} knows no charges: sub-clusters must be neutral")
        energies = np.empty(len(batch))

        def work(rows: slice) -> None:
            energies[rows], slopes = self._network.evaluate(
                batch.numbers[rows], batch.positions[rows], packed=self._traits.packed, forces=forces is not None
            )
            if forces is not None:
                forces[rows] = slopes

        self._portions.over(len(batch), batch.n_atoms, work)
        return energies


def check_elements(model: str, known: Sequence[int], numbers: IntArray) -> None:
    """Check that a model knows all elements.

    :param model: what the user calls it
    :raises InputError: if it does not
    """
    unknown = np.setdiff1d(numbers, known)
    if len(unknown):
        raise InputError(
            f"{model} must know every element, and has not seen "
            f"{', '.join(chemical_symbols[number] for number in unknown)}; it knows "
            f"{', '.join(chemical_symbols[number] for number in known)}"
        )


def check_device(device: str, supported: Iterable[str]) -> torch.device:
    """The device of a name.

    :param device: such as ``cpu``, ``cuda`` or ``cuda:1``
    :param supported: kinds that the model runs on
    :raises InputError: if it runs on no such device, or there is none
    """
    kind, _, index = device.partition(":")
    check_choice("device", kind, supported)
    if kind == "cuda":
        count = torch.cuda.device_count()
        if not (index or "0").isdigit() or int(index or "0") >= count:
            raise InputError(
                f"`device` must be there, got {device!r} and torch sees {count} GPUs; device=cpu always works"
            )
    return torch.device(device)
