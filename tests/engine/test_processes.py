"""A process that dies costs its call, and nothing else."""

import multiprocessing
import os
import signal
import sys
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import pytest

from bodyorder._checks import InputError, check_between
from bodyorder.engine.processes import ProcessPool, WorkerDied

#: Seconds after which a test has hung.
PATIENCE = 120


@contextmanager
def pool(workers=2, begin=os.getpid, arguments=()):
    with ProcessPool(workers, multiprocessing.get_context("spawn"), begin, arguments) as opened:
        yield opened


class Travelling:
    """Does something in whatever process it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_calls_are_answered_in_two_processes():
    with pool() as opened:
        assert not opened.begun
        futures = [opened.submit(pow, 3, power) for power in range(200)]
        assert [future.result(PATIENCE) for future in futures] == [3**power for power in range(200)]
        assert opened.begun
        assert opened.submit(int, "11", base=2).result(PATIENCE) == 3
        assert opened.submit(os.getpid).result(PATIENCE) != os.getpid()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ((os._exit, 3), "exit status 3"),
        ((os._exit, 0), "exit status 0"),
        ((sys.exit, 1), "exit status 1"),
        ((os.abort,), "killed by SIGABRT"),
        ((signal.raise_signal, signal.SIGKILL), "killed by SIGKILL"),
        # while it reads the call
        ((print, Travelling(signal.raise_signal, signal.SIGKILL)), "killed by SIGKILL"),
    ],
)
def test_a_process_that_dies_costs_its_call(call, said):
    with pool() as opened:
        before = [opened.submit(pow, 2, power) for power in range(10)]
        lost = [opened.submit(*call) for _ in range(3)]
        after = [opened.submit(pow, 2, power) for power in range(10)]
        wait([*before, *lost, *after], PATIENCE)
        assert [future.result(0) for future in [*before, *after]] == [2**power for power in range(10)] * 2
        for future in lost:
            with pytest.raises(WorkerDied, match=f"^{said}$"):
                future.result(0)


def test_half_an_answer_is_none():
    """The process is killed by another one while it sends more than a pipe holds."""
    with pool(workers=1) as opened:
        process = opened.submit(os.getpid).result(PATIENCE)
        future = opened.submit(bytes, 10**8)
        while not future.running():
            pass
        os.kill(process, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="killed by SIGKILL"):
            future.result(PATIENCE)
        assert opened.submit(os.getpid).result(PATIENCE) != process


def test_errors_come_back():
    with pool(workers=1) as opened:
        process = opened.submit(os.getpid).result(PATIENCE)
        with pytest.raises(ValueError, match="invalid literal"):
            opened.submit(int, "x").result(PATIENCE)
        with pytest.raises(InputError, match="`it` must be between 3 and 3, got 4"):
            opened.submit(check_between, "it", 4, 3, 3).result(PATIENCE)
        with pytest.raises(ModuleNotFoundError, match="nowhere"):
            opened.submit(print, Travelling(__import__, "nowhere")).result(PATIENCE)
        with pytest.raises(Exception, match="pickle"):
            opened.submit(print, lambda: None).result(PATIENCE)
        with pytest.raises(Exception, match="pickle"):
            opened.submit(open, os.devnull).result(PATIENCE)
        assert opened.submit(os.getpid).result(PATIENCE) == process


def test_processes_that_cannot_begin_break_the_pool():
    with pool(begin=os._exit, arguments=(7,)) as opened:
        futures = [opened.submit(pow, 2, 2) for _ in range(5)]
        for future in futures:
            with pytest.raises(BrokenProcessPool, match=r"in a row ended before they had begun \(exit status 7\)"):
                future.result(PATIENCE)
        with pytest.raises(BrokenProcessPool, match="ended before they had begun"):
            opened.submit(pow, 2, 2)


def test_what_has_not_begun_can_be_given_up():
    with pool(workers=1) as opened:
        futures = [opened.submit(pow, 2, power) for power in range(50)]
        opened.shutdown(wait=True, cancel_futures=True)
        assert all(future.cancelled() or future.result(0) == 2**power for power, future in enumerate(futures))
        assert any(future.cancelled() for future in futures)
        with pytest.raises(RuntimeError, match="is shut down"):
            opened.submit(pow, 2, 2)


def test_a_pool_without_work_starts_nothing():
    with pool():
        assert not multiprocessing.active_children()


def test_a_pool_that_is_given_up_answers_nothing_more():
    with pool(workers=1) as opened:
        opened.submit(pow, 2, 2).result(PATIENCE)
        futures = [opened.submit(pow, 2, power) for power in range(10**3)]
        opened.give_up("it is late")
        errors = {str(future.exception(PATIENCE)) for future in futures}
        assert {"it is late"} <= errors <= {"it is late", "None"}
