"""How points are handed to workers."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tlm.core.errors import TlmError
from tlm.sweeps.columns import FAILED, OK
from tlm.sweeps.executors import THIS_PROCESS, SerialExecutor, Workers, run_each, workers
from tlm.sweeps.plan import Plan, Request, make_plan
from tlm.sweeps.runner import open_tasks, run_tasks
from tlm.sweeps.store import Store
from tlm.sweeps.task import Outcome, Task


def new_store(plan: Plan) -> Store:
    store = Store(sqlite3.connect(":memory:"))
    store.begin(plan)
    return store


def deadly(together: Sequence[Task]) -> list[Outcome]:
    if together[0].config.chip.amem_banks == 2:
        os._exit(1)
    return [Outcome(task.key, OK) for task in together]


class Deadly(ProcessPoolExecutor):
    def submit(self, fn: Any, /, *arguments: Any, **options: Any) -> Any:
        return super().submit(deadly, *arguments, **options)


class Counting(SerialExecutor):
    def __init__(self) -> None:
        self.together: list[int] = []

    def submit(self, fn: Any, /, *arguments: Any, **options: Any) -> Any:
        self.together.append(len(arguments[0]))
        return super().submit(fn, *arguments, **options)


def test_points_of_one_simulation_go_to_one_worker_and_others_to_the_next(small: Path) -> None:
    plan = make_plan(small, Request(["energy.clock_pj=1,2,3", "chip.host_access_ns=20,40", "input.seed=1,2"]))
    executor, outcomes = Counting(), list[Outcome]()
    run_tasks(open_tasks(plan, new_store(plan)), lambda: executor, 4, outcomes.append)
    assert executor.together == [3] * 4
    assert {outcome.key: outcome.status for outcome in outcomes} == {point.key: OK for point in plan.points}
    many = make_plan(small, Request(["energy.clock_pj=1..40"]))
    tasks_of_many = open_tasks(many, new_store(many))
    run_tasks(tasks_of_many, lambda: executor, 4, outcomes.append)
    assert executor.together[4:] == [32, 8]
    slow = make_plan(small, Request(["energy.clock_pj=1,2"], overrides=["fidelity=cycle"]))  # each is simulated
    run_tasks(open_tasks(slow, new_store(slow)), lambda: executor, 4, outcomes.append)
    assert executor.together[6:] == [1, 1]


@pytest.mark.slow
def test_a_point_that_kills_its_worker_is_given_up_and_no_other_is(small: Path) -> None:
    plan = make_plan(small, Request(["chip.amem_banks=1,2,4,8", "input.seed=1..3"]))
    outcomes: list[Outcome] = []

    def pool() -> Executor:
        return Deadly(2, multiprocessing.get_context("forkserver"))

    run_tasks(open_tasks(plan, new_store(plan)), pool, 4, outcomes.append)
    keys = {point.key: point.config.chip.amem_banks for point in plan.points}
    assert len(outcomes) == len({outcome.key for outcome in outcomes}) == 12
    assert all((outcome.status == FAILED) == (keys[outcome.key] == 2) for outcome in outcomes)
    assert {outcome.error for outcome in outcomes} == {None, "its worker process died, twice; out of memory?"}


def inverse(number: int) -> float:
    """Of a number that is not 0; those below it take longest."""
    time.sleep(0.2 if number < 0 else 0)
    return 1 / number


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_item_in_its_order_up_to_the_first_error(processes: int) -> None:
    taken: list[float] = []
    with workers(processes) as ready:
        assert run_each(ready, inverse, [-1, 2, 4, -2, 8], taken.append) == taken == [-1, 0.5, 0.25, -0.5, 0.125]
        taken.clear()
        with pytest.raises(ZeroDivisionError):
            run_each(ready, inverse, iter([-1, 0, -2]), taken.append)
    assert taken == [-1]


def test_few_items_are_handed_over_at_a_time() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(9):
            asked.append(item)
            yield item

    wide = Workers(SerialExecutor, 3, "three")
    run_each(wide, abs, items(), lambda item: asked.append(-item))
    assert asked[:6] == [0, 1, 2, 3, 0, 4]
    assert run_each(THIS_PROCESS, abs, [-3, 2]) == [3, 2]


@pytest.mark.slow
def test_a_worker_that_dies_is_one_line() -> None:
    with pytest.raises(TlmError, match=r"a worker process died; out of memory\?"), workers(2) as ready:
        run_each(ready, os._exit, [1, 1])
