"""Training a curated model: metatrain in a process of its own, everything it needs and leaves in one folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import ase
import numpy as np
import xarray as xr
import yaml
from ase.data import chemical_symbols

from bodyorder._checks import ComputationError, InputError, require
from bodyorder._files import held, replacing
from bodyorder.engine.executors import THREAD_VARIABLES
from bodyorder.sources.base import package_version
from bodyorder.training.curve import read_curve, read_metatrain_log, write_curve
from bodyorder.training.datasets import write_set
from bodyorder.training.models import metatrain_options

#: File written last: a folder that holds it holds a finished training.
RECORD = "trained.json"
_LOG = "metatrain.log"
_SETS = ("training", "validation", "test")
#: How lines begin that metatrain adds to an error.
_BOILERPLATE = ("- If the error", "The error above", "If you think", "For ", "====", "----", "http")


@dataclass(frozen=True)
class TrainingJob:
    """One training. A folder belongs to one job.

    :param folder: where everything goes; made if missing
    :param model: name of a curated model
    :param training: labelled clusters to train on, as :func:`~bodyorder.training.datasets.training_set` draws them
    :param validation: labelled clusters that choose the best epoch
    :param test: labelled clusters that are kept beside the model and never shown to it
    :param epochs: epochs to train; None for what suits the model
    :param seed: equal seeds give equal models
    :param size: size of the model
    :param forces: whether forces are trained on
    :param atom_energies: energy of an isolated atom in eV by atomic number, which fixes the baseline that is taken off before
        training; None leaves the baseline to a least-squares fit of the training set. Either way the energy that the
        finished model gives an isolated atom is its own.
    :param changes: further options of metatrain, merged into those of the curated model
    """

    folder: Path
    model: str
    training: Sequence[ase.Atoms] = field(repr=False)
    validation: Sequence[ase.Atoms] = field(repr=False)
    test: Sequence[ase.Atoms] = field(repr=False, default=())
    epochs: int | None = None
    seed: int = 0
    size: str = "small"
    forces: bool = True
    atom_energies: Mapping[int, float] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """All of metatrain's options.

        :raises InputError: for an unknown model or size, options out of range, sets that are empty, or missing forces
        """
        for name, clusters in (("training", self.training), ("validation", self.validation)):
            if not len(clusters):
                raise InputError(f"the {name} set of {self.model} must hold clusters, and is empty")
            if self.forces and not all("forces" in atoms.arrays for atoms in clusters):
                raise InputError(f"the {name} set of {self.model} must have forces, and some clusters have none")
        elements = {int(number) for atoms in self.training for number in atoms.numbers}
        for name in ("validation", "test"):
            unknown = {int(number) for atoms in getattr(self, name) for number in atoms.numbers} - elements
            if unknown:
                listed = ", ".join(chemical_symbols[number] for number in sorted(unknown))
                raise InputError(
                    f"the {name} set of {self.model} must hold elements of its training set, and has {listed}"
                )
        options = metatrain_options(
            self.model, len(self.training), elements=elements, epochs=self.epochs, seed=self.seed, size=self.size
        )
        if self.atom_energies is not None:
            baseline = {int(number): float(energy) for number, energy in self.atom_energies.items()}
            options["architecture"]["training"]["atomic_baseline"] = {"energy": baseline}
        for name in ("training", "validation"):
            options[f"{name}_set"] = self._data_set(name)
        return _merge(options, self.changes)

    def _data_set(self, name: str) -> dict[str, Any]:
        energy = {"key": "energy", "unit": "eV", "forces": {"key": "forces"} if self.forces else False, "stress": False}
        return {"systems": {"read_from": f"{name}.xyz", "length_unit": "angstrom"}, "targets": {"energy": energy}}


@dataclass(frozen=True)
class TrainedModel:
    """A finished training.

    :param folder: where it is
    :param model: name of the curated model
    :param seconds: wall time that metatrain took
    :param options_hash: of metatrain's options
    :param data_hashes: of the files of clusters, by name
    :param model_hash: of ``model.pt``
    :param metatrain: its version
    """

    folder: Path
    model: str
    seconds: float
    options_hash: str
    data_hashes: Mapping[str, str]
    model_hash: str
    metatrain: str

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        """The finished training in a folder.

        :raises InputError: if there is none
        """
        try:
            return cls(folder=folder, **json.loads((folder / RECORD).read_text()))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"a trained model must be a folder with {RECORD}, {folder} is not") from None
        except (json.JSONDecodeError, TypeError):
            raise InputError(f"{folder / RECORD} must be a record of this version of bodyorder, and is not") from None

    @property
    def spec(self) -> str:
        """The model as an energy source, for :func:`bodyorder.load_source`."""
        return f"metatomic:{self.folder / 'model.pt'}"

    @property
    def loss_curve(self) -> xr.Dataset:
        """Loss, errors and learning rate of each epoch, see :func:`~bodyorder.training.curve.read_metatrain_log`."""
        return read_curve(self.folder / "loss_curve.csv")


def train(job: TrainingJob) -> TrainedModel:
    """Train a model, or return at once if this very job was finished before.

    The folder then holds ``options.yaml``, the sets as ``training.xyz``, ``validation.xyz`` and ``test.xyz`` with what they
    contain, ``model.pt`` (the best epoch by validation), ``model.ckpt``, ``loss_curve.csv``, metatrain's log, and, written
    last, ``trained.json``. Safe to call from threads and processes, each with a folder of its own; metatrain gets one thread.

    :raises InputError: if the job cannot work, or its folder cannot be written
    :raises ComputationError: if the training fails, diverges, is killed, or is still running in another process; what it has
        written stays
    """
    options = job.options()
    require("metatrain", "mlip")
    sets = {name: clusters for name in _SETS if len(clusters := getattr(job, name))}
    identity: dict[str, Any] = {
        "model": job.model,
        "options_hash": _hash([json.dumps(options, sort_keys=True).encode()]),
        "data_hashes": {name: _hash(_content(clusters)) for name, clusters in sets.items()},
        "metatrain": package_version("metatrain"),
    }
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        # Metatrain inherits the lock, so that one left behind by a killed study still guards its folder.
        with held(job.folder, "a training is still running") as lock:
            if (finished := _finished(job.folder, identity)) is not None:
                return finished
            for leftover in ("outputs", "extensions"):
                shutil.rmtree(job.folder / leftover, ignore_errors=True)
            for leftover in (RECORD, _LOG, "model.pt", "model.ckpt", "loss_curve.csv", "options_full.yaml"):
                (job.folder / leftover).unlink(missing_ok=True)
            for name, clusters in sets.items():
                write_set(job.folder / f"{name}.xyz", clusters)
            (job.folder / "options.yaml").write_text(yaml.safe_dump(options, sort_keys=False))
            seconds = _run_metatrain(job, options, lock)
            record = identity | {"seconds": seconds, "model_hash": _hash([(job.folder / "model.pt").read_bytes()])}
            with replacing(job.folder / RECORD, "records") as partial:
                partial.write_text(json.dumps(record, indent=2) + "\n")
            return TrainedModel(folder=job.folder, **record)
    except OSError as error:
        raise InputError(f"a training must have a folder that can be written, {job.folder} cannot: {error}") from None


def _run_metatrain(job: TrainingJob, options: Mapping[str, Any], lock: int) -> float:
    """Run metatrain in the job's folder, leave the model and the loss curve there; wall time in seconds."""
    begin = time.monotonic()
    with (job.folder / _LOG).open("wb") as log:
        finished = subprocess.run(
            [sys.executable, "-m", "metatrain", "train", "options.yaml", "-o", "model.pt"],
            cwd=job.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            check=False,
        )
    seconds = time.monotonic() - begin
    curve = None
    for metrics in job.folder.glob("outputs/*/*/train.csv"):
        batch_size = options["architecture"]["training"]["batch_size"]
        batches = len(job.training) // batch_size, math.ceil(len(job.validation) / batch_size)
        curve = read_metatrain_log(metrics, *batches)
    if curve is not None:
        write_curve(curve, job.folder / "loss_curve.csv")
        finite = np.isfinite(curve["training_loss"]) & np.isfinite(curve["validation_loss"])
        if not finite.all():
            epoch = int(curve["epoch"][~finite][0])
            _fail(job, f"diverged: its loss is not finite from epoch {epoch} on; lower its learning rate")
    if finished.returncode < 0:
        _fail(job, f"was killed by {signal.Signals(-finished.returncode).name} (out of memory, perhaps)")
    if finished.returncode or curve is None or not (job.folder / "model.pt").is_file():
        reason = _last_words(job.folder / _LOG)
        if "cannot convert float" in reason:  # what metatrain makes of a loss that is not finite in the first epoch
            _fail(job, "diverged: its loss is not finite from epoch 0 on; lower its learning rate")
        _fail(job, f"failed: {reason}")
    for expanded in job.folder.glob("outputs/*/*/options_restart.yaml"):
        expanded.replace(job.folder / "options_full.yaml")
    shutil.rmtree(job.folder / "outputs")
    return seconds


def _fail(job: TrainingJob, what: str) -> NoReturn:
    raise ComputationError(f"training of {job.model} {what}; log: {job.folder / _LOG}")


def _last_words(log: Path) -> str:
    """The line of metatrain's log that says most about why it stopped."""
    report = log.read_text(errors="replace").rpartition("[ERROR]")[2]
    lines = [line.strip() for line in report.splitlines()]
    telling = [line for line in lines if line and not line.endswith(":") and not line.startswith(_BOILERPLATE)]
    return telling[-1] if telling else "it left no message"


def _environment() -> dict[str, str]:
    """Metatrain's environment: one thread, and neither a batch system's ranks nor anybody's experiment tracker."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "WANDB_"))}
    return inherited | dict.fromkeys(THREAD_VARIABLES, "1") | {"WANDB_MODE": "disabled"}


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


def _merge(options: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with ``changes`` on top, mapping by mapping."""
    merged = dict(options)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
