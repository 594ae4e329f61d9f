"""What a model says of labelled clusters, and how far that is from their labels."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.sources import FailedClusters
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import ClusterBatch


def prediction_errors(source: EnergySource, clusters: Sequence[ase.Atoms]) -> dict[str, float]:
    """Root-mean-square errors of a model.

    :param source: the model
    :param clusters: labelled clusters, as :func:`~bodyorder.training.datasets.draw_set` draws them
    :return: ``energy_rmse`` in meV/atom, √⟨((E − E_ref) / n_atoms)²⟩ over clusters; ``force_rmse`` in meV/Å, √⟨(F − F_ref)²⟩ over
        Cartesian components, NaN if the clusters have no forces; ``clusters``, their number
    :raises InputError: if there are no clusters
    :raises ComputationError: if the model fails on some
    """
    if not len(clusters):
        raise InputError("errors need labelled clusters, and none are given")
    with_forces = all("forces" in atoms.arrays for atoms in clusters) and source.capabilities.forces
    energy_errors, force_errors = [], []
    for own, answered in zip(clusters, _answers(source, clusters, with_forces), strict=True):
        energy, forces = answered
        energy_errors.append((energy - own.info["energy"]) / len(own))
        if forces is not None:
            force_errors.append((forces - own.arrays["forces"]).ravel())
    return {
        "energy_rmse": 1000 * float(np.sqrt(np.mean(np.array(energy_errors) ** 2))),
        "force_rmse": 1000 * float(np.sqrt(np.mean(np.concatenate(force_errors) ** 2)))
        if with_forces
        else float("nan"),
        "clusters": len(clusters),
    }


def predictions(source: EnergySource, clusters: Sequence[ase.Atoms]) -> list[ase.Atoms]:
    """Copies of clusters that are labelled by a model: its energies in ``info``, its forces in ``arrays`` where they have any.

    :param source: the model
    :param clusters: labelled by something else
    :raises InputError: if the clusters have forces and the model gives none
    :raises ComputationError: if the model fails on some
    """
    with_forces = all("forces" in atoms.arrays for atoms in clusters)
    if with_forces and not source.capabilities.forces:
        raise InputError(f"what is learnt from must give forces, {source.name} gives energies only")
    copies = [atoms.copy() for atoms in clusters]
    for atoms, (energy, forces) in zip(copies, _answers(source, copies, with_forces), strict=True):
        atoms.info["energy"] = energy
        if forces is not None:
            atoms.arrays["forces"] = forces
    return copies


def _answers(
    source: EnergySource, clusters: Sequence[ase.Atoms], with_forces: bool
) -> list[tuple[float, np.ndarray | None]]:
    """Energy in eV and forces in eV/Å of each cluster, in batches of equal size."""
    found: list[tuple[float, np.ndarray | None]] = [(np.nan, None)] * len(clusters)
    sizes = np.array([len(atoms) for atoms in clusters])
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        step = source.capabilities.batch_size or len(same)
        for part in (same[start : start + step] for start in range(0, len(same), step)):
            batch = ClusterBatch.from_atoms([clusters[row] for row in part])
            try:
                forces: Sequence[np.ndarray | None] = [None] * len(part)
                if with_forces:
                    energies, slopes = source.energies_and_forces(batch)
                    forces = list(slopes)
                else:
                    energies = source.energies(batch)
            except FailedClusters as error:
                raise ComputationError(
                    f"{source.name} lacks energies of {len(error.messages)} clusters: {first_line(error)}"
                ) from None
            for row, energy, own in zip(part, energies, forces, strict=True):
                found[row] = (float(energy), own)
    return found
