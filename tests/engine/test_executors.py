import os

import numpy as np
import pytest
from ase import Atoms

from bodyorder._checks import ComputationError, InputError
from bodyorder.engine import decompose
from bodyorder.engine.executors import open_executor

SUTTON_CHEN = "analytic:sutton-chen"


def clusters(n_structures=4, n_atoms=6, seed=0):
    rng = np.random.default_rng(seed)
    return [Atoms(f"H{n_atoms}", positions=rng.uniform(0, 4, (n_atoms, 3))) for _ in range(n_structures)]


def environment(name):
    return os.environ.get(name)


def test_local_processes_give_the_same_numbers(tmp_path):
    expected = decompose(clusters(), SUTTON_CHEN, forces=True)
    with open_executor(workers=2) as executor:
        result = decompose(clusters(), SUTTON_CHEN, forces=True, executor=executor, store=tmp_path / "s.sqlite")
        assert executor.submit(os.getpid).result() != os.getpid()
    np.testing.assert_allclose(result.contribution, expected.contribution, atol=1e-12)
    np.testing.assert_allclose(result.force_contribution, expected.force_contribution, atol=1e-12)


def test_workers_run_one_thread_each(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with open_executor(workers=2) as executor:
        assert executor.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
    assert "OMP_NUM_THREADS" not in os.environ


def test_dask_gives_the_same_numbers():
    from distributed import LocalCluster

    expected = decompose(clusters(), SUTTON_CHEN)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        open_executor(url=cluster.scheduler_address) as executor,
    ):
        result = decompose(clusters(), SUTTON_CHEN, executor=executor)
    np.testing.assert_allclose(result.contribution, expected.contribution, atol=1e-12)


def test_a_worker_that_dies_is_reported():
    with open_executor(workers=2) as executor:
        executor.submit(os._exit, 1)
        with pytest.raises(ComputationError, match="worker processes must stay alive, and one died"):
            decompose(clusters(), SUTTON_CHEN, executor=executor)


def test_numbers_of_workers():
    with pytest.raises(InputError, match="`workers` must be between 1 and 4096, got 0"), open_executor(workers=0):
        pass


def test_no_scheduler_there():
    with (
        pytest.raises(ComputationError, match=r"a Dask scheduler must answer at tcp://127\.0\.0\.1:9, and none does"),
        open_executor(url="tcp://127.0.0.1:9"),
    ):
        pass
