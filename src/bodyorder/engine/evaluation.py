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
from bodyorder.sources.evaluation import FailedClusters
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
    :raises ComputationError: if what the source gives has the wrong shape, or is no numbers
    """
    messages: dict[int, str] = {}
    try:
        given = (
            source.energies_and_forces(batch)  # type: ignore[attr-defined]
            if forces
            else (source.energies(batch), None)
        )
    except InputError:
        raise
    except FailedClusters as failed:
        given, messages = (failed.energies, failed.forces), dict(failed.messages)
        if forces and failed.forces is None:
            given = failed.energies, np.full(batch.positions.shape, np.nan)
    except Exception as error:  # a backend may raise whatever it likes
        if len(batch) > 1:
            middle = len(batch) // 2
            parts = [compute(source, batch.select(rows), forces) for rows in np.split(np.arange(len(batch)), [middle])]
            return _join(parts, forces)
        messages[0] = f"{type(error).__name__}: {first_line(error)}"
        given = np.full(1, np.nan), np.full(batch.positions.shape, np.nan)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ComputationError(f"{source.name} must give energies and forces, gave {type(given).__name__}")
    energies = _checked(source.name, "energies", given[0], (len(batch),))
    gradients = _checked(source.name, "forces", given[1], batch.positions.shape) if forces else None
    finite = np.isfinite(energies)
    if gradients is not None:
        finite &= np.isfinite(gradients).all(axis=(1, 2))
    for row in np.flatnonzero(~finite):
        messages.setdefault(int(row), "the energy or a force is not finite")
    if not messages.keys() <= set(range(len(batch))):
        raise ComputationError(f"{source.name} must name failed rows below {len(batch)}, gave {sorted(messages)}")
    # The numbers in a failed row mean nothing, and a finite one would be added to sums as if it did.
    energies[list(messages)] = np.nan
    if gradients is not None:
        gradients[list(messages)] = np.nan
    return Computed(energies, gradients, messages)


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
            self._keys, self._permutation = task.batch.canonical()
            self._energies, self._gradients = self._lookup(store, self._todo)
            self._unknown = np.flatnonzero(np.isnan(self._energies))
            mine: dict[bytes, int] = {}
            for row in self._unknown:
                key = self._keys[row]
                if key not in ledger.in_flight and key not in ledger.failed:
                    mine.setdefault(key, int(row))
            ledger.in_flight.update(mine)
            self._todo = np.array(list(mine.values()), dtype=np.int64)
        self._future: Future[Computed] | None = None
        self._computed: Computed | None = None

    def start(self, executor: Executor | None) -> None:
        batch = self._task.batch
        if not len(self._todo):
            self._finish(Computed(np.empty(0), np.empty((0, batch.n_atoms, 3)) if self._forces else None))
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
    def waiting(self) -> Future[Computed] | None:
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

    def _finish(self, computed: Computed) -> None:
        self._computed = computed
        if self._store is None or not len(self._todo):
            return
        if computed.forces is not None:
            order = self._permutation[self._todo][:, :, None]
            self._computed = replace(computed, forces=np.take_along_axis(computed.forces, order, axis=1))
        keys = [self._keys[row] for row in self._todo]
        name = (self._source.fingerprint, self._source.name)
        self._store.add(name, keys, computed.energies, self._computed.forces, computed.messages)
        self._ledger.failed.update({keys[row]: message for row, message in computed.messages.items()})
        self._ledger.in_flight.difference_update(keys)

    def _merge(self, store: Store, own: Computed) -> Computed:
        energies, forces = self._energies, self._gradients
        others = np.setdiff1d(self._unknown, self._todo)
        energies[self._todo] = own.energies
        energies[others], found = self._lookup(store, others)
        if forces is not None:
            forces[self._todo], forces[others] = own.forces, found
            forces = np.take_along_axis(forces, np.argsort(self._permutation, axis=1)[:, :, None], axis=1)
        missing = np.flatnonzero(np.isnan(energies))
        return Computed(energies, forces, {int(row): self._ledger.failed[self._keys[row]] for row in missing})

    def _lookup(self, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
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


def _join(parts: list[Computed], forces: bool) -> Computed:
    offset = len(parts[0].energies)
    gradient = np.concatenate([part.forces for part in parts if part.forces is not None]) if forces else None
    messages = parts[0].messages | {row + offset: message for row, message in parts[1].messages.items()}
    return Computed(np.concatenate([part.energies for part in parts]), gradient, messages)


def _checked(name: str, what: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A copy in float64, so that nothing of the source is written to."""
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ComputationError(f"{name} must give {what} as numbers, gave others: {first_line(error)}") from error
    if array.shape != shape:
        raise ComputationError(f"{name} must give {what} of shape {shape}, gave {array.shape}")
    return array
