"""Sweeps on a Dask cluster: a scheduler and workers as processes of their own, on loopback."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command import points_in, refused

from tlm.core.errors import InputError
from tlm.sweeps.executors import SerialExecutor, Workers, workers
from tlm.sweeps.plan import Request, make_plan
from tlm.sweeps.runner import run_plan
from tlm.sweeps.store import Store
from tlm.sweeps.task import Outcome

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of distributed and what it stands on


@dataclass
class Cluster:
    """A scheduler and its workers."""

    directory: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s"}
        command = [sys.executable, "-m", *map(str, arguments)]
        log = (self.directory / f"log{len(self.processes)}").open("wb")
        with log:
            process = subprocess.Popen(command, cwd=self.directory, env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.start(
            "distributed.cli.dask_worker", self.address, "--nthreads", 1, "--no-nanny", "--no-dashboard",
            "--local-directory", self.directory, "--host", "127.0.0.1",
        )  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made, file = Cluster(tmp_path), tmp_path / "scheduler.json"
    try:
        made.start(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard",
            "--no-show", "--scheduler-file", file,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not made.address:
            assert time.monotonic() < end, (tmp_path / "log0").read_text()
            time.sleep(0.1)
            if file.exists() and (text := file.read_text()):
                made.address = json.loads(text)["address"]
        yield made
    finally:
        for process in reversed(made.processes):
            process.kill()
            process.wait()


def rows_of(path: Path, over: list[str], ready: Workers, ended: Any = lambda _: None) -> list[dict[str, Any]]:
    plan = make_plan(path, Request(over))
    store = Store(sqlite3.connect(":memory:"))
    store.begin(plan)
    run_plan(plan, store, ready, ended)
    return store.rows()


def serial_rows(path: Path, over: list[str]) -> list[dict[str, Any]]:
    return rows_of(path, over, Workers(SerialExecutor, 1, "this process"))


OVER_200 = ["chip.amem_banks=1,2,4,8", "network.layers.0.taps=1..5", "input.seed=1..10"]
OVER_60 = [*OVER_200[:2], "input.seed=1..3"]


@pytest.mark.slow
def test_200_points_on_four_workers_equal_the_serial_ones(small: Path, cluster: Cluster) -> None:
    for _ in range(4):
        cluster.start_worker()
    with workers(dask=cluster.address) as ready:
        rows = rows_of(small, OVER_200, ready)
    assert len(rows) == 200
    assert rows == serial_rows(small, OVER_200)


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing(small: Path, cluster: Cluster) -> None:
    doomed = cluster.start_worker()
    ended: list[Outcome] = []

    def kill(outcome: Outcome) -> None:
        ended.append(outcome)
        if len(ended) == 20:
            doomed.kill()
            cluster.start_worker()

    with workers(dask=cluster.address) as ready:
        rows = rows_of(small, OVER_60, ready, kill)
    assert len(ended) == 60
    assert rows == serial_rows(small, OVER_60)


@pytest.mark.slow
def test_a_scheduler_that_ends_keeps_what_was_done(small: Path, cluster: Cluster, tmp_path: Path) -> None:
    cluster.start_worker()
    over = [word for text in OVER_60 for word in ("--over", text)]
    command = [sys.executable, "-m", "tlm", "sweep", str(small), *over, "--dask", cluster.address, "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not points_in(tmp_path / "out" / "sweep.sqlite"):
        assert time.monotonic() < end
        time.sleep(0.02)
    cluster.processes[0].kill()
    _, complaint = process.communicate(timeout=90)
    assert process.returncode == 1, complaint
    assert complaint.splitlines()[-1].startswith("tlm: the executor has gone; what was done is kept")
    with workers(1) as ready:
        plan = make_plan(small, Request(OVER_60))
        from tlm.sweeps.store import open_store

        with open_store(tmp_path / "out", plan) as store:
            run_plan(plan, store, ready)
            assert store.rows() == serial_rows(small, OVER_60)


@pytest.mark.slow
def test_a_local_cluster_is_started_on_request(small: Path) -> None:
    over = ["chip.amem_banks=1,2,4,8"]
    with workers(2, "local") as ready:
        assert rows_of(small, over, ready) == serial_rows(small, over)


def test_a_scheduler_that_is_not_there_is_said_at_once(small: Path, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    start = time.monotonic()
    complaint = refused(
        "sweep", small, "--over", "chip.amem_banks=1,2", "--dask", f"tcp://127.0.0.1:{port}", cwd=tmp_path
    )
    assert time.monotonic() - start < 10
    assert complaint.startswith(f"--dask tcp://127.0.0.1:{port}: no scheduler answers (Connection refused); start one")
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@pytest.mark.parametrize("address", ["here", "tcp://127.0.0.1", "127.0.0.1:99999", ":8786"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InputError, match="no scheduler answers"), workers(dask=address):
        pass


def listening_addresses(root: int) -> set[str]:
    """Local addresses, as the kernel prints them, on which a process and those that it has started accept."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    family = [root]
    for process in family:  # grows
        family += children.get(process, [])
    sockets = set()
    for process in family:
        for descriptor in Path(f"/proc/{process}/fd").iterdir():
            try:
                sockets.add(os.readlink(descriptor))
            except OSError:
                continue
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


@pytest.mark.slow
def test_a_local_cluster_listens_on_loopback_alone() -> None:
    with workers(1, "local") as ready:
        ready.make_executor().submit(os.getpid).result()
        assert listening_addresses(os.getpid()) == {"0100007F"}
