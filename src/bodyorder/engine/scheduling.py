"""Energies for a stream of tasks: from the store where they are known, from the source elsewhere, in the order of the tasks."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache

from bodyorder._checks import ComputationError
from bodyorder.engine.batching import Task
from bodyorder.engine.cache import RunCache
from bodyorder.engine.computation import Wanted
from bodyorder.engine.dispatch import Dispatcher
from bodyorder.engine.jobs import Job, Outcome, Run
from bodyorder.engine.store import Store
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures.congruence import SHAPE_RESOLUTION

#: Batches handed out and not yet taken back: enough to keep a cluster busy.
MAX_IN_FLIGHT = 512

#: Sub-clusters held beside the oldest batch that is not done: few enough to bound memory, enough to work on meanwhile.
MAX_HELD = 200_000

logger = logging.getLogger(__name__)


def evaluate(
    tasks: Iterable[Task],
    source: EnergySource,
    *,
    wanted: Wanted = Wanted(),  # noqa: B008 - it cannot change
    store: Store | RunCache | None = None,
    executor: Executor | None = None,
    same_distance: float = SHAPE_RESOLUTION,
) -> Iterator[Outcome]:
    """Evaluate a stream of tasks.

    Results are written to the store as they come, and yielded in the order of the tasks, so that sums over them do not
    depend on which worker was faster. A sub-cluster that occurs several times is evaluated once if there is somewhere to keep it,
    and so are those congruent to it (rotated, reflected or permuted) if the source is ``invariant`` and nothing is wanted that
    belongs to single atoms.

    :param tasks: drawn from only as fast as results are taken
    :param source: where energies come from
    :param wanted: what is asked of it beside energies
    :param store: looked up before, and written after: a store, or what is kept in memory as far as there is room. Without one
        sources that take long (``serial``, ``costly``) get a memory that ends with the run.
    :param executor: where batches run; None for this process
    :param same_distance: Å by which the distances of congruent sub-clusters may differ
    :raises ComputationError: if local worker processes die, or a cluster is gone
    """
    if executor is not None and (why := source.capabilities.one_process):
        _say(f"{source.name} runs in one process: {why}")
        executor = None
    if isinstance(store, Store) and (why := source.capabilities.fleeting_fingerprint):
        _say(
            f"energies of {source.name} are stored under a name that is new in every process, and are not found again: {why}; "
            "give fingerprint=TEXT"
        )
    if store is None and (source.capabilities.serial or source.capabilities.costly):
        store = RunCache()
    line = _Line(Run(source, wanted, Dispatcher(source, wanted, executor), store, same_distance=same_distance))
    try:
        for task in tasks:
            line.add(task)
            yield from line.finished()
            while line.full:
                line.advance()
                yield from line.finished()
        while line.jobs:
            line.advance()
            yield from line.finished()
    except BrokenProcessPool:
        raise ComputationError(
            "worker processes must stay alive, and one died (out of memory, or killed); "
            "what it had stored is kept: run again, with fewer workers"
        ) from None
    finally:
        for job in line.jobs:
            job.cancel()


@cache
def _say(line: str) -> None:
    """Say something once, however many rounds of a sample it holds for."""
    logger.warning(line)


class _Line:
    """Jobs in the order of their tasks, from the oldest whose outcome has not been given."""

    def __init__(self, run: Run):
        self.jobs: deque[Job] = deque()
        self._run = run
        self._in_flight: list[Job] = []
        self._held = 0

    def add(self, task: Task) -> None:
        """Begin with a task."""
        job = Job(task, self._run)
        self.jobs.append(job)
        self._held += len(task.batch)
        if job.waiting is not None:
            self._in_flight.append(job)

    @property
    def full(self) -> bool:
        """Whether no other task should begin now."""
        return len(self._in_flight) >= MAX_IN_FLIGHT or (len(self.jobs) > 1 and self._held > MAX_HELD)

    def advance(self) -> None:
        """Wait for an answer if there is none, and take all that are there."""
        wait([job.waiting for job in self._in_flight if job.waiting is not None], return_when=FIRST_COMPLETED)
        done = [job for job in self._in_flight if job.done]
        # What succeeded is stored before batches whose workers died are tried again, which takes time.
        for job in sorted(done, key=lambda job: job.failed):
            job.take()
        self._in_flight = [job for job in self._in_flight if job.waiting is not None]

    def finished(self) -> Iterator[Outcome]:
        """The outcomes of the oldest jobs, as far as they are done."""
        while self.jobs and self.jobs[0].done:
            job = self.jobs.popleft()
            job.take()
            if job in self._in_flight:
                self._in_flight.remove(job)
            outcome = job.outcome()
            self._held -= len(outcome.task.batch)
            yield outcome
