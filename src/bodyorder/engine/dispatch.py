"""Batches handed to workers, and what becomes of those whose worker dies."""

from __future__ import annotations

import pickle
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import reduce

import numpy as np

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.engine.computation import Wanted, compute
from bodyorder.sources.protocol import EnergySource, Evaluation
from bodyorder.structures import ClusterBatch

#: Sub-clusters in a row whose workers died before any batch came back: then the fault is not theirs.
MOST_LOST = 10

#: How often a sub-cluster is tried alone after its batch was lost; another batch may have killed the worker they shared.
_ATTEMPTS = 2


class Dispatcher:
    """Gives batches to workers and takes their answers.

    A local process pool breaks as a whole when a process dies. A Dask cluster goes on: it tries a batch on other workers
    (``distributed.scheduler.allowed-failures`` times) before it gives the batch up. Sub-clusters of a batch given up are
    tried one at a time, so that only those fail that kill the worker they are alone on.

    :param source: where energies come from
    :param wanted: what is asked of it
    :param executor: where batches run; None for this process
    """

    def __init__(self, source: EnergySource, wanted: Wanted, executor: Executor | None):
        self._source, self._wanted, self._executor = source, wanted, executor
        self._run = uuid.uuid4().hex
        self._packed: bytes | None = None
        self._lost = 0
        self._answered = False

    def hand_out(self, batch: ClusterBatch) -> Future[Evaluation]:
        """Have a batch computed.

        :raises ComputationError: if no worker takes it
        :raises InputError: as :func:`~bodyorder.engine.computation.compute`, where it runs in this process
        """
        if self._executor is None:
            done: Future[Evaluation] = Future()
            done.set_result(compute(self._source, batch, self._wanted))
            return done
        return self._submit(self._executor, batch, 0)

    def take(self, future: Future[Evaluation], batch: ClusterBatch) -> Evaluation:
        """The answer to a batch that was handed out.

        :raises ComputationError: if it cannot be had
        :raises InputError: as the source raises it
        """
        try:
            answer = future.result()
        except (InputError, ComputationError, BrokenProcessPool):
            raise
        except Exception as error:  # each executor has errors of its own for workers that are lost
            if self._executor is None or not worker_died(error):
                raise _lost_for_good(error) from error
            attempts = _ATTEMPTS if len(batch) > 1 else 1
            parts = [self._alone(self._executor, batch.select(np.array([row])), attempts) for row in range(len(batch))]
            return reduce(Evaluation.joined, parts)
        self._answered = True
        return answer

    def _alone(self, executor: Executor, one: ClusterBatch, attempts: int) -> Evaluation:
        for attempt in range(1, attempts + 1):
            try:
                answer = self._submit(executor, one, attempt).result()
                self._answered = True
                return answer
            except (InputError, ComputationError, BrokenProcessPool):
                raise
            except Exception as error:
                if not worker_died(error):
                    raise _lost_for_good(error) from error
        self._lost += 1
        if self._lost >= MOST_LOST and not self._answered:
            raise ComputationError(
                f"workers must give energies back, and all died that computed the first {self._lost} sub-clusters; "
                "look at their logs (out of memory?)"
            )
        failed = self._wanted.unknown(1, one.n_atoms)
        failed.messages[0] = "every worker that computed it died (out of memory, or killed); give workers more memory"
        return failed

    def _submit(self, executor: Executor, batch: ClusterBatch, attempt: int) -> Future[Evaluation]:
        try:
            if self._packed is None:
                self._packed = _packer(executor)(self._source)
            # the attempt makes a call of its own: a cluster would give the old answer to one that it knows
            return executor.submit(_compute, (self._run, attempt), self._packed, batch, self._wanted)
        except BrokenProcessPool:
            raise
        except Exception as error:
            # a pool that is just breaking has closed the pipe through which it is woken
            if isinstance(executor, ProcessPoolExecutor) and isinstance(error, OSError):
                raise BrokenProcessPool(str(error)) from error
            raise _lost_for_good(error) from error


def worker_died(error: Exception) -> bool:
    """Whether this is how a cluster that goes on says that the workers of one batch died."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(error, distributed.KilledWorker)


def _packer(executor: Executor) -> Callable[[EnergySource], bytes]:
    """What makes bytes of a source. A worker of a cluster that cannot read a message closes, so the source travels unread."""
    if type(executor).__module__.partition(".")[0] == "distributed":
        from distributed.protocol.pickle import dumps  # also takes what is defined in a script

        return dumps
    return pickle.dumps


_held = threading.local()


def _compute(call: tuple[str, int], packed: bytes, batch: ClusterBatch, wanted: Wanted) -> Evaluation:
    """Compute in a worker, with the source that the last batch of the run came with: it may hold integrals or a loaded model."""
    if getattr(_held, "run", None) != call[0]:
        _held.source = pickle.loads(packed)
        _held.run = call[0]
    return compute(_held.source, batch, wanted)


def _lost_for_good(error: Exception) -> ComputationError:
    reason = first_line(error)
    return ComputationError(
        f"workers must give energies back, and one did not: {type(error).__name__}{': ' * bool(reason)}{reason}; "
        "what was stored is kept: run again"
    )
