"""Sweeps: whatever runs the points, and however often it is interrupted, the rows are the same."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from command import points_in, refused, tlm
from msgspec import structs

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import DramConfig
from tlm.chip.rtl.build import cache_directory
from tlm.compiler.compile import compile_network
from tlm.core.errors import InputError
from tlm.scenario.loading import load_scenario
from tlm.sweeps import task as tasks
from tlm.sweeps.columns import CAUSES, FAILED, OK
from tlm.sweeps.executors import SerialExecutor, Workers, workers
from tlm.sweeps.plan import Plan, Request, make_plan
from tlm.sweeps.runner import open_tasks, run_plan
from tlm.sweeps.store import Store, open_store, read_store
from tlm.sweeps.task import Outcome, Task, compile_key

OVER = ["chip.amem_banks=1,2,4,8", "network.layers.0.taps=1..3", "chip.voltage_v=0.8,1.1"]
SERIAL = Workers(SerialExecutor, 1, "this process")


def new_store(plan: Plan) -> Store:
    store = Store(sqlite3.connect(":memory:"))
    store.begin(plan)
    return store


def rows_of(plan: Plan, ready: Workers = SERIAL) -> list[dict[str, Any]]:
    store = new_store(plan)
    run_plan(plan, store, ready)
    return store.rows()


def test_a_row_says_what_a_run_says(small: Path) -> None:
    import tlm as package

    # One program for both voltages, since the clock stays.
    over = ["chip.amem_banks=1,4", "chip.voltage_v=0.8,1.1", "energy.amem_read_pj=10,20", "chip.frequency_mhz=200"]
    rows = rows_of(make_plan(small, Request(over)))
    assert [row["point"] for row in rows] == list(range(8))
    keys = [text.partition("=")[0] for text in over]
    for row in rows:
        job = load_scenario(small, [f"{key}={row[key]}" for key in keys]).build()
        result = package.simulate(job.network, job.activations, job.chip, energy=job.energy)
        assert (row["status"], row["error"]) == (OK, None)
        assert (row["cycles"], row["time_us"], row["macs"]) == (result.cycles, result.time_us, result.macs)
        assert row["energy_pj"] == result.energy.total_pj
        assert row["outputs_sha256"] == result.outputs_sha256
        assert sum(row[f"{cause}_cycles"] or 0 for cause in CAUSES) == row["cycles"]


def test_processes_and_threads_give_the_same_rows_as_one(small: Path) -> None:
    plan = make_plan(small, Request(OVER[:2]))
    serial = rows_of(plan)
    assert len(serial) == 12
    assert {row["status"] for row in serial} == {OK}
    with workers(2) as ready:
        assert rows_of(plan, ready) == serial
    with ThreadPoolExecutor(3) as threads:
        assert rows_of(plan, Workers(lambda: threads, 5, "threads")) == serial


def test_a_point_never_runs_twice(small: Path, tmp_path: Path) -> None:
    ended: list[str] = []

    def run(over: list[str]) -> None:
        plan = make_plan(small, Request(over))
        with open_store(tmp_path / "out", plan) as store:
            run_plan(plan, store, SERIAL, lambda outcome: ended.append(outcome.key))

    run(["chip.amem_banks=1,2", "chip.voltage_v=1.1"])
    assert len(ended) == 2
    run(["chip.amem_banks=1,2,4"])  # 1.1 V is the default, so two of these are there
    assert len(ended) == len(set(ended)) == 3


@pytest.mark.parametrize("after", [7, *(pytest.param(after, marks=pytest.mark.slow) for after in (0, 1, 23))])
def test_an_interrupted_sweep_goes_on(small: Path, tmp_path: Path, after: int) -> None:
    plan = make_plan(small, Request(OVER))
    ended: list[str] = []

    def interrupt(outcome: Outcome) -> None:
        ended.append(outcome.key)
        if len(ended) == after + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_store(tmp_path, plan) as store:
        run_plan(plan, store, SERIAL, interrupt)
    with open_store(tmp_path, plan) as store:
        assert len(open_tasks(plan, store)) == 24 - after - 1
        run_plan(plan, store, SERIAL, lambda outcome: ended.append(outcome.key))
        assert store.rows() == rows_of(plan)
    assert len(ended) == len(set(ended)) == 24


def wait_for_rows(process: subprocess.Popen[str], database: Path, wanted: int) -> None:
    """Return once a sweep under way has committed so many points."""
    while process.poll() is None and points_in(database) < wanted:
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill"])
def test_ten_interruptions_change_nothing(tmp_path: Path, small: Path, kind: signal.Signals) -> None:
    over, points = [*OVER, "input.seed=0..14"], 24 * 15
    options = [word for text in over for word in ("--over", text)]
    chance, stopped, database = random.Random(kind), 0, tmp_path / "out" / "sweep.sqlite"
    whole = rows_of(make_plan(small, Request(over)))
    command = [sys.executable, "-m", "tlm", "sweep", small, *options, "--processes", 2, "-o", tmp_path / "out"]
    for index in range(10):
        process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, start_new_session=True, text=True)
        # Moments are counted in points, so that a fast machine is not done before they come; some are in the start-up.
        if index % 3:
            wait_for_rows(process, database, points_in(database) + chance.randint(1, 15))
        else:
            time.sleep(chance.uniform(0.1, 1.0))
        if kind == signal.SIGKILL:
            process.kill()
        else:
            with suppress(ProcessLookupError):  # it may have ended meanwhile
                os.killpg(process.pid, kind)  # as a terminal does
        _, complaint = process.communicate(timeout=60)
        stopped += process.returncode != 0
        assert process.returncode in (0, 130, -2, -9)  # -2: before Python has its own handler
        # Python's start-up may complain, of one that is killed also what it leaves; but never this package's code.
        silent = "tlm/sweeps|multiprocessing|concurrent" if kind == signal.SIGINT else "tlm/sweeps"
        assert not re.search(silent, complaint), complaint
    assert stopped >= 5  # else the moments are too late
    assert 0 < points_in(database) < points
    done = tlm("sweep", *command[4:])
    assert done.returncode == 0, done.stderr
    assert f"{points:,} ok" in done.stdout
    with open_store(tmp_path / "out", make_plan(small, Request(over))) as store:
        assert store.rows() == whole


def test_a_failed_point_keeps_its_message(small: Path, tmp_path: Path) -> None:
    done = tlm("sweep", small, "--over", "chip.amem_words=8,16384", "--processes", 1, "--export", "t.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 failed" in done.stdout
    assert "1 ok" in done.stdout
    with closing(sqlite3.connect(tmp_path / "small.sweep" / "sweep.sqlite")) as database:
        query = 'SELECT "chip.amem_words", status, error, cycles IS NULL FROM sweep ORDER BY point'
        failed, fine = database.execute(query).fetchall()
    assert failed[:2] == (8, FAILED)
    assert "AMem" in failed[2]
    assert failed[3] == 1
    assert fine == (16384, OK, None, 0)
    again = tlm("sweep", "small.sweep", cwd=tmp_path)
    assert again.stdout.splitlines()[0] == done.stdout.splitlines()[0]


def test_outputs_that_differ_from_the_golden_model_are_found(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(small, Request(["chip.amem_banks=1,2"]))
    golden = tasks._job.__wrapped__

    def wrong(group: tasks.Keyed[Task]) -> Any:
        job = golden(group)
        return structs.replace(job, golden={**job.golden, "c2": job.golden["c2"] + 1})

    tasks._program.cache_clear()
    monkeypatch.setattr(tasks, "_job", wrong)
    rows = rows_of(plan)
    assert [row["status"] for row in rows] == ["differs", "differs"]
    assert {row["error"] for row in rows} == {"the outputs of c2 differ from the golden model"}
    assert all(row["cycles"] > 0 for row in rows)


@pytest.mark.slow
def test_the_circuit_is_a_value_like_another(small: Path, tmp_path: Path) -> None:
    """Two processes that need the same circuit; rows differ from those of "pass" in the fidelity's name alone."""
    sides = ("--set", "chip.lanes=8", "--set", "chip.columns=8")
    over = ("--over", "fidelity=pass,rtl", "--over", "chip.memory_latency_ns=0,100")
    command = ("sweep", small, *sides, *over, "--processes", 2, "--export", "t.csv")
    done = tlm(*command, cwd=tmp_path, XDG_CACHE_HOME=str(cache_directory().parents[1]))
    assert (done.returncode, done.stderr) == (0, "")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    keys, *rows = [line.split(",") for line in lines]
    at = {key: index for index, key in enumerate(keys)}
    assert [row[at["fidelity"]] for row in rows] == ["pass", "pass", "rtl", "rtl"]
    assert {row[at["status"]] for row in rows} == {OK}
    assert rows[0][at["cycles"]] < rows[1][at["cycles"]]
    kept = [index for key, index in at.items() if key not in ("fidelity", "point")]
    assert [[row[index] for index in kept] for row in rows[:2]] == [[row[index] for index in kept] for row in rows[2:]]


CHANGES = {
    "lanes": 16, "columns": 16, "amem_words": 8192, "wmem_words": 8192, "imem_words": 8192, "amem_banks": 2,
    "wmem_banks": 2, "imem_banks": 4, "sram_read_cycles": 2, "mask_cycles": 2, "multiply_cycles": 2,
    "accumulate_cycles": 2, "pass_gap_cycles": 4, "requantiser_cycles": 4, "voltage_v": 1.0, "frequency_mhz": 500.0,
    "bus_bytes": 16, "memory_gb_per_s": 1.6, "memory_latency_ns": 90.0, "memory_bytes": 1 << 24, "burst_bytes": 32,
    "dma_bursts_in_flight": 4, "host_access_ns": 40.0, "host_interrupt_ns": 200.0,
    "memory_model": "dram", "dram": DramConfig("lpddr4_3200_x16"),
}  # fmt: skip


@pytest.mark.parametrize("key", [item.name for item in fields(ChipConfig)])
def test_a_program_is_reused_only_where_the_compiler_would_give_the_same(small: Path, key: str) -> None:
    """The keys that the compiler reads are found by recording its reads, those of properties included."""
    from pickle import dumps

    job = load_scenario(small).build()
    chip = ChipConfig(memory_model="dram" if key == "dram" else "fixed")
    other = replace(chip, **{key: CHANGES[key]}) if key != "voltage_v" else ChipConfig.at(CHANGES[key])
    same = dumps(replace(compile_network(job.network, other), config=chip)) == dumps(compile_network(job.network, chip))
    assert same or compile_key(other) != compile_key(chip)
    if key == "voltage_v":  # that is no time if the clock stays
        assert compile_key(replace(chip, frequency_mhz=200.0)) == compile_key(replace(other, frequency_mhz=200.0))


def test_the_compiler_reads_nothing_of_a_chip_but_its_key(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = load_scenario(small).build()
    read: set[str] = set()
    names = {item.name for item in fields(ChipConfig)}
    get = object.__getattribute__

    def recorded(self: ChipConfig, name: str) -> Any:
        if name in names:
            read.add(name)
        return get(self, name)

    chip = ChipConfig()
    monkeypatch.setattr(ChipConfig, "__hash__", object.__hash__)  # a hash, for caches, reads everything
    monkeypatch.setattr(ChipConfig, "__eq__", object.__eq__)
    monkeypatch.setattr(ChipConfig, "__getattribute__", recorded)
    compile_network(job.network, chip)
    needed = set(read)
    read.clear()
    compile_key(chip)
    monkeypatch.undo()
    assert needed <= read


def test_what_cannot_be_swept_is_said_before_anything_is_written(small: Path, tmp_path: Path) -> None:
    over = ("--over", "chip.amem_banks=1,2")
    assert "nothing to vary" in refused("sweep", small, cwd=tmp_path)
    assert "--processes: 0 is not allowed" in refused("sweep", small, *over, "--processes", 0, cwd=tmp_path)
    assert "ends with none of .csv, .parquet" in refused("sweep", small, *over, "--export", "a.xls", cwd=tmp_path)
    assert "given twice" in refused("sweep", small, *over, *over, cwd=tmp_path)
    assert "'sobol' is not one of lhs, random" in refused(
        "sweep", small, *over, "--sample", 3, "--method", "sobol", cwd=tmp_path
    )
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_a_directory_belongs_to_one_scenario_and_one_process(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = make_plan(small, Request(["chip.amem_banks=1,2"]))
    over = ("--over", "chip.amem_banks=1,2", "--processes", 1, "-o", out)
    with open_store(out, plan):
        assert "another process is sweeping" in refused("sweep", small, *over, cwd=tmp_path)
    assert "a sweep of another scenario" in refused("sweep", small, "--set", "input.seed=9", *over, cwd=tmp_path)
    (out / "sweep.sqlite").write_text("no database, but a text of some length\n" * 40)
    assert "is no store of a sweep" in refused("sweep", small, *over, cwd=tmp_path)


def test_a_store_of_another_version_is_refused(small: Path, tmp_path: Path) -> None:
    plan = make_plan(small, Request(["chip.amem_banks=1,2"]))
    with open_store(tmp_path, plan):
        pass
    file = tmp_path / "sweep.sqlite"
    with closing(sqlite3.connect(file)) as database:
        database.executescript("DROP VIEW sweep; ALTER TABLE results DROP COLUMN time_us")
    with pytest.raises(InputError, match="no such column: time_us"), open_store(tmp_path, plan):
        pass
    with pytest.raises(InputError, match="no such column: time_us"), read_store(tmp_path) as store:
        store.rows()
    with closing(sqlite3.connect(file)) as database:
        database.executescript("UPDATE about SET value = 'tlm.sweep/0' WHERE name = 'schema'")  # has other columns
    with pytest.raises(InputError, match=r"'tlm.sweep/0' is not 'tlm\.sweep/3'"), open_store(tmp_path, plan):
        pass
    with pytest.raises(InputError, match=r"'tlm.sweep/0' is not 'tlm\.sweep/3'"), read_store(tmp_path):
        pass


def test_exports_are_the_rows_in_their_order(small: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    import csv

    from tlm.sweeps.table import export

    plan = make_plan(small, Request(["chip.amem_words=8,16384", "network.layers.1.kernel=1,[1, 3]"]))
    rows = rows_of(plan)
    export(rows, tmp_path / "t.csv")
    export(rows, tmp_path / "t.parquet")
    read = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["network.layers.1.kernel"] for row in read] == ["1", "[1, 3]"] * 2
    assert [row["cycles"] for row in read] == ["" if row["cycles"] is None else str(row["cycles"]) for row in rows]
    table = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["cycles"] for row in table] == [row["cycles"] for row in rows]
    assert [row["network.layers.1.kernel"] for row in table] == ["1", "[1, 3]"] * 2
    assert [row["energy_pj"] for row in table] == [row["energy_pj"] for row in rows]


def test_from_python(small: Path) -> None:
    import tlm as package

    table = package.sweep(small, {"chip.amem_banks": [1, 2], "network.layers.0.taps": "1..2"}, processes=1)
    pd = pytest.importorskip("pandas")
    assert isinstance(table, pd.DataFrame)
    assert list(table["chip.amem_banks"]) == [1, 1, 2, 2]
    assert list(table["status"]) == [OK] * 4
    only = package.sweep(small, {"chip.amem_banks": (1, 2)}, processes=1, where="chip.amem_banks > 1")
    assert list(only["chip.amem_banks"]) == [2]


@pytest.mark.slow
def test_a_script_without_a_main_guard_is_told_so(small: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import tlm\ntlm.sweep({str(small)!r}, {{'chip.amem_banks': [1, 2]}}, processes=2)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith("or take processes=1")


def test_simulations_that_have_ended_are_freed_while_others_run(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asking, the collector finds them by the thousands of objects: ever later with more points."""
    import gc

    from tlm.core.simulation import Simulation

    left: list[int] = []

    def simulations() -> int:
        return sum(type(item) is Simulation for item in gc.get_objects())  # isinstance wakes proxies of other packages

    def count(_: Outcome) -> None:
        left.append(simulations())

    monkeypatch.setattr(tasks, "_sweeper", tasks.Sweeper(share=1e9))  # however long it takes
    gc.collect()
    before = simulations()
    gc.disable()
    try:
        plan = make_plan(small, Request(["chip.amem_banks=1,2,4,8"]))
        run_plan(plan, new_store(plan), SERIAL, count)
    finally:
        gc.enable()
    assert len(left) == 4
    assert max(left) - before <= 1


def test_garbage_takes_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, collected = 0.0, 0

    def collect() -> None:
        nonlocal now_s, collected
        now_s, collected = now_s + 0.05, collected + 1

    monkeypatch.setattr("tlm.sweeps.task.gc.collect", collect)
    monkeypatch.setattr("tlm.sweeps.task.time.perf_counter", lambda: now_s)
    sweeper = tasks.Sweeper(share=0.05)
    for _ in range(100):
        now_s += 0.1
        sweeper.point_ended()
    assert collected == 10  # 1 s after each
