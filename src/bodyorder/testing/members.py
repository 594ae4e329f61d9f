"""Checks of the several energies that a source gives beside its energy."""

from __future__ import annotations

import numpy as np

from bodyorder._checks import ComputationError
from bodyorder.structures.clusters import ClusterBatch, FloatArray
from bodyorder.testing.checks import Check
from bodyorder.testing.clusters import alone, permuted, random_rotation, rotated
from bodyorder.testing.subject import Subject, measured, split


def members(subject: Subject, name: str) -> Check:
    """Members are the same in a batch and alone, follow permutations, and rotations where energies do; parts add up to the
    energy, which is the one that comes without members."""
    can = subject.source.capabilities
    if not can.members:
        return Check(name, None, detail=f"not claimed{can.why_not('members')}")
    batch = subject.many()
    energies, single = (
        np.concatenate(values) for values in zip(*(_asked(subject, one) for one in split(batch)), strict=True)
    )
    together = subject.at_once(lambda some: _asked(subject, some)[1], batch)
    wanted = np.array([subject.source.energies(one)[0] for one in split(batch)])
    off = [np.abs(together - single).max(), np.abs(energies - wanted).max()]
    for cluster in subject.clusters:
        here = _asked(subject, alone(cluster))[1]
        moved = [permuted(cluster)] + [rotated(cluster, random_rotation(np.random.default_rng(0)))] * can.invariant
        off += [np.abs(_asked(subject, alone(one))[1] - here).max() for one in moved]
    if can.member_kind == "parts":
        off.append(np.abs(single.sum(axis=1) - wanted).max())
    sums = " and their sums" * (can.member_kind == "parts")
    largest = np.append(np.abs(single).max(axis=1), wanted)
    return measured(name, max(off), subject.tolerance(largest), "eV", f"batches, permuted clusters{sums}")


def _asked(subject: Subject, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
    """Energies and members of a batch.

    :raises ComputationError: if these are not as many as claimed
    """
    found = subject.source.evaluate_members(batch, False)
    wanted = len(batch), len(subject.source.capabilities.members)
    shape = None if found.members is None else np.shape(found.members)
    if found.members is None or shape != wanted:
        raise ComputationError(f"`members` must be of shape {wanted}, got {shape}")
    return found.energies, found.members
