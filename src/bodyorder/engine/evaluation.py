"""Energies for a stream of tasks: from the store where they are known, from the source elsewhere, in the order of the tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder.engine.batching import Task
from bodyorder.engine.store import Store
from bodyorder.sources.base import EnergySource
from bodyorder.sources.evaluation import RECORDS, Evaluation, FailedClusters
from bodyorder.structures import ClusterBatch

#: Batches handed out and not yet taken back. Enough to keep a cluster busy, few enough to bound memory.
MAX_IN_FLIGHT = 256


@dataclass(frozen=True)
class Outcome:
    """A task with its energies.

    :param task: what was asked
    :param computed: the answer, row by row
    :param evaluated: which rows were really evaluated in this run, and not found in the store or beside a twin, shape (n,)
    """

    task: Task
    computed: Evaluation
    evaluated: np.ndarray


def compute(source: EnergySource, batch: ClusterBatch, forces: bool) -> Evaluation:
    """Energies of a batch from a source. What fails, fails alone.

    A source that reports which rows failed is believed; a batch that raises anything else is halved until the failing
    sub-clusters stand alone.

    :raises InputError: as the source raises it: what the caller asked for cannot work, so no part of it is tried further
    :raises ComputationError: if what the source gives has the wrong shape, or is no numbers
    """
    try:
        given = _ask(source, batch, forces)
    except InputError:
        raise
    except Exception as error:  # a backend may raise whatever it likes
        if len(batch) > 1:
            middle = len(batch) // 2
            parts = [compute(source, batch.select(rows), forces) for rows in np.split(np.arange(len(batch)), [middle])]
            return Evaluation.joined(*parts)
        given = Evaluation.unknown(1, batch.n_atoms if forces else None)
        given.messages[0] = f"{type(error).__name__}: {first_line(error)}"
    return _checked(source.name, given, batch, forces)


def _ask(source: EnergySource, batch: ClusterBatch, forces: bool) -> Any:
    try:
        if hasattr(source, "evaluate"):
            return source.evaluate(batch, forces)
        if not forces:
            return Evaluation(source.energies(batch))
        pair = source.energies_and_forces(batch)  # type: ignore[attr-defined]
        return Evaluation(*pair) if isinstance(pair, tuple | list) and len(pair) == 2 else pair
    except FailedClusters as failed:
        missing = np.full(batch.positions.shape, np.nan) if forces else None
        return Evaluation(failed.energies, missing if failed.forces is None else failed.forces, dict(failed.messages))


def evaluate(
    tasks: Iterable[Task],
    source: EnergySource,
    *,
    forces: bool = False,
    store: Store | None = None,
    executor: Executor | None = None,
) -> Iterator[Outcome]:
    """Evaluate a stream of tasks.

    Results are written to the store as they come, and yielded in the order of the tasks, so that sums over them do not
    depend on which worker was faster.

    :param tasks: drawn from only as fast as results are taken
    :param source: where energies come from
    :param forces: whether forces are wanted too
    :param store: looked up before, and written after; None to keep nothing
    :param executor: where batches run; None for this process
    :raises ComputationError: if worker processes die
    """
    pending: deque[_Job] = deque()
    ledger = _Ledger()
    try:
        for task in tasks:
            job = _Job(task, source, forces, store, ledger)
            job.start(executor)
            pending.append(job)
            while pending and (pending[0].done or len(pending) >= MAX_IN_FLIGHT):
                _collect(pending)
                yield pending.popleft().outcome()
        while pending:
            _collect(pending)
            yield pending.popleft().outcome()
    except BrokenProcessPool:
        raise ComputationError(
            "worker processes must stay alive, and one died (out of memory, or killed); "
            "what it had stored is kept: run again, with fewer workers"
        ) from None
    finally:
        for job in pending:
            job.cancel()


@dataclass
class _Ledger:
    """Sub-clusters of this run by key, so that no two jobs evaluate the same one whichever is faster.

    :param in_flight: being evaluated
    :param failed: why those that failed did
    """

    in_flight: set[bytes] = field(default_factory=set)
    failed: dict[bytes, str] = field(default_factory=dict)


class _Job:
    """One task on its way: what the store knows, the part that is being computed here, and the part that earlier jobs compute."""

    def __init__(self, task: Task, source: EnergySource, forces: bool, store: Store | None, ledger: _Ledger):
        self._task, self._source, self._forces, self._store, self._ledger = task, source, forces, store, ledger
        self._todo = np.arange(len(task.batch))
        if store is not None:
            self._keys, self._permutation = task.batch.canonical(getattr(source, "context", ()))
            self._known = self._lookup(store, self._todo)
            self._unknown = np.flatnonzero(np.isnan(self._known.energies))
            mine: dict[bytes, int] = {}
            for row in self._unknown:
                key = self._keys[row]
                if key not in ledger.in_flight and key not in ledger.failed:
                    mine.setdefault(key, int(row))
            ledger.in_flight.update(mine)
            self._todo = np.array(list(mine.values()), dtype=np.int64)
        self._future: Future[Evaluation] | None = None
        self._computed: Evaluation | None = None

    def start(self, executor: Executor | None) -> None:
        batch = self._task.batch
        if not len(self._todo):
            self._finish(Evaluation.unknown(0, batch.n_atoms if self._forces else None))
            return
        if self._store is not None:
            batch = batch.select(self._todo)
        if executor is None:
            self._finish(compute(self._source, batch, self._forces))
        else:
            self._future = executor.submit(compute, self._source, batch, self._forces)

    @property
    def done(self) -> bool:
        return self._computed is not None or (self._future is not None and self._future.done())

    @property
    def waiting(self) -> Future[Evaluation] | None:
        return self._future if self._computed is None else None

    def take(self) -> None:
        """Take the result from its worker and store it."""
        if self._computed is not None or self._future is None:
            return
        try:
            computed = self._future.result()
        except (InputError, ComputationError, BrokenProcessPool):
            raise
        except Exception as error:  # each executor has errors of its own for workers that are lost
            raise ComputationError(
                f"workers must give energies back, and one did not: {type(error).__name__}: {first_line(error)}; "
                "what was stored is kept: run again"
            ) from error
        self._finish(computed)

    def cancel(self) -> None:
        if self._future is not None:
            self._future.cancel()

    def outcome(self) -> Outcome:
        """The whole task, once the jobs before it are done too."""
        assert self._computed is not None
        evaluated = np.zeros(len(self._task.batch), dtype=bool)
        evaluated[self._todo] = True
        computed = self._computed if self._store is None else self._merge(self._store, self._computed)
        return Outcome(self._task, computed, evaluated)

    def _finish(self, computed: Evaluation) -> None:
        self._computed = computed
        if self._store is None or not len(self._todo):
            return
        if computed.forces is not None:
            order = self._permutation[self._todo][:, :, None]
            self._computed = replace(computed, forces=np.take_along_axis(computed.forces, order, axis=1))
        keys = [self._keys[row] for row in self._todo]
        name = (self._source.fingerprint, self._source.name)
        self._store.add(name, keys, self._computed)
        self._ledger.failed.update({keys[row]: message for row, message in computed.messages.items()})
        self._ledger.in_flight.difference_update(keys)

    def _merge(self, store: Store, own: Evaluation) -> Evaluation:
        merged = self._known
        others = np.setdiff1d(self._unknown, self._todo)
        merged.put(self._todo, own)
        merged.put(others, self._lookup(store, others))
        if merged.forces is not None:
            back = np.argsort(self._permutation, axis=1)[:, :, None]
            merged.forces = np.take_along_axis(merged.forces, back, axis=1)
        missing = np.flatnonzero(np.isnan(merged.energies))
        merged.messages = {int(row): self._ledger.failed[self._keys[row]] for row in missing}
        return merged

    def _lookup(self, store: Store, rows: np.ndarray) -> Evaluation:
        n_atoms = self._task.batch.n_atoms if self._forces else None
        return store.lookup(self._source.fingerprint, [self._keys[row] for row in rows], n_atoms)


def _collect(pending: deque[_Job]) -> None:
    """Take whatever has finished, until the oldest job has."""
    while not pending[0].done:
        wait([job.waiting for job in pending if job.waiting is not None], return_when=FIRST_COMPLETED)
        for job in pending:
            if job.done:
                job.take()
    pending[0].take()


def _checked(name: str, given: Any, batch: ClusterBatch, forces: bool) -> Evaluation:
    """The answer in float64 arrays of the right shapes, NaN in rows that failed."""
    if not isinstance(given, Evaluation):
        raise ComputationError(f"{name} must give energies{' and forces' * forces}, gave {type(given).__name__}")
    n, messages = len(batch), dict(given.messages)
    energies = _numbers(name, "energies", given.energies, (n,))
    gradients = _numbers(name, "forces", given.forces, batch.positions.shape) if forces else None
    if not given.records.keys() <= RECORDS.keys():
        raise ComputationError(f"{name} must give records among {', '.join(RECORDS)}, gave {', '.join(given.records)}")
    records = {label: _numbers(name, label, values, (n,)) for label, values in given.records.items()}
    finite = np.isfinite(energies)
    if gradients is not None:
        finite &= np.isfinite(gradients).all(axis=(1, 2))
    for row in np.flatnonzero(~finite):
        messages.setdefault(int(row), "the energy or a force is not finite")
    if not messages.keys() <= set(range(n)):
        raise ComputationError(f"{name} must name failed rows below {n}, gave {sorted(messages)}")
    # The numbers in a failed row mean nothing, and a finite one would be added to sums as if it did.
    energies[list(messages)] = np.nan
    if gradients is not None:
        gradients[list(messages)] = np.nan
    return Evaluation(energies, gradients, messages, records)


def _numbers(name: str, what: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A copy in float64, so that nothing of the source is written to."""
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ComputationError(f"{name} must give {what} as numbers, gave others: {first_line(error)}") from error
    if array.shape != shape:
        raise ComputationError(f"{name} must give {what} of shape {shape}, gave {array.shape}")
    return array
