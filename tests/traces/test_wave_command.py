"""Waveforms from the command line: what is written, what is said, what is refused, and how a viewer is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import SMALL, files, refused, tlm
from waves import Waves

from tlm.cli.trace_arguments import trace_messages

BESIDE = ["a.gtkw", "a.labels.txt", "a.sucl", "a.vcd"]


def test_by_option_and_by_key(small: Path, tmp_path: Path) -> None:
    done = tlm("run", small, "--wave", "a.vcd", cwd=tmp_path)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-2:] == ["wrote a.vcd", "`tlm wave FILE` opens a waveform"]
    assert files(tmp_path) == [*BESIDE, "small.toml"]
    small.write_text(SMALL + '\n[trace]\nwave = "a.vcd"\n')
    done = tlm("run", small, "-o", "out", cwd=tmp_path)
    assert done.stdout.splitlines()[-2] == "wrote out/result.json, out/outputs.npz, out/a.vcd"
    assert files(tmp_path / "out") == [*BESIDE, "outputs.npz", "result.json"]
    for name in BESIDE:
        assert (tmp_path / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_the_level_follows_from_what_is_asked_for(small: Path, tmp_path: Path) -> None:
    fine, coarse = "engine.amem.aligner", "engine.activity"
    for options, shown in {
        (): coarse,
        ("--fidelity", "pass"): coarse,
        ("--wave-level", "cycle"): fine,
        ("--fidelity", "cycle"): fine,
        ("--trace-window", "layer:c2"): fine,
        ("--fidelity", "cycle", "--wave-level", "pass"): coarse,
    }.items():
        done = tlm("run", small, "--vcd", "a.vcd", *options, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert shown in Waves(tmp_path / "a.vcd").names, options


def test_what_an_interrupted_run_has_left_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / name for name in ("new.vcd", "old.json")]
    paths[1].write_text("of another run")

    def run() -> None:
        paths[0].write_text("of this run")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), trace_messages({}, paths):
        run()
    assert capsys.readouterr().err == f"tlm: the run up to its end is in {paths[0]}\n"


def test_what_a_waveform_lacks_is_said_on_stderr(small: Path, tmp_path: Path) -> None:
    done = tlm("run", small, "--wave", "a.vcd", "--trace-window", "cycles:500000..500001", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("tlm: warning: trace: a.vcd is empty: the run ended with cycle ")
    assert done.stderr.count("\n") == 1


REFUSALS = {
    ("--wave", "a.png"): "--wave: a.png ends in none of .vcd, .fst, which say the kind of file",
    ("--wave", "small.toml/a.vcd"): "--wave: small.toml is a file; give a directory",
    ("--wave", "d.vcd"): "--wave: d.vcd is a directory; give a file",
    ("--trace-window", "layer:c1"): "--trace-window: 'layer:c1' needs a waveform; give --wave, too",
    ("--wave", "a.vcd", "--trace-window", "c1"): (
        "--trace-window: 'c1' is not of the form layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B"
    ),
    ("--wave", "a.vcd", "--trace-window", "cycles:9..3"): (
        "--trace-window: 'cycles:9..3' ends before it begins; give the lower number first"
    ),
    ("--wave", "a.vcd", "--trace-window", "layer:"): (
        "--trace-window: 'layer:' names no layer; "
        "the forms are layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B"
    ),
    ("--wave", "a.vcd", "--trace-window", "layer:c3"): (
        "--trace-window: layer 'c3' is not in the network; its layers: c1, c2"
    ),
    ("--wave", "a.vcd", "--trace-window", "layer:c1,pass:0-1"): (
        "--trace-window: layer 'c1,pass:0-1' is not in the network; its layers: c1, c2; "
        "the forms are layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B"
    ),
    ("--wave", "a.vcd", "--trace-window", "layer:c1,pass:0..9"): (
        "--trace-window: pass:0..9, but layer 'c1' has passes 0..1; choose among these"
    ),
    ("--wave", "a.vcd", "--trace-window", "layer:c1", "--wave-level", "pass"): (
        "--trace-window: 'layer:c1' limits a waveform of level 'cycle', but --wave-level is 'pass', "
        "which always shows the whole run; leave one of them out"
    ),
    ("--wave-level", "pass"): "--wave-level: 'pass' needs a waveform; give --wave, too",
    ("--wave", "a.vcd", "--wave-level", "all"): "--wave-level: 'all' is not one of pass, cycle, rtl",
    ("--wave", "a.vcd", "--wave-limit-mb", "0"): "--wave-limit-mb: 0 is not allowed; give 1 or more",
    ("--wave", "a.vcd", "--wave-level", "cycle", "--fidelity", "pass"): (
        "trace: a waveform of level 'cycle' shows every cycle, but fidelity is 'pass'; "
        "use 'cycle', leave fidelity out, or take level 'pass'"
    ),
    ("--wave", "a.vcd", "--wave-level", "rtl", "--fidelity", "cycle"): (
        "trace: a waveform of level 'rtl' shows the circuit's signals, but fidelity is 'cycle'; "
        "use 'rtl', leave fidelity out, or take level 'pass'"
    ),
    ("--timeline", "a.vcd"): "--timeline: a.vcd ends in none of .json, .json.gz, which say the kind of file",
}


@pytest.mark.parametrize("options", REFUSALS, ids=" ".join)
def test_refusals(small: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "d.vcd").mkdir()
    before = files(tmp_path)
    assert refused("run", small, *options, cwd=tmp_path) == REFUSALS[options]
    assert files(tmp_path) == before


def test_a_scenario_is_blamed_with_its_line(small: Path, tmp_path: Path) -> None:
    small.write_text(SMALL + '[trace]\nwave = "x.png"\n')
    place = f"small.toml:{len(SMALL.splitlines()) + 2}"
    wanted = f"{place}: trace.wave: x.png ends in none of .vcd, .fst, which say the kind of file"
    assert refused("run", "small.toml", cwd=tmp_path) == wanted
    small.write_text(SMALL + '[trace]\nwindow = "layer"\n')
    assert refused("run", "small.toml", cwd=tmp_path).startswith(f"{place}: trace.window: 'layer' names no layer; ")


# -- tlm wave ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def viewers(tmp_path: Path) -> Path:
    """A directory of programs, empty at first."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def add_viewer(viewers: Path, name: str) -> None:
    program = viewers / name
    program.write_text(f'#!{sys.executable}\nimport os, sys\nprint("{name}", os.getcwd(), sys.argv[1:])\n')
    program.chmod(0o755)


def wave(path: Path, viewers: Path, display: str | None = ":9") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(viewers)} | ({} if display is None else {"DISPLAY": display})
    return subprocess.run(
        [sys.executable, "-m", "tlm", "wave", str(path)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_starts_gtkwave_where_the_files_are(tmp_path: Path, viewers: Path) -> None:
    add_viewer(viewers, "surfer")
    add_viewer(viewers, "gtkwave")
    for name in ("a.vcd", "a.gtkw"):
        (tmp_path / name).touch()
    for path in (tmp_path, tmp_path / "a.vcd", tmp_path / "a.gtkw"):
        done = wave(path, viewers)
        assert (done.returncode, done.stdout) == (0, f"gtkwave {os.path.realpath(tmp_path)} ['a.vcd', 'a.gtkw']\n")
    (tmp_path / "a.gtkw").unlink()
    assert wave(tmp_path, viewers).stdout.endswith("['a.vcd']\n")


def test_it_takes_surfer_if_that_is_what_there_is(tmp_path: Path, viewers: Path) -> None:
    add_viewer(viewers, "surfer")
    (tmp_path / "a.fst").touch()
    assert wave(tmp_path, viewers).stdout == f"surfer {os.path.realpath(tmp_path)} ['a.fst']\n"
    (tmp_path / "a.sucl").touch()
    assert wave(tmp_path, viewers).stdout.endswith("['a.fst', '--command-file', 'a.sucl']\n")


@pytest.mark.parametrize(
    ("names", "path", "message"),
    [
        ((), "", ": no waveform in this directory; `tlm run SCENARIO --wave FILE.vcd` makes one"),
        (("a.vcd", "b.fst"), "", ": several waveforms (a.vcd, b.fst); name one of them"),
        ((), "a.vcd", "/a.vcd: no such file; `tlm run SCENARIO --wave FILE.vcd` makes one"),
        (("a.gtkw",), "a.gtkw", "/a.gtkw: the dump that it shows is not beside it (a.vcd or .fst); `tlm run SCENARIO "
         "--wave FILE.vcd` makes one"),
        (("a.txt",), "a.txt", "/a.txt: is no waveform; give a .vcd, .fst or .gtkw file, or a directory with one; `tlm "
         "run SCENARIO --wave FILE.vcd` makes one"),
    ],
)  # fmt: skip
def test_what_is_no_waveform(
    tmp_path: Path, viewers: Path, names: tuple[str, ...], path: str, message: str
) -> None:  # fmt: skip
    add_viewer(viewers, "gtkwave")
    for name in names:
        (tmp_path / name).touch()
    done = wave(tmp_path / path, viewers)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"tlm: {tmp_path}{message}\n")


def test_without_a_viewer_or_a_screen_it_says_how(tmp_path: Path, viewers: Path) -> None:
    (tmp_path / "a.vcd").touch()
    done = wave(tmp_path, viewers)
    assert done.returncode == 2
    assert "no viewer was found; install GTKWave (Debian: apt install gtkwave) or Surfer, then: cd " in done.stderr
    assert done.stderr.endswith("&& gtkwave a.gtkw\n")
    add_viewer(viewers, "gtkwave")
    done = wave(tmp_path, viewers, display=None)
    assert done.returncode == 2
    assert "no screen here (DISPLAY is not set); copy a.vcd, a.gtkw and a.labels.txt to a machine" in done.stderr
