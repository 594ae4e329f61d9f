"""How work is timed."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work: what other programs do meanwhile counts little."""
    start = time.process_time()
    work()
    return time.process_time() - start
