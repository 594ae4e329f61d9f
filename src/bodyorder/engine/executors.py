"""Where batches run: in this process, in local worker processes, or on a Dask cluster. All speak ``concurrent.futures``."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

from bodyorder._checks import ComputationError, InputError, check_between, first_line, require
from bodyorder._lifeline import end_with
from bodyorder.engine.processes import ProcessPool
from bodyorder.sources.ase.folders import remove_folders

#: What tells numerical libraries, when they are loaded, how many threads to run.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

#: More processes than any one machine has cores are a mistake.
MOST_WORKERS = 4096

#: Seconds that it takes to start a worker process here and import this package in it, with others that do the same.
START_SECONDS = 2.0

#: Pipes whose closing ends worker processes, and the pools of these.
_lifelines: dict[Connection, LocalProcesses] = {}

#: What a Dask scheduler can listen to.
_PROTOCOLS = ("tcp", "tls", "ws", "wss", "ucx")


class LocalProcesses(ProcessPool):
    """Processes of this machine, one thread each, that end when this process does.

    :param workers: how many
    :param worth: seconds of work that are worth starting them; 0 where they are wanted in any case. They are not started before
        so much has been done in this process and as much is left.
    :param lifeline: closed when they have to end
    """

    def __init__(self, workers: int, worth: float, lifeline: Connection):
        # they read their numbers of threads when they start, as work comes in
        super().__init__(workers, multiprocessing.get_context("spawn"), _begin, (lifeline,))
        self.worth = worth


@contextmanager
def open_executor(workers: int = 1, url: str | None = None, worth: float = 0.0) -> Iterator[Executor | None]:
    """An executor for the time of a ``with`` block.

    :param workers: local worker processes; 1 means none, everything runs in this process
    :param url: address of a Dask scheduler (``tcp://host:port``), which is used instead
    :param worth: seconds of work that are worth starting local processes; 0 starts them in any case
    :return: the executor, or None for this process
    :raises InputError: if ``distributed`` is needed and not installed, or the address is none
    :raises ComputationError: if the scheduler does not answer
    """
    if url is not None:
        _check_address(url)
        distributed = require("distributed", "cluster")
        try:
            client = distributed.Client(url, timeout="20s")
        except OSError as error:
            raise ComputationError(
                f"a Dask scheduler must answer at {url}, and none does: {first_line(error)}"
            ) from None
        with client:
            # calls of a source need no name by their content, and naming them costs time
            yield client.get_executor(pure=False)
    elif check_between("workers", workers, 1, MOST_WORKERS) == 1:
        yield None
    else:
        with local_processes(workers, worth) as pool:
            yield pool


@contextmanager
def local_processes(workers: int, worth: float = 0.0) -> Iterator[LocalProcesses]:
    """Processes of this machine for the time of a ``with`` block, one thread each.

    They end when this process does, killed or not, and so do the programs that they started.

    :param worth: seconds of work that are worth starting them; 0 starts them in any case
    """
    theirs, ours = multiprocessing.Pipe(duplex=False)
    pool = LocalProcesses(workers, worth, theirs)
    _lifelines[ours] = pool
    try:
        with single_threaded_children(), pool:
            try:
                yield pool
            except Exception:
                raise
            except BaseException:  # an interrupt: what they are at is of no use to anybody
                _end(pool, ours)
                raise
    finally:
        del _lifelines[ours]
        ours.close()
        theirs.close()


def end_processes() -> None:
    """End all processes of :func:`local_processes` at once, for which threads may wait."""
    for lifeline, pool in list(_lifelines.items()):
        _end(pool, lifeline)


def _end(pool: LocalProcesses, lifeline: Connection) -> None:
    pool.give_up("worker processes were ended")
    lifeline.close()


def _begin(lifeline: Connection) -> None:
    """What a worker process does first."""
    if hasattr(os, "setpgrp"):  # a group of its own, to be ended as one with the programs of calculators
        os.setpgrp()
    end_with(lifeline.recv_bytes, remove_folders)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _PROTOCOLS and bool(parts.hostname) and parts.port is not None
    except ValueError:  # a port that is no number
        good = False
    if not good:
        raise InputError(f"`executor` must be the address of a Dask scheduler, such as tcp://host:8786, got {url!r}")


@contextmanager
def single_threaded_children() -> Iterator[None]:
    """Children started inside run one thread each unless the user asked for more: the processes share the cores already."""
    added = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
