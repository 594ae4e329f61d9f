"""One task on its way: what the store knows of it, what is computed, batch by batch, and what other tasks compute."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from bodyorder.engine.batching import Task
from bodyorder.engine.cache import RunCache
from bodyorder.engine.computation import Wanted
from bodyorder.engine.dispatch import Answer, Dispatcher
from bodyorder.engine.pace import Pace, Shape, shape_of
from bodyorder.engine.store import Store
from bodyorder.sources.one_body import stored_as
from bodyorder.sources.protocol import EnergySource, Evaluation
from bodyorder.structures import ClusterBatch
from bodyorder.structures.clusters import evenly
from bodyorder.structures.congruence import SHAPE_RESOLUTION, Shapes

#: Whether congruent sub-clusters are worth looking for is tried on so many of a batch, and so many or fewer are looked up anyway.
TRIED, FEW = 100, 32
#: Share of them that are congruent to others, above which it is.
CONGRUENT = 0.1


@dataclass(frozen=True)
class Outcome:
    """A task with its energies.

    :param task: what was asked
    :param computed: the answer, row by row
    :param evaluated: which rows were really evaluated in this run, not found in the store or beside a congruent one, shape (n,)
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
    :param pace: how long it takes
    :param store: looked up before, and written after, however much it is; or what is kept while it lasts; or None
    :param in_flight: keys of the sub-clusters being evaluated, so that no two jobs evaluate the same one whichever is faster
    :param failed: why those that failed did, by key
    :param representatives: key of the first sub-cluster of each shape
    :param same_distance: Å by which distances of congruent sub-clusters may differ
    :param worth: by number of atoms, whether congruent ones are looked for where that costs something, once it has been tried
    """

    source: EnergySource
    wanted: Wanted
    dispatcher: Dispatcher
    pace: Pace
    store: Store | RunCache | None
    in_flight: set[bytes] = field(default_factory=set)
    failed: dict[bytes, str] = field(default_factory=dict)
    representatives: dict[int, bytes] = field(default_factory=dict)
    worth: dict[int, bool] = field(default_factory=dict)
    same_distance: float = SHAPE_RESOLUTION

    def __post_init__(self) -> None:
        #: the shapes of all that was named so far
        self.shapes = Shapes(self.same_distance)

    def merges(self, batch: ClusterBatch) -> bool:
        """Whether one energy serves all congruent sub-clusters. What belongs to atoms would have to be turned, and is not."""
        if not self.source.capabilities.invariant or self.wanted.by_atom:
            return False
        seen = {"moments": lambda: batch.of_members("moments").any(), "field": lambda: batch.in_field}
        return all(name in seen and not seen[name]() for name in self.context)

    @property
    def context(self) -> tuple[str, ...]:
        """What else of their structure the energies of sub-clusters depend on."""
        return self.source.capabilities.context

    @property
    def room(self) -> float:
        """How many more sub-clusters can be kept."""
        return self.store.room - len(self.in_flight) if isinstance(self.store, RunCache) else np.inf

    def cache_for(self, batch: ClusterBatch) -> Store | RunCache | None:
        """Where the sub-clusters of a batch are looked up and kept.

        Naming them takes longer than a fast network takes for one. A run that is not stored tries on some of the first whether
        there are enough congruent ones.
        """
        if not isinstance(self.store, RunCache) or not self.source.capabilities.costly or len(batch) < FEW:
            return self.store
        if batch.n_atoms not in self.worth:
            some = batch.select(evenly(len(batch), TRIED))
            named = (
                Shapes(self.same_distance).of(some).tolist() if self.merges(some) else some.canonical(self.context)[0]
            )
            self.worth[batch.n_atoms] = len(set(named)) <= (1 - CONGRUENT) * len(named)
        return self.store if self.worth[batch.n_atoms] else None


@dataclass(frozen=True, eq=False)
class Portion:
    """The part of a job that one call of the source computes.

    :param job: whose
    :param first: its first row among those that the job evaluates
    :param batch: its sub-clusters
    :param future: the answer
    :param attempt: how often its sub-clusters were tried before, because their workers died
    """

    job: Job
    first: int
    batch: ClusterBatch
    future: Future[Answer]
    attempt: int = 0

    @property
    def failed(self) -> bool:
        """Whether an answer is there, and it is an error."""
        return self.future.cancelled() or self.future.exception() is not None


class Job:
    """One task."""

    def __init__(self, task: Task, run: Run):
        self._task, self._run = task, run
        self._todo = np.arange(len(task.batch))
        self._mine = task.batch
        self._stored: list[bytes] = []
        self._store = run.cache_for(task.batch)
        if self._store is not None:
            self._keys, self._permutation = task.batch.canonical(run.context)
            self._known = self._lookup(self._store, self._keys)
            self._unknown = np.flatnonzero(np.isnan(self._known.energies))
            # under which key each row is found: its own, or that of its representative in the run
            self._representatives = list(self._keys)
            self._todo = self._divide()
            self._mine = task.batch.select(self._todo)
        self._n_handed = 0
        self._waiting: set[Portion] = set()
        # rows to be tried again
        self._n_lost = 0
        # by their first row
        self._answers: dict[int, Evaluation] = {}

    @property
    def shape(self) -> Shape:
        """Numbers of atoms of its sub-clusters."""
        return shape_of(self._task.batch)

    @property
    def left(self) -> int:
        """Rows that have to be computed, and that nobody has been asked for."""
        return len(self._todo) - self._n_handed

    @property
    def done(self) -> bool:
        """Whether nothing is left to compute, and all answers have been taken."""
        return self.left == 0 and not self._n_lost and not self._waiting

    def hand_out(self, rows: int) -> Portion:
        """Have the next rows computed.

        :param rows: how many of those that are left
        """
        first, self._n_handed = self._n_handed, self._n_handed + rows
        batch = self._mine if rows == len(self._todo) else self._mine.select(np.arange(first, first + rows))
        return self._ask(first, batch, 0)

    def hand_out_again(self, lost: Portion, row: int, attempt: int) -> Portion:
        """Have one sub-cluster computed alone.

        :param lost: whose worker died
        :param row: of the sub-cluster in its batch
        :param attempt: how often it was tried before
        """
        return self._ask(lost.first + row, lost.batch.select(np.array([row])), attempt)

    def take(self, portion: Portion) -> int:
        """Take an answer from its worker and store it.

        :return: 0, or if its worker died, which attempt to compute each of its sub-clusters alone comes next
        """
        answer = self._run.dispatcher.take(portion.future, portion.batch, portion.attempt)
        self._waiting.remove(portion)
        if isinstance(answer, int):
            self._n_lost += len(portion.batch)
            return answer
        if answer.seconds > 0:
            self._run.pace.saw(portion.batch, answer.seconds)
        self._finish(portion.first, answer.computed)
        return 0

    def _ask(self, first: int, batch: ClusterBatch, attempt: int) -> Portion:
        portion = Portion(self, first, batch, self._run.dispatcher.hand_out(batch, attempt), attempt)
        self._waiting.add(portion)
        if attempt:
            self._n_lost -= 1
        return portion

    def cancel(self) -> None:
        """Give up what has not begun."""
        for portion in self._waiting:
            portion.future.cancel()

    def outcome(self) -> Outcome:
        """The whole task, once the jobs before it are done too."""
        computed = self._joined()
        evaluated = np.zeros(len(self._task.batch), dtype=bool)
        evaluated[self._todo] = True
        if self._store is not None:
            computed = self._merge(self._store, computed)
        return Outcome(self._task, computed, evaluated)

    def _joined(self) -> Evaluation:
        """What the batches of the job said, in the order of their rows."""
        if len(self._answers) == 1:
            return self._answers[0]
        whole = self._run.wanted.unknown(len(self._todo), self._task.batch.n_atoms)
        for first, part in self._answers.items():
            whole.take(np.arange(first, first + len(part.energies)), part)
        return whole

    def _divide(self) -> np.ndarray:
        """The rows that this job evaluates: first those that will be kept, then those for which there is no room."""
        run = self._run
        room = run.room
        merges = run.merges(self._task.batch) and len(self._unknown) > 0 and room > 0
        named = run.shapes.of(self._task.batch).tolist() if merges else []
        if merges:
            for row in np.flatnonzero(~np.isnan(self._known.energies)).tolist():
                run.representatives.setdefault(named[row], self._keys[row])
        kept: list[int] = []
        alone: list[int] = []
        for row in self._unknown.tolist():
            key = self._keys[row]
            if merges and named[row] in run.representatives:
                self._representatives[row] = run.representatives[named[row]]
            elif key in run.in_flight or key in run.failed:
                continue
            elif len(kept) < room:
                kept.append(row)
                run.in_flight.add(key)
                if merges:
                    run.representatives[named[row]] = key
            else:
                alone.append(row)
        self._stored = [self._keys[row] for row in kept]
        return np.array(kept + alone, dtype=np.int64)

    def _finish(self, first: int, computed: Evaluation) -> None:
        if self._store is not None:
            rows = self._todo[first : first + len(computed.energies)]
            computed = computed.reordered(self._permutation[rows])
            stored = self._stored[first : first + len(rows)]
            self._store.add(self._name, stored, computed)
            self._run.failed.update({self._keys[rows[row]]: message for row, message in computed.messages.items()})
            self._run.in_flight.difference_update(stored)
        self._answers[first] = computed

    def _merge(self, store: Store | RunCache, own: Evaluation) -> Evaluation:
        merged = self._known
        others = np.setdiff1d(self._unknown, self._todo)
        merged.put(self._todo, own)
        merged.put(others, self._lookup(store, [self._representatives[row] for row in others]))
        if self._run.wanted.by_atom:
            merged = merged.reordered(np.argsort(self._permutation, axis=1))
        missing = np.flatnonzero(np.isnan(merged.energies))
        merged.messages = {int(row): self._run.failed[self._representatives[row]] for row in missing}
        # not what is the same only nearly
        if isinstance(store, Store) and self._run.same_distance <= SHAPE_RESOLUTION:
            self._keep_congruent(
                store, merged, [int(row) for row in others if self._representatives[row] != self._keys[row]]
            )
        return merged

    def _keep_congruent(self, store: Store, merged: Evaluation, rows: list[int]) -> None:
        if rows:
            store.add(self._name, [self._keys[row] for row in rows], merged.part(np.array(rows)))

    def _lookup(self, store: Store | RunCache, keys: list[bytes]) -> Evaluation:
        unknown = self._run.wanted.unknown(len(keys), self._task.batch.n_atoms)
        return store.lookup(self._name[0], keys, unknown)

    @property
    def _name(self) -> tuple[str, str]:
        return stored_as(self._run.source, self._task.batch.n_atoms), self._run.source.name
