"""``tlm.sweep``: a scenario with many settings, as one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.core.arguments import expect, expect_each
from tlm.scenario.catalog import find_scenario
from tlm.sweeps.axes import axes_of
from tlm.sweeps.executors import own_workers, workers
from tlm.sweeps.plan import Request, make_plan
from tlm.sweeps.runner import run_plan
from tlm.sweeps.store import open_store
from tlm.sweeps.table import table

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
        processes: by default one per core; 1 means this process.
        dask: a scheduler's address, or "local".
        executor: anything else that speaks ``concurrent.futures.Executor``.

    Returns:
        One row per point, in their order: a DataFrame if pandas is installed, else a list of dictionaries.

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
    where, overrides = ([given] if isinstance(given, str) else given for given in (where, overrides))
    request = Request(axes_of(over or {}, "over"), sample, method, seed, where, overrides)
    plan = make_plan(find_scenario(str(scenario)), request)
    chosen = workers(processes, dask) if executor is None else nullcontext(own_workers(executor))
    place = None if directory is None else Path(directory)
    with chosen as ready, open_store(place, plan, "directory") as store:
        run_plan(plan, store, ready)
        return table(store.rows())
