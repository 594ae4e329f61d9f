"""Whether a source gives in several processes at once what it gives in one."""

from __future__ import annotations

import pickle
from concurrent.futures import Executor

import numpy as np

from bodyorder.structures.clusters import ClusterBatch, FloatArray
from bodyorder.testing.checks import Check
from bodyorder.testing.subject import Subject, split

#: Processes that work at the same time, on the same sub-clusters in other orders.
AT_ONCE = 2


def workers(subject: Subject, name: str, executor: Executor | None) -> Check:
    """The same sub-clusters by two processes at once, one from the first on and one from the last, and in this one.

    What programs leave in files or shared memory, one process reads of the other where the two are not kept apart.
    """
    can = subject.source.capabilities
    if executor is None:
        return Check(name, None, detail="no executor is given")
    if not can.serial:
        return Check(name, None, detail="not claimed: it uses the cores by itself")
    if can.one_process:
        return Check(name, None, detail=f"it runs in one process: {can.one_process}")
    try:
        packed = pickle.dumps(subject.source)
    except Exception as error:  # of any object inside
        return Check(name, False, detail=f"it cannot be sent to others: {type(error).__name__}: {error}")
    batch = subject.many()
    orders = [np.arange(len(batch)), np.arange(len(batch))[::-1]]
    answers = [executor.submit(_one_by_one, packed, batch.select(rows)) for rows in orders]
    found = np.concatenate([answer.result()[rows] for answer, rows in zip(answers, orders, strict=True)])
    here = np.concatenate([subject.source.energies(one) for one in split(batch)])
    return subject.compare(name, found, np.tile(here, AT_ONCE), f"{len(batch)} sub-clusters by two processes at once")


def _one_by_one(packed: bytes, batch: ClusterBatch) -> FloatArray:
    source = pickle.loads(packed)
    return np.concatenate([source.energies(one) for one in split(batch)])
