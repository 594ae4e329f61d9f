"""Processes of this machine that wait for calls. One that dies costs the call that it was at, and the others go on.

``concurrent.futures`` gives up a whole pool with the first of its processes, and so does loky. Pools whose processes take calls
from one pipe (Pebble) stand still when one dies that holds its lock. Here each has a pipe of its own, so it is known what it was
at, and nothing is held in common.
"""

from __future__ import annotations

import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from bodyorder._checks import first_line

#: Processes in a row that die before they have begun, after which no other is started.
_STILLBORN = 3


class WorkerDied(BrokenExecutor):
    """The process that was at a call ended, and gave no answer."""


class _Trace(Exception):
    """Where in its process a call failed."""


@dataclass(frozen=True)
class _Call:
    """A call that somebody waits for."""

    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@dataclass
class _Worker:
    """A process, the pipe to it, whether it has begun, and what it is at."""

    process: BaseProcess
    pipe: Connection
    begun: bool = False
    at: _Call | None = None


class ProcessPool(Executor):
    """Some processes, started when there is work for them. One that dies is replaced.

    A call whose process dies raises :class:`WorkerDied`. Where processes die before they have begun (a script that starts work
    outside ``if __name__ == "__main__"``, say), all calls raise :class:`~concurrent.futures.process.BrokenProcessPool`.

    :param workers: how many
    :param context: how they are started
    :param begin: what each does first
    :param arguments: of that, picklable
    """

    def __init__(
        self, workers: int, context: SpawnContext, begin: Callable[..., object], arguments: tuple[Any, ...] = ()
    ):
        self.workers = workers
        self._context, self._first = context, (begin, arguments)
        self._calls: deque[_Call] = deque()
        self._team: list[_Worker] = []
        self._n_stillborn = 0
        self._ending = False
        self._broken = ""
        self._lock = threading.Lock()
        self._bell, self._ring = context.Pipe(duplex=False)
        self._rung = False
        self._manager: threading.Thread | None = None

    @property
    def begun(self) -> bool:
        """Whether a process is ready for calls."""
        return any(worker.begun for worker in list(self._team))

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Have a function called; it and its arguments are pickled when a process is free.

        :raises BrokenProcessPool: if the pool has been given up
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._broken:
                raise BrokenProcessPool(self._broken)
            if self._ending:
                raise RuntimeError("a pool must be open to take calls, and is shut down")
            self._calls.append(_Call(future, function, arguments, options))
            if self._manager is None:
                self._manager = threading.Thread(target=self._manage, daemon=True, name="processes")
                self._manager.start()
            self._wake()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when all calls are answered.

        :param cancel_futures: give up calls that have not begun
        """
        with self._lock:
            self._ending = True
            given_up = [call.future for call in self._calls] if cancel_futures else []
            self._wake()
        for future in given_up:
            future.cancel()
        if wait and self._manager is not None:
            self._manager.join()

    def give_up(self, reason: str) -> None:
        """Start no process any more and answer no call; those that are at work end on their own account."""
        with self._lock:
            self._broken = self._broken or reason
            self._wake()

    def _wake(self) -> None:
        """Have the manager look again; the lock is held."""
        if not self._rung:
            self._rung = True
            self._ring.send_bytes(b"")

    # what follows runs in the thread of the manager

    def _manage(self) -> None:
        try:
            while self._assign():
                sentinels = {worker.process.sentinel: worker for worker in self._team}
                pipes = {worker.pipe: worker for worker in self._team}
                ready = wait([self._bell, *pipes, *sentinels])
                if self._bell in ready:
                    with self._lock:
                        self._bell.recv_bytes()
                        self._rung = False
                for worker in list(self._team):
                    if worker.pipe in ready:
                        self._hear(worker)
                    elif worker.process.sentinel in ready:
                        self._hear(worker) if worker.pipe.poll() else self._bury(worker)
        except Exception as error:  # no memory for another process, say
            self.give_up(f"{type(error).__name__}: {first_line(error)}")
            self._drop_calls()
        finally:
            for worker in self._team:
                worker.pipe.close()  # ends it
                if not worker.begun:
                    worker.process.terminate()
            for worker in self._team:
                worker.process.join()

    def _assign(self) -> bool:
        """Give calls to those that wait for one, and start processes for the others.

        :return: whether there is anything left to do
        """
        while True:
            with self._lock:
                if self._broken or not self._calls:
                    break
                idle = next((worker for worker in self._team if worker.begun and worker.at is None), None)
                if idle is None:
                    break
                call = self._calls.popleft()
            if call.future.set_running_or_notify_cancel():
                self._send(idle, call)
        if self._broken:
            self._drop_calls()
            return False
        with self._lock:
            coming = sum(not worker.begun for worker in self._team)
            missing = min(len(self._calls) - coming, self.workers - len(self._team))
            over = self._ending and not self._calls and all(worker.at is None for worker in self._team)
        for _ in range(missing):
            self._start()
        return not over

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, *self._first))
        process.start()
        theirs.close()
        self._team.append(_Worker(process, ours))

    def _send(self, worker: _Worker, call: _Call) -> None:
        try:
            message = pickle.dumps((call.function, call.arguments, call.options), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # whatever an argument raises
            call.future.set_exception(error)
            return
        worker.at = call
        try:
            worker.pipe.send_bytes(message)
        except OSError:  # it has just died
            self._bury(worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if not worker.begun:
            worker.begun, self._n_stillborn = True, 0
            return
        assert worker.at is not None
        future, worker.at = worker.at.future, None
        try:
            trace, given = pickle.loads(message)
        except Exception as error:  # whatever an answer raises
            trace, given = traceback.format_exc(), error
        if trace is None:
            future.set_result(given)
        else:
            given.__cause__ = _Trace(f"\n{trace}")
            future.set_exception(given)

    def _bury(self, worker: _Worker) -> None:
        self._team.remove(worker)
        worker.pipe.close()
        worker.process.join()
        how = _cause(worker.process.exitcode)
        if worker.at is not None:
            worker.at.future.set_exception(BrokenProcessPool(self._broken) if self._broken else WorkerDied(how))
        if not worker.begun:
            self._n_stillborn += 1
            if self._n_stillborn >= _STILLBORN:
                self.give_up(f"{self._n_stillborn} processes in a row ended before they had begun ({how})")

    def _drop_calls(self) -> None:
        with self._lock:
            waiting = [call.future for call in self._calls]
            self._calls.clear()
        running = [worker.at.future for worker in self._team if worker.at is not None]
        for future in [*running, *(future for future in waiting if future.set_running_or_notify_cancel())]:
            future.set_exception(BrokenProcessPool(self._broken))
        for worker in self._team:
            worker.at = None


def _cause(status: int | None) -> str:
    """How a process ended: by which signal, or with which status."""
    if status is None or status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # a signal without a name
        return f"killed by signal {-status}"


def _work(pipe: Connection, begin: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """What a process does: answers one call after the other until nobody is there to ask."""
    begin(*arguments)
    with suppress(EOFError, OSError):  # of the pipe, whose other end is gone; those of calls are answers
        pipe.send_bytes(b"")
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))


def _answer(message: bytes) -> bytes:
    # `sys.exit` in a call is no answer: it ends the process, and that is what is seen of it
    try:
        function, arguments, options = pickle.loads(message)
        return pickle.dumps((None, function(*arguments, **options)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        trace = traceback.format_exc()
        try:
            sent = pickle.dumps((trace, error))
            pickle.loads(sent)  # some can be made, and not be made again
        except Exception:
            sent = pickle.dumps((trace, RuntimeError(f"{type(error).__name__}: {first_line(error)}")))
        return sent
