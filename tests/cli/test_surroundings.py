"""How the command behaves towards its surroundings: streams, devices, signals, terminals."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import SMALL, files, start
from rich.text import Text

import tlm
from tlm.cli import main
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.networks.stored import StoredNetwork, save_network
from tlm.results.console import Terminal
from tlm.results.files import write_result

HOSTILE = "a\x1b[31mb\x07\x9b\u202e&<\"'$end"
RAW = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


# -- streams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [pytest.param((2,), marks=pytest.mark.slow), (0, 1, 2)])
def test_closed_streams_change_no_result(small: Path, tmp_path: Path, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    command = "run", small, "-o", "out", "--timeline", "t.json"
    process = start(*command, cwd=tmp_path, preexec_fn=close)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert (1 in closed) == (out == "")
    assert files(tmp_path / "out") == ["outputs.npz", "result.json"]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["matches_reference"] is True
    json.loads((tmp_path / "t.json").read_text())  # nothing of what was printed is in it


@pytest.mark.parametrize("arguments", [("--help",), ("run", "small.toml", "-o", "out")])
def test_a_full_device_under_standard_output_is_named(small: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        process = start(*arguments, cwd=tmp_path, stdout=full)
    assert process.communicate(timeout=60)[1] == ("tlm: standard output: cannot be written (No space left on device)\n")
    assert process.returncode == 1
    assert (tmp_path / "out").exists() == ("run" in arguments)  # a result that could be written is there


@pytest.mark.parametrize(("scenario", "status"), [("small.toml", 0), pytest.param("none", 2, marks=pytest.mark.slow)])
def test_a_full_device_under_standard_error_changes_nothing(
    small: Path, tmp_path: Path, scenario: str, status: int
) -> None:
    with open("/dev/full", "w") as full:
        process = start("run", scenario, cwd=tmp_path, stderr=full)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, "golden model equal" in out) == (status, status == 0)


@pytest.mark.parametrize(("more", "unbuffered"), [((), "1"), pytest.param(("--json",), "", marks=pytest.mark.slow)])
def test_a_reader_that_goes_away_ends_a_run_silently(
    small: Path, tmp_path: Path, more: tuple[str, ...], unbuffered: str
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    process = start("run", small, *more, cwd=tmp_path, stdout=write_end, env=environment)
    os.close(write_end)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 141)


def test_a_terminal_that_cannot_show_a_letter_shows_its_number(small: Path, tmp_path: Path) -> None:
    small.write_text(SMALL.replace("two small", "zwei große"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start("run", small, cwd=tmp_path, env=environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "zwei gro\\xdfe layers" in out


# -- files that cannot be written ---------------------------------------------------------------------------------


@contextmanager
def file_limit(size_bytes: int) -> Iterator[None]:
    """`ulimit -f`, which meets a writer as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "small.toml", "-o", "out"), "out/outputs.npz: "),
        (("run", "small.toml", "--wave", "out/w.vcd"), "--wave: out/w.vcd "),
        (("run", "small.toml", "--wave", "out/w.vcd", "--fidelity", "cycle"), "--wave: out/w.vcd "),
        (("run", "small.toml", "--timeline", "out/t.json"), "--timeline: out/t.json "),
        (("run", "small.toml", "--timeline", "out/t.json.gz"), "--timeline: out/t.json.gz "),
        (("eval", "small.toml", "-o", "out"), "out/outputs.npz: "),
        (("compile", "small.toml", "-o", "out/p"), "out/p: "),
    ],
)
def test_a_full_disk_is_told_with_the_file_and_leaves_none(
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with file_limit(512):
        status = main(arguments)
    complaint = capfd.readouterr().err.splitlines()[-1]
    assert complaint.startswith(f"tlm: {named}cannot be written (")
    assert status == 2
    assert files(tmp_path / "out") == []


@pytest.mark.slow
def test_a_full_disk_under_a_sweep_is_told(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = "sweep", "small.toml", "--over", "input.seed=1..40", "--processes", "1", "-o", "out"
    with file_limit(64 << 10):  # room for the tables, but not for all points
        status = main(command)
    complaint = capfd.readouterr().err
    assert (status, complaint.count("\n")) == (1, 1)
    assert complaint.startswith("tlm: -o: out/sweep.sqlite cannot be written (")
    assert main(command) == 0
    assert "40 ok" in capfd.readouterr().out


def _network(path: Path) -> None:
    weights = np.random.default_rng(1).integers(-8, 8, (32, 64, 3, 3))
    save_network(path, StoredNetwork(tlm.Network((64, 8, 8), [tlm.Conv2d("c", weights)]), {}))


def _table(path: Path) -> None:
    from tlm.sweeps.table import export

    export([{"point": index, "text": str(np.random.default_rng(index).random())} for index in range(500)], path)


def _picture(path: Path) -> None:
    from matplotlib.figure import Figure

    from tlm.plots import style

    with style.style(), whole_file(path) as temporary:
        style.save(Figure(), temporary, path.suffix[1:])


@pytest.mark.parametrize(
    ("name", "write"),
    [("n.npz", _network), ("t.csv", _table), ("t.parquet", _table), ("p.png", _picture), ("p.svg", _picture)],
)
def test_each_kind_of_file_says_what_the_system_said(
    tmp_path: Path, name: str, write: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    with file_limit(64), pytest.raises(InputError, match=rf"{name}: cannot be written \(.*[Ff]ile too large"):
        write(tmp_path / name)
    assert (files(tmp_path), capfd.readouterr().err) == ([], "")
    write(tmp_path / name)
    assert files(tmp_path) == [name]


@pytest.mark.parametrize("name", ["result.json", "outputs.npz", "w.vcd", "w.gtkw", "w.labels.txt", "w.sucl", "t.json"])
def test_what_cannot_be_replaced_is_found_before_the_run(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).mkdir()

    def simulate(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(tlm, "simulate", simulate)
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(small), "-o", ".", "--wave", "w.vcd", "--timeline", "t.json"]) == 2
    complaint = capsys.readouterr().err
    assert (f" {name} is " in complaint, complaint.count("\n")) == (True, 1)


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_result_never_stands_beside_outputs_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException
) -> None:
    write_result(tmp_path, "old", {"t": np.zeros(2, np.int8)})
    old, replace, calls = (tmp_path / "outputs.npz").read_bytes(), os.replace, []

    def fail(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing + 1:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((InputError, KeyboardInterrupt)):
        write_result(tmp_path, "new", {"t": np.ones(2, np.int8)})
    assert files(tmp_path) == ["outputs.npz"]
    assert ((tmp_path / "outputs.npz").read_bytes() == old) == (failing == 0)
    monkeypatch.undo()
    write_result(tmp_path, "new", {"t": np.ones(2, np.int8)})
    assert (tmp_path / "result.json").read_text() == "new"


def test_what_a_killed_run_left_is_cleared_by_the_next_one(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [f".w.vcd.{gone.pid}.part", f".w.vcd.{gone.pid}.part.fst"]
    kept = [f".w.vcd.{os.getppid()}.part", f".other.{gone.pid}.part"]  # of one that runs, of another file
    for name in [*left, *kept]:
        (tmp_path / name).touch()
    with whole_file(tmp_path / "w.vcd") as temporary:
        temporary.touch()
    assert files(tmp_path) == sorted([*kept, "w.vcd"])


# -- terminals ----------------------------------------------------------------------------------------------------


def test_control_characters_never_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    path = tmp_path / "scenarios" / f"{HOSTILE}.toml"
    path.write_text(SMALL.replace("two small layers", json.dumps(HOSTILE)[1:-1]))
    assert main(["list"]) == 0
    for command in ("run", "eval", "compile"):
        assert main([command, str(path), "-o", f"{HOSTILE}.{command}"]) == 0
    result = Path(f"{HOSTILE}.run") / "result.json"
    record = json.loads(result.read_text())
    for layer in record["layers"]:
        layer["name"] += HOSTILE
    result.write_text(json.dumps(record))
    assert main(["explain", str(result)]) == 0
    assert main(["compare", str(result), str(result)]) == 0
    assert main(["run", f"{HOSTILE}\n"]) == 2
    printed = capsys.readouterr()
    assert "a\\x1b[31mb\\x07" in printed.out
    assert RAW.findall(printed.out + printed.err) == []


def test_a_terminal_with_colours_gets_its_own_alone() -> None:
    shown = Terminal(file=io.StringIO(), force_terminal=True, color_system="standard", _environ={})
    shown.print(Text(HOSTILE, style="bold"))
    assert isinstance(shown.file, io.StringIO)
    assert shown.file.getvalue().startswith("\x1b[1ma\\x1b[31mb\\x9b\\u202e&<")  # Rich drops bells


def test_a_report_keeps_hostile_names_as_text(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("plotly")
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(small), "-o", "out"]) == 0
    bad, result = "</script><script>alert(1)</script>", Path("out/result.json")
    result.write_text(result.read_text().replace('"c1"', f'"{bad}"').replace('"small"', f'"{bad}"'))
    assert main(["report", "out"]) == 0
    assert bad not in Path("out/report.html").read_text()


def _caused(text: str, cause: BaseException) -> RuntimeError:
    """As Python 3.11 reports what meets a class whose fields are told their names."""
    error = RuntimeError(text)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MemoryError("Unable to allocate 9 TiB"), 1, "not enough memory (Unable to allocate 9 TiB); take "),
        (RecursionError(), 2, "the input is nested too deeply; "),
        ("\udcff", 2, "a name or text cannot be encoded"),
        (OSError(errno.EIO, "two\nlines", "a\nname"), 1, "a\\nname: two\\nlines"),
        (ConnectionResetError(errno.EPIPE, "Broken pipe"), 1, "Broken pipe"),
        (KeyboardInterrupt("a decoder's own words"), 130, "interrupted; no result was written\n"),
        (_caused("Error calling __set_name__", KeyboardInterrupt()), 130, "interrupted; no result was written\n"),
    ],
)
def test_what_python_raises_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Any, status: int, said: str
) -> None:
    def fail() -> None:
        if isinstance(error, str):
            error.encode()
        raise error

    monkeypatch.setattr("tlm.scenario.catalog.catalog", fail)
    assert main(["list"]) == status
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"tlm: {said}")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("arguments", [["run", "x", "--batch", "1\n\x1b"], ["list", "\n" + 9999 * "x"], ["run", ""]])
def test_a_wrong_command_line_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = int(str(ended.code))
    complaint = capsys.readouterr().err
    assert (status, complaint.count("\n"), RAW.findall(complaint)) == (2, 1, [])
    assert len(complaint) < 2000


def test_an_empty_path_is_refused(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(small), "-o", ""]) == 2
    assert capsys.readouterr().err == "tlm: -o: the value is empty; give another, or leave it out\n"


def test_a_script_that_fails_shows_its_own_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "own.py"
    script.write_text("def deep():\n    open('/none/such')\n\n\nprint('\\x1b[1m')\ndeep()\n")
    assert main(["run", str(script)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "\x1b[1m\n"  # what a script prints is its own affair
    assert printed.err.startswith(f'Traceback (most recent call last):\n  File "{script}", line 6')
    assert printed.err.endswith(f"tlm: {script}: the script ended with FileNotFoundError, see above\n")
    assert "tlm/cli" not in printed.err
