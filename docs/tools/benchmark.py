"""Measures a scenario: processor time by phase, peak memory, simulated cycles a second; medians of fresh processes.

    python docs/tools/benchmark.py [SCENARIO] [--fidelity cycle] [--runs N] [--core 0] [--beside CLONE]

With --beside, another clone of the project (its .venv/bin/python) is measured in turn with this one, run by run, and
its column comes first: before and after from one sitting.

Each run is a process of its own, so that imports and memory count as for a user. Figures depend on the machine and on
what else it does: the spread stands beside every median. With --core everything runs on that processor core alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

DEMO = Path(__file__).resolve().parents[2] / "scenarios" / "resnet18_3of9.toml"


def peak_mb() -> float:
    """Peak resident memory of this process so far, 1e6 bytes (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


class Phases:
    """Processor seconds and memory of one phase after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}

    def measure(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work and note what it took."""
        begin = time.process_time()
        value = work()
        self.seconds[name] = time.process_time() - begin
        self.peak_mb[name] = peak_mb()
        return value


def import_all() -> None:
    """What ``tlm run`` imports in the end."""
    import rich.table  # noqa: F401

    import tlm.cli.run_command
    import tlm.compiler.compile
    import tlm.runs.simulate  # noqa: F401


def one_run(scenario: str, fidelity: str | None) -> dict[str, Any]:
    """All phases of one scenario in this process."""
    phases = Phases()
    phases.measure("import", import_all)
    from rich.console import Console

    import tlm
    from tlm.results.report import print_report
    from tlm.scenario.loading import load_scenario

    job = phases.measure("build", lambda: load_scenario(scenario).build(golden=True))
    program = phases.measure("compile", lambda: tlm.compile(job.network, job.chip))
    result = phases.measure(
        "simulate", lambda: tlm.simulate(program, job.activations, fidelity=fidelity or job.fidelity)
    )
    wanted = job.golden or {}
    differing = phases.measure(
        "check", lambda: [name for name, tensor in result.tensors.items() if (wanted[name] != tensor).any()]
    )
    console = Console(file=io.StringIO(), width=80)
    phases.measure("report", lambda: print_report(result, console, job.name, job.description, differing))
    with tempfile.TemporaryDirectory() as directory:
        record = replace(result, scenario=job.name, settings=job.settings, matches_reference=not differing)
        phases.measure("write", lambda: record.save(directory))
    if differing:
        raise SystemExit(f"{scenario}: the outputs of {', '.join(differing)} differ from the golden model")
    return {"seconds": phases.seconds, "peak_mb": phases.peak_mb, "cycles": result.cycles, "fidelity": result.fidelity}


def measure(clone: Path | None, scenario: str, options: Sequence[str]) -> dict[str, Any]:
    """The phases of one run of a clone, this one if None, and ``tlm run -o DIR`` as a whole, seen from outside."""
    python = sys.executable if clone is None else str(clone / ".venv/bin/python")
    one = [python, __file__, scenario, "--one", *options]
    figures: dict[str, Any] = json.loads(subprocess.run(one, check=True, capture_output=True).stdout)
    with tempfile.TemporaryDirectory() as directory:
        command = [python, "-m", "tlm", "run", scenario, "-o", directory, *options]
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        figures["command"] = time.perf_counter() - begin
    return figures


def spread(values: Sequence[float], form: str) -> str:
    """Median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} .. {max(values):{form}})"


def rows_of(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What the table says of one clone, row by row."""
    rows = {f"{phase}, s": spread([run["seconds"][phase] for run in runs], ".3f") for phase in runs[0]["seconds"]}
    rows["command, s of wall time"] = spread([run["command"] for run in runs], ".3f")
    rows["peak memory, MB"] = spread([max(run["peak_mb"].values()) for run in runs], ".0f")
    rate = [run["cycles"] / run["seconds"]["simulate"] / 1000 for run in runs]
    return {**rows, "thousand cycles a second of simulate": spread(rate, ".0f"), "cycles": f"{runs[0]['cycles']:,}"}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="?", default=str(DEMO))
    parser.add_argument("--fidelity", help="model of the chip; by default the scenario's")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--core", type=int, help="run everything on this processor core")
    parser.add_argument("--beside", type=Path, metavar="CLONE", help="another clone, measured in turn")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_run(arguments.scenario, arguments.fidelity)))
        return
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    options = [] if arguments.fidelity is None else ["--fidelity", arguments.fidelity]
    clones = {"now": None} if arguments.beside is None else {"before": arguments.beside, "now": None}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in clones}
    for _ in range(arguments.runs):
        for name, clone in clones.items():
            runs[name].append(measure(clone, arguments.scenario, options))
    columns = {name: rows_of(of_clone) for name, of_clone in runs.items()}
    print(f"{Path(arguments.scenario).stem}, fidelity {runs['now'][0]['fidelity']}")
    print(f"medians (smallest .. largest) of {arguments.runs} runs; processor seconds by phase\n")
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for row in columns["now"]:
        print(f"| {row} | {' | '.join(column[row] for column in columns.values())} |")


if __name__ == "__main__":
    main()
