"""Several MACE models as one source: its energy is their mean, and they are the members of an ensemble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ase
import numpy as np

from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.mace.source import MaceSource
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.structures.clusters import ClusterBatch, FloatArray


class MaceCommittee(EnergySource):
    """Models that were trained alike, from other random numbers or on other parts of the data.

    Energy, forces and energies of atoms are means over the models, as those of mace's own calculator are. What a claim is
    worth is what it is worth for the worst of them: ``cutoff`` is the largest, ``precision`` the coarsest.

    :param name: what the user calls it
    :param models: which models, two or more
    :raises InputError: if one of them cannot be used, see :func:`bodyorder.sources.mace.load`
    """

    def __init__(self, name: str, models: Sequence[Settings]):
        self.name = name
        self._models = [MaceSource(settings) for settings in models]
        claims = [model.capabilities for model in self._models]
        cutoffs = [model.cutoff for model in self._models]
        self.cutoff = None if None in cutoffs else max(cutoff for cutoff in cutoffs if cutoff is not None)
        self.precision = Precision(
            absolute=max(model.precision.absolute for model in self._models),
            relative=max(model.precision.relative for model in self._models),
        )
        self.fingerprint = "mean of " + ", ".join(model.fingerprint for model in self._models)
        lacking = next((own.missing["atom_energies"] for own in claims if not own.atom_energies), None)
        self.capabilities = Capabilities(
            forces=True,
            atom_energies=lacking is None,
            members=member_names([settings.target for settings in models]),
            member_kind="ensemble",
            cell_energy=True,
            charged=claims[0].charged,
            context=claims[0].context,
            spin=claims[0].spin,
            invariant=all(own.invariant for own in claims),
            batch_size=min(own.batch_size for own in claims if own.batch_size is not None),
            costly=True,
            single_precision=any(own.single_precision for own in claims),
            versions=claims[0].versions,
            missing={} if lacking is None else {"atom_energies": lacking},
        )

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV: means over the models.

        :raises InputError: as those of one model
        """
        return np.mean([model.energies(batch) for model in self._models], axis=0)

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å: means over the models.

        :raises InputError: as those of one model
        """
        energies, forces = zip(*(model.energies_and_forces(batch) for model in self._models), strict=True)
        return np.mean(energies, axis=0), np.mean(forces, axis=0)

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of their atoms, and forces if wanted: means over the models.

        :raises InputError: as those of one model
        """
        found = [model.evaluate_atoms(batch, forces) for model in self._models]
        mean = _mean(found)
        mean.atom_energies = np.mean([own.atom_energies for own in found if own.atom_energies is not None], axis=0)
        return mean

    def evaluate_members(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters by each model, shape (n, m), and means over the models; forces if wanted.

        :raises InputError: as those of one model
        """
        if forces:
            found = [Evaluation(*model.energies_and_forces(batch)) for model in self._models]
        else:
            found = [Evaluation(model.energies(batch)) for model in self._models]
        mean = _mean(found)
        mean.members = np.stack([own.energies for own in found], axis=1)
        return mean

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell, mean over the models.

        :raises InputError: as that of one model
        :raises ComputationError: if a model fails
        """
        return float(np.mean([model.cell_energy(atoms) for model in self._models]))


def _mean(found: Sequence[Evaluation]) -> Evaluation:
    forces = [own.forces for own in found if own.forces is not None]
    return Evaluation(np.mean([own.energies for own in found], axis=0), np.mean(forces, axis=0) if forces else None)


def member_names(targets: Sequence[str]) -> tuple[str, ...]:
    """Names of the models: those of their files, or their paths where files of several folders have one name."""
    names = [Path(target).stem for target in targets]
    return tuple(targets if max(Counter(names).values()) > 1 else names)
