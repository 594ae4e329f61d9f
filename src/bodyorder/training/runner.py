"""Training a curated model: everything it needs and leaves in one folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import yaml

from bodyorder._checks import InputError
from bodyorder._files import held, replacing
from bodyorder.training.datasets import write_set
from bodyorder.training.job import LOSS_HISTORY, RECORD, TrainedModel, TrainingJob
from bodyorder.training.program import LOG, program_of, run_program

_SETS = ("training", "validation", "test")


def train(job: TrainingJob) -> TrainedModel:
    """Train a model, or return at once if this very job was finished before.

    The folder then holds ``options.yaml``, the sets as ``training.xyz``, ``validation.xyz`` and ``test.xyz`` with what they
    contain, ``model.pt`` (the best by validation), where there are epochs ``model.ckpt`` and ``loss_history.csv``, the program's
    log, and, written last, ``trained.json``. Safe to call from threads and processes, each with a folder of its own; the
    program gets one thread.

    :raises InputError: if the job cannot work, or its folder cannot be written
    :raises ComputationError: if the training fails, diverges, is killed, or is still running in another process; what it has
        written stays
    """
    options = job.options()
    sets = {name: clusters for name in _SETS if len(clusters := getattr(job, name))}
    identity: dict[str, Any] = {
        "model": job.model,
        "options_hash": _hash([json.dumps(options, sort_keys=True).encode()]),
        "data_hashes": {name: _hash(_content(clusters)) for name, clusters in sets.items()},
        "program": program_of(job.model),
    }
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        # The program inherits the lock, so that one that has not ended yet after its study still guards its folder.
        with held(job.folder, "a training is still running") as lock:
            if (finished := _finished(job.folder, identity)) is not None:
                return finished
            for leftover in ("outputs", "extensions"):
                shutil.rmtree(job.folder / leftover, ignore_errors=True)
            for leftover in (RECORD, LOG, "model.pt", "model.ckpt", LOSS_HISTORY, "options_full.yaml", "strengths.csv"):
                (job.folder / leftover).unlink(missing_ok=True)
            for name, clusters in sets.items():
                write_set(job.folder / f"{name}.xyz", clusters)
            (job.folder / "options.yaml").write_text(yaml.safe_dump(options, sort_keys=False))
            seconds = run_program(job, options, lock)
            record = identity | {"seconds": seconds, "model_hash": _hash([(job.folder / "model.pt").read_bytes()])}
            with replacing(job.folder / RECORD, "records") as partial:
                partial.write_text(json.dumps(record, indent=2) + "\n")
            return TrainedModel(folder=job.folder, **record)
    except OSError as error:
        raise InputError(f"a training must have a folder that can be written, {job.folder} cannot: {error}") from None


def _finished(folder: Path, identity: Mapping[str, Any]) -> TrainedModel | None:
    """The finished training in a folder, if it is of the same job and its model is untouched."""
    if not (folder / RECORD).is_file() or not (folder / "model.pt").is_file():
        return None
    try:
        trained = TrainedModel.load(folder)
    except InputError:  # of another version
        return None
    same = all(getattr(trained, key) == value for key, value in identity.items())
    return trained if same and trained.model_hash == _hash([(folder / "model.pt").read_bytes()]) else None


def _content(clusters: Sequence[ase.Atoms]) -> Iterator[bytes]:
    for atoms in clusters:
        yield atoms.numbers.tobytes() + atoms.positions.tobytes()
        yield np.float64(atoms.info["energy"]).tobytes()
        if "forces" in atoms.arrays:
            yield atoms.arrays["forces"].tobytes()


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
