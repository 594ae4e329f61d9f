"""Batches follow the pace that is seen: how long they are, who computes them, and what a killed process loses."""

import os
import signal
import subprocess
import sys
import time
from math import comb
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from geometries import clusters
from workers import SUTTON_CHEN, Worked, batches, n_computed

from bodyorder._checks import ComputationError
from bodyorder.engine import Store, decompose, dispatch
from bodyorder.engine.batching import BATCH_SECONDS
from bodyorder.engine.executors import local_processes, open_executor
from bodyorder.engine.pace import Pace
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.structures import ClusterBatch


class Clocked(EnergySource):
    """Takes as long as its cost says by a clock of its own, and keeps what it was asked.

    :param cost: of a sub-cluster in seconds, by its number of atoms
    :param store: of which it looks up how much has been stored when it is asked
    """

    name, fingerprint, cutoff, precision = "clocked", "clocked", None, Precision()

    def __init__(self, cost, store=None, **claims):
        self._cost, self.store, self.now = cost, store, 0.0
        self.asked, self.stored = [], []
        self.capabilities = Capabilities(**claims)

    def energies(self, batch):
        if self.store is not None:
            self.stored.append(len(self.store))
        self.asked.append((batch.n_atoms, len(batch)))
        self.now += len(batch) * self._cost(batch.n_atoms)
        return np.ones(len(batch))

    def lengths(self, n_atoms):
        return [rows for atoms, rows in self.asked if atoms == n_atoms]


class Estimating(Clocked):
    """Says of every sub-cluster that it takes 0.1 s."""

    def __init__(self, cost):
        super().__init__(cost, seconds=True)

    def seconds(self, batch):
        return 0.1


def asked(source, monkeypatch, n_atoms=12, store=None, **options):
    monkeypatch.setattr(dispatch, "perf_counter", lambda: source.now)
    chain = Atoms(f"H{n_atoms}", positions=np.random.default_rng(0).uniform(0, 9, (n_atoms, 3)))
    result = decompose(chain, source, store=store, dissociation=False, **options)
    assert result.failure.item() == ""
    return source


def test_batches_of_slow_calls_take_two_seconds(monkeypatch):
    with Store(":memory:") as store:
        source = asked(Clocked(lambda n: 0.25, store), monkeypatch, store=store, max_order=3)
        assert source.lengths(12) == [1]
        assert source.lengths(3) == [8] * 27 + [4]
        assert source.lengths(2) == [8] * 8 + [2]
        done = np.cumsum([0] + [rows for _, rows in source.asked])
        np.testing.assert_array_equal(source.stored, done[:-1])  # all that was computed before


def test_every_number_of_atoms_has_a_pace(monkeypatch):
    """What is larger than all that was seen is taken to cost more, what is smaller to cost as much until it is seen."""
    source = asked(Clocked(lambda n: 0.01 * 2.0**n), monkeypatch, n_atoms=8)
    for n_atoms in range(2, 9):
        first, *others = source.lengths(n_atoms)
        assert first == 1 or first * source._cost(n_atoms + 1) <= BATCH_SECONDS
        assert all(rows <= max(1, BATCH_SECONDS / source._cost(n_atoms)) for rows in others)
    assert max(source.lengths(4)) == 12


def test_the_whole_comes_first_where_it_may_take_long(monkeypatch):
    """Begun last it would keep one worker busy while the others have nothing left to do."""
    source = asked(Clocked(lambda n: 1e-4, serial=True), monkeypatch, n_atoms=40, max_order=2)
    assert source.asked[0] == (40, 1)
    assert max(source.lengths(2)) == 512


def test_calls_that_cost_little_stay_together(monkeypatch):
    source = asked(Clocked(lambda n: 2e-5), monkeypatch, n_atoms=14)
    assert source.asked[:2] == [(10, 1), (10, 511)]
    assert source.lengths(7) == [512] * 6 + [360]
    assert len(source.asked) == 1 + sum(-(-comb(14, n) // 512) for n in range(1, 15))


def test_a_first_call_that_takes_long_is_no_rule(monkeypatch):
    """A model is loaded, or compiled, in the first one."""
    takes = iter([4.0])
    source = asked(Clocked(lambda n: next(takes, 1e-4)), monkeypatch, max_order=2)
    assert source.asked == [(12, 1), (2, 1), (2, 65), (1, 12)]


def test_lengths_that_suit_a_source_are_kept(monkeypatch):
    network = asked(Clocked(lambda n: 1e-4, batch_size=300), monkeypatch, n_atoms=10)
    assert network.lengths(5) == [252]
    whole = asked(Clocked(lambda n: 1e-4, batch_size=64), monkeypatch, n_atoms=9, max_order=5, whole=False)
    assert whole.lengths(5) == [64, 62]
    estimates = asked(Estimating(lambda n: 0.1), monkeypatch, n_atoms=6)
    assert estimates.lengths(3) == [20]


def test_a_source_that_estimates_too_little_is_corrected(monkeypatch):
    source = asked(Estimating(lambda n: 1.0), monkeypatch, n_atoms=8)
    assert source.lengths(4) == [20, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]


def test_pace_of_sizes_that_have_not_been_seen():
    pace = Pace(Clocked(None))
    batch = ClusterBatch.from_atoms([Atoms("H4", positions=np.eye(4, 3))] * 2)
    assert pace.seconds((4, 0)) is None
    assert pace.rows((4, 0), 100) == 1
    pace.saw(batch, 0.2)
    assert pace.seconds((4, 0)) == pytest.approx(0.1)
    assert pace.seconds((2, 0)) == pytest.approx(0.1)
    assert pace.seconds((8, 0)) == pytest.approx(0.8)
    assert pace.seconds((4, 4)) == pytest.approx(0.8)
    assert pace.rows((4, 0), 100) == 16  # eight times as many as were timed


#: Waits until four processes have come here.
MEET = "touch $0/w$$; until [ $(ls $0 | grep -c ^w) -ge 4 ]; do sleep 0.05; done"


def test_workers_share_evenly_to_the_end(tmp_path):
    """288 calls that take the same time: every worker has a quarter, in batches that grow shorter at the end."""
    log = tmp_path / "log"
    source = Worked(log, seconds=0.05, serial=True)
    chain = Atoms("H12", positions=np.random.default_rng(0).uniform(0, 9, (12, 3)))
    with open_executor(4) as executor:
        meet = ["sh", "-c", MEET, str(tmp_path)]
        for answer in [executor.submit(subprocess.check_output, meet, timeout=120) for _ in range(4)]:
            answer.result()
        decompose(chain, source, max_order=3, dissociation=False, executor=executor)
    found = batches(log)
    assert sum(map(sum, found.values())) == 288
    assert len(found) == 4
    assert os.getpid() not in found
    for lengths in found.values():
        assert max(lengths) <= BATCH_SECONDS / 0.05
        assert 72 - 30 <= sum(lengths) <= 72 + 30
    assert min(map(min, found.values())) <= 2


def test_few_calls_begin_in_this_process_and_stay_there(tmp_path):
    with local_processes(2, worth=1e3) as pool:
        decompose(clusters(1, 4), Worked(tmp_path / "log", seconds=0.01), executor=pool)
        assert not pool.begun
    assert set(batches(tmp_path / "log")) == {os.getpid()}


def test_many_calls_go_on_in_workers_as_soon_as_they_are_there(tmp_path):
    """This process computes until they are; what it took them is bitwise what it would have taken here."""
    with local_processes(2, worth=0.05) as pool:
        result = decompose(clusters(1, 9), Worked(tmp_path / "log", seconds=0.03), dissociation=False, executor=pool)
        found = batches(tmp_path / "log")
        again = decompose(clusters(1, 3), Worked(tmp_path / "again"), executor=pool)
    assert os.getpid() in found
    assert len(found) > 1
    assert sum(map(sum, found.values())) == 511
    np.testing.assert_array_equal(result.contribution, decompose(clusters(1, 9), SUTTON_CHEN).contribution)
    assert os.getpid() not in batches(tmp_path / "again")
    assert again.failure.item() == ""


def test_workers_that_cannot_load_what_this_process_has_are_done_without(tmp_path, caplog):
    class Here(Worked):
        def __reduce__(self):
            return __import__, ("nowhere",)

    dispatch.say_once.cache_clear()
    with local_processes(2, worth=0.05) as pool:
        result = decompose(clusters(1, 9), Here(tmp_path / "log", seconds=0.03), executor=pool)
    assert set(batches(tmp_path / "log")) == {os.getpid()}
    assert result.failure.item() == ""
    assert [record.message.partition(" runs ")[2] for record in caplog.records] == [
        f"in one process: workers must be able to load {Worked().name}, and one could not: ModuleNotFoundError: No module named "
        "'nowhere'; have what it is made of installed where they run, or run in one process"
    ]


def test_a_source_that_is_wrong_is_wrong_in_any_place(tmp_path):
    class Wrong(Worked):
        def energies(self, batch):
            return super().energies(batch)[:, None]

    with pytest.raises(ComputationError, match="must give energies of shape"):
        decompose(clusters(1, 3), Wrong())


KILLED = """
import sys
from ase import Atoms
import numpy as np
from bodyorder.engine import decompose
from bodyorder.engine.executors import open_executor
from workers import Worked
if __name__ == "__main__":
    chain = Atoms("H12", positions=np.random.default_rng(0).uniform(0, 9, (12, 3)))
    with open_executor(int(sys.argv[1])) as executor:
        decompose(chain, Worked("log", seconds=0.05), max_order=4, store="s.sqlite", executor=executor)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_process_loses_three_seconds_of_work_at_most(tmp_path, workers):
    """Each call takes 0.05 s; what was computed and is not in the store would fit into three seconds of every worker."""
    (tmp_path / "run.py").write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, "run.py", str(workers)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1] / "shared"), *sys.path])},
    )
    try:
        deadline = time.monotonic() + 120
        while n_computed(tmp_path / "log") < 150 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    time.sleep(0.2)  # the workers end after it
    computed = n_computed(tmp_path / "log")
    with Store(tmp_path / "s.sqlite") as store:
        stored = len(store)
    assert computed >= 150
    assert 0 < stored <= computed
    assert (computed - stored) * 0.05 <= 3.0 * workers
