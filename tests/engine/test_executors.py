import logging
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest
from geometries import clusters
from workers import SUTTON_CHEN, Worked

from bodyorder._checks import ComputationError, InputError
from bodyorder.engine import Store, decompose, dispatch
from bodyorder.engine.executors import open_executor
from bodyorder.sources.registry import load_source


def test_local_processes_give_the_same_numbers(tmp_path):
    expected = decompose(clusters(4), SUTTON_CHEN, forces=True)
    with open_executor(workers=2) as executor:
        result = decompose(clusters(4), SUTTON_CHEN, forces=True, executor=executor, store=tmp_path / "s.sqlite")
        assert executor.submit(os.getpid).result() != os.getpid()
    np.testing.assert_allclose(result.contribution, expected.contribution, atol=1e-12)
    np.testing.assert_allclose(result.sites.force_contribution, expected.sites.force_contribution, atol=1e-12)


#: Waits until two processes have come here, so that no worker can answer twice.
MEET = "touch $0/$$; until [ $(ls $0 | wc -l) -ge 2 ]; do sleep 0.05; done; echo $OMP_NUM_THREADS"


def test_every_worker_runs_one_thread(monkeypatch, tmp_path):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with open_executor(workers=2) as executor:
        command = ["sh", "-c", MEET, str(tmp_path)]
        answers = [executor.submit(subprocess.check_output, command, timeout=120) for _ in range(2)]
        assert [answer.result() for answer in answers] == [b"1\n", b"1\n"]
    assert "OMP_NUM_THREADS" not in os.environ


def test_dask_gives_the_same_numbers():
    from distributed import LocalCluster

    expected = decompose(clusters(4), SUTTON_CHEN)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        open_executor(url=cluster.scheduler_address) as executor,
    ):
        result = decompose(clusters(4), SUTTON_CHEN, executor=executor)
    np.testing.assert_allclose(result.contribution, expected.contribution, atol=1e-12)


@contextmanager
def own_pool():
    """A pool of the user's, which breaks as a whole."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def test_a_pool_of_the_user_that_breaks_is_reported(tmp_path):
    with (
        own_pool() as executor,
        pytest.raises(ComputationError, match=r"worker processes must stay alive, and one died"),
    ):
        decompose(clusters(1, 5), Worked(victims=[(1, 3)]), executor=executor, store=tmp_path / "s.sqlite")
    with Store(tmp_path / "s.sqlite") as store:
        assert len(store) < 31


def test_a_pool_that_breaks_while_it_is_given_work_is_reported_alike(monkeypatch):
    """CPython closes the pipe to a pool's manager before it calls the pool broken."""

    def closed(*_):
        raise OSError("handle is closed")

    with own_pool() as executor:
        monkeypatch.setattr(type(executor), "submit", closed)
        with pytest.raises(ComputationError, match="worker processes must stay alive, and one died"):
            decompose(clusters(4), SUTTON_CHEN, executor=executor)


@pytest.mark.parametrize(
    ("how", "said"),
    [(-signal.SIGKILL, "killed by SIGKILL"), (-signal.SIGSEGV, "killed by SIGSEGV"), (1, "exit status 1")],
)
def test_a_local_worker_that_dies_costs_one_subcluster(tmp_path, how, said):
    """The pair that kills its worker fails alone, whatever shares its batch; a later run finds the others."""
    whole = decompose(clusters(1, 5), SUTTON_CHEN, subsets=True)
    source = Worked(victims=[(1, 3)], how=how, seconds=0.02)
    with open_executor(2) as executor:
        result = decompose(clusters(1, 5), source, subsets=True, executor=executor, store=tmp_path / "s.sqlite")
    assert result.failure.item() == (
        f"1 of 31 sub-clusters failed, the first: atoms 1, 3: every worker that computed it died ({said}): its program "
        "crashes, or memory is short"
    )
    there = np.isfinite(result.subsets.subset_energy.values)
    assert (~there).sum() == 1
    np.testing.assert_array_equal(result.subsets.subset_energy.values[there], whole.subsets.subset_energy.values[there])
    mended = decompose(clusters(1, 5), SUTTON_CHEN, store=tmp_path / "s.sqlite")
    assert mended.n_evaluations == 1
    np.testing.assert_allclose(mended.contribution, whole.contribution, atol=1e-12)


def test_a_source_that_kills_every_local_worker_ends_the_run(monkeypatch):
    monkeypatch.setattr(dispatch, "MOST_LOST", 2)
    with (
        open_executor(2) as executor,
        pytest.raises(
            ComputationError,
            match=r"all died that computed the first 2 sub-clusters \(killed by SIGKILL\): its program",
        ),
    ):
        decompose(clusters(1, 3), Worked(victims=None), executor=executor)


def deadly(batch_size=8, **options):
    """A source that kills its worker when one sub-cluster of two atoms is in the batch. Its class travels with it."""

    class Deadly(type(load_source(SUTTON_CHEN))):
        victims = ((1, 3),)
        group = False

        def energies(self, batch):
            if self.victims is None or any(tuple(sorted(atoms)) in self.victims for atoms in batch.members.tolist()):
                os.kill(0 if self.group else os.getpid(), signal.SIGKILL)
            return super().energies(batch)

    source = Deadly()
    source.capabilities = replace(source.capabilities, batch_size=batch_size)
    vars(source).update(options)
    return source


@contextmanager
def dask_cluster(workers=2):
    from dask import config
    from distributed import LocalCluster

    quiet = {"dashboard_address": ":0", "silence_logs": 50}
    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=workers, threads_per_worker=1, **quiet) as cluster,
        open_executor(url=cluster.scheduler_address) as executor,
    ):
        yield executor


def test_a_dask_worker_that_dies_costs_one_subcluster(tmp_path):
    """The pair that kills its worker fails alone, whatever shares its batch; a later run finds the others."""
    whole = decompose(clusters(1, 5), SUTTON_CHEN, subsets=True)
    with dask_cluster() as executor:
        result = decompose(clusters(1, 5), deadly(), subsets=True, executor=executor, store=tmp_path / "s.sqlite")
    assert result.failure.item() == (
        "1 of 31 sub-clusters failed, the first: atoms 1, 3: every worker that computed it died (out of memory, or "
        "killed); give workers more memory"
    )
    there = np.isfinite(result.subsets.subset_energy.values)
    assert (~there).sum() == 1
    np.testing.assert_allclose(
        result.subsets.subset_energy.values[there], whole.subsets.subset_energy.values[there], atol=1e-12
    )
    mended = decompose(clusters(1, 5), SUTTON_CHEN, store=tmp_path / "s.sqlite")
    assert mended.n_evaluations == 1
    np.testing.assert_allclose(mended.contribution, whole.contribution, atol=1e-12)


def test_a_source_that_kills_every_worker_ends_the_run(monkeypatch):
    monkeypatch.setattr(dispatch, "MOST_LOST", 2)
    with (
        dask_cluster(workers=1) as executor,
        pytest.raises(
            ComputationError,
            match=r"all died that computed the first 2 sub-clusters \(out of memory.*; look at their logs",
        ),
    ):
        decompose(clusters(1, 3), deadly(victims=None), executor=executor)


CLUSTER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster:
        print(cluster.scheduler_address, flush=True)
        time.sleep(600)
"""


def test_a_dask_cluster_that_is_gone_ends_the_run(monkeypatch, tmp_path):
    """Scheduler and workers are killed at once, from inside: what was stored before is kept."""
    monkeypatch.setattr(dispatch, "MOST_IN_FLIGHT", 2)
    script = tmp_path / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        source = deadly(batch_size=4, group=True)
        with (
            pytest.raises(ComputationError, match=r"^workers must give energies back, and one did not: .*run again$"),
            open_executor(url=process.stdout.readline().strip()) as executor,
        ):
            decompose(clusters(1, 5), source, executor=executor, store=tmp_path / "s.sqlite")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    resumed = decompose(clusters(1, 5), SUTTON_CHEN, store=tmp_path / "s.sqlite")
    assert 16 <= 31 - resumed.n_evaluations.item() < 31
    np.testing.assert_allclose(resumed.contribution, decompose(clusters(1, 5), SUTTON_CHEN).contribution, atol=1e-12)


def elsewhere():
    """A source of a package that this process alone has."""

    class Elsewhere(type(load_source(SUTTON_CHEN))):
        def __reduce__(self):
            return pickle.loads, (b"cnowhere\nSource\n.",)

    return Elsewhere()


@pytest.mark.parametrize("where", [dask_cluster, open_executor])
def test_a_source_that_workers_cannot_load_leaves_them_alive(where):
    with where(workers=2) as executor:
        with pytest.raises(
            ComputationError,
            match=r"^workers must be able to load analytic:sutton-chen\S*, and one could not: ModuleNotFoundError: No module "
            r"named 'nowhere'; have what it is made of installed where they run, or run in one process$",
        ):
            decompose(clusters(1, 2), elsewhere(), executor=executor)
        assert executor.submit(os.getpid).result(timeout=60) != os.getpid()


@pytest.mark.parametrize("where", [open_executor, own_pool])
def test_a_source_that_cannot_travel_is_computed_here(where, caplog):
    source = load_source(SUTTON_CHEN)
    source.extra = lambda: None
    dispatch.say_once.cache_clear()
    expected = decompose(clusters(2), SUTTON_CHEN)
    with where(2) if where is open_executor else where() as executor, caplog.at_level(logging.WARNING):
        for _ in range(2):
            result = decompose(clusters(2), source, executor=executor)
    np.testing.assert_array_equal(result.contribution, expected.contribution)
    [said] = [record.message for record in caplog.records]
    assert re.fullmatch(
        r"analytic:sutton-chen\S* runs in one process: it cannot be sent to others, \w+Error: .*lambda.*", said
    )


def test_twins_in_flight_are_computed_once(tmp_path):
    """Who is faster does not matter: every batch holds sub-clusters that another one holds too."""
    frames = clusters(1, 5) * 6
    source = load_source(SUTTON_CHEN)
    source.capabilities = replace(source.capabilities, batch_size=4)
    serial = decompose(frames, source, forces=True, store=tmp_path / "a.sqlite")
    with open_executor(workers=2) as executor:
        result = decompose(frames, source, forces=True, store=tmp_path / "b.sqlite", executor=executor)
    assert result.n_evaluations.sum() == 31 - 4
    np.testing.assert_array_equal(result.n_evaluations, serial.n_evaluations)
    np.testing.assert_array_equal(result.contribution, serial.contribution)
    np.testing.assert_array_equal(result.sites.force_contribution, serial.sites.force_contribution)
    np.testing.assert_allclose(
        result.sites.force_contribution, decompose(frames, source, forces=True).sites.force_contribution, atol=1e-12
    )


@pytest.mark.parametrize("url", ["nonsense", "http://x:1", "tcp://", "tcp://host", "tcp://host:port", ""])
def test_what_is_no_address(url):
    with (
        pytest.raises(
            InputError, match=r"`executor` must be the address of a Dask scheduler, such as tcp://host:8786, got"
        ),
        open_executor(url=url),
    ):
        pass


def test_numbers_of_workers():
    with pytest.raises(InputError, match="`workers` must be between 1 and 4096, got 0"), open_executor(workers=0):
        pass


def test_no_scheduler_there():
    with (
        pytest.raises(ComputationError, match=r"a Dask scheduler must answer at tcp://127\.0\.0\.1:9, and none does"),
        open_executor(url="tcp://127.0.0.1:9"),
    ):
        pass
