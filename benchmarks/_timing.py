"""How work is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
from ase.units import Hartree

from bodyorder.sources import load_source
from bodyorder.structures import ClusterBatch


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work: what other programs do meanwhile counts little."""
    start = time.process_time()
    work()
    return time.process_time() - start


def timed_energies(spec: str, batches: Iterable[ClusterBatch], forces: bool = False) -> tuple[float, np.ndarray]:
    """Processor time of a source that has been loaded, and its energies of all batches in hartree.

    :param forces: whether forces are computed, too
    """
    source = load_source(spec)
    start = time.process_time()
    found = [source.energies_and_forces(batch)[0] if forces else source.energies(batch) for batch in batches]
    return time.process_time() - start, np.concatenate(found) / Hartree
