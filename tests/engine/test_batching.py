import numpy as np
import pytest
from ase import Atoms

from bodyorder.engine import batching
from bodyorder.engine.batching import BATCH_SECONDS, make_tasks
from bodyorder.engine.selection import Selection
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.sources.registry import load_source


class Estimating(EnergySource):
    """A source that says what a sub-cluster of so many atoms and ghosts takes."""

    name, fingerprint, cutoff, precision = "estimating", "estimating", None, Precision()

    def __init__(self, seconds, counterpoise="none"):
        self._seconds = seconds
        self.capabilities = Capabilities(seconds=True, batch_size=50, counterpoise=counterpoise)

    def seconds(self, batch):
        return self._seconds(batch.n_atoms, batch.ghosts.shape[1])

    def energies(self, batch):
        return np.zeros(len(batch))


def lines(count, n_atoms):
    return [Atoms(f"H{n_atoms}", positions=np.arange(n_atoms)[:, None] * [1.0, 0.1 * k, 0.0]) for k in range(count)]


def tasks_of(structures, source, **options):
    return list(make_tasks(Selection(**options).pieces(structures, source), source))


def test_batches_take_about_as_long():
    source = Estimating(lambda atoms, ghosts: 1e-3 * 10.0 ** (atoms - 1))
    tasks = tasks_of(lines(1, 8), source)
    for task in tasks:
        assert len(task.batch) == 1 or len(task.batch) * source.seconds(task.batch) <= BATCH_SECONDS
    sizes = {n: [len(task.batch) for task in tasks if task.batch.n_atoms == n] for n in range(1, 9)}
    assert sizes[8] == [1]
    assert sizes[5] == [1] * 56
    assert sizes[4] == [2] * 35
    assert sizes[3] == [20, 20, 16]
    assert sizes[1] == [8]


def test_every_subcluster_comes_once_and_the_largest_first():
    source = Estimating(lambda atoms, ghosts: 0.1 * atoms)
    tasks = tasks_of(lines(3, 5), source)
    seen = [
        (int(p), *row) for task in tasks for p, row in zip(task.batch.parents, task.batch.members.tolist(), strict=True)
    ]
    assert len(seen) == len(set(seen)) == 3 * 31
    first = {n: next(place for place, task in enumerate(tasks) if task.batch.n_atoms == n) for n in (1, 3, 5)}
    assert first[5] == 0
    assert first[5] < first[3] < first[1]


def test_groups_of_structures_follow_each_other(monkeypatch):
    """Memory and integrals stay with a few structures at a time, whatever their number."""
    monkeypatch.setattr(batching, "GROUP", 2)
    tasks = tasks_of(lines(4, 4), Estimating(lambda atoms, ghosts: 1.0))
    parents = [set(task.batch.parents.tolist()) for task in tasks]
    assert max(place for place, found in enumerate(parents) if found <= {0, 1}) < min(
        place for place, found in enumerate(parents) if found <= {2, 3}
    )


def test_the_whole_outside_its_family_comes_first():
    tasks = tasks_of(lines(2, 5), Estimating(lambda atoms, ghosts: 0.2), max_order=2)
    assert [task.batch.n_atoms for task in tasks] == [5, 2, 2, 1]


def test_functions_of_other_atoms_count():
    source = Estimating(lambda atoms, ghosts: 0.1 * (atoms + ghosts), counterpoise="full")
    tasks = tasks_of(lines(1, 6), source)
    assert {len(task.batch) for task in tasks if task.batch.n_atoms == 1} == {3}


def test_heavier_atoms_make_smaller_batches():
    class Charged(Estimating):
        def seconds(self, batch):
            return 0.05 * batch.numbers.sum()

    mixed = Atoms("H3O3", positions=np.arange(6)[:, None] * [1.0, 0, 0])
    for task in tasks_of([*lines(1, 3), mixed], Charged(None)):
        if task.batch.n_atoms == 1 and 1 in task.batch.parents:
            assert len(task.batch) <= 5


@pytest.mark.parametrize(
    ("spec", "alone"), [("pyscf:fci/6-31g?spin=ground", 8), ("pyscf:fci/sto-6g?spin=ground", None)]
)
def test_quantum_chemistry_says_what_it_costs(spec, alone):
    source = load_source(spec)
    tasks = tasks_of(lines(40, 8), source)
    sizes = {n: max(len(task.batch) for task in tasks if task.batch.n_atoms == n) for n in range(1, 9)}
    assert sizes[1] > 200
    assert sizes[8] == 1 if alone == 8 else sizes[8] > 5
    assert all(sizes[n] >= sizes[n + 1] for n in range(2, 8))
