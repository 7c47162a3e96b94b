"""Ctrl-C at any moment leaves no lock taken that the executor's own thread needs: nothing waits for ever."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, _base
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tlm.sweeps.executors import Workers, run_each
from tlm.sweeps.plan import Request, make_plan
from tlm.sweeps.runner import run_tasks
from tlm.sweeps.task import Task

LOCKING = {_base.__file__, threading.__file__}


class Late(Executor):
    """A thread gives each result a little later."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def submit(self, fn: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def give() -> None:
            time.sleep(0.001)
            if future.set_running_or_notify_cancel():
                future.set_result([])

        self.threads.append(threading.Thread(target=give, daemon=True))
        self.threads[-1].start()
        return future


def runs_until_moment(moment: int, work: Callable[[], None]) -> bool:
    """Press Ctrl-C at one moment of Python's own futures and locks; the executor's own moments do not count.

    Returns:
        Whether the work took so long.
    """
    passed = 0

    def press_in_time(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        nonlocal passed
        passed += 1
        if passed < moment:
            return press_in_time
        sys.settrace(None)
        frame.f_trace = None
        signal.raise_signal(signal.SIGINT)
        return None

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        caller: FrameType | None = frame
        while caller is not None:
            if caller.f_code is Late.submit.__code__:
                return None
            caller = caller.f_back
        if frame.f_code.co_filename not in LOCKING:
            return None
        frame.f_trace_opcodes = True
        return press_in_time(frame, event, argument)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(KeyboardInterrupt):
            work()
    finally:
        sys.settrace(before)
    return passed >= moment


def run_each_of(tasks: list[Task], late: Late) -> None:
    run_each(Workers(lambda: late, 2, "late"), str, tasks)


def run_as_a_sweep(tasks: list[Task], late: Late) -> None:
    run_tasks(tasks, lambda: late, 2, lambda _: None)


@pytest.mark.parametrize("work", [run_each_of, run_as_a_sweep])
def test_ctrl_c_at_any_moment_leaves_no_lock_taken(small: Path, work: Callable[[list[Task], Late], None]) -> None:
    plan = make_plan(small, Request(["chip.amem_banks=1,2,4"]))
    tasks = [Task(point.key, plan.name, point.config, point.group) for point in plan.points]
    moment, reached = 0, True
    while reached:
        moment, late = moment + 1, Late()
        reached = runs_until_moment(moment, partial(work, tasks, late))
        for thread in late.threads:
            thread.join(10)
            assert not thread.is_alive(), f"moment {moment}: a future's lock is still taken"
    assert moment > 50  # else the moments are not where they were
