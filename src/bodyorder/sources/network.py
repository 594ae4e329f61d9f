"""What all networks in memory have in common as energy sources, and the checks of how they were asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import ase
import numpy as np
import torch

from bodyorder._checks import ComputationError, InputError, check_choice, first_line
from bodyorder.sources.evaluation import Evaluation
from bodyorder.sources.memory import Portions
from bodyorder.sources.model import Clusters, Network
from bodyorder.sources.probe import Traits
from bodyorder.structures.clusters import ClusterBatch, FloatArray

#: Sub-clusters in a batch that keep a network busy, where its calls are small; how many go through it at once is measured.
BATCH = 500
#: Atoms of a sub-cluster whose batch is one call, where calls are large.
SIZE = 4

#: What the spin of a sub-cluster can be: the lowest that its number of electrons allows.
SPINS = ("low",)


class NetworkSource:
    """A network, evaluated for many sub-clusters at once.

    ``cutoff``, ``precision`` and ``invariant`` are those that :func:`~bodyorder.sources.probe.probe` measured.

    :param network: the model in memory
    :param traits: what was found out about it
    """

    name: str
    fingerprint: str
    processes = False
    costly = True

    def __init__(self, network: Network, traits: Traits):
        self._network, self._traits = network, traits
        self._portions = Portions(traits.atoms_per_call)
        self.batch_size = max(BATCH, traits.atoms_per_call // SIZE)
        self.cutoff = traits.cutoff
        self.precision = traits.precision
        self.invariant = traits.invariant
        self.charged = network.charged
        self.context = network.context
        self.rounds = network.dtype.itemsize < torch.float64.itemsize

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV and float64, whatever the model computes in.

        :raises InputError: for an element that the model does not know, or a charge that it does not take
        """
        return self._evaluate(batch, atoms=False, forces=False).energies

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces −dE/dr, shape (n, k, 3), in eV/Å, by automatic differentiation.

        :raises InputError: for an element that the model does not know, or a charge that it does not take
        """
        found = self._evaluate(batch, atoms=False, forces=True)
        assert found.forces is not None
        return found.energies, found.forces

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of their atoms, as the model shares them out, and forces if wanted.

        :raises InputError: as :meth:`energies`, or if the model gives no energies of atoms that add up to its energy
        """
        if not self._traits.atoms:
            raise InputError(
                f"{self.name} must give energies of atoms that add up to its energy, and does not; do without them"
            )
        return self._evaluate(batch, atoms=True, forces=forces)

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :raises InputError: as :meth:`energies`
        :raises ComputationError: if the model fails
        """
        clusters = Clusters.of_cell(atoms, self.charged)
        self._network.check(clusters)
        try:
            return self._network.cell_energy(clusters, atoms)
        except RuntimeError as error:
            raise ComputationError(
                f"{self.name} must give the energy of the periodic structure, and failed: {first_line(error)}"
            ) from error

    def _evaluate(self, batch: ClusterBatch, *, atoms: bool, forces: bool) -> Evaluation:
        if batch.charges.any() and not self.charged:
            advice = "is not told theirs; say charged=true" if self._network.takes_charges else "takes no charges"
            raise InputError(f"sub-clusters must be neutral for {self.name}, which {advice}")
        clusters = Clusters.of(batch, self.charged)
        self._network.check(clusters)
        found = Evaluation.unknown(len(batch), batch.n_atoms, forces=forces, atom_energies=atoms)
        packed = self._traits.packed

        def work(rows: slice) -> None:
            part = self._network.evaluate(clusters.part(rows), packed=packed, atoms=atoms, forces=forces)
            found.put(np.arange(rows.start, rows.stop), part)

        self._portions.over(len(batch), batch.n_atoms, work)
        return found


def check_told(model: str, *, charge: bool, spin: bool, charged: bool, rule: str | None) -> None:
    """Check that a model is told the charge and spin of sub-clusters if and only if it takes them.

    :param model: what the user calls it
    :param charge: whether it takes a charge; without being told it takes all for neutral
    :param spin: whether it takes a spin
    :param charged: whether it shall be told the charge
    :param rule: one of :data:`SPINS`, or None
    :raises InputError: if it is told what it does not take, or is not told a spin
    """
    if charged and not charge:
        raise InputError(f"`charged` must be left out for {model}, which takes no charges")
    if rule is not None and not spin:
        raise InputError(f"`spin` must be left out for {model}, which takes no spin")
    if spin and rule is None:
        raise InputError(
            f"`spin` must be given for {model}, which takes the spin of every sub-cluster; spin=low is the lowest that its "
            f"number of electrons allows"
        )
    if rule is not None:
        check_choice("spin", rule, SPINS)


def check_known(model: str, asked: Collection[str], known: Collection[str]) -> None:
    """Check that all that a model asks for can be given.

    :raises InputError: if it cannot
    """
    if unknown := [name for name in asked if name not in known]:
        raise InputError(
            f"{model} must need nothing but elements, positions, charges and spins, and asks for {', '.join(unknown)}"
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
