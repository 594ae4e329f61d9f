"""Two atoms so far apart that they do not feel each other, and what lone atoms miss of that.

E(AB, r → ∞) − E(A) − E(B) is zero where a lone atom is what two fall into. It is not where lone atoms are something else than the
model: a table, a constant, a number that nobody trained. Of quantum chemistry it is the size-consistency error of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bodyorder.sources.one_body import OneBodyLike, OneBodySource, check_one_body
from bodyorder.sources.protocol import EnergySource, Evaluation, FailedClusters
from bodyorder.sources.rounding import seen_tolerance
from bodyorder.sources.spacing import GAP
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.kinds import AtomKind

#: Distances in Å tried one after the other where nobody knows how far a source reaches.
DISTANCES = (30.0, 60.0, 120.0, 250.0, 500.0, 1000.0)
#: Change in eV from one distance to the next above which two atoms do not count as dissociated. Energies that converge only so
#: far go on changing below it, by no less at one distance than at the one before.
UNSETTLED = 1e-5
#: Where a change is more than this share of the one before, no tail is left that falls off as 1/r or faster, but scatter.
SCATTER = 2 / 3

Pair = tuple[AtomKind, AtomKind]


@dataclass(frozen=True)
class FarPair:
    """Two atoms far apart.

    :param distance: in Å, the largest at which the energy is known
    :param energy: in eV, NaN if it is known at none
    :param change: of the energy from the distance before, in eV; 0 where one distance is enough, NaN where it is not known
    :param message: why the energy is not that of dissociated atoms; empty if it is
    """

    distance: float
    energy: float
    change: float
    message: str = ""


def far_pairs(
    pairs: Iterable[Pair],
    source: EnergySource,
    ask: Callable[[ClusterBatch], Evaluation] | None = None,
) -> dict[Pair, FarPair]:
    """The energies of pairs of atoms far apart.

    Where the source has a cutoff of its own, just beyond it. Where it has none, or has it by the word of a user, at growing
    distances up to 1000 Å until the energy does not change any more: within the precision of the source, or by no less than
    before, which is scatter.

    :param pairs: which atoms
    :param source: where energies come from
    :param ask: how it is asked for the energies of a batch; one sub-cluster after the other if not given
    """
    ask = ask or partial(_one_by_one, source)
    proven = source.cutoff is not None and not source.capabilities.unproven_cutoff
    first = DISTANCES[0] if source.cutoff is None else source.cutoff + GAP
    found: dict[Pair, FarPair] = {}
    left = list(dict.fromkeys(pairs))
    for distance in (first, *(() if proven else (further for further in DISTANCES if further > first))):
        if not left:
            break
        answer, going_on = ask(_batch(left, distance)), []
        for row, pair in enumerate(left):
            failure = f"{distance:g} Å apart: {answer.messages[row]}" if row in answer.messages else ""
            found[pair], is_last = _next(
                source, found.get(pair), distance, float(answer.energies[row]), failure, proven
            )
            if not is_last:
                going_on.append(pair)
        left = going_on
    return found


def halves(source: EnergySource, far: Mapping[Pair, FarPair]) -> OneBodySource:
    """A source whose lone atoms have half the energy of two alike far apart.

    :param source: of everything else
    :param far: of :func:`far_pairs`; atoms whose energy still changes with their distance have none
    """
    alike = {pair[0]: found for pair, found in far.items() if pair[0] == pair[1]}
    values = {kind: found.energy / 2 for kind, found in alike.items() if not found.message}
    reasons = {kind: f"of two {found.message}" for kind, found in alike.items() if found.message}
    return OneBodySource(source, "dissociation", values, reasons)


def with_lone_atoms(source: EnergySource, one_body: OneBodyLike, kinds: Iterable[AtomKind]) -> EnergySource:
    """A source with the energies of lone atoms that were chosen.

    :param one_body: see :data:`~bodyorder.sources.one_body.OneBodyLike`
    :param kinds: of atoms that will be asked for
    :raises InputError: if ``one_body`` cannot be
    """
    choice, values = check_one_body(one_body)
    if choice == "model":
        return source
    if choice == "values":
        return OneBodySource(source, choice, values)
    return halves(source, far_pairs([(kind, kind) for kind in kinds], source))


def _next(
    source: EnergySource, before: FarPair | None, distance: float, energy: float, failure: str, proven: bool
) -> tuple[FarPair, bool]:
    """What is known of two atoms with one distance more, and whether that is enough."""
    if failure:
        return FarPair(distance, np.nan, np.nan, failure) if before is None else replace(before, message=failure), True
    if proven:
        return FarPair(distance, energy, 0.0), True
    if before is None:
        return FarPair(distance, energy, np.nan, "known at one distance only"), False
    change = abs(energy - before.energy)
    rounds = change <= seen_tolerance(source.precision, np.array([before.energy, energy]), 2)
    if rounds or (change < UNSETTLED and change > SCATTER * before.change):
        return FarPair(distance, energy, change), True
    message = f"{distance:g} Å apart the energy still changes, by {change:.1e} eV" if change > UNSETTLED else ""
    return FarPair(distance, energy, change, message), False


def _batch(pairs: Sequence[Pair], distance: float) -> ClusterBatch:
    """Each pair as a structure of its own."""
    systems = {
        row: System(
            np.array([one.number, other.number]),
            np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]),
            np.array([one.charge, other.charge], dtype=np.float64),
            np.array([one.moment, other.moment]),
        )
        for row, (one, other) in enumerate(pairs)
    }
    return ClusterBatch.cut(systems, np.arange(len(pairs)), np.tile([0, 1], (len(pairs), 1)))


def _one_by_one(source: EnergySource, batch: ClusterBatch) -> Evaluation:
    found = Evaluation.unknown(len(batch))
    for row in range(len(batch)):
        try:
            found.energies[row] = source.energies(batch.select(np.array([row])))[0]
        except FailedClusters as error:
            found.messages[row] = str(error)
        if row not in found.messages and not np.isfinite(found.energies[row]):
            found.messages[row] = "the energy is not finite"
    return found
