"""Batches computed here or handed to workers, and what becomes of those whose worker dies."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from time import monotonic, perf_counter

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.engine.computation import Wanted, compute
from bodyorder.engine.executors import LocalProcesses
from bodyorder.engine.processes import ProcessPool, WorkerDied
from bodyorder.sources.protocol import EnergySource, Evaluation
from bodyorder.structures import ClusterBatch

#: Batches handed out and not yet taken back: enough to keep a cluster busy, and for each local worker.
MOST_IN_FLIGHT = 512
_DEPTH = 4

#: Sub-clusters in a row whose workers died before any batch came back: then the fault is not theirs.
MOST_LOST = 10

#: How often a sub-cluster is tried alone after its batch was lost; another batch may have killed the worker they shared.
_ATTEMPTS = 2

#: What is said of workers of a cluster that died, and where more is to be seen.
_LOST_ON_A_CLUSTER = "(out of memory, or killed); give workers more memory", "look at their logs"

#: Seconds after which the workers of a cluster are counted again.
_RECOUNT = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What a source said of a batch, and the seconds that it took."""

    computed: Evaluation
    seconds: float


class Dispatcher:
    """Computes batches here, or gives them to workers and takes their answers.

    What a worker dies of is found: the sub-clusters of its batch are tried one at a time, so that only those fail that kill the
    worker they are alone on. So it is with :class:`~bodyorder.engine.processes.ProcessPool` and on a Dask cluster, which tries a
    batch on other workers (``distributed.scheduler.allowed-failures`` times) before it gives it up. A process pool of
    ``concurrent.futures`` breaks as a whole.

    A source that may not run in several processes, or cannot be pickled, is computed here, and one line in the log says so.

    :param source: where energies come from
    :param wanted: what is asked of it
    :param executor: where batches run; None for this process. Processes that are there for when they pay
        (:attr:`~bodyorder.engine.executors.LocalProcesses.worth`) are started once work has been done here for so many
        seconds and as much is left, and this process goes on until one is ready.
    """

    def __init__(self, source: EnergySource, wanted: Wanted, executor: Executor | None):
        self._source, self._wanted, self._executor = source, wanted, executor
        self._run = uuid.uuid4().hex
        self._packed = b""
        self._lost = 0
        self._answered = False
        self._spent = 0.0
        self._starting: list[Future[None]] = []
        self._slots, self._counted = 1, -_RECOUNT
        self._here = executor is None
        if isinstance(executor, LocalProcesses) and executor.worth > 0:
            self._here = not executor.begun
        if not self._here:
            self._pack()

    @property
    def here(self) -> bool:
        """Whether batches are computed in this process, for now."""
        loaded = [future for future in self._starting if future.done()]
        if any(future.exception() is None for future in loaded):
            self._here, self._starting = False, []
        elif loaded and len(loaded) == len(self._starting):
            self._stay(first_line(loaded[0].exception() or ComputationError()))
        return self._here

    @property
    def slots(self) -> int:
        """How many batches run at a time; a cluster may change in size."""
        if monotonic() > self._counted + _RECOUNT:
            self._slots, self._counted = _slots(self._executor), monotonic()
        return self._slots

    @property
    def most(self) -> int:
        """How many batches workers should have at a time, to do and to wait for: enough to keep a growing cluster busy."""
        return MOST_IN_FLIGHT if _of_dask(self._executor) else min(MOST_IN_FLIGHT, _DEPTH * self.slots)

    def hand_out(self, batch: ClusterBatch, attempt: int) -> Future[Answer]:
        """Have a batch computed.

        :param attempt: how often it was tried before
        :raises ComputationError: if no worker takes it
        :raises InputError: as :func:`~bodyorder.engine.computation.compute`, where it runs in this process
        """
        if not self.here:
            return self._submit(batch, attempt)
        done: Future[Answer] = Future()
        answer = _timed(self._source, batch, self._wanted)
        self._spent += answer.seconds
        done.set_result(answer)
        return done

    def start_if_worth(self, left: float) -> None:
        """Start processes that are there for when they pay, if it is so.

        :param left: seconds that the rest would take here
        """
        executor = self._executor
        if not self._here or self._starting or not isinstance(executor, LocalProcesses):
            return
        if min(self._spent, left) >= executor.worth:
            self._pack()
            if self._executor is not None:
                load = (_load, (self._run, 0), self._packed, self._source.name)
                self._starting = [executor.submit(*load) for _ in range(executor.workers)]

    @property
    def together(self) -> int:
        """How many sub-clusters whose worker died are tried again at a time. On a cluster one could be blamed for another."""
        return self.slots if isinstance(self._executor, ProcessPool) else 1

    def take(self, future: Future[Answer], batch: ClusterBatch, attempt: int) -> Answer | int:
        """The answer to a batch that was handed out, or which attempt to compute each of its sub-clusters alone comes next.

        :param attempt: which this was
        :raises ComputationError: if it cannot be had
        :raises InputError: as the source raises it
        """
        try:
            answer = future.result()
        except (InputError, ComputationError, BrokenProcessPool):
            raise
        except Exception as error:  # each executor has errors of its own for workers that are lost
            if not worker_died(error):
                raise _lost_for_good(error) from error
            if attempt < _ATTEMPTS:
                return _ATTEMPTS if len(batch) == 1 else attempt + 1
            return self._given_up(batch, error)
        self._answered = True
        return answer

    def _given_up(self, one: ClusterBatch, error: Exception) -> Answer:
        self._lost += 1
        how, look = _LOST_ON_A_CLUSTER
        if isinstance(error, WorkerDied):
            how, look = f"({error}): its program crashes, or memory is short", "run `bodyorder check` on the source"
        if self._lost >= MOST_LOST and not self._answered:
            raise ComputationError(
                f"workers must give energies back, and all died that computed the first {self._lost} sub-clusters {how}; {look}"
            )
        failed = self._wanted.unknown(1, one.n_atoms)
        failed.messages[0] = f"every worker that computed it died {how}"
        return Answer(failed, 0.0)

    def _pack(self) -> None:
        """Make the source ready to travel, or find that it stays here."""
        assert self._executor is not None
        why = self._source.capabilities.one_process
        if not why:
            try:
                self._packed = _packer(self._executor)(self._source)
            except Exception as error:  # whatever a part of it raises
                why = f"it cannot be sent to others, {type(error).__name__}: {first_line(error)}"
        if why:
            self._stay(why)

    def _stay(self, why: str) -> None:
        """Compute everything here, and say why."""
        say_once(f"{self._source.name} runs in one process: {why}")
        self._executor, self._here, self._starting = None, True, []

    def _submit(self, batch: ClusterBatch, attempt: int) -> Future[Answer]:
        executor = self._executor
        assert executor is not None
        try:
            # the attempt makes a call of its own: a cluster would give the old answer to one that it knows
            call = self._run, attempt
            return executor.submit(_compute, call, self._packed, self._source.name, batch, self._wanted)
        except BrokenProcessPool:
            raise
        except Exception as error:
            # a pool that is just breaking has closed the pipe through which it is woken
            if isinstance(executor, ProcessPoolExecutor) and isinstance(error, OSError):
                raise BrokenProcessPool(str(error)) from error
            raise _lost_for_good(error) from error


def worker_died(error: Exception) -> bool:
    """Whether this is how workers that go on say that the one of a batch died."""
    distributed = sys.modules.get("distributed")
    return isinstance(error, WorkerDied) or (distributed is not None and isinstance(error, distributed.KilledWorker))


def _slots(executor: Executor | None) -> int:
    if _of_dask(executor):
        return max(1, sum(executor._client.nthreads().values()))  # type: ignore[union-attr]  # there is no other way to ask
    workers = getattr(executor, "workers", None) or getattr(executor, "_max_workers", None)
    return workers if isinstance(workers, int) else os.cpu_count() or 1


def _of_dask(executor: Executor | None) -> bool:
    return type(executor).__module__.partition(".")[0] == "distributed"


def _packer(executor: Executor) -> Callable[[EnergySource], bytes]:
    """What makes bytes of a source. A worker of a cluster that cannot read a message closes, so the source travels unread."""
    if _of_dask(executor):
        from distributed.protocol.pickle import dumps  # also takes what is defined in a script

        return dumps
    return pickle.dumps


@cache
def say_once(line: str) -> None:
    """Say something once, however many rounds of a sample it holds for."""
    logger.warning(line)


def _timed(source: EnergySource, batch: ClusterBatch, wanted: Wanted) -> Answer:
    begin = perf_counter()
    return Answer(compute(source, batch, wanted), perf_counter() - begin)


_held = threading.local()


def _load(call: tuple[str, int], packed: bytes, name: str) -> None:
    """Have the source of a run in a worker: that of the last batch, which may hold integrals or a loaded model, or a new one.

    :raises ComputationError: if it cannot be read here
    """
    if getattr(_held, "run", None) == call[0]:
        return
    try:
        _held.source = pickle.loads(packed)
    except Exception as error:  # whatever a part of it raises
        raise ComputationError(
            f"workers must be able to load {name}, and one could not: {type(error).__name__}: {first_line(error)}; "
            "have what it is made of installed where they run, or run in one process"
        ) from error
    _held.run = call[0]


def _compute(call: tuple[str, int], packed: bytes, name: str, batch: ClusterBatch, wanted: Wanted) -> Answer:
    """Compute in a worker."""
    _load(call, packed, name)
    return _timed(_held.source, batch, wanted)


def _lost_for_good(error: Exception) -> ComputationError:
    reason = first_line(error)
    return ComputationError(
        f"workers must give energies back, and one did not: {type(error).__name__}{': ' * bool(reason)}{reason}; "
        "what was stored is kept: run again"
    )
