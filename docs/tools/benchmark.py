"""Measures a scenario's phases: wall time, peak memory and simulated cycles per second; medians of fresh processes.

    python docs/tools/benchmark.py [SCENARIO] [--fidelity cycle] [--runs N] [--core 0]

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
    """Seconds (wall and processor) and memory of one phase after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}

    def measure(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work and note what it took."""
        begin, cpu_begin = time.perf_counter(), time.process_time()
        value = work()
        self.seconds[name] = time.perf_counter() - begin
        self.cpu_seconds[name] = time.process_time() - cpu_begin
        self.peak_mb[name] = peak_mb()
        return value


def import_all() -> None:
    """What ``tlm run`` imports in the end."""
    import rich.table  # noqa: F401

    import tlm.cli.run_command
    import tlm.compiler.compile
    import tlm.runs.values_once  # noqa: F401


def one_run(scenario: str, fidelity: str | None) -> dict[str, Any]:
    """All phases of one scenario in this process."""
    phases = Phases()
    phases.measure("import", import_all)
    from rich.console import Console

    import tlm
    from tlm.results.report import print_report
    from tlm.runs.values_once import ValuesOnce
    from tlm.scenario.loading import load_scenario

    job = phases.measure("build", lambda: load_scenario(scenario).build(golden=True))
    program = phases.measure("compile", lambda: tlm.compile(job.network, job.chip))
    result = phases.measure(
        "simulate", lambda: ValuesOnce().simulate(program, job.activations, fidelity=fidelity or job.fidelity)
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
    figures = {"seconds": phases.seconds, "cpu_seconds": phases.cpu_seconds, "peak_mb": phases.peak_mb}
    return {**figures, "cycles": result.cycles, "fidelity": result.fidelity}


def command_seconds(scenario: str, options: Sequence[str]) -> float:
    """``tlm run SCENARIO -o DIR`` as a whole, seen from outside."""
    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "tlm", "run", scenario, "-o", directory, *options],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - begin


def spread(values: Sequence[float], form: str) -> str:
    """Median and range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} .. {max(values):{form}})"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="?", default=str(DEMO))
    parser.add_argument("--fidelity", help="model of the chip; by default the scenario's")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--core", type=int, help="run everything on this processor core")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_run(arguments.scenario, arguments.fidelity)))
        return
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    options = [] if arguments.fidelity is None else ["--fidelity", arguments.fidelity]
    runs = []
    for _ in range(arguments.runs):
        done = subprocess.run(
            [sys.executable, __file__, arguments.scenario, "--one", *options],
            check=True,
            capture_output=True,
            text=True,
        )
        runs.append(json.loads(done.stdout))
    whole = [command_seconds(arguments.scenario, options) for _ in range(arguments.runs)]
    cycles = runs[0]["cycles"]
    print(f"{Path(arguments.scenario).stem}, fidelity {runs[0]['fidelity']}: {cycles:,} cycles")
    print(f"medians (smallest .. largest) of {arguments.runs} runs\n")
    print(f"{'phase':10} {'wall seconds':24} {'processor seconds':24} peak memory so far, MB")
    for phase in runs[0]["seconds"]:
        wall, cpu, memory = ([run[key][phase] for run in runs] for key in ("seconds", "cpu_seconds", "peak_mb"))
        print(f"{phase:10} {spread(wall, '.3f'):24} {spread(cpu, '.3f'):24} {spread(memory, '.0f')}")
    print(f"{'command':10} {spread(whole, '.3f'):24} tlm run with -o, as a whole")
    for text, key in (("wall", "seconds"), ("processor", "cpu_seconds")):
        rates = [cycles / run[key]["simulate"] / 1000 for run in runs]
        print(f"simulated, by {text} time: {spread(rates, '.0f')} thousand cycles per second")


if __name__ == "__main__":
    main()
