"""Checks of what a source gives for single atoms: forces, and energies that add up."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from bodyorder._checks import ComputationError, InputError
from bodyorder.structures.clusters import ClusterBatch, FloatArray, System
from bodyorder.testing.checks import Check
from bodyorder.testing.clusters import alone, permuted
from bodyorder.testing.subject import FLOOR, Subject, measured, split

#: By how much steps of differences are made shorter where there may be a kink, and the shortest that are (Å).
CLOSER, SHORTEST = 8.0, 1e-6


def energies_with_forces(subject: Subject, name: str) -> Check:
    """The energies that come with forces are those that come without."""
    batches = [alone(cluster) for cluster in subject.clusters]
    found = np.array([_both(subject, batch)[0][0] for batch in batches])
    return subject.compare(
        name, found, subject.energies(subject.clusters), "energies asked for with and without forces"
    )


def gradient(subject: Subject, name: str) -> Check:
    """Forces against central differences of the energy with steps h and 2h, extrapolated to h = 0.

    A kink within the steps makes sound forces disagree, by less the shorter the steps are. Where they disagree, shorter ones are
    therefore tried, as far as the energies scatter too little to spoil them.
    """
    cluster = subject.clusters[-1]
    forces = _both(subject, alone(cluster))[1][0]
    energy = subject.energy(cluster)
    sigma = max(subject.sigma(np.array([energy])), subject.unrest, FLOOR / 10)
    step = float(np.clip(0.1 * sigma**0.2, 1e-3, 2e-2))
    worst, tolerance = _disagreement(subject, cluster, forces, step, sigma)
    loosest = sigma / step
    fine = max(subject.scatter, subject.unrest, np.finfo(np.float64).eps * abs(energy)) if worst > tolerance else sigma
    while worst > tolerance and CLOSER * fine / step <= loosest and step > SHORTEST:
        step /= CLOSER
        worst, tolerance = _disagreement(subject, cluster, forces, step, fine)
    what = "forces and central differences of the energy"
    if subject.source.capabilities.force_kind == "direct":
        return replace(measured(name, worst, tolerance, "eV/Å", f"{what}; they are direct ones"), passed=None)
    return measured(name, worst, tolerance, "eV/Å", what)


def _disagreement(
    subject: Subject, cluster: System, forces: FloatArray, step: float, sigma: float
) -> tuple[float, float]:
    """Largest difference of forces and slopes, and what is allowed, in eV/Å, by steps in Å and an error of energies in eV."""
    fine, coarse = _slopes(subject, cluster, step), _slopes(subject, cluster, 2 * step)
    # What the extrapolation leaves is to fine − coarse as step² is to the square of the length at which slopes change;
    # 5 step/Å is above that for lengths of 0.1 Å and more.
    tolerance = 10 * sigma / step + 5 * step * np.abs(fine - coarse).max()
    return float(np.abs(forces + (4 * fine - coarse) / 3).max()), float(tolerance)


def balance(subject: Subject, name: str) -> Check:
    """Net force of free clusters, zero if the energy does not see shifts; the torque tells what turning does and is reported."""
    net, torque, size = 0.0, 0.0, 0.0
    for cluster in subject.clusters:
        forces = _both(subject, alone(cluster))[1][0]
        arms = cluster.positions - cluster.positions.mean(axis=0)
        net = max(net, np.abs(forces.sum(axis=0)).max())
        torque = max(torque, np.abs(np.cross(arms, forces).sum(axis=0)).max())
        size = max(size, np.abs(forces).max())
    # An error of the energy is an error of the force over the length at which energies change, at worst about 0.01 Å.
    tolerance = 100 * subject.tolerance(subject.energies(subject.clusters)) + 1e-12 * size
    found = measured(name, net, tolerance, "eV/Å", f"net force of free clusters; their net torque is {torque:.1e} eV")
    return replace(found, passed=None) if subject.source.capabilities.force_kind == "direct" else found


def forces_in_batch(subject: Subject, name: str) -> Check:
    """Forces of a batch against its members one by one."""
    batch = subject.many()
    single = np.concatenate([_both(subject, one)[1] for one in split(batch)])
    energies, together = subject.at_once(partial(_both, subject), batch)
    # An error of the energy is an error of the force over the length at which energies change, at worst about 0.01 Å.
    tolerance, worst = 100 * subject.tolerance(energies), np.abs(together - single).max()
    return measured(name, worst, tolerance, "eV/Å", f"{len(batch)} sub-clusters at once and one by one")


def atom_energies(subject: Subject, name: str) -> Check:
    """Energies of atoms add up to the energy, in a batch and alone, and follow their atoms to another place in the list."""
    if not subject.source.capabilities.atom_energies:
        return Check(name, None, detail=f"not claimed{subject.source.capabilities.why_not('atom_energies')}")
    batch = subject.many()
    try:
        single = np.concatenate([_shares(subject, one) for one in split(batch)])
    except InputError as error:  # such as a model that has none behind it
        return Check(name, None, detail=str(error))
    together = subject.at_once(partial(_shares, subject), batch)
    wanted = np.array([subject.source.energies(one)[0] for one in split(batch)])
    worst = max(np.abs(together.sum(axis=1) - wanted).max(), np.abs(single - together).max())
    for cluster in subject.clusters:
        here, there = (_shares(subject, alone(one))[0] for one in (cluster, permuted(cluster)))
        worst = max(worst, np.abs(np.roll(here, 1) - there).max())
    return measured(
        name, worst, subject.tolerance(wanted), "eV", "their sums and the energies, batches, permuted clusters"
    )


def _slopes(subject: Subject, cluster: System, step: float) -> FloatArray:
    """Derivatives of the energy by central differences, in the shape of the positions."""
    moves = step * np.eye(cluster.positions.size).reshape(-1, *cluster.positions.shape)
    ahead = subject.energies([System(cluster.numbers, cluster.positions + move) for move in moves])
    behind = subject.energies([System(cluster.numbers, cluster.positions - move) for move in moves])
    return (ahead - behind).reshape(cluster.positions.shape) / (2 * step)


def _both(subject: Subject, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
    return subject.source.energies_and_forces(batch)


def _shares(subject: Subject, batch: ClusterBatch) -> FloatArray:
    found = subject.source.evaluate_atoms(batch, False).atom_energies
    shape = None if found is None else np.shape(found)
    if found is None or shape != batch.numbers.shape:
        raise ComputationError(f"`atom_energies` must be of shape {batch.numbers.shape}, got {shape}")
    return found
