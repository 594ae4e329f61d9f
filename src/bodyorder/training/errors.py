"""How far a model is from its reference."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.sources.base import EnergySource
from bodyorder.structures import ClusterBatch


def prediction_errors(source: EnergySource, clusters: Sequence[ase.Atoms]) -> dict[str, float]:
    """Root-mean-square errors of a model.

    :param source: the model
    :param clusters: labelled clusters, as :func:`~bodyorder.training.datasets.training_set` draws them
    :return: ``energy_rmse`` in meV/atom, √⟨((E − E_ref) / n_atoms)²⟩ over clusters; ``force_rmse`` in meV/Å, √⟨(F − F_ref)²⟩ over
        Cartesian components, NaN if the clusters have no forces; ``clusters``, their number
    :raises InputError: if there are no clusters
    """
    if not len(clusters):
        raise InputError("errors need labelled clusters, and none are given")
    with_forces = all("forces" in atoms.arrays for atoms in clusters) and hasattr(source, "energies_and_forces")
    energy_errors, force_errors = [], []
    for size in sorted({len(atoms) for atoms in clusters}):
        same = [atoms for atoms in clusters if len(atoms) == size]
        step = getattr(source, "batch_size", len(same))
        for part in (same[start : start + step] for start in range(0, len(same), step)):
            batch = ClusterBatch.from_atoms(part)
            if with_forces:
                energies, forces = source.energies_and_forces(batch)  # type: ignore[attr-defined]
                force_errors.append((forces - np.array([atoms.arrays["forces"] for atoms in part])).ravel())
            else:
                energies = source.energies(batch)
            energy_errors.append((energies - np.array([atoms.info["energy"] for atoms in part])) / size)
    return {
        "energy_rmse": 1000 * float(np.sqrt(np.mean(np.concatenate(energy_errors) ** 2))),
        "force_rmse": 1000 * float(np.sqrt(np.mean(np.concatenate(force_errors) ** 2)))
        if with_forces
        else float("nan"),
        "clusters": len(clusters),
    }
