"""What all networks in memory have in common as energy sources."""

from __future__ import annotations

from collections.abc import Mapping

import ase
import numpy as np
import torch

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.sources.networks.adaptive import adaptive_remark
from bodyorder.sources.networks.network import Clusters, Network
from bodyorder.sources.networks.traits import Traits
from bodyorder.sources.portions import Portions
from bodyorder.sources.protocol import CONTEXT, Capabilities, EnergySource, Evaluation
from bodyorder.sources.spin.states import lowest
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray

#: Sub-clusters in a batch that keep a network busy, where its calls are small; how many go through it at once is measured.
BATCH = 500
#: Atoms of a sub-cluster whose batch is one call, where calls are large.
SIZE = 4


class NetworkSource(EnergySource):
    """A network, evaluated for many sub-clusters at once.

    ``cutoff``, ``precision`` and ``invariant`` are those that :func:`~bodyorder.sources.networks.traits.measure_traits` measured.

    :param network: the model in memory
    :param traits: what was found out about it
    :param versions: of the programs behind it
    """

    def __init__(self, network: Network, traits: Traits, versions: Mapping[str, str]):
        self._network, self._traits = network, traits
        self._portions = Portions(traits.atoms_per_call)
        self.cutoff = traits.cutoff
        self.precision = traits.precision
        rule = network.rule
        self.capabilities = Capabilities(
            forces=True,
            force_kind=network.force_kind,
            atom_energies=traits.atoms,
            members=network.members,
            member_kind=network.member_kind,
            records=("multiplicity",) if rule else (),
            cell_energy=rule is None,
            charged=network.charged,
            context=tuple(name for name in CONTEXT if name in (*network.context, *(rule.context if rule else ()))),
            # a rule that the user wrote may look at directions
            invariant=traits.invariant and not (rule and rule.identity),
            batch_size=max(BATCH, traits.atoms_per_call // SIZE),
            costly=True,
            single_precision=network.dtype.itemsize < torch.float64.itemsize,
            remark=adaptive_remark(network.model),
            spin=rule.name if rule else "none",
            versions=versions,
            missing=_missing(network, traits),
        )

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV and float64, whatever the model computes in.

        :raises InputError: for an element that the model does not know, or a charge that it does not take
        """
        return self._evaluate(batch, atoms=False, forces=False).energies

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å: −dE/dr by automatic differentiation, or
        those that the model predicts itself if it was asked for them.

        :raises InputError: for an element that the model does not know, or a charge that it does not take
        """
        found = self._evaluate(batch, atoms=False, forces=True)
        assert found.forces is not None
        return found.energies, found.forces

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies, forces if wanted, and the multiplicity of each sub-cluster by the spin rule.

        :raises InputError: as :meth:`energies`, or if the model is told no spin
        """
        if self._network.rule is None:
            raise self._without("records")
        return self._evaluate(batch, atoms=False, forces=forces)

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of their atoms, as the model shares them out, and forces if wanted.

        :raises InputError: as :meth:`energies`, or if the model gives no energies of atoms that add up to its energy
        """
        if not self._traits.atoms:
            raise self._without("atom_energies")
        return self._evaluate(batch, atoms=True, forces=forces)

    def evaluate_members(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of each member, and forces if wanted.

        :raises InputError: as :meth:`energies`, or if the model has no members
        """
        if not self._network.members:
            raise self._without("members")
        return self._evaluate(batch, atoms=False, forces=forces, members=True)

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :raises InputError: as :meth:`energies`
        :raises ComputationError: if the model fails
        """
        clusters = Clusters.of_cell(atoms, self.capabilities.charged)
        self._network.check(clusters)
        try:
            return self._network.cell_energy(clusters, atoms)
        except RuntimeError as error:
            raise ComputationError(
                f"{self.name} must give the energy of the periodic structure, and failed: {first_line(error)}"
            ) from error

    def _evaluate(self, batch: ClusterBatch, *, atoms: bool, forces: bool, members: bool = False) -> Evaluation:
        if batch.charges.any() and not self.capabilities.charged:
            advice = "is not told theirs; say charged=true" if self._network.takes_charges else "takes no charges"
            raise InputError(f"sub-clusters must be neutral for {self.name}, which {advice}")
        network = self._network
        network.check_elements(batch.numbers)
        return lowest(
            network.rule,
            batch,
            lambda states, unpaired: self._of_states(states, unpaired, atoms=atoms, forces=forces, members=members),
            network.most_unpaired,
        )

    def _of_states(
        self, batch: ClusterBatch, unpaired: IntArray | None, *, atoms: bool, forces: bool, members: bool
    ) -> Evaluation:
        clusters = Clusters.of(batch, self.capabilities.charged, unpaired)
        self._network.check(clusters)
        found = Evaluation.unknown(len(batch), batch.n_atoms, forces=forces, atom_energies=atoms)
        if members:
            found.members = np.full((len(batch), len(self._network.members)), np.nan)
        packed = self._traits.packed

        def work(rows: slice) -> None:
            part = self._network.evaluate(
                clusters.part(rows), packed=packed, atoms=atoms, forces=forces, members=members
            )
            found.put(np.arange(rows.start, rows.stop), part)

        self._portions.over(len(batch), batch.n_atoms, work)
        return found


def _missing(network: Network, traits: Traits) -> dict[str, str]:
    """What it does not give, and what to do."""
    missing = {} if traits.atoms else {"atom_energies": "it has none that add up to its energy, do without them"}
    if not network.members:
        missing["members"] = network.no_members
    if network.rule is None:
        missing["records"] = "it takes no spin"
    else:
        missing["cell_energy"] = "a cell has no spin by a rule for sub-clusters"
    return missing
