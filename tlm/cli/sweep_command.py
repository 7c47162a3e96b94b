"""``tlm sweep``: a scenario with many settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.arguments import add_scenario
from tlm.cli.progress import rated_progress

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands
    from tlm.sweeps.plan import Plan
    from tlm.sweeps.store import Store
    from tlm.sweeps.task import Outcome

_OK, _DIFFERS = 0, 1


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm sweep``."""
    parser = commands.add_parser(
        "sweep",
        help="run a scenario with many settings, on all cores or a Dask cluster",
        description="Runs a point for every combination of values, or a sample of them. Results are kept in "
        "DIR/sweep.sqlite as points end; the same command goes on where it was interrupted. SCENARIO may be such "
        "a DIR, too.",
    )
    add_scenario(parser)
    parser.add_argument(
        "--over", action="append", default=[], metavar="KEY=VALUES",
        help="vary a key: chip.amem_banks=1,2,4,8, network.taps=1..9, fidelity=pass,cycle (may be repeated)",
    )  # fmt: skip
    parser.add_argument("--sample", type=int, metavar="N", help="N draws instead of every combination")
    parser.add_argument("--method", metavar="NAME", help="of a sample: lhs (Latin hypercube, default) or random")
    parser.add_argument("--seed", type=int, metavar="S", help="of a sample (default: 0)")
    parser.add_argument(
        "--where", action="append", default=[], metavar="EXPRESSION",
        help="points have to meet it, e.g. 'chip.amem_banks * chip.amem_words <= 65536' (may be repeated)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="results (default: SCENARIO.sweep)")
    parser.add_argument("--processes", type=int, metavar="N", help="on this machine (default: one a core)")
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="run on the workers of a Dask scheduler, or 'local' to start some here"
    )
    parser.add_argument("--retry-failed", action="store_true", help="run points again that failed before")
    parser.add_argument(
        "--export", action="append", default=[], type=Path, metavar="FILE", help="write the table, .csv or .parquet"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; 0 if no output differs from the golden model's, else 1. Points that fail are no failure of the sweep."""
    from tlm.core.errors import InputError
    from tlm.scenario.catalog import find_scenario
    from tlm.sweeps.executors import workers
    from tlm.sweeps.plan import Request, make_plan
    from tlm.sweeps.store import SNAPSHOT_NAME, open_store, scenario_name
    from tlm.sweeps.table import check_export, export

    if arguments.processes is not None and arguments.dask not in (None, "local"):
        raise InputError("--processes: given beside --dask ADDRESS, which has its own; leave one of them out")
    request = Request(
        arguments.over, arguments.sample, arguments.method, arguments.seed, arguments.where, arguments.overrides
    )
    directory, name = Path(arguments.scenario), None
    if directory.is_dir():
        path, name = directory / SNAPSHOT_NAME, scenario_name(directory)
    else:
        path = find_scenario(arguments.scenario)
        directory = Path(f"{path.stem}.sweep")
    directory = arguments.output or directory
    plan = make_plan(path, request, name)
    for file in arguments.export:
        check_export(file)
    with workers(arguments.processes, arguments.dask) as ready, open_store(directory, plan) as store:
        if arguments.retry_failed:
            store.forget_failed()
        _run(plan, store, ready, directory)
        counts = store.counts()
        for file in arguments.export:
            export(store.rows(), file)
    print(_summary(plan, counts, directory))
    for file in arguments.export:
        print(f"wrote {file}")
    return _DIFFERS if counts.get("differs") else _OK


def _run(plan: Plan, store: Store, ready: object, directory: Path) -> None:
    from tlm.sweeps.api import open_tasks, run_plan
    from tlm.sweeps.executors import Workers
    from tlm.sweeps.runner import SweepInterrupted

    assert isinstance(ready, Workers)
    left = len(open_tasks(plan, store))
    if not left:
        return
    try:
        with rated_progress(f"{plan.name} on {ready.text}", left, "points") as count_one:

            def ended(_: Outcome) -> None:
                count_one()

            run_plan(plan, store, ready, ended)
    except KeyboardInterrupt:
        counts = store.counts()
        done = sum(count for status, count in counts.items() if status != "pending")
        raise SweepInterrupted(
            f"interrupted; {done:,} of {len(plan.points):,} points are in {directory}; the same command goes on"
        ) from None


def _summary(plan: Plan, counts: dict[str, int], directory: Path) -> str:
    kinds = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items(), key=lambda item: -item[1]))
    points = "1 point" if len(plan.points) == 1 else f"{len(plan.points):,} points"
    lines = [f"{plan.name}: {points} over {', '.join(plan.axes)}: {kinds}"]
    if counts.get("failed"):
        lines.append("failed points keep their messages (column error); --retry-failed runs them again")
    lines.append(f"wrote {directory}; `tlm report {directory}` draws it")
    return "\n".join(lines)
