"""Checks of what a source says of itself in its capabilities, as far as numbers can decide it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import ase
import numpy as np

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources.protocol import CONTEXT
from bodyorder.sources.spacing import GAP
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.testing.checks import Check
from bodyorder.testing.clusters import alone, random_rotation
from bodyorder.testing.subject import Subject

#: Sub-clusters that are asked for at once, whatever larger number is claimed.
MOST = 512
#: Relative error below which energies are not rounded as float32 does (6e-8).
FINE = 1e-9
#: Å between a cluster and its images in a cell whose images feel each other.
SPARSE = 3.0
#: Charge of neighbouring atoms, up and down, in elementary charges; small, and none in all.
POLAR = 0.25


def batch_size(subject: Subject, name: str) -> Check:
    """As many at once as it says that it takes."""
    claimed = subject.source.capabilities.batch_size
    if claimed is None:
        return Check(name, None, detail="not claimed: it takes as many as there are")
    few = subject.many()
    rows = np.resize(np.arange(len(few)), min(claimed, MOST))
    wanted = subject.at_once(subject.source.energies, few)[rows]
    found = subject.at_once(subject.source.energies, few.select(rows))
    return subject.compare(name, found, wanted, f"{len(rows)} sub-clusters at once, and fewer")


def single_precision(subject: Subject, name: str) -> Check:
    """Who rounds coarsely claims no fine precision."""
    if not subject.source.capabilities.single_precision:
        return Check(name, None, detail="not claimed")
    energies = subject.energies(subject.clusters)
    claimed = subject.source.precision.sigma(energies)
    right = bool((claimed >= FINE * np.abs(energies)).all())
    return Check(
        name, right, detail=f"{claimed.max():.1e} eV is claimed as the error of {np.abs(energies).max():.3g} eV"
    )


def records(subject: Subject, name: str) -> Check:
    """What is told of states is what was promised, one number for each sub-cluster."""
    source, claimed = subject.source, subject.source.capabilities.records
    if not claimed:
        return Check(name, None, detail=f"not claimed{source.capabilities.why_not('records')}")
    batch = subject.triples()
    given = source.evaluate(batch, False).records
    wrong = [f"{record} is not claimed" for record in given if record not in claimed]
    wrong += [
        f"{record} must be of shape {(len(batch),)}, got {np.shape(values)}"
        for record, values in given.items()
        if np.shape(values) != (len(batch),)
    ]
    if source.capabilities.forces and not wrong:
        slopes = source.evaluate(batch, True).forces
        if slopes is None or np.shape(slopes) != batch.positions.shape:
            wrong.append(f"forces of evaluate() must be of shape {batch.positions.shape}")
    return Check(name, not wrong, detail="; ".join(wrong) or f"given: {', '.join(given) or 'none'}")


def context(subject: Subject, name: str) -> Check:
    """Energies do not see what is not claimed of the structure around their atoms."""
    cluster, claimed = subject.clusters[-1], subject.source.capabilities.context
    n = len(cluster)
    others = {
        "bodies": np.zeros(n, dtype=np.int64),
        "charges": np.resize([POLAR, -POLAR], n),
        "moments": np.resize([1.0, -1.0], n),
        "field": np.resize([POLAR, -POLAR], n),
    }
    unseen = [one for one in CONTEXT if one not in claimed]
    if not unseen:
        return Check(name, None, detail="all of it is claimed")
    found = []
    for one in unseen:
        try:
            told = System(cluster.numbers, cluster.positions, **{one: others[one]})
            found.append(_inside(subject, told) if one == "field" else subject.energy(told))
        except InputError as error:
            raise ComputationError(
                f"{one} must be claimed as context to be looked at, and are looked at: {error}"
            ) from error
    wanted = np.array([_inside(subject, cluster) if one == "field" else subject.energy(cluster) for one in unseen])
    return subject.compare(name, np.array(found), wanted, f"another structure's {', '.join(unseen)}")


def field(subject: Subject, name: str) -> Check:
    """Point charges around a sub-cluster change its energy, and what turns with them does not; charges of zero do nothing."""
    if "field" not in subject.source.capabilities.context:
        return Check(name, None, detail="not claimed: sub-clusters are in vacuum")
    cluster = subject.clusters[-1]
    bare = _inside(subject, cluster)
    charges = np.resize([POLAR, 2 * POLAR], len(cluster))
    inside = System(cluster.numbers, cluster.positions, field=charges)
    around = _inside(subject, inside)
    if not abs(around - bare) > subject.tolerance(np.array([bare, around])):
        return Check(name, False, detail=f"charges around a cluster must change its energy, {bare:.9g} eV")
    turned = System(cluster.numbers, random_rotation(subject.rng).apply(cluster.positions), field=charges)
    return subject.compare(name, np.array([_inside(subject, turned)]), np.array([around]), "charges that turn along")


def _inside(subject: Subject, system: System) -> float:
    """Energy in eV of all atoms of a structure but the last."""
    batch = ClusterBatch.cut({0: system}, np.zeros(1, dtype=np.int64), np.arange(len(system) - 1)[None])
    return float(subject.source.energies(batch)[0])


def charges(subject: Subject, name: str) -> Check:
    """Charged sub-clusters have energies of their own."""
    if not subject.source.capabilities.charged:
        return Check(name, None, detail="not claimed: none is asked for")
    cluster = subject.clusters[1]
    ion = System(cluster.numbers, cluster.positions, charges=np.eye(len(cluster))[0])
    try:
        charged = subject.energy(ion)
    except InputError as error:
        return Check(name, False, detail=f"it must take a cluster of charge +1, and does not: {error}")
    differs = abs(charged - subject.energy(cluster)) > subject.tolerance(np.array([charged]))
    right = bool(np.isfinite(charged) and differs)
    return Check(name, right, detail="" if right else "a cluster of charge +1 must have an energy of its own")


def counterpoise(subject: Subject, name: str) -> Check:
    """Functions of other atoms change the energy of a sub-cluster that is given them."""
    scheme = subject.source.capabilities.counterpoise
    if scheme == "none":
        return Check(name, None, detail="not claimed")
    parents, atoms = np.array([5]), np.array([[0, 1]])
    bare = ClusterBatch.cut(subject.parents, parents, atoms)
    lent = ClusterBatch.cut(subject.parents, parents, atoms, np.array([[2, 3]]))
    energies = [float(subject.source.energies(batch)[0]) for batch in (bare, lent)]
    right = bool(np.isfinite(energies).all() and abs(energies[0] - energies[1]) > subject.tolerance(np.array(energies)))
    return Check(
        name, right, detail=f"{energies[0]:.9g} eV, and {energies[1]:.9g} eV with functions of two other atoms"
    )


def cells(subject: Subject, name: str) -> Check:
    """Twice a cell has twice its energy, and a cluster farther from its images than the cutoff that of the cluster."""
    source = subject.source
    if not source.capabilities.cell_energy:
        return Check(name, None, detail=f"not claimed{source.capabilities.why_not('cell_energy')}")
    wanted, found = [], []
    try:
        for cluster in subject.clusters:
            near = _cell(cluster, SPARSE)
            wanted.append(2 * source.cell_energy(near))
            found.append(source.cell_energy(near.repeat((2, 1, 1))))
            if source.cutoff is not None:
                wanted.append(subject.energy(cluster))
                found.append(source.cell_energy(_cell(cluster, source.cutoff + GAP)))
    except ComputationError as error:  # a program for isolated clusters only, which the results tell
        return Check(name, None, detail=str(error))
    numbers = all(isinstance(energy, float) for energy in found)
    if not numbers:
        return Check(name, False, detail=f"`cell_energy` must give a float, got {type(found[0]).__name__}")
    return subject.compare(name, np.array(found), np.array(wanted), "cells of one cluster, repeated and far apart")


def estimates(subject: Subject, name: str) -> Check:
    """Estimates of time and memory are positive and finite."""
    can, batch = subject.source.capabilities, subject.triples()
    given: dict[str, float] = {}
    for some in (alone(subject.clusters[0]), batch):
        if can.seconds:
            given[f"{some.n_atoms} atoms take (s)"] = subject.source.seconds(some)
        for forces in (False, True)[: 1 + can.forces] if can.megabytes else ():
            what = f"{len(some)} of {some.n_atoms} atoms{' with forces' * forces} need (MB)"
            given[what] = subject.source.megabytes(some, forces)
    if not given:
        return Check(name, None, detail="not claimed")
    wrong = [
        f"{what} must be a positive number, got {value!r}" for what, value in given.items() if not _is_positive(value)
    ]
    return Check(name, not wrong, detail="; ".join(wrong))


def versions(subject: Subject, name: str) -> Check:
    """Versions of installed packages are those that are installed."""
    claimed = subject.source.capabilities.versions
    if not claimed:
        return Check(name, None, detail="not claimed")
    wrong = []
    for package, said in claimed.items():
        try:
            here = version(package)
        except PackageNotFoundError:  # a program of another kind
            continue
        if here != said:
            wrong.append(f"{package} {here} is installed, and {said} is claimed")
    return Check(name, not wrong, detail="; ".join(wrong))


def _cell(cluster: System, gap: float) -> ase.Atoms:
    """A cluster in a box that leaves so many Å to its images."""
    low, high = cluster.positions.min(axis=0), cluster.positions.max(axis=0)
    return ase.Atoms(cluster.numbers, cluster.positions - low, cell=high - low + gap, pbc=True)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float | np.floating) and bool(0 < value < np.inf)
