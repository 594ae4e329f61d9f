"""Energies for a stream of tasks: from the store where they are known, from the source elsewhere, in the order of the tasks."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from math import inf
from queue import SimpleQueue

from bodyorder._checks import ComputationError
from bodyorder.engine.batching import BATCH_SECONDS, Task
from bodyorder.engine.cache import RunCache
from bodyorder.engine.computation import Wanted
from bodyorder.engine.dispatch import Dispatcher, say_once
from bodyorder.engine.jobs import Job, Outcome, Portion, Run
from bodyorder.engine.pace import SHORT, Pace, Shape
from bodyorder.engine.store import Store
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures.congruence import SHAPE_RESOLUTION

#: Sub-clusters held beside the oldest batch that is not done: few enough to bound memory, enough to work on meanwhile.
MAX_HELD = 200_000


def evaluate(  # noqa: PLR0913 - every option has a default
    tasks: Iterable[Task],
    source: EnergySource,
    *,
    wanted: Wanted = Wanted(),  # noqa: B008 - it cannot change
    store: Store | RunCache | None = None,
    executor: Executor | None = None,
    same_distance: float = SHAPE_RESOLUTION,
    count: float = inf,
) -> Iterator[Outcome]:
    """Evaluate a stream of tasks.

    What a task leaves to be computed is computed in batches of about two seconds, by the pace that is seen
    (:class:`~bodyorder.engine.pace.Pace`), each stored as soon as it is there. Workers share what is left evenly at the end of a
    run: batches become shorter then.

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
    :param count: sub-clusters of all tasks, where that is known
    :raises ComputationError: if local worker processes die, or a cluster is gone
    """
    if isinstance(store, Store) and (why := source.capabilities.fleeting_fingerprint):
        say_once(
            f"energies of {source.name} are stored under a name that is new in every process, and are not found again: {why}; "
            "give fingerprint=TEXT"
        )
    if store is None and (source.capabilities.serial or source.capabilities.costly):
        store = RunCache()
    dispatcher = Dispatcher(source, wanted, executor)
    line = _Line(Run(source, wanted, dispatcher, Pace(source), store, same_distance=same_distance), count)
    try:
        for task in tasks:
            line.add(task)
            line.hand_out()
            line.take(wait=False)
            yield from line.finished()
            while line.full:
                line.take()
                line.hand_out()
                yield from line.finished()
        line.ends = True
        line.hand_out()
        yield from line.finished()
        while line.jobs:
            line.take()
            line.hand_out()
            yield from line.finished()
    except BrokenProcessPool:
        raise ComputationError(
            "worker processes must stay alive, and one died (out of memory, or killed); "
            "what it had stored is kept: run again, with fewer workers"
        ) from None
    finally:
        for job in line.jobs:
            job.cancel()


class _Line:
    """Jobs in the order of their tasks, from the oldest whose outcome has not been given.

    :param run: what they share
    :param count: sub-clusters of all tasks
    """

    def __init__(self, run: Run, count: float):
        self.jobs: deque[Job] = deque()
        #: whether no task comes any more
        self.ends = False
        self._run = run
        self._to_come = count
        self._held = 0
        # jobs of which something has to be handed out, and how many rows of each shape that is
        self._begun: deque[Job] = deque()
        self._left: Counter[Shape] = Counter()
        # batches that workers have
        self._in_flight: Counter[Shape] = Counter()
        self._answered: SimpleQueue[Portion] = SimpleQueue()
        self._needs_answer = False
        # sub-clusters whose worker died: of which batch, in which row, and for which time; and how many are tried just now
        self._lost: deque[tuple[Portion, int, int]] = deque()
        self._n_again = 0

    def add(self, task: Task) -> None:
        """Begin with a task."""
        job = Job(task, self._run)
        self.jobs.append(job)
        self._held += len(task.batch)
        self._to_come -= len(task.batch)
        if job.left:
            self._begun.append(job)
            self._left[job.shape] += job.left

    @property
    def full(self) -> bool:
        """Whether no other task should begin now."""
        if not self._in_flight.total():
            return False
        return self._needs_answer or self._in_flight.total() >= self._run.dispatcher.most or self._holds_much

    @property
    def _holds_much(self) -> bool:
        return len(self.jobs) > 1 and self._held > MAX_HELD

    def hand_out(self) -> None:
        """Have computed what can be now; in this process that is all."""
        workers = self._run.dispatcher
        while self._lost and self._n_again < workers.together:
            lost, row, attempt = self._lost.popleft()
            self._n_again += 1
            self._send(lost.job.hand_out_again(lost, row, attempt))
        self._needs_answer = False
        while self._begun and self._in_flight.total() < workers.most:
            job = self._begun[0]
            rows = self._rows(job)
            if rows == 0:
                break
            portion = job.hand_out(rows)
            self._left[job.shape] -= rows
            if job.left == 0:
                self._begun.popleft()
            if portion.future.done() and not portion.failed:
                job.take(portion)
                rest = self._to_come + self._left.total()
                workers.start_if_worth(rest * (self._run.pace.seconds(job.shape) or 0.0))
            else:
                self._send(portion)

    def _send(self, portion: Portion) -> None:
        self._in_flight[portion.job.shape] += 1
        portion.future.add_done_callback(lambda _: self._answered.put(portion))

    def _rows(self, job: Job) -> int:
        """How many of the rows that are left of a job make the next batch; 0 if that is known only later."""
        pace, workers = self._run.pace, self._run.dispatcher
        rows = pace.rows(job.shape, job.left)
        if workers.here:
            return rows
        if rows < job.left and not pace.has_seen(job.shape):  # one each, by which the others are cut
            self._needs_answer = self._in_flight[job.shape] >= workers.slots
            return 0 if self._needs_answer else rows
        one = pace.seconds(job.shape)
        if one is None or job.left * one <= SHORT:
            return rows
        seconds = sum(left * (pace.seconds(shape) or 0.0) for shape, left in self._left.items())
        share = seconds / (2 * workers.slots)
        if share < BATCH_SECONDS and not self.ends and not self._holds_much:  # perhaps this is not the end
            return 0
        return min(rows, max(1, int(max(share, SHORT) / one)))

    def take(self, wait: bool = True) -> None:
        """Take the answers that are there.

        :param wait: for one, if there is none
        """
        there = [self._answered.get()] if wait else []
        while not self._answered.empty():
            there.append(self._answered.get())
        for portion in sorted(there, key=lambda portion: portion.failed):  # what ends the run comes last
            self._in_flight[portion.job.shape] -= 1
            self._n_again -= portion.attempt > 0
            if attempt := portion.job.take(portion):
                self._lost.extend((portion, row, attempt) for row in range(len(portion.batch)))

    def finished(self) -> Iterator[Outcome]:
        """The outcomes of the oldest jobs, as far as they are done."""
        while self.jobs and self.jobs[0].done:
            outcome = self.jobs.popleft().outcome()
            self._held -= len(outcome.task.batch)
            yield outcome
