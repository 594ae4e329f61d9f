"""Energies for a stream of tasks: from the store where they are known, from the source elsewhere, in the order of the tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import numpy as np

from bodyorder._checks import ComputationError, InputError
from bodyorder.engine.batching import Task
from bodyorder.engine.store import Store
from bodyorder.sources.base import EnergySource, FailedClusters
from bodyorder.structures import ClusterBatch

#: Batches handed out and not yet taken back. Enough to keep a cluster busy, few enough to bound memory.
MAX_IN_FLIGHT = 256


@dataclass(frozen=True)
class Computed:
    """Energies of a batch.

    :param energies: in eV, NaN where it failed, shape (n,)
    :param forces: in eV/Å, shape (n, k, 3), or None
    :param messages: why the rows that failed did
    """

    energies: np.ndarray
    forces: np.ndarray | None
    messages: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A task with its energies.

    :param task: what was asked
    :param computed: the answer, row by row
    :param evaluated: which rows were really evaluated in this run, and not found in the store or beside a twin, shape (n,)
    """

    task: Task
    computed: Computed
    evaluated: np.ndarray


def compute(source: EnergySource, batch: ClusterBatch, forces: bool) -> Computed:
    """Energies of a batch from a source. What fails, fails alone.

    A source that reports which rows failed is believed; a batch that raises anything else is halved until the failing
    sub-clusters stand alone.

    :raises InputError: as the source raises it: what the caller asked for cannot work, so no part of it is tried further
    """
    try:
        if forces:
            energies, gradient = source.energies_and_forces(batch)  # type: ignore[attr-defined]
        else:
            energies, gradient = source.energies(batch), None
        computed = Computed(np.asarray(energies, dtype=np.float64), gradient)
    except InputError:
        raise
    except FailedClusters as failed:
        computed = Computed(failed.energies, failed.forces, failed.messages)
    except Exception as error:  # a backend may raise whatever it likes
        if len(batch) > 1:
            middle = len(batch) // 2
            parts = [compute(source, batch.select(rows), forces) for rows in np.split(np.arange(len(batch)), [middle])]
            return _join(parts, forces)
        lines = str(error).strip().splitlines()
        message = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
        nothing = np.full((1, batch.n_atoms, 3), np.nan) if forces else None
        return Computed(np.full(1, np.nan), nothing, {0: message})
    finite = np.isfinite(computed.energies)
    if computed.forces is not None:
        finite &= np.isfinite(computed.forces).all(axis=(1, 2))
    for row in np.flatnonzero(~finite):
        computed.messages.setdefault(int(row), "the energy or a force is not finite")
    computed.energies[list(computed.messages)] = np.nan
    return computed


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
    try:
        for task in tasks:
            job = _Job(task, source, forces, store)
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


class _Job:
    """One task on its way: what the store knows, and the part that is being computed."""

    def __init__(self, task: Task, source: EnergySource, forces: bool, store: Store | None):
        self._task, self._source, self._forces, self._store = task, source, forces, store
        batch = task.batch
        self._todo = np.arange(len(batch))
        self._twin = self._todo
        if store is not None:
            self._keys, self._permutation = batch.canonical()
            self._energies, self._gradients = store.lookup(
                source.fingerprint, self._keys, batch.n_atoms if forces else None
            )
            first: dict[bytes, int] = {}
            unknown = np.flatnonzero(np.isnan(self._energies))
            self._twin = np.array([first.setdefault(self._keys[row], int(row)) for row in unknown], dtype=np.int64)
            self._unknown = unknown
            self._todo = np.array(sorted(first.values()), dtype=np.int64)
        self._future: Future[Computed] | None = None
        self._computed: Computed | None = None

    def start(self, executor: Executor | None) -> None:
        if not len(self._todo):
            self._finish(Computed(np.empty(0), np.empty((0, self._task.batch.n_atoms, 3)) if self._forces else None))
            return
        batch = self._task.batch if self._store is None else self._task.batch.select(self._todo)
        if executor is None:
            self._finish(compute(self._source, batch, self._forces))
        else:
            self._future = executor.submit(compute, self._source, batch, self._forces)

    @property
    def done(self) -> bool:
        return self._computed is not None or (self._future is not None and self._future.done())

    @property
    def waiting(self) -> Future[Computed] | None:
        return self._future if self._computed is None else None

    def take(self) -> None:
        """Take the result from its worker and store it."""
        if self._computed is None and self._future is not None:
            self._finish(self._future.result())

    def cancel(self) -> None:
        if self._future is not None:
            self._future.cancel()

    def outcome(self) -> Outcome:
        assert self._computed is not None
        evaluated = np.zeros(len(self._task.batch), dtype=bool)
        evaluated[self._todo] = True
        return Outcome(self._task, self._computed, evaluated)

    def _finish(self, computed: Computed) -> None:
        if self._store is None:
            self._computed = computed
            return
        order = self._permutation
        in_key_order = None
        if computed.forces is not None:
            in_key_order = np.take_along_axis(computed.forces, order[self._todo][:, :, None], axis=1)
        if len(self._todo):
            keys = [self._keys[row] for row in self._todo]
            name = (self._source.fingerprint, self._source.name)
            self._store.add(name, keys, computed.energies, in_key_order, computed.messages)
        place = np.searchsorted(self._todo, self._twin)
        energies, forces = self._energies, self._gradients
        energies[self._unknown] = computed.energies[place]
        if forces is not None and in_key_order is not None:
            forces[self._unknown] = in_key_order[place]
            forces = np.take_along_axis(forces, np.argsort(order, axis=1)[:, :, None], axis=1)
        messages = {
            int(row): computed.messages[int(source_row)]
            for row, source_row in zip(self._unknown, place, strict=True)
            if int(source_row) in computed.messages
        }
        self._computed = Computed(energies, forces, messages)


def _collect(pending: deque[_Job]) -> None:
    """Take whatever has finished, until the oldest job has."""
    while not pending[0].done:
        wait([job.waiting for job in pending if job.waiting is not None], return_when=FIRST_COMPLETED)
        for job in pending:
            if job.done:
                job.take()
    pending[0].take()


def _join(parts: list[Computed], forces: bool) -> Computed:
    offset = len(parts[0].energies)
    gradient = np.concatenate([part.forces for part in parts if part.forces is not None]) if forces else None
    messages = parts[0].messages | {row + offset: message for row, message in parts[1].messages.items()}
    return Computed(np.concatenate([part.energies for part in parts]), gradient, messages)
