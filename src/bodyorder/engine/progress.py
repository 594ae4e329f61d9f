"""Progress bars on anything longer than a second, and none where nobody looks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bodyorder.engine.jobs import Outcome

#: A bar appears when a run has lasted this long (s).
PATIENCE = 1.0


def track(outcomes: Iterable[Outcome], total: int, label: str, show: bool) -> Iterator[Outcome]:
    """Pass outcomes on while showing how many sub-clusters are done, on standard error.

    :param outcomes: the stream
    :param total: number of sub-clusters in all
    :param label: what they are
    :param show: False for no bar; there is none either if standard error is not a terminal
    """
    console = Console(stderr=True)
    if not show or not console.is_terminal:
        yield from outcomes
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    begin = time.monotonic()
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(label, total=total)
    try:
        for outcome in outcomes:
            if not bar.live.is_started and time.monotonic() - begin > PATIENCE:
                bar.start()
            bar.advance(task, len(outcome.task.batch))
            yield outcome
    finally:
        bar.stop()
