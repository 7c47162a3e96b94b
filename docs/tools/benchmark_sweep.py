"""Measures sweeps: ``python docs/tools/benchmark_sweep.py block|network|further``, for docs/performance.md.

``block``: a Latin hypercube over the block conv3_2 of ResNet-18, with several networks and hundreds of programs.
``network``: a grid over the whole ResNet-18, of which 40 settings differ in time, and each with 25 tables of energies.
Both first within this process, where the time inside and outside of the points' own work can be told apart; then as a
user runs them, with one process and with two.
``further``: what a further point of block and network takes when one thing alone changes.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.sweeps.columns import OK
from tlm.sweeps.executors import SerialExecutor, Workers
from tlm.sweeps.plan import Request, make_plan
from tlm.sweeps.runner import open_tasks, run_plan
from tlm.sweeps.store import open_store
from tlm.sweeps.task import run_task

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
BLOCK, NETWORK = SCENARIOS / "resnet18_conv3_2_3of9.toml", SCENARIOS / "resnet18_3of9.toml"


@dataclass(frozen=True)
class Case:
    """A sweep of 1,000 points."""

    scenario: Path
    over: tuple[str, ...]
    sample: int | None
    """Draws; None: the whole grid."""


CASES = {
    "block": Case(BLOCK, (
        "network.taps=1..9", "chip.amem_banks=1,2,4,8", "chip.voltage_v=0.8..1.1",
        "chip.memory_gb_per_s=0.8..12.8", "chip.memory_latency_ns=20..200", "chip.dma_bursts_in_flight=1..8",
    ), 1000),
    "network": Case(NETWORK, (
        "chip.memory_latency_ns=30,60,90,120", "chip.voltage_v=0.8,0.9,1.0,1.05,1.1", "chip.memory_gb_per_s=1.6,3.2",
        "energy.amem_read_pj=20,30,40,50,60", "energy.off_chip_read_pj=10,20,40,80,160",
    ), None),
}  # fmt: skip

FURTHER = {
    "energies": "energy.amem_read_pj=20,30,40,50,60,70",
    "supply, at one clock": "chip.voltage_v=1.0,1.02,1.04,1.06,1.08,1.1",
    "bandwidth": "chip.memory_gb_per_s=1.0,1.5,2.0,2.5,3.0,3.5",
    "latency": "chip.memory_latency_ns=20,40,60,80,100,120",
    "host's access": "chip.host_access_ns=10,12,14,16,18,20",
    "gap between passes": "chip.pass_gap_cycles=1,2,3,4,5,6",
}
"""What alone changes -> its axis."""


class Timed(SerialExecutor):
    """Adds up what the points' own work takes."""

    seconds = 0.0
    processor_seconds = 0.0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it with a stopwatch."""
        start, used = time.perf_counter(), time.process_time()
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - start
            self.processor_seconds += time.process_time() - used


def further(scenario: Path, directory: Path) -> None:
    """Processor time of a point behind the first of its sweep, median of five."""
    for index, (what, axis) in enumerate(FURTHER.items()):
        plan = make_plan(scenario, Request([axis], overrides=["chip.frequency_mhz=400"] if "supply" in what else []))
        ms = []
        with open_store(directory / f"{scenario.stem}{index}", plan) as store:
            for task in open_tasks(plan, store):
                used = time.process_time()
                assert run_task(task).status == OK
                ms.append(1000 * (time.process_time() - used))
        print(f"{scenario.stem}, {what}: {statistics.median(ms[1:]):.0f} ms ({min(ms[1:]):.0f} .. {max(ms[1:]):.0f})")


def within(case: Case, directory: Path) -> None:
    """The share of the machinery: planning, handing over, committing."""
    timed, start, used = Timed(), time.perf_counter(), time.process_time()
    plan = make_plan(case.scenario, Request(case.over, sample=case.sample))
    with open_store(directory, plan) as store:
        run_plan(plan, store, Workers(lambda: timed, 1, "this process"))
        counts = store.counts()
    total, total_used = time.perf_counter() - start, time.process_time() - used
    own, own_used = timed.seconds, timed.processor_seconds
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(plan.points):,} points, {counts}, in one process: {total:.1f} s, of processors {total_used:.1f} s; "
          f"peak memory {memory_mb:.0f} MB")  # fmt: skip
    print(f"outside of the points: {total - own:.2f} s = {100 * (1 - own / total):.1f} %, "
          f"of processors {total_used - own_used:.2f} s = {100 * (1 - own_used / total_used):.1f} %")  # fmt: skip


def command(case: Case, processes: int, directory: Path) -> float:
    """The whole command; wall seconds."""
    over = [word for text in case.over for word in ("--over", text)]
    draws = [] if case.sample is None else ["--sample", case.sample]
    options = [*draws, "--processes", processes, "-o", directory, *over]
    line = [sys.executable, "-m", "tlm", "sweep", case.scenario, *options]
    start = time.perf_counter()
    subprocess.run(list(map(str, line)), check=True, capture_output=True)
    seconds = time.perf_counter() - start
    memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"tlm sweep --processes {processes}: {seconds:.1f} s, {1000 / seconds:.1f} points/s; "
          f"largest process so far {memory_mb:.0f} MB")  # fmt: skip
    return seconds


def main(arguments: list[str]) -> int:
    """Measure and print."""
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if arguments == ["further"]:
            for scenario in (BLOCK, NETWORK):
                further(scenario, directory)
            return 0
        (case,) = (CASES[name] for name in arguments)
        within(case, directory / "within")
        one, two = (command(case, count, directory / str(count)) for count in (1, 2))
    print(f"two processes: {one / two:.2f} times as many points a second as one")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
