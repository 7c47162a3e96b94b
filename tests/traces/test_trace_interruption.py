"""Signals that end a run or a sweep lose neither what it has done nor the interruption."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import SMALL, files, points_in, start
from waves import CHIP, small_network

import tlm
from tlm.core.files import PendingFile

ENDED = re.compile(r"tlm: the run up to its end is in w\.vcd\ntlm: .+; no result was written\n")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def answered_ctrl_c() -> Iterator[None]:
    """Python's own handler, which a parallel run of the tests takes away."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("answered_ctrl_c")
@pytest.mark.parametrize("suffix", [".vcd", ".json"])
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_while_a_trace_is_being_written_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, presses: int
) -> None:
    network, activations = small_network()
    key = "wave" if suffix == ".vcd" else "timeline"

    def run(name: str) -> None:
        tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(**{key: tmp_path / name}))

    run(f"whole{suffix}")
    take_place = PendingFile.take_place

    def press(pending: PendingFile) -> None:
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
        take_place(pending)

    monkeypatch.setattr(PendingFile, "take_place", press)
    with pytest.raises(KeyboardInterrupt):
        run(f"pressed{suffix}")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    left = {path.name for path in tmp_path.iterdir() if path.suffix == suffix}
    if presses == 1:
        assert (tmp_path / f"pressed{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
    else:
        assert left == {f"whole{suffix}"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "written_bytes"),
    [
        (signal.SIGTERM, 0),
        (signal.SIGTERM, 200_000),
        (signal.SIGTERM, 4_000_000),
        (signal.SIGHUP, 1_000_000),
        (signal.SIGINT, 1_000_000),
    ],
)
def test_a_run_that_is_ended_leaves_its_waveform(
    small: Path, tmp_path: Path, kind: signal.Signals, written_bytes: int
) -> None:
    small.write_text(SMALL.replace("[8, 6, 7]", "[8, 320, 340]"))
    process = start("run", small, "--no-check", "--fidelity", "cycle", "--wave", "w.vcd", cwd=tmp_path)
    grown = tmp_path / f".w.vcd.{process.pid}.part"
    while process.poll() is None and not (grown.exists() and grown.stat().st_size >= written_bytes):
        time.sleep(0.005)
    process.send_signal(kind)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + kind, "")
    assert ENDED.fullmatch(err), err
    assert files(tmp_path) == ["small.toml", "w.gtkw", "w.labels.txt", "w.sucl", "w.vcd"]
    assert (tmp_path / "w.vcd").stat().st_size > written_bytes
    assert re.fullmatch(r"#\d+", (tmp_path / "w.vcd").read_text().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "kind"), [(1, signal.SIGTERM), (2, signal.SIGTERM), (2, signal.SIGHUP)])
def test_a_sweep_that_is_ended_keeps_its_points(
    small: Path, tmp_path: Path, processes: int, kind: signal.Signals
) -> None:
    options = ("--over", "input.seed=0..999", "--processes", processes, "--export", "t.csv", "-o", "out")
    process = start("sweep", small, *options, cwd=tmp_path, start_new_session=True)
    while process.poll() is None and points_in(tmp_path / "out" / "sweep.sqlite") < 3:
        time.sleep(0.005)
    os.killpg(process.pid, kind)  # workers, too, as where a terminal is closed
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + kind, "")
    found = re.fullmatch(r"tlm: interrupted; ([\d,]+) of 1,000 points are in out; the same command goes on\n", err)
    assert found is not None, err
    assert points_in(tmp_path / "out" / "sweep.sqlite") == int(found[1].replace(",", "")) >= 3
    assert files(tmp_path) == ["out", "small.toml"]
