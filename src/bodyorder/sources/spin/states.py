"""Every sub-cluster in each spin that its rule allows, and the lowest of them: for sources that are told one spin at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bodyorder.sources.protocol import Evaluation
from bodyorder.sources.spin.rules import SpinRule
from bodyorder.structures.clusters import ClusterBatch, IntArray

#: Evaluates sub-clusters with numbers of unpaired electrons, shape (n,), or with None where no rule chooses them.
Evaluate = Callable[[ClusterBatch, IntArray | None], Evaluation]


def lowest(rule: SpinRule | None, batch: ClusterBatch, evaluate: Evaluate, most: int | None = None) -> Evaluation:
    """The lowest state of each sub-cluster among those of a rule, with its ``multiplicity`` as a record.

    Where one of several spins fails the sub-cluster fails, since that could have been the lowest; of equal energies the lowest
    spin counts.

    :param rule: None for a source that is told no spins, whose batch is evaluated as it is
    :param evaluate: asks the source
    :param most: unpaired electrons beyond which the source has no states; the lowest spin of a rule is asked for all the same
    :raises InputError: as the rule raises it
    """
    if rule is None:
        return evaluate(batch, None)
    spins = rule.spins(batch)
    if most is not None:
        spins = [tuple(spin for spin in allowed if spin <= most) or allowed[:1] for allowed in spins]
    counts = np.array([len(allowed) for allowed in spins], dtype=np.int64)
    unpaired = np.array([spin for allowed in spins for spin in allowed], dtype=np.int64)
    if len(unpaired) == len(batch):
        found, taken = evaluate(batch, unpaired), unpaired
    else:
        rows = np.repeat(np.arange(len(batch)), counts)
        every = evaluate(batch.select(rows), unpaired)
        failed = every.messages | {
            state: "the energy is not finite"
            for state in np.flatnonzero(~np.isfinite(every.energies)).tolist()
            if state not in every.messages
        }
        # states of one sub-cluster side by side, the lowest first
        best = np.lexsort((unpaired, every.energies, rows))[np.cumsum(counts) - counts]
        found, taken = replace(every.part(best), messages={}), unpaired[best]
        for state in sorted(failed, reverse=True):
            row = int(rows[state])
            found.messages[row] = f"multiplicity {unpaired[state] + 1}: {failed[state]}"
            found.energies[row] = np.nan
    multiplicities = taken + 1.0
    multiplicities[list(found.messages)] = np.nan
    return replace(found, records=found.records | {"multiplicity": multiplicities})
