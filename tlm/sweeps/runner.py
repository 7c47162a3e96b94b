"""Points through an executor into the store: few at a time, each committed as it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from itertools import chain
from typing import TypeAlias

from msgspec.structs import replace

from tlm.core.errors import TlmError
from tlm.observe.energy_table import EnergyConfig
from tlm.runs.values_once import SIMULATED_ONCE
from tlm.scenario.schema import Scenario
from tlm.sweeps.columns import FAILED
from tlm.sweeps.executors import Workers, abandon
from tlm.sweeps.plan import Plan, Point
from tlm.sweeps.pool import Calls
from tlm.sweeps.store import Store
from tlm.sweeps.task import Outcome, Task, compile_key, run_together

Record: TypeAlias = Callable[[Outcome], None]
Pending: TypeAlias = dict["Future[list[Outcome]]", Sequence[Task]]

_MOST_TOGETHER = 32
"""Points that go to a worker at once, though a single simulation serves more."""


def run_plan(plan: Plan, store: Store, ready: Workers, ended: Record = lambda _: None) -> None:
    """Run what the store does not have yet.

    Args:
        plan: what to run.
        store: takes the results.
        ready: runs them.
        ended: told of each point's end, when it is committed.
    """

    def record(outcome: Outcome) -> None:
        store.add(outcome)
        ended(outcome)

    run_tasks(open_tasks(plan, store), ready.make_executor, ready.width, record)


def open_tasks(plan: Plan, store: Store) -> list[Task]:
    """What is left to do; points that share a network or a program follow each other, so that it is made once."""
    done = store.done()
    first: dict[Hashable, int] = {}
    left: dict[str, Point] = {}
    for point in plan.points:
        first.setdefault(point.group, point.index)
        first.setdefault(_program_of(point), point.index)
        if point.key not in done:
            left.setdefault(point.key, point)
    ordered = sorted(left.values(), key=lambda point: (first[point.group], first[_program_of(point)], point.index))
    return [Task(point.key, plan.name, point.config, point.group) for point in ordered]


def run_tasks(tasks: Iterable[Task], make_executor: Callable[[], Executor], width: int, record: Record) -> None:
    """Run all tasks.

    A worker process that dies breaks a process pool with all that is in it. The points that were under way then run
    again one by one, in pools of their own, so that only one that ends its worker by itself is given up.

    Args:
        tasks: in the order in which they are started.
        make_executor: anything that speaks ``concurrent.futures.Executor``; called again when one broke.
        width: how many tasks are handed over at once; those that one simulation serves count as one.
        record: takes each outcome, in the order in which they end.

    Raises:
        TlmError: the executor has gone (a cluster whose scheduler ended).
    """
    waiting, suspects = deque(tasks), deque[Task]()
    while waiting or suspects:
        alone = bool(suspects)
        queue = deque([suspects.popleft()]) if alone else waiting
        broken = _run_until_broken(queue, make_executor, 1 if alone else width, record)
        if alone and broken:
            record(Outcome(broken[0].key, FAILED, "its worker process died, twice; out of memory?"))
        else:
            suspects.extend(broken)


def _program_of(point: Point) -> Hashable:
    return point.group, compile_key(point.config.chip)


def _run_until_broken(
    queue: deque[Task], make_executor: Callable[[], Executor], width: int, record: Record
) -> list[Task]:
    """Run a queue; what was under way when the executor broke, else nothing."""
    executor = make_executor()
    calls, under_way = Calls[list[Outcome]](executor), Pending()
    try:
        while queue or under_way:
            while queue and len(under_way) < width:
                tasks = _next_together(queue)
                try:
                    under_way[calls.begin(run_together, tasks)] = tasks
                except BrokenExecutor:
                    return [*tasks, *chain(*under_way.values())]
            future = calls.next_ended()
            if _is_broken(future):
                return list(chain(*under_way.values()))
            for outcome in _outcomes(future, under_way.pop(future)):
                record(outcome)
        executor.shutdown()
        return []
    finally:
        abandon(executor, under_way)


def _next_together(queue: deque[Task]) -> list[Task]:
    """The next point, and those behind it that the same simulation serves: they differ in energies only."""
    tasks = [queue.popleft()]
    simulated = _without_energies(tasks[0])
    most = _MOST_TOGETHER if simulated.fidelity in SIMULATED_ONCE else 1
    while queue and len(tasks) < most and _without_energies(queue[0]) == simulated:
        tasks.append(queue.popleft())
    return tasks


def _without_energies(task: Task) -> Scenario:
    return replace(task.config, energy=EnergyConfig())


def _is_broken(future: Future[list[Outcome]]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _outcomes(future: Future[list[Outcome]], tasks: Sequence[Task]) -> list[Outcome]:
    try:
        return future.result()
    except CancelledError:
        raise TlmError("the executor has gone; what was done is kept, the same command goes on") from None
    except Exception as error:  # of the executor: a Dask worker that died again and again, a result that was lost
        return [Outcome(task.key, FAILED, f"{type(error).__name__}: {error}") for task in tasks]
