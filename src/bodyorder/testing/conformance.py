"""The checks that every energy source must pass."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources.dissociation import with_lone_atoms
from bodyorder.sources.one_body import OneBodyLike
from bodyorder.sources.protocol import FailedClusters, misstated
from bodyorder.sources.registry import SourceLike, load_source
from bodyorder.structures.kinds import AtomKind
from bodyorder.testing import atoms, claims, energies, parallel, reach
from bodyorder.testing.checks import Check, Conformance
from bodyorder.testing.clusters import alone, part, permuted, random_rotation, rotated, shifted
from bodyorder.testing.hessians import hessians
from bodyorder.testing.members import members
from bodyorder.testing.subject import Subject


def check_source(
    source: SourceLike,
    *,
    species: Sequence[str] | None = None,
    forces: bool | None = None,
    one_body: OneBodyLike = "model",
    executor: Executor | None = None,
    seed: int = 0,
) -> Conformance:
    """Hold an energy source against what the protocol promises, on random clusters of up to six atoms.

    Checked are: attributes; shape and type of what comes back; single atoms; the same numbers on repetition, after pickling, for
    any order of atoms, rotation and translation, alone and in a batch, cut from a parent and standing alone; that energies of
    parts farther apart than the claimed cutoff add up; what two lone atoms miss of two far apart, which is no fault; that
    nothing changes beyond the cutoff where an atom is moved away from one or two others, and that energies do not jump on the
    way; that nothing acts across periodic boxes, where the source makes such; that the noise of an energy is not above the
    claimed precision; that forces are the negative gradient, and balance; that second derivatives are those of forces; that
    energies of atoms add up and follow their atoms; that members are as many as named and parts add up; that a source that
    claims to be invariant does not see reflections either; and every other claim of its capabilities that numbers can decide:
    batches as large as it says, records, context, a field, charges, functions of other atoms, energies of cells, estimates,
    versions. Whether it is serial or costly is left to whoever times it. Tolerances are 6σ of the claimed precision, and at
    least 1e-9 eV, of jumps 1e-4 eV. All but the checks of batches evaluate one cluster at a time, and those that move atoms,
    where batches were found to be right; checks of batches take enough sub-clusters of one composition for sources that
    evaluate many together.

    :param source: the energy source
    :param species: chemical symbols to build clusters of, hydrogen if not given
    :param forces: True: a source without forces fails; False: forces are not looked at; None: they are if there are any
    :param one_body: whose energies lone atoms have, as :func:`bodyorder.decompose` takes it
    :param executor: where sources that run in several processes are tried out in two at once; what they do then is not looked at
        without one
    :param seed: of the random clusters
    :return: a report; ``raise_if_failed()`` turns it into an exception for tests
    :raises InputError: for an unknown species, or when the source rejects the clusters as input (an element it does not know)
    """
    subject = Subject(load_source(source), species or ("H",), seed)
    subject.source = with_lone_atoms(subject.source, one_body, map(AtomKind, subject.species))
    return Conformance(str(subject.source.name), tuple(_Kit(subject, forces, executor).run()))


class _Kit:
    def __init__(self, subject: Subject, forces: bool | None, executor: Executor | None):
        self.subject, self.source, self.forces, self.executor = subject, subject.source, forces, executor
        self.fingerprint, self.copied_fingerprint = self.source.fingerprint, None

    def run(self) -> Iterator[Check]:
        """Every check in turn; without the first two the others mean nothing."""
        for name, first in {"attributes": self.attributes, "output": self.output}.items():
            check = self._guarded(name, first)
            yield check
            if check.passed is False:
                return
        subject, rng = self.subject, self.subject.rng
        checks: dict[str, Callable[[str], Check]] = {
            "repetition": partial(energies.repetition, subject),
            "single atoms": partial(energies.single_atoms, subject),
            "permutation": partial(energies.symmetry, subject, change=permuted),
            "rotation": partial(energies.symmetry, subject, change=lambda one: rotated(one, random_rotation(rng))),
            "translation": partial(energies.symmetry, subject, change=lambda one: shifted(one, rng)),
            "invariance": partial(energies.invariance, subject),
            "batch": partial(energies.batch, subject),
            "batch size": partial(claims.batch_size, subject),
            "parent": partial(energies.parent, subject),
            "additivity": partial(energies.additivity, subject),
            "dissociation": partial(energies.dissociation, subject),
            "range": partial(reach.reach, subject),
            "continuity": partial(reach.continuity, subject),
            "boxes": partial(reach.boxes, subject),
            "precision": partial(energies.noise, subject),
            "single precision": partial(claims.single_precision, subject),
            "records": partial(claims.records, subject),
            "context": partial(claims.context, subject),
            "field": partial(claims.field, subject),
            "charges": partial(claims.charges, subject),
            "counterpoise": partial(claims.counterpoise, subject),
            "cells": partial(claims.cells, subject),
            "estimates": partial(claims.estimates, subject),
            "versions": partial(claims.versions, subject),
            "energies of atoms": partial(atoms.atom_energies, subject),
            "members": partial(members, subject),
            "energies with forces": partial(atoms.energies_with_forces, subject),
            "forces": partial(atoms.gradient, subject),
            "hessians": partial(hessians, subject),
            "net forces": partial(atoms.balance, subject),
            "forces in a batch": partial(atoms.forces_in_batch, subject),
            "workers": partial(parallel.workers, subject, executor=self.executor),
            "pickling": self.pickling,
            "fingerprint": self.same_fingerprint,
        }
        for name, look in checks.items():
            no_forces = self.no_forces if "forces" in name else ""
            yield Check(name, None, detail=no_forces) if no_forces else self._guarded(name, look)

    def attributes(self, name: str) -> Check:
        """Name, fingerprint, cutoff and precision are what they must be."""
        wrong = misstated(self.source)
        return Check(name, not wrong, detail="; ".join(wrong))

    def output(self, name: str) -> Check:
        """Arrays of the promised shape and type, and whether there are forces."""
        wrong = []
        self.no_forces = "not asked for" if self.forces is False else ""
        can = self.source.capabilities
        if not self.no_forces and not can.forces:
            self.no_forces = f"not claimed{can.why_not('forces')}"
        for batch in (alone(part(self.subject.parents[5], [0])), self.subject.triples()):
            try:
                given = self.source.energies(batch)
            except FailedClusters as error:
                if batch.n_atoms > 1:
                    raise
                remedy = "one_body=dissociation, or values by element, gives it another energy"
                return Check(name, False, detail=f"the source failed for a lone atom: {error}; {remedy}")
            wrong += _misfit("energies", given, (len(batch),))
            try:
                both = self.source.energies_and_forces(batch) if not self.no_forces else None
            except InputError as error:
                self.no_forces, both = str(error), None
            if can.records:
                wrong += _misfit("energies of evaluate()", self.source.evaluate(batch, False).energies, (len(batch),))
            if both is not None:
                wrong += _misfit("energies with forces", both[0], (len(batch),))
                wrong += _misfit("forces", both[1], batch.positions.shape)
        if self.forces and self.no_forces:
            wrong.append(f"forces must be there: {self.no_forces}")
        return Check(name, not wrong, detail="; ".join(wrong))

    def pickling(self, name: str) -> Check:
        """A copy that went through pickle gives the same energies: worker processes get such copies."""
        try:
            copy = pickle.loads(pickle.dumps(self.source))
        except Exception as error:  # pickling runs code of every object inside, which may raise anything
            if why := self.source.capabilities.one_process:
                return Check(name, None, detail=f"it runs in one process: {why}")
            return Check(name, False, detail=f"{type(error).__name__}: {error}")
        self.copied_fingerprint = copy.fingerprint
        found = np.array([copy.energies(alone(cluster))[0] for cluster in self.subject.clusters])
        return self.subject.compare(
            name, found, self.subject.energies(self.subject.clusters), "energies of an unpickled copy"
        )

    def same_fingerprint(self, name: str) -> Check:
        """The fingerprint has not moved, neither by use nor by pickling."""
        after = {str(self.source.fingerprint), str(self.copied_fingerprint or self.fingerprint)}
        changed = after != {self.fingerprint}
        return Check(name, not changed, detail=f"{self.fingerprint} became {sorted(after)}" if changed else "")

    def _guarded(self, name: str, look: Callable[[str], Check]) -> Check:
        try:
            return look(name)
        except (FailedClusters, ComputationError) as error:
            return Check(name, False, detail=f"the source failed: {error}")


def _misfit(what: str, array: Any, shape: tuple[int, ...]) -> list[str]:
    if isinstance(array, np.ndarray) and array.dtype == np.float64 and array.shape == shape:
        return []
    found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
    return [f"{what} must be a float64 array of shape {shape}, got {found}"]
