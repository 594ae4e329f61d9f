"""Where batches run: in this process, in local worker processes, or on a Dask cluster. All speak ``concurrent.futures``."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from bodyorder._checks import ComputationError, check_between, require

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def open_executor(workers: int = 1, url: str | None = None) -> Iterator[Executor | None]:
    """An executor for the time of a ``with`` block.

    :param workers: local worker processes; 1 means none, everything runs in this process
    :param url: address of a Dask scheduler (``tcp://host:port``), which is used instead
    :return: the executor, or None for this process
    :raises InputError: if ``distributed`` is needed and not installed
    :raises ComputationError: if the scheduler does not answer
    """
    if url is not None:
        distributed = require("distributed", "cluster")
        try:
            client = distributed.Client(url, timeout="20s")
        except OSError as error:
            raise ComputationError(f"a Dask scheduler must answer at {url}, and none does: {error}") from None
        with client:
            yield client.get_executor()
    elif check_between("workers", workers, 1, 4096) == 1:
        yield None
    else:
        with _single_threaded_children():
            pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
            # Processes start with the first call, and read their numbers of threads then.
            pool.submit(os.getpid).result()
        with pool:
            yield pool


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Children started inside run one thread each unless the user asked for more: the processes share the cores already."""
    added = [name for name in _THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
