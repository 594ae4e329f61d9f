"""The programs that train: each runs in the folder of a training, in a process of its own, and what it says is read there."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from bodyorder._checks import ComputationError, require
from bodyorder._lifeline import run_module
from bodyorder.engine.executors import THREAD_VARIABLES
from bodyorder.training.job import LOSS_HISTORY, TrainingJob
from bodyorder.training.loss_history import read_metatrain_log, write_history
from bodyorder.training.models import curated_model

LOG = "training.log"

#: Architectures that metatrain does not have: our own programs for them, and the package that does the work.
_OWN = {"soap_ridge": ("bodyorder.training.soap_ridge", "featomic-torch")}

#: How lines begin that metatrain adds to an error.
_BOILERPLATE = ("- If the error", "The error above", "If you think", "For ", "====", "----", "http")


def program_of(model: str) -> str:
    """What trains a model, with its version.

    :raises InputError: if it is not installed
    """
    _, package = _OWN.get(curated_model(model).architecture, ("metatrain", "metatrain"))
    require(package.replace("-", "."), "mlip")
    return f"{package} {version(package)}"


def run_program(job: TrainingJob, options: Mapping[str, Any], lock: int) -> float:
    """Train in the job's folder, leave the model and, if there is one, the loss history there. It ends with this process.

    :param lock: file descriptor that the program inherits
    :return: wall time in seconds
    :raises ComputationError: if the program fails, is killed or diverges
    """
    own = _OWN.get(options["architecture"]["name"])
    command = [own[0], "options.yaml"] if own else ["metatrain", "train", "options.yaml", "-o", "model.pt"]
    begin = time.monotonic()
    with (job.folder / LOG).open("wb") as log:
        status = run_module(
            command,
            cwd=job.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
        )
    seconds = time.monotonic() - begin
    iterative = "num_epochs" in options["architecture"]["training"]
    history = _read_history(job, options["architecture"]["training"]["batch_size"]) if iterative else None
    if history is not None:
        write_history(history, job.folder / LOSS_HISTORY)
        finite = np.isfinite(history["training_loss"]) & np.isfinite(history["validation_loss"])
        if not finite.all():
            epoch = int(history["epoch"][~finite][0])
            _fail(job, _diverged(epoch))
    if status < 0:
        _fail(job, f"was killed by {signal.Signals(-status).name} (out of memory, perhaps)")
    if status or (iterative and history is None) or not (job.folder / "model.pt").is_file():
        reason = _last_words(job)
        if "cannot convert float" in reason:  # what metatrain makes of a loss that is not finite in the first epoch
            _fail(job, _diverged(0))
        _fail(job, f"failed: {reason}")
    for expanded in job.folder.glob("outputs/*/*/options_restart.yaml"):
        expanded.replace(job.folder / "options_full.yaml")
    shutil.rmtree(job.folder / "outputs", ignore_errors=True)
    return seconds


def _read_history(job: TrainingJob, batch_size: int) -> xr.Dataset | None:
    for metrics in job.folder.glob("outputs/*/*/train.csv"):
        batches = len(job.training) // batch_size, math.ceil(len(job.validation) / batch_size)
        return read_metatrain_log(metrics, *batches)
    return None


def _diverged(epoch: int) -> str:
    return f"diverged: its loss is not finite from epoch {epoch} on; lower its learning rate, or the weight of its energies"


def _fail(job: TrainingJob, what: str) -> NoReturn:
    raise ComputationError(f"training of {job.model} {what}; log: {job.folder / LOG}")


def _last_words(job: TrainingJob) -> str:
    """The line of a log that says most about why it stopped."""
    report = (job.folder / LOG).read_text(errors="replace").rpartition("[ERROR]")[2]
    lines = [line.strip() for line in report.splitlines()]
    telling = [line for line in lines if line and not line.endswith(":") and not line.startswith(_BOILERPLATE)]
    return telling[-1] if telling else "it left no message"


def _environment() -> dict[str, str]:
    """A program's environment: one thread, and neither a batch system's ranks nor anybody's experiment tracker."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "WANDB_"))}
    return inherited | dict.fromkeys(THREAD_VARIABLES, "1") | {"WANDB_MODE": "disabled"}
