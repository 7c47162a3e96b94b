"""Compiled programs in files, and the command that makes them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from command import SCENARIOS, refused
from command import tlm as run_tlm

import tlm
from tlm.core.errors import InputError
from tlm.core.labels import LEGEND

SCENARIO = SCENARIOS / "resnet18_conv5_2_1of9.toml"


def small_program() -> tlm.Program:
    rng = np.random.default_rng(0)
    layers = [
        tlm.Conv2d("c", rng.integers(-8, 8, (40, 6, 3, 3)), padding=1, multiplier=300, shift=14),
        tlm.MaxPool2d("p", 2),
        tlm.Conv2d("d", rng.integers(-8, 8, (9, 40, 1, 1)), accumulator_output=True),
    ]
    return tlm.compile(tlm.Network((6, 20, 24), layers), tlm.ChipConfig(amem_words=512))


def test_a_saved_program_is_the_same_program(tmp_path: Path) -> None:
    program = small_program()
    tlm.save_program(program, tmp_path / "p.tlm")
    again = tlm.load_program(tmp_path / "p.tlm")
    assert (again.steps, again.jobs, again.parts, again.config) == (
        program.steps, program.jobs, program.parts, program.config
    )  # fmt: skip
    assert (again.choices, again.chunks, again.loads, again.stores, again.predicted_total_cycles) == (
        program.choices, program.chunks, program.loads, program.stores, program.predicted_total_cycles
    )  # fmt: skip
    assert again.disassemble() == program.disassemble()
    values = np.random.default_rng(1).integers(0, 16, (6, 20, 24))
    assert tlm.simulate(again, values).outputs_sha256 == tlm.simulate(program, values).outputs_sha256
    assert tlm.simulate(again, values).cycles == tlm.simulate(program, values).cycles


def test_equal_programs_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tlm.save_program(small_program(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"hello", "no compiled program"),
        (b"", "no compiled program"),
        (b"tlm.program/1\n" + pickle.dumps([1, 2]), "of another version.*compile it again"),
        (b"tlm.program/4\nabc", "of another version"),
        (b"tlm.program/3\n", "damaged"),
        (b"tlm.program/3\nabc", "damaged"),
        (b"tlm.program/3\n" + b"\xff" * 40, "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, data: bytes, complaint: str) -> None:
    path = tmp_path / "p.tlm"
    path.write_bytes(data)
    with pytest.raises(InputError, match=complaint) as caught:
        tlm.load_program(path)
    assert str(caught.value).startswith(str(path))
    assert "compile" in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, complaint in ((tmp_path / "fifo", "not a regular file"), (tmp_path, "not a regular file")):
        with pytest.raises(InputError, match=complaint):
            tlm.load_program(path)
    for path in (tmp_path / "none", tmp_path / "n\0l"):
        with pytest.raises(InputError, match="cannot be read"):
            tlm.load_program(path)
    for wrong in (None, 3, b"p"):
        with pytest.raises(InputError, match="must be str or Path"):
            tlm.load_program(wrong)  # type: ignore[arg-type]


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.tlm"
    tlm.save_program(small_program(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="damaged"):
        tlm.load_program(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        tlm.save_program(small_program(), tmp_path / "missing" / "p.tlm")
    with pytest.raises(InputError, match="is not a regular file"):
        tlm.save_program(small_program(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_the_plan_and_saves(tmp_path: Path) -> None:
    done = run_tlm("compile", SCENARIO, "-o", tmp_path / "p.tlm")
    assert done.returncode == 0, done.stderr
    assert "conv5_2.dwpw2" in done.stdout
    assert "engine jobs" in done.stdout
    program = tlm.load_program(tmp_path / "p.tlm")
    assert f"{program.predicted_total_cycles:,} cycles" in done.stdout


def test_every_figure_of_the_plan_has_a_label() -> None:
    """As in `tlm run`: the totals line by line, the table by the legend, the array only if it is the published one."""
    head, *lines = run_tlm("compile", SCENARIO).stdout.rstrip().splitlines()
    totals, legend = lines[-6:-1], lines[-1].rstrip()
    assert head.endswith(": compiled for 32x32 MACs [P]")
    assert [line.split()[0] for line in totals] == ["predicted", "steps", "driver", "DMA", "off-chip"]
    assert all(line.rstrip().endswith("[S]") for line in totals)
    assert legend == LEGEND
    for key in ("lanes", "columns"):
        done = run_tlm("compile", SCENARIO, "--set", f"chip.{key}=64")
        assert done.stdout.splitlines()[0].endswith(" MACs (chosen)")


def test_the_command_checks_the_place_before_it_compiles(tmp_path: Path) -> None:
    too_small = ("--set", "chip.imem_words=64")  # compiling would be refused too, but later
    (tmp_path / "f").touch()
    assert refused("compile", SCENARIO, *too_small, "-o", ".", cwd=tmp_path) == "-o: . is a directory; give a file"
    wanted = "-o: f is a file; give a directory"
    assert refused("compile", SCENARIO, *too_small, "-o", "f/p.tlm", cwd=tmp_path) == wanted
    assert "IMEM words" in refused("compile", SCENARIO, *too_small, "-o", "p.tlm", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_the_command_makes_a_missing_directory(tmp_path: Path) -> None:
    done = run_tlm("compile", SCENARIO, "-o", "new/deep/p.tlm", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nwrote new/deep/p.tlm\n")
    assert tlm.load_program(tmp_path / "new" / "deep" / "p.tlm").network.layers
