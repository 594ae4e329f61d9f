"""Real trainings, by metatrain and by our own program, as short as they can be."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import ase
import numpy as np
import pytest

from bodyorder._checks import ComputationError, InputError
from bodyorder.sources import load_source
from bodyorder.structures import ClusterBatch
from bodyorder.training import (
    COMPOSITIONS,
    TrainedModel,
    TrainingJob,
    draw_set,
    prediction_errors,
    split_structures,
    train,
)

EPOCHS = {"soap-bpnn": 2, "pet": 2, "mace": 1}

#: Models whose weights are solved for.
SOLVED = ("gap", "soap-linear")
#: One model of each architecture, trained twice.
TWICE = ("soap-bpnn", "pet", "mace", *SOLVED)


@pytest.fixture(scope="module")
def job(labelled) -> TrainingJob:
    split = split_structures(labelled.groups)
    sets = [draw_set(labelled, part, COMPOSITIONS["all"]) for part in (split.training, split.validation, split.test)]
    sets[0] = sets[0][::2]
    return TrainingJob(Path(), "soap-bpnn", *sets, epochs=1, seed=7)


@pytest.fixture(scope="module")
def trained(job, tmp_path_factory) -> dict[str, TrainedModel]:
    """One short training of each architecture and another like it, two at a time."""
    folder = tmp_path_factory.mktemp("trained")
    jobs = {name: replace(job, folder=folder / name, model=name, epochs=epochs) for name, epochs in EPOCHS.items()}
    jobs |= {name: replace(job, folder=folder / name, model=name, epochs=None) for name in SOLVED}
    jobs["mace"] = replace(jobs["mace"], forces=False)
    jobs |= {f"{name} again": replace(jobs[name], folder=folder / f"{name} again") for name in TWICE}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(jobs, pool.map(train, jobs.values()), strict=True))


@pytest.mark.parametrize("name", EPOCHS)
def test_every_architecture_trains(trained, name):
    result = trained[name]
    assert {path.name for path in result.folder.iterdir()} - {"extensions", ".lock"} == {
        "loss_history.csv", "training.log", "model.ckpt", "model.pt", "options.yaml", "options_full.yaml", "test.json",
        "test.xyz", "trained.json", "training.json", "training.xyz", "validation.json", "validation.xyz",
    }  # fmt: skip
    assert result.seconds > 0
    assert TrainedModel.load(result.folder) == result
    curve = result.loss_history
    assert curve["epoch"].values.tolist() == list(range(EPOCHS[name]))
    assert curve["training_energy_rmse"].attrs["units"] == "meV/atom"
    if name == "mace":  # trained on energies alone
        assert "validation_force_rmse" not in curve
    else:
        assert curve["validation_force_rmse"].attrs["units"] == "meV/Å"
    for variable in curve.data_vars.values():
        assert np.isfinite(variable).all()
    assert (curve["validation_energy_rmse"] > 0).all()


@pytest.mark.parametrize("name", SOLVED)
def test_models_that_are_solved_for_have_no_loss_history(trained, job, name):
    result = trained[name]
    own = {"gap": {"options_full.yaml"}, "soap-linear": {"strengths.csv"}}[name]
    assert {path.name for path in result.folder.iterdir()} - {"extensions", ".lock"} == own | {
        "training.log", "model.pt", "options.yaml", "test.json", "test.xyz", "trained.json", "training.json", "training.xyz",
        "validation.json", "validation.xyz",
    }  # fmt: skip
    assert result.loss_history is None
    assert result.seconds > 0
    assert TrainedModel.load(result.folder) == result
    assert (result.folder / "training.log").stat().st_size > 0
    assert prediction_errors(load_source(result.spec), job.training)["energy_rmse"] < 500


def test_records_name_the_program_that_trained(trained):
    assert trained["mace"].program == f"metatrain {version('metatrain')}"
    assert trained["soap-linear"].program == f"featomic-torch {version('featomic-torch')}"


@pytest.mark.parametrize("name", TWICE)
def test_equal_seeds_give_equal_models(trained, job, name):
    first, second = trained[name], trained[f"{name} again"]
    assert (first.options_hash, first.data_hashes) == (second.options_hash, second.data_hashes)
    if name not in SOLVED:
        assert first.loss_history.identical(second.loss_history)
    batch = ClusterBatch.from_atoms([atoms for atoms in job.test if len(atoms) == 4])
    energies = [load_source(result.spec).energies(batch) for result in (first, second)]
    np.testing.assert_allclose(energies[0], energies[1], rtol=0, atol=1e-10)


def test_errors_of_a_model_agree_with_what_metatrain_saw(trained, job):
    result = trained["soap-bpnn"]
    errors = prediction_errors(load_source(result.spec), job.validation)
    curve = result.loss_history
    best = int(np.argmin((curve["validation_energy_rmse"] * curve["validation_force_rmse"]).values))
    # Metatrain writes five digits.
    assert errors["energy_rmse"] == pytest.approx(float(curve["validation_energy_rmse"][best]), rel=1e-4)
    assert errors["force_rmse"] == pytest.approx(float(curve["validation_force_rmse"][best]), rel=1e-4)
    assert errors["clusters"] == len(job.validation)


def test_a_finished_training_is_returned_at_once(job, trained, monkeypatch: pytest.MonkeyPatch):
    result = trained["soap-bpnn"]
    written = {path: path.stat().st_mtime_ns for path in result.folder.iterdir()}
    monkeypatch.setattr("sys.executable", "/nothing/runs")
    again = train(replace(job, folder=result.folder, epochs=EPOCHS["soap-bpnn"]))
    assert again == result
    assert {path: path.stat().st_mtime_ns for path in result.folder.iterdir() if path.name != ".lock"} == {
        path: when for path, when in written.items() if path.name != ".lock"
    }


def test_the_baseline_is_fixed_where_asked(job, tmp_path: Path):
    options = replace(job, folder=tmp_path, atom_energies={1: -12.8}).options()
    assert options["architecture"]["training"]["atomic_baseline"] == {"energy": {1: -12.8}}
    assert "atomic_baseline" not in job.options()["architecture"]["training"]


def test_changes_are_merged_into_the_options(job):
    options = replace(job, changes={"architecture": {"training": {"batch_size": 2}}}).options()
    assert options["architecture"]["training"]["batch_size"] == 2
    assert options["architecture"]["training"]["num_epochs"] == 1


def failure(job: TrainingJob) -> str:
    with pytest.raises(ComputationError) as caught:
        train(job)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(f"; log: {job.folder / 'training.log'}")
    assert not (job.folder / "trained.json").exists()
    assert (job.folder / "options.yaml").exists()
    assert (job.folder / "training.log").stat().st_size > 0
    return message


def test_an_option_that_metatrain_does_not_know_is_reported(job, tmp_path: Path):
    (tmp_path / "trained.json").write_text(json.dumps({"model": "of another version"}))
    (tmp_path / "model.pt").write_text("old")
    message = failure(replace(job, folder=tmp_path, changes={"architecture": {"model": {"soop": 1}}}))
    assert message.startswith("training of soap-bpnn failed: Unrecognized option 'soop' for")
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"soop": 1}}, "options of model must be among cutoff, density, basis, got 'soop'"),
        ({"model": {"basis": {"type": "Nothing"}}}, "Nothing"),
    ],
    ids=["unknown", "impossible"],
)
def test_a_bad_option_of_our_own_program_is_reported(job, tmp_path: Path, changes, reason):
    bad = replace(job, folder=tmp_path, model="soap-linear", changes={"architecture": changes})
    message = failure(bad)
    assert re.match(f"training of soap-linear failed: .*{reason}", message), message
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize(
    ("training", "first"), [({"lr_scheduler_gamma": 1e200}, 1), ({"learning_rate": 1e200}, 0)], ids=["later", "at once"]
)
def test_a_training_that_diverges_is_reported(job, tmp_path: Path, training, first):
    wild = replace(
        job,
        folder=tmp_path,
        model="mace-linear-1",
        epochs=3,
        changes={"architecture": {"training": training}},
    )
    assert failure(wild).startswith(
        f"training of mace-linear-1 diverged: its loss is not finite from epoch {first} on; lower its learning rate, or the "
        f"weight of its energies; log: "
    )


def test_a_training_that_is_killed_is_reported_and_can_be_run_again(job, tmp_path: Path):
    killer = threading.Thread(target=kill_metatrain, args=(tmp_path,))
    killer.start()
    message = failure(replace(job, folder=tmp_path))
    killer.join()
    assert message.startswith("training of soap-bpnn was killed by SIGKILL")


def kill_metatrain(folder: Path) -> None:
    """Kill the child of this process that runs in ``folder``, once it is there."""
    while True:
        for children in Path("/proc/self/task").glob("*/children"):
            for child in children.read_text().split():
                if os.path.realpath(f"/proc/{child}/cwd") == str(folder.resolve()) and (folder / "outputs").exists():
                    os.kill(int(child), signal.SIGKILL)
                    return
        time.sleep(0.01)


def test_two_trainings_do_not_share_a_folder(job, tmp_path: Path):
    with (tmp_path / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ComputationError, match="must be free, and a training is still running in it"):
            train(replace(job, folder=tmp_path))
    assert not (tmp_path / "options.yaml").exists()


def test_jobs_that_cannot_work_are_refused(job, tmp_path: Path):
    with pytest.raises(InputError, match="the validation set of soap-bpnn must hold clusters, and is empty"):
        train(replace(job, folder=tmp_path / "a", validation=()))
    bare = [ase.Atoms("H", info={"energy": 0.0, "group": "low", "parent": 0})]
    with pytest.raises(InputError, match="the training set of soap-bpnn must have forces, and some clusters have none"):
        train(replace(job, folder=tmp_path / "b", training=bare))
    alone = [atoms for atoms in job.training if len(atoms) == 1]
    with pytest.raises(
        InputError,
        match="the training set of soap-bpnn must hold clusters of two atoms or more, and holds single atoms only",
    ):
        train(replace(job, folder=tmp_path / "b", training=alone))
    with pytest.raises(InputError, match="did you mean 'mace'"):
        train(replace(job, folder=tmp_path / "c", model="mac"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"a training must have a folder that can be written, .*file/d cannot"):
        train(replace(job, folder=tmp_path / "file" / "d"))
    helium = [ase.Atoms("He", info=job.test[0].info)]
    with pytest.raises(
        InputError, match="the test set of soap-bpnn must hold elements of its training set, and has He"
    ):
        train(replace(job, folder=tmp_path / "e", test=helium))
    with pytest.raises(InputError, match=r"a trained model must be a folder with trained\.json, .* is not"):
        TrainedModel.load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
