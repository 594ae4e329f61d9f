"""Options that say where energies are kept and who computes them, and what follows from them."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING

from bodyorder.cli.sources import trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bodyorder.sources.protocol import EnergySource


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where energies are kept and who computes them."""
    parser.add_argument("--store", metavar="FILE", help="energies already computed; what is computed is added")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="N", help="worker processes (default: the cores, as soon as they pay off)"
    )
    where.add_argument("--executor", metavar="URL", help="address of a Dask scheduler, tcp://host:port")


def load_sources(args: argparse.Namespace, specs: Iterable[str]) -> tuple[list[EnergySource], tuple[int, float]]:
    """Sources by their specs, and what :func:`workers_for` says of them."""
    from bodyorder.sources import load_source

    begin = time.perf_counter()
    sources = [load_source(trusted(spec, args.trust)) for spec in specs]
    return sources, workers_for(args.workers, sources, time.perf_counter() - begin)


def workers_for(wanted: int | None, sources: list[EnergySource], loaded: float) -> tuple[int, float]:
    """Worker processes, and the seconds of work that are worth starting them.

    They pay for sources that do one sub-cluster after the other, if there is enough to do; others use the cores by themselves.

    :param wanted: how many the user wants, in any case
    :param loaded: seconds that loading the sources took, which every one of them does again
    """
    from bodyorder.engine.executors import START_SECONDS

    if wanted is not None:
        return wanted, 0.0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (cores if any(source.capabilities.serial for source in sources) else 1), START_SECONDS + loaded


def announcer() -> Callable[[str], None]:
    """What prints the line of what was read, once for all sources to which it is the same."""
    said: set[str] = set()

    def announce(line: str) -> None:
        if line not in said:
            print(f"read: {line}")
        said.add(line)

    return announce
