"""Studies that train on the workers of a Dask cluster."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ase
import numpy as np
import pytest
import torch

from bodyorder._checks import ComputationError
from bodyorder.config import StudyOptions
from bodyorder.results.files import load
from bodyorder.sources import load_source
from bodyorder.structures import ClusterBatch, read_structures
from bodyorder.study import run_study
from bodyorder.training import TrainedModel

SETTINGS = {
    "clusters": {"low": {"sampler": "low-density", "n_atoms": 4, "n_clusters": 6}},
    "reference": "pyscf:fci/sto-6g?spin=ground",
    "split": {"train": 0.5, "validation": 0.2},
    "models": ["soap-bpnn"],
    "training_sets": {"all": {"orders": "all"}},
    "epochs": {"all": 2},
    "curves": [],
    "workers": 1,
}


def options(root: Path, **changes) -> StudyOptions:
    return StudyOptions.model_validate(SETTINGS | {"output": str(root)} | changes)


def folder_of(root: Path, kind: str) -> Path:
    (folder,) = (root / "stages").glob(f"{kind}-soap-bpnn-all-*")
    return folder


@contextmanager
def dask_cluster(workers: int) -> Iterator:
    from dask import config
    from distributed import LocalCluster

    quiet = {"dashboard_address": ":0", "silence_logs": 50}
    with (
        config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=workers, threads_per_worker=1, **quiet) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """A study that was trained by processes of this machine."""
    root = tmp_path_factory.mktemp("here") / "study"
    run_study(options(root), print)
    return root


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Path:
    """The same by the workers of a cluster."""
    root = tmp_path_factory.mktemp("there") / "study"
    with dask_cluster(2) as cluster:
        run_study(options(root, executor=cluster.scheduler_address), print)
        done = {name: prefix.state_counts["memory"] for name, prefix in cluster.scheduler.task_prefixes.items()}
    assert done["train_and_test"] == done["resolve"] == 1
    return root


def test_a_cluster_trains_the_same_model(here, there):
    mine, theirs = (TrainedModel.load(folder_of(root, "train")) for root in (here, there))
    assert (mine.options_hash, mine.data_hashes) == (theirs.options_hash, theirs.data_hashes)
    assert mine.folder != theirs.folder
    sources = [load_source(trained.spec) for trained in (mine, theirs)]
    states = [torch.jit.load(trained.folder / "model.pt").state_dict() for trained in (mine, theirs)]
    floats = [name for name, weights in states[0].items() if weights.is_floating_point()]
    assert floats
    assert states[0].keys() == states[1].keys()
    for name in floats:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=1e-10)
    frames: dict[int, list[ase.Atoms]] = {}
    for atoms in read_structures(mine.folder / "test.xyz"):
        frames.setdefault(len(atoms), []).append(atoms)
    assert sorted(frames) == [1, 2, 3, 4]
    for same in frames.values():
        batch = ClusterBatch.from_atoms(same)
        (energies, forces), (others, their_forces) = (source.energies_and_forces(batch) for source in sources)
        np.testing.assert_allclose(energies, others, rtol=0, atol=1e-10)
        np.testing.assert_allclose(forces, their_forces, rtol=0, atol=1e-9)


def test_a_cluster_finds_the_same_orders(here, there):
    mine, theirs = (load(folder_of(root, "resolve") / "result.nc") for root in (here, there))
    np.testing.assert_allclose(mine.contribution, theirs.contribution, rtol=0, atol=1e-10)
    assert mine.structure.values.tolist() == theirs.structure.values.tolist()
    assert abs(mine.contribution.values).min() > 1e-6


def test_a_worker_that_dies_while_it_trains_costs_that_model(tmp_path):
    """The worker and the program that it runs are killed, as by a machine that is switched off."""
    root = tmp_path / "study"
    said: list[str] = []
    ended = threading.Event()
    killer = threading.Thread(target=kill_worker, args=(root, ended))
    changes = {"reference": "analytic:pair?kind=morse"}
    killer.start()
    try:
        with dask_cluster(1) as cluster:
            with pytest.raises(ComputationError) as caught:
                run_study(options(root, executor=cluster.scheduler_address, **changes), said.append)
            assert re.match(
                r"\d+ stages failed, run the study again to repeat them: train/soap-bpnn/all: its worker was killed \(out of "
                r"memory, perhaps\): .*; resolve/soap-bpnn/all: needs train/soap-bpnn/all",
                str(caught.value),
            )
            # the cluster goes on with a new worker
            run_study(options(root, executor=cluster.scheduler_address, **changes), said.append)
    finally:
        ended.set()
        killer.join()
    assert said.count("sample/low: done before") == said.count("label/low: done before") == 1
    assert TrainedModel.load(folder_of(root, "train")).model == "soap-bpnn"


def kill_worker(root: Path, ended: threading.Event) -> None:
    """Kill the first program that trains in a study, and the process that started it."""
    while not ended.is_set():
        for folder in (root / "stages").glob("train-*"):
            for entry in Path("/proc").glob("[0-9]*") if (folder / "outputs").exists() else ():
                with suppress(OSError):
                    if (entry / "cwd").readlink() == folder:
                        worker = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                        assert b"spawn" in Path(f"/proc/{worker}/cmdline").read_bytes()
                        os.kill(worker, signal.SIGKILL)
                        os.kill(int(entry.name), signal.SIGKILL)
                        return
        time.sleep(0.02)
