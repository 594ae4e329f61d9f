"""Resumable stages: what is finished is not run again, and a changed setting reruns what depends on it and nothing else.

Also their work in a process of its own: on this machine, or on a worker of a Dask cluster.
"""

from __future__ import annotations

import glob
import hashlib
import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from bodyorder._checks import ComputationError, InputError, first_line
from bodyorder._files import held, replacing
from bodyorder.engine.dispatch import worker_died
from bodyorder.engine.executors import end_processes, local_processes, open_executor

#: Written last into a stage's folder: its presence says that the stage is finished.
RECORD = "stage.json"

Returned = TypeVar("Returned")


@cache
def code_version() -> str:
    """Version of this package as it was when the process asked first: of one under development the hash of its files, too."""
    number = version("bodyorder")
    return f"{number}+{source_hash(Path(__file__).parents[1])}" if ".dev" in number else number


def source_hash(package: Path) -> str:
    """Hash of the files of a package, data among them, and of where in it they are; not of its place, nor of times.

    :param package: its folder
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*"), key=lambda path: path.relative_to(package).parts):
        parts = path.relative_to(package).parts
        # what Python compiles and editors leave is no source
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            content = path.read_bytes()
            digest.update(f"{'/'.join(parts)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


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
    _keys: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def key(self) -> str:
        """Hash of everything that the outcome depends on."""
        return self.key_with(code_version())

    def key_with(self, code: str) -> str:
        """The key that the stage has where the code of this package is another.

        :param code: what :func:`code_version` is there
        """
        if code not in self._keys:
            content = {
                "name": self.name,
                "settings": dict(self.settings),
                "needs": [stage.key_with(code) for stage in self.needs],
                "bodyorder": code,
            }
            self._keys[code] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return self._keys[code]

    def folder(self, root: Path) -> Path:
        """Where the stage keeps its files."""
        return root / "stages" / f"{self._stem}-{self.key[:10]}"

    def made_by_other_code(self, root: Path) -> bool:
        """Whether the outcome is there, with all the same settings, of another version of this package, and of this one not."""
        if self.finished(root):
            return False
        for record in (root / "stages").glob(f"{glob.escape(self._stem)}-*/{RECORD}"):
            found = json.loads(record.read_text())
            if "code" in found and found["key"] == self.key_with(found["code"]):
                return True
        return False

    @property
    def _stem(self) -> str:
        return self.name.replace("/", "-")

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
    record = {
        "name": stage.name,
        "key": stage.key,
        "code": code_version(),
        "settings": dict(stage.settings),
        "needs": [need.key for need in stage.needs],
        "seconds": round(seconds, 1),
    }
    with replacing(folder / RECORD, "records") as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n")
    progress.say(f"{stage.name}: {seconds:.0f} s")


def say_of_other_code(stages: Iterable[Stage], root: Path, say: Callable[[str], None]) -> None:
    """Tell in one line how many stages are done again although only the code of this package is another."""
    if count := sum(stage.made_by_other_code(root) for stage in stages):
        said = (
            "1 stage was made by other code of bodyorder and is"
            if count == 1
            else (f"{count} stages were made by other code of bodyorder and are")
        )
        say(f"{said} computed anew")


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


def in_own_process(url: str | None, function: Callable[..., Returned], *arguments: Any) -> Returned:
    """Call a function in a process of its own, so that what kills the process fails this call and nothing else.

    :param url: address of a Dask scheduler, whose workers must see the same files; None for this machine
    :param function: of a module, so that it can be sent
    :param arguments: picklable
    :return: what it returns
    :raises ComputationError: if the process dies; whatever else the function raises is raised here
    """
    if url is None:
        with local_processes(1) as pool:
            return _returned(pool.submit(function, *arguments))
    with open_executor(url=url) as cluster:
        assert cluster is not None
        return _returned(cluster.submit(function, *arguments))


def _returned(future: Future[Returned]) -> Returned:
    try:
        return future.result()
    except BrokenExecutor:
        raise ComputationError("its process was killed (out of memory, perhaps)") from None
    except Exception as error:
        if worker_died(error):
            raise ComputationError(f"its worker was killed (out of memory, perhaps): {first_line(error)}") from None
        raise
