"""``tlm sweep``: a scenario with many settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from textwrap import fill

from tlm.cli.formats import print_as
from tlm.cli.progress import progress
from tlm.core.errors import InputError
from tlm.core.texts import counted
from tlm.scenario.catalog import find_scenario
from tlm.sweeps.columns import DIFFERS, FAILED, PENDING
from tlm.sweeps.executors import Workers, workers
from tlm.sweeps.front import done, failures, front_lines
from tlm.sweeps.plan import Plan, Request, make_plan
from tlm.sweeps.runner import open_tasks, run_plan
from tlm.sweeps.store import SNAPSHOT_NAME, Store, open_store, scenario_name
from tlm.sweeps.table import check_export, export

_OK, _DIFFERS = 0, 1


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C; its argument says how to go on."""


def run(arguments: argparse.Namespace) -> int:
    """Run it; 0 if no output differs from the golden model's, else 1. Points that fail are no failure of the sweep."""
    if arguments.processes is not None and arguments.dask not in (None, "local"):
        raise InputError("--processes: given beside --dask ADDRESS, which has its own; leave one of them out")
    directory, name = Path(arguments.scenario), None
    if directory.is_dir():
        path, name = directory / SNAPSHOT_NAME, scenario_name(directory)
    else:
        path = find_scenario(arguments.scenario)
        directory = Path(f"{path.stem}.sweep")
    directory = arguments.output or directory
    keys = ("over", "sample", "method", "seed", "where", "overrides")
    plan = make_plan(path, Request(**{key: getattr(arguments, key) for key in keys}), name)
    for file in arguments.export:
        check_export(file)
    with workers(arguments.processes, arguments.dask) as ready, open_store(directory, plan) as store:
        if arguments.retry_failed:
            store.forget_failed()
        _run(plan, store, ready, directory)
        counts, rows, about = store.counts(), store.rows(), store.about()
        for file in arguments.export:
            export(rows, file)
    status = _DIFFERS if counts.get(DIFFERS) else _OK
    if print_as(arguments, lambda: about | {"axes": list(plan.axes), "status": counts, "points": rows}, lambda: rows):
        return status
    kinds = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items(), key=lambda item: -item[1]))
    points = counted(len(plan.points), "point")
    print(f"{plan.name}: {points} over {', '.join(plan.axes)}: {kinds}")
    if done(rows):
        print("\n".join(front_lines(rows, plan.axes)))
    for line in failures(rows):
        print(fill(line, 80, subsequent_indent="  "))
    if counts.get(FAILED):
        print("failed points keep their messages (column error); --retry-failed runs them again")
    print(f"wrote {directory}; `tlm report {directory}` draws it")
    for file in arguments.export:
        print(f"wrote {file}")
    return status


def _run(plan: Plan, store: Store, ready: Workers, directory: Path) -> None:
    left = len(open_tasks(plan, store))
    if not left:
        return
    try:
        with progress(f"{plan.name} on {ready.text}", left) as count_one:
            run_plan(plan, store, ready, lambda _: count_one())
    except KeyboardInterrupt:
        done = sum(count for status, count in store.counts().items() if status != PENDING)
        raise _Interrupted(
            f"interrupted; {done:,} of {len(plan.points):,} points are in {directory}; the same command goes on"
        ) from None
