"""Measures sweeps: ``python docs/tools/benchmark_sweep.py [POINTS]``; docs/performance.md shows what it prints.

A Latin hypercube over the block conv3_2 of ResNet-18. First within this process, where the time inside and outside of
the points' own work can be told apart; then as a user runs it, with one process and with two.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tlm.sweeps.executors import SerialExecutor, Workers
from tlm.sweeps.plan import Request, make_plan
from tlm.sweeps.runner import run_plan
from tlm.sweeps.store import open_store

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "resnet18_conv3_2_3of9.toml"
OVER = (
    "network.taps=1..9", "chip.amem_banks=1,2,4,8", "chip.voltage_v=0.8..1.1",
    "chip.memory_gb_per_s=0.8..12.8", "chip.memory_latency_ns=20..200", "chip.dma_bursts_in_flight=1..8",
)  # fmt: skip


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


def within(points: int, directory: Path) -> None:
    """The share of the machinery: planning, handing over, committing."""
    timed, start, used = Timed(), time.perf_counter(), time.process_time()
    plan = make_plan(SCENARIO, Request(OVER, sample=points))
    with open_store(directory, plan) as store:
        run_plan(plan, store, Workers(lambda: timed, 1, "this process"))
        counts = store.counts()
    total, total_used = time.perf_counter() - start, time.process_time() - used
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{points:,} points, {counts}, in one process: {total:.1f} s, of processors {total_used:.1f} s; "
          f"peak memory {memory_mb:.0f} MB")  # fmt: skip
    print(f"outside of the points: {total - timed.seconds:.2f} s = {100 * (1 - timed.seconds / total):.1f} %, "
          f"of processors {total_used - timed.processor_seconds:.2f} s = "
          f"{100 * (1 - timed.processor_seconds / total_used):.1f} %")  # fmt: skip


def command(points: int, processes: int, directory: Path) -> float:
    """The whole command; wall seconds."""
    over = [word for text in OVER for word in ("--over", text)]
    options = ["--sample", points, "--processes", processes, "-o", directory, *over]
    line = [sys.executable, "-m", "tlm", "sweep", SCENARIO, *options]
    start = time.perf_counter()
    subprocess.run(list(map(str, line)), check=True, capture_output=True)
    seconds = time.perf_counter() - start
    memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"tlm sweep --processes {processes}: {seconds:.1f} s, {points / seconds:.1f} points/s; "
          f"largest process so far {memory_mb:.0f} MB")  # fmt: skip
    return seconds


def main(arguments: list[str]) -> int:
    """Measure and print."""
    points = int(arguments[0]) if arguments else 1000
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        within(points, directory / "within")
        one, two = (command(points, count, directory / str(count)) for count in (1, 2))
    print(f"two processes: {one / two:.2f} times as many points a second as one")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
