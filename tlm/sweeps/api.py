"""``tlm.sweep``: a scenario with many settings, as one call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.arguments import expect, expect_each
from tlm.scenario.catalog import find_scenario
from tlm.sweeps.axes import Axis, axes_of
from tlm.sweeps.executors import Workers, own_workers, workers
from tlm.sweeps.plan import Plan, Point, Request, make_plan
from tlm.sweeps.runner import run_tasks
from tlm.sweeps.store import Store, open_store
from tlm.sweeps.table import table
from tlm.sweeps.task import Outcome, Task, compile_key

if TYPE_CHECKING:
    import pandas as pd


def sweep(
    scenario: str | Path,
    over: Mapping[str, Sequence[Any] | str] | None = None,
    *,
    sample: int | None = None,
    method: str | None = None,
    seed: int | None = None,
    where: str | Sequence[str] = (),
    overrides: str | Sequence[str] = (),
    directory: str | Path | None = None,
    processes: int | None = None,
    dask: str | None = None,
    executor: Executor | None = None,
) -> pd.DataFrame | list[dict[str, Any]]:
    """Run a scenario with many settings.

    A script that uses several processes must start its work under ``if __name__ == "__main__":``.

    Args:
        scenario: file, or the name of one that ``tlm list`` shows; its section [sweep] counts, too.
        over: key -> values, or text such as ``"1..9"``; any key of a scenario file.
        sample: so many draws instead of every combination.
        method: of a sample, "lhs" or "random".
        seed: of a sample.
        where: expressions over keys that every point has to meet.
        overrides: ``"chip.voltage_v=0.8"``, for all points.
        directory: keep results there; a sweep that was interrupted goes on.
        processes: by default one a core; 1 means this process.
        dask: a scheduler's address, or "local".
        executor: anything else that speaks ``concurrent.futures.Executor``.

    Returns:
        A row a point, in their order: a DataFrame if pandas is installed, else a list of dictionaries.

    Raises:
        InputError: anything wrong with what was asked, before anything runs.
    """
    nothing = type(None)
    expect("scenario", scenario, (str, Path))
    expect("over", over, (Mapping, nothing))
    for key, number in (("sample", sample), ("seed", seed), ("processes", processes)):
        expect(key, number, (int, nothing))
    expect("method", method, (str, nothing))
    expect_each("where", where, str)
    expect_each("overrides", overrides, str)
    expect("directory", directory, (str, Path, nothing))
    expect("dask", dask, (str, nothing))
    expect("executor", executor, (Executor, nothing))
    axes: list[Axis] = axes_of(over or {}, "over")
    request = Request(axes, sample, method, seed, _texts(where), _texts(overrides))
    plan = make_plan(find_scenario(str(scenario)), request)
    store_of = nullcontext(_new_store(plan)) if directory is None else open_store(Path(directory), plan, "directory")
    chosen = workers(processes, dask) if executor is None else nullcontext(own_workers(executor))
    with chosen as ready, store_of as store:
        run_plan(plan, store, ready)
        return table(store.rows())


def run_plan(plan: Plan, store: Store, ready: Workers, ended: Callable[[Outcome], None] = lambda _: None) -> None:
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
    groups: dict[str, int] = {}
    programs: dict[Hashable, int] = {}
    left: dict[str, tuple[int, int, int, Point]] = {}
    for point in plan.points:
        program = (point.group, compile_key(point.config.chip))
        order = groups.setdefault(point.group, point.index), programs.setdefault(program, point.index), point.index
        if point.key not in done:
            left.setdefault(point.key, (*order, point))
    ordered = [point for *_, point in sorted(left.values(), key=lambda entry: entry[:3])]
    return [Task(point.key, plan.name, point.config, point.group) for point in ordered]


def _texts(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _new_store(plan: Plan) -> Store:
    store = Store.in_memory()
    store.begin(plan)
    return store
