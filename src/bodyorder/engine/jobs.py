"""One batch on its way: what the store knows of it, what is computed, and what other batches compute."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from bodyorder.engine.batching import Task
from bodyorder.engine.computation import Wanted
from bodyorder.engine.dispatch import Dispatcher
from bodyorder.engine.store import Store
from bodyorder.sources.base import EnergySource
from bodyorder.sources.evaluation import Evaluation
from bodyorder.structures.symmetry import shapes


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


@dataclass
class Run:
    """What the jobs of one run share.

    :param source: where energies come from
    :param wanted: what is asked of it beside energies
    :param dispatcher: who computes
    :param store: looked up before, and written after; None to keep nothing
    :param in_flight: keys of the sub-clusters being evaluated, so that no two jobs evaluate the same one whichever is faster
    :param failed: why those that failed did, by key
    :param models: key of the first sub-cluster of each shape
    """

    source: EnergySource
    wanted: Wanted
    dispatcher: Dispatcher
    store: Store | None
    in_flight: set[bytes] = field(default_factory=set)
    failed: dict[bytes, str] = field(default_factory=dict)
    models: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def merges(self) -> bool:
        """Whether one energy serves all copies of a sub-cluster. What belongs to atoms would have to be turned, and is not."""
        source = self.source
        return getattr(source, "invariant", False) and not self.wanted.by_atom and not getattr(source, "context", False)


class Job:
    """One task."""

    def __init__(self, task: Task, run: Run):
        self._task, self._run = task, run
        self._todo = np.arange(len(task.batch))
        if run.store is not None:
            self._keys, self._permutation = task.batch.canonical(getattr(run.source, "context", ()))
            self._known = self._lookup(run.store, self._keys)
            self._unknown = np.flatnonzero(np.isnan(self._known.energies))
            self._models = self._find_models()
            mine: dict[bytes, int] = {}
            for row in self._unknown:
                key = self._keys[row]
                if self._models[row] == key and key not in run.in_flight and key not in run.failed:
                    mine.setdefault(key, int(row))
            run.in_flight.update(mine)
            self._todo = np.array(list(mine.values()), dtype=np.int64)
        self._mine = task.batch if run.store is None else task.batch.select(self._todo)
        self._computed: Evaluation | None = None
        self._future: Future[Evaluation] | None = None
        if len(self._todo):
            self._future = run.dispatcher.hand_out(self._mine)
        else:
            self._computed = run.wanted.unknown(0, task.batch.n_atoms)

    @property
    def waiting(self) -> Future[Evaluation] | None:
        """The answer that has not been taken yet."""
        return self._future if self._computed is None else None

    @property
    def done(self) -> bool:
        """Whether nothing is left to compute."""
        return self.waiting is None or self.waiting.done()

    @property
    def failed(self) -> bool:
        """Whether an answer is there, and it is an error."""
        return self.waiting is not None and (self.waiting.cancelled() or self.waiting.exception() is not None)

    def take(self) -> None:
        """Take the answer from its worker and store it."""
        if self.waiting is not None:
            self._finish(self._run.dispatcher.take(self.waiting, self._mine))
            self._future = None

    def cancel(self) -> None:
        """Give up what has not begun."""
        if self._future is not None:
            self._future.cancel()

    def outcome(self) -> Outcome:
        """The whole task, once the jobs before it are done too."""
        assert self._computed is not None
        evaluated = np.zeros(len(self._task.batch), dtype=bool)
        evaluated[self._todo] = True
        computed = self._computed if self._run.store is None else self._merge(self._run.store, self._computed)
        return Outcome(self._task, computed, evaluated)

    def _find_models(self) -> list[bytes]:
        """The key under which the energy of each row is found: its own, or that of the first copy of it in the run."""
        if not self._run.merges or not len(self._unknown):
            return self._keys
        models = list(self._keys)
        named = shapes(self._task.batch)
        for row in [*np.flatnonzero(~np.isnan(self._known.energies)), *self._unknown]:
            models[row] = self._run.models.setdefault(named[row], self._keys[row])
        return models

    def _finish(self, computed: Evaluation) -> None:
        self._computed = computed
        store = self._run.store
        if store is None:
            return
        self._computed = computed.reordered(self._permutation[self._todo])
        keys = [self._keys[row] for row in self._todo]
        store.add(self._name, keys, self._computed)
        self._run.failed.update({keys[row]: message for row, message in computed.messages.items()})
        self._run.in_flight.difference_update(keys)

    def _merge(self, store: Store, own: Evaluation) -> Evaluation:
        merged = self._known
        others = np.setdiff1d(self._unknown, self._todo)
        merged.put(self._todo, own)
        merged.put(others, self._lookup(store, [self._models[row] for row in others]))
        if self._run.wanted.by_atom:
            merged = merged.reordered(np.argsort(self._permutation, axis=1))
        missing = np.flatnonzero(np.isnan(merged.energies))
        merged.messages = {int(row): self._run.failed[self._models[row]] for row in missing}
        self._keep_copies(store, merged, [int(row) for row in others if self._models[row] != self._keys[row]])
        return merged

    def _keep_copies(self, store: Store, merged: Evaluation, rows: list[int]) -> None:
        if rows:
            messages = {place: merged.messages[row] for place, row in enumerate(rows) if row in merged.messages}
            records = {name: values[rows] for name, values in merged.records.items()}
            found = Evaluation(merged.energies[rows], None, messages, records)
            store.add(self._name, [self._keys[row] for row in rows], found)

    def _lookup(self, store: Store, keys: list[bytes]) -> Evaluation:
        unknown = self._run.wanted.unknown(len(keys), self._task.batch.n_atoms)
        return store.lookup(self._run.source.fingerprint, keys, unknown)

    @property
    def _name(self) -> tuple[str, str]:
        return self._run.source.fingerprint, self._run.source.name
