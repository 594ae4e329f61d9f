"""Work of a stage in a process of its own: on this machine, or on a worker of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any, TypeVar

from bodyorder._checks import ComputationError, first_line
from bodyorder.engine.dispatch import worker_died
from bodyorder.engine.executors import local_processes, open_executor

Outcome = TypeVar("Outcome")


def run_elsewhere(url: str | None, function: Callable[..., Outcome], *arguments: Any) -> Outcome:
    """Call a function in a process of its own, so that what kills the process fails this call and nothing else.

    :param url: address of a Dask scheduler, whose workers must see the same files; None for this machine
    :param function: of a module, so that it can be sent
    :param arguments: picklable
    :return: what it returns
    :raises ComputationError: if the process dies; whatever else the function raises is raised here
    """
    if url is None:
        with local_processes(1) as pool:
            return _outcome(pool.submit(function, *arguments))
    with open_executor(url=url) as cluster:
        assert cluster is not None
        return _outcome(cluster.submit(function, *arguments))


def _outcome(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenExecutor:
        raise ComputationError("its process was killed (out of memory, perhaps)") from None
    except Exception as error:
        if worker_died(error):
            raise ComputationError(f"its worker was killed (out of memory, perhaps): {first_line(error)}") from None
        raise
