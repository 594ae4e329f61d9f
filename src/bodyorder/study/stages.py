"""Resumable stages: what is finished is not run again, and a changed setting reruns what depends on it and nothing else."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder._files import held, replacing
from bodyorder.engine.executors import end_processes

#: Written last into a stage's folder: its presence says that the stage is finished.
RECORD = "stage.json"


@dataclass(frozen=True)
class Stage:
    """One step of a study, with a folder of its own.

    The folder's name ends in a hash of the settings and of all that the stage builds on. So a changed setting leads to another
    folder, and a setting changed back finds what it had made.

    :param name: such as ``train/pet/all``
    :param settings: whatever changes the outcome; JSON types only
    :param work: computes the outcome and writes it into the folder it is given
    :param needs: stages whose outcome this one reads
    """

    name: str
    settings: Mapping[str, Any]
    work: Callable[[Path], None]
    needs: tuple[Stage, ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of everything that the outcome depends on."""
        content = {
            "name": self.name,
            "settings": dict(self.settings),
            "needs": [stage.key for stage in self.needs],
            "bodyorder": version("bodyorder"),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def folder(self, root: Path) -> Path:
        """Where the stage keeps its files."""
        return root / "stages" / f"{self.name.replace('/', '-')}-{self.key[:10]}"

    def finished(self, root: Path) -> bool:
        """Whether the outcome is there."""
        return (self.folder(root) / RECORD).is_file()


@dataclass
class Progress:
    """What became of the stages of one run.

    :param say: told one line about each stage
    """

    say: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)

    def fail(self, name: str, reason: str, details: str) -> None:
        """Note that a stage failed, and say all that is known of it."""
        self.failed[name] = reason
        self.say(f"{name}: FAILED: {details}")

    def raise_if_failed(self, rest: str = "") -> None:
        """:raises ComputationError: naming every stage that failed or could not start, with ``rest`` at the end"""
        if self.failed:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            count = "1 stage" if len(self.failed) == 1 else f"{len(self.failed)} stages"
            them = "it" if len(self.failed) == 1 else "them"
            raise ComputationError(f"{count} failed, run the study again to repeat {them}: {reasons}{rest}")


def run_stages(stages: Sequence[Stage], root: Path, progress: Progress) -> None:
    """Run those stages that are not finished, one after the other. A stage that fails stops only what builds on it.

    :param stages: what builds on another comes after it
    :param root: folder of the study
    :param progress: is told what happens, and collects the failures
    """
    for stage in stages:
        _run(stage, root, progress)


def run_chains(chains: Sequence[Sequence[Stage]], root: Path, progress: Progress, workers: int) -> None:
    """Run chains of stages that are independent of each other, several at a time.

    :param chains: each as for :func:`run_stages`
    :param workers: chains at a time, each in a thread; for stages that wait for other processes
    """
    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(run_stages, chain, root, progress) for chain in chains]
        try:
            for future in running:
                future.result()
        except (KeyboardInterrupt, SystemExit):  # a thread cannot be ended, the processes that it waits for can
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in running):
                end_processes()
                wait(running, timeout=0.1)
            raise


def _run(stage: Stage, root: Path, progress: Progress) -> None:
    if stage.finished(root):
        progress.say(f"{stage.name}: done before")
        return
    broken = [need.name for need in stage.needs if need.name in progress.failed]
    if broken:
        progress.failed[stage.name] = f"needs {', '.join(broken)}"
        progress.say(f"{stage.name}: not started, it needs {', '.join(broken)}")
        return
    folder = stage.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    try:
        stage.work(folder)
    except (ComputationError, InputError, OSError) as error:
        progress.fail(stage.name, first_line(error), str(error))
        return
    except Exception as error:  # a library ran out of memory, say: the rest of the study goes on
        reason = f"{type(error).__name__}: {first_line(error)}"
        progress.fail(stage.name, reason, "".join(traceback.format_exception(error)).rstrip())
        return
    seconds = time.monotonic() - begin
    record = {"name": stage.name, "key": stage.key, "settings": dict(stage.settings), "seconds": round(seconds, 1)}
    with replacing(folder / RECORD, "records") as partial:
        partial.write_text(json.dumps(record | {"needs": [need.key for need in stage.needs]}, indent=2) + "\n")
    progress.say(f"{stage.name}: {seconds:.0f} s")


@contextmanager
def open_root(path: str | Path) -> Iterator[Path]:
    """The folder of a study, made if need be, held alone for the time of a ``with`` block.

    :raises InputError: if it cannot be made or written
    :raises ComputationError: if another process holds it
    """
    root = Path(path)
    try:
        (root / "stages").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"`output` must be a folder that can be written, {root} cannot: {error.strerror}") from None
    with held(root, "another study is running"):
        yield root


def record_of(stages: Iterable[Stage], root: Path) -> dict[str, Any]:
    """Settings, seconds and keys of the finished ones among some stages, by name."""
    found = {}
    for stage in stages:
        if stage.finished(root):
            found[stage.name] = json.loads((stage.folder(root) / RECORD).read_text())
    return found
