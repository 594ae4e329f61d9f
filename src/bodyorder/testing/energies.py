"""Checks of the energies of a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
from ase.data import chemical_symbols

from bodyorder.sources.dissociation import far_pairs
from bodyorder.sources.spacing import GAP, at_distance
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.kinds import AtomKind, pair_label
from bodyorder.testing.checks import Check
from bodyorder.testing.clusters import (
    direction,
    mirrored,
    part,
    permuted,
    random_cluster,
    random_rotation,
    rotated,
)
from bodyorder.testing.subject import FLOOR, SIGMAS, Subject, measured, split

#: Distance (Å) at which additivity is reported for a source that claims no cutoff.
FAR = 30.0
#: Largest difference in eV between congruent clusters of which the engine evaluates one.
SAME = 1e-9


def repetition(subject: Subject, name: str) -> Check:
    """The same cluster again, with others in between and in another order."""
    order = [*subject.clusters, *subject.clusters, *reversed(subject.clusters)]
    energies = np.array([subject.energy(cluster) for cluster in order]).reshape(3, -1)
    energies[2] = energies[2, ::-1]
    sigma, subject.unrest = subject.source.precision.sigma(energies).max(), float(np.ptp(energies, axis=0).max())
    tolerance = max(FLOOR, SIGMAS * np.sqrt(2) * sigma)  # by the claim alone, which is all that unrest is held against
    return measured(name, subject.unrest, tolerance, "eV", "the same clusters three times")


def single_atoms(subject: Subject, name: str) -> Check:
    """One atom of each species has an energy."""
    energies = [subject.energy(_atom(number)) for number in subject.species]
    found = ", ".join(
        f"{chemical_symbols[number]} {energy:.6g} eV" for number, energy in zip(subject.species, energies, strict=True)
    )
    return Check(name, bool(np.isfinite(energies).all()), detail=found)


def symmetry(subject: Subject, name: str, change: Callable[[System], System]) -> Check:
    """A change of the cluster that its energy must not see."""
    changed, given = (
        subject.energies([change(cluster) for cluster in subject.clusters]),
        subject.energies(subject.clusters),
    )
    return subject.compare(name, changed, given, f"{name}s of clusters of 2 to 4 atoms")


def batch(subject: Subject, name: str) -> Check:
    """A batch against its members one by one."""
    batch, source = subject.many(), subject.source
    single = np.array([source.energies(one)[0] for one in split(batch)])
    together = subject.at_once(source.energies, batch)
    if source.capabilities.records:  # what the engine asks for in place of the energies
        evaluated = subject.at_once(lambda many: source.evaluate(many, False).energies, batch)
        together = np.stack([together, evaluated])
    found = subject.compare(name, together, single, f"{len(batch)} sub-clusters at once and one by one")
    subject.batches_agree = found.passed is True
    return found


def parent(subject: Subject, name: str) -> Check:
    """Sub-clusters cut from a larger structure against the same atoms standing alone."""
    cuts = [(index, rows) for index in subject.parents for rows in ([1], [0, 3], [3, 0, 2], [4, 1, 2])]
    batches = [ClusterBatch.cut(subject.parents, np.array([index]), np.array([rows])) for index, rows in cuts]
    inside = np.array([subject.source.energies(batch)[0] for batch in batches])
    outside = subject.energies([part(subject.parents[i], rows) for i, rows in cuts])
    return subject.compare(name, inside, outside, "sub-clusters cut from 5 and 6 atoms, and the same standing alone")


def additivity(subject: Subject, name: str) -> Check:
    """Energies of parts beyond the claimed cutoff add up."""
    distance = FAR if subject.source.cutoff is None else subject.source.cutoff + GAP
    sizes = ((1, 1), (1, 2), (3, 2), (2, 3))
    parts = [tuple(random_cluster(subject.rng, subject.species, size) for size in pair) for pair in sizes]
    both = subject.energies([at_distance(one, other, direction(subject.rng), distance) for one, other in parts])
    separate = subject.energies([one for one, _ in parts]) + subject.energies([other for _, other in parts])
    found = subject.compare(name, both, separate, f"parts {distance:g} Å apart")
    if subject.source.cutoff is None:
        return replace(found, passed=None, detail=f"no cutoff is claimed; parts {FAR:g} Å apart")
    return found


def dissociation(subject: Subject, name: str) -> Check:
    """Two lone atoms are what two far apart are. No source claims it; where they are not, every order from 2 on is shifted."""
    kinds = [AtomKind(number) for number in subject.species]
    alone = dict(zip(kinds, subject.energies([_atom(number) for number in subject.species]), strict=True))
    told, offsets, scatter = [], [], [0.0]
    far_apart = far_pairs(combinations_with_replacement(dict.fromkeys(kinds), 2), subject.source)
    for pair, far in far_apart.items():
        label = pair_label(pair).replace(" ", "–")
        if far.message:
            told.append(f"{label} not known, {far.message}")
            continue
        offsets.append(far.energy - sum(alone[kind] for kind in pair))
        scatter.append(far.change)
        told.append(f"{label} {offsets[-1]:+.2e} eV at {far.distance:g} Å")
    detail = f"two atoms far apart minus two lone ones: {', '.join(told)}"
    if not offsets:
        return Check(name, None, detail=detail)
    worst = float(np.abs(offsets).max())
    allowed = subject.tolerance(np.array([far.energy for far in far_apart.values() if not far.message])) + max(scatter)
    if worst > allowed:
        detail += "; every order from 2 on is shifted, unless one_body gives lone atoms another energy"
    right = True if worst <= allowed and len(offsets) == len(told) else None
    return Check(name, right, worst, allowed, "eV", detail)


def noise(subject: Subject, name: str) -> Check:
    """Scatter of the energy about a smooth curve, along small deformations and rotations: rounding and the like, not kinks."""
    if not subject.source.capabilities.unproven_precision:
        sigma = subject.sigma(subject.energies(subject.clusters))
        tolerance = max(FLOOR, 3 * sigma, 10 * subject.unrest)
        return measured(name, subject.scatter, tolerance, "eV", f"scatter of one energy; {sigma:.1e} eV claimed")
    return Check(name, None, detail=f"not claimed, so it is measured; one energy scatters by {subject.scatter:.1e} eV")


def invariance(subject: Subject, name: str) -> Check:
    """A source that claims that one energy serves all that are congruent: reflected, turned, atoms in another order."""
    if not subject.source.capabilities.invariant:
        return Check(name, None, detail="not claimed: congruent sub-clusters are evaluated one by one")
    changed = subject.energies(
        [rotated(mirrored(permuted(one)), random_rotation(subject.rng)) for one in subject.clusters]
    )
    wanted = subject.energies(subject.clusters)
    return measured(name, np.abs(changed - wanted).max(), SAME, "eV", "reflected, turned and permuted replicas")


def _atom(number: int) -> System:
    return System(np.array([number]), np.zeros((1, 3)))
