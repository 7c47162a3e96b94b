"""The exported design passes its testbench in Icarus Verilog, and a wrong design or stimulus fails."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from icarus import needs_icarus, run_bench
from rtl_cases import NAMED
from rtl_chip import CHIP

import tlm
from tlm.chip.format.driver import SramName, StartTransfer
from tlm.chip.format.isa import Opcode
from tlm.chip.format.registers import UnitRegister
from tlm.compiler.program import Program
from tlm.hardware.recording import Recording, RegisterAccess, WordAccess, record
from tlm.hardware.testbench import testbench as make_testbench
from tlm.networks.seeded import seeded_activations
from tlm.observe.faults import BitFlip, FaultTarget

pytestmark = needs_icarus
QUICK = ("point-wise", "max pooling of signed values", "one channel of one pixel")
SMALLEST = "one channel of one pixel"
PASS = re.compile(
    r"PASS: (\d+) cycles; (\d+) register accesses, (\d+) DMA grants, (\d+) refusals, (\d+) words read, (\d+) interrupts"
)


def compiled(name: str) -> Program:
    network, around = NAMED[name]
    return tlm.compile(network, replace(CHIP, **around))


def recorded(program: Program, *faults: BitFlip) -> Recording:
    network = program.network
    activations = seeded_activations(network.input_shape, 3, signed=network.signed_input)
    return record(program, activations, faults)


def written(recording: Recording, directory: Path) -> Path:
    """The testbench, with its stimulus beside it."""
    bench, stimulus = make_testbench(recording, CHIP, "stimulus.hex")
    (directory / "bench.v").write_text(bench)
    (directory / "stimulus.hex").write_text(stimulus)
    return directory / "bench.v"


def check_passes(recording: Recording, directory: Path, design_files: list[Path]) -> None:
    """PASS, with the counts of what was recorded."""
    done = run_bench(written(recording, directory), *design_files)
    assert (done.returncode, done.stderr) == (0, "")
    found = PASS.fullmatch(done.stdout.strip())
    assert found is not None, done.stdout
    accesses = [event for event in recording.events if isinstance(event, WordAccess)]
    stored = sum(access.granted and not access.load for access in accesses)
    refused = sum(not access.granted for access in accesses)
    kept = sum(len(words) for words in recording.contents.values())
    registers = sum(isinstance(event, RegisterAccess) for event in recording.events)
    cycles, *counts = map(int, found.groups())
    assert cycles > recording.events[-1].cycle
    assert counts == [
        registers,
        len(accesses) - refused + kept,
        refused,
        stored + kept,
        len(recording.events) - len(accesses) - registers,
    ]


def check_fails(done: CompletedProcess[str], first: str) -> None:
    """FAIL lines, the first of which begins like this, no PASS, and an exit status."""
    lines = [line for line in done.stdout.splitlines() if not line.startswith("WARNING")]  # of Icarus
    assert done.returncode == 1
    assert re.match(first, lines[0]), lines[0]
    assert re.fullmatch(r"FAIL: \d+ differences after \d+ of \d+ cycles", lines[-1])
    assert all(line.startswith("FAIL") for line in lines)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in NAMED])
def test_a_layer_of_each_kind_passes(name: str, tmp_path: Path, design_files: list[Path]) -> None:
    check_passes(recorded(compiled(name)), tmp_path, design_files)


@pytest.mark.slow
def test_loads_are_refused_beside_the_computation(tmp_path: Path) -> None:
    recording = recorded(compiled("loads beside the computation"))
    assert any(isinstance(event, WordAccess) and not event.granted for event in recording.events)


def test_an_error_is_expected_and_compared(tmp_path: Path, design_files: list[Path]) -> None:
    """The first header word has no opcode: the host reads the error's code, address and cycle."""
    program = compiled(SMALLEST)
    transfers = [step.transfer for step in program.steps if isinstance(step, StartTransfer)]
    first = next(transfer for transfer in transfers if transfer.sram == SramName.IMEM)
    assert Opcode.LAYER == 2
    recording = recorded(program, BitFlip(FaultTarget.MEMORY, first.memory_offset_bytes + 7, bit=5))
    read = [event.offset_bytes for event in recording.events if isinstance(event, RegisterAccess) and not event.write]
    errors = [UnitRegister.ERROR_CODE, UnitRegister.ERROR_ADDRESS, UnitRegister.ERROR_CYCLE]
    assert read == [UnitRegister.STATUS, *errors]
    check_passes(recording, tmp_path, design_files)


@pytest.mark.parametrize(
    ("module", "right", "wrong", "first"),
    [
        ("column", " + ", " - ", r"FAIL in cycle \d+, amem word: expected \w+, found \w+"),
        ("registers", "16'h0048", "16'h0049", r"FAIL in cycle \d+, register answer: expected 0, found 1"),
        ("imem", " & ", " | ", r"FAIL in cycle \d+, "),
    ],
)
def test_a_broken_design_fails(
    module: str, right: str, wrong: str, first: str, tmp_path: Path, design_files: list[Path]
) -> None:
    engine, srams = design_files
    text = engine.read_text()
    start = text.index(f"\nmodule {module}(")
    broken = tmp_path / "broken.v"
    broken.write_text(text[:start] + text[start:].replace(right, wrong, 1))
    check_fails(run_bench(written(recorded(compiled("point-wise")), tmp_path), broken, srams), first)


@pytest.mark.parametrize(
    ("line", "place", "first"),
    [
        (1, -1, r"FAIL in cycle \d+, "),  # a loaded word
        (-1, -1, r"FAIL in cycle \d+, \w+ word: "),  # a word that is read back
        (-1, 13, r"FAIL in cycle \d+, store grants: expected 0, found [124]"),  # a grant
    ],
)
def test_a_changed_stimulus_fails(line: int, place: int, first: str, tmp_path: Path, design_files: list[Path]) -> None:
    bench = written(recorded(compiled(SMALLEST)), tmp_path)
    stimulus = tmp_path / "stimulus.hex"
    lines = stimulus.read_text().splitlines()
    digits = list(lines[line])
    digits[place] = "0" if digits[place] == "1" else "1"
    lines[line] = "".join(digits)
    stimulus.write_text("\n".join(lines))
    check_fails(run_bench(bench, *design_files), first)


def test_nothing_compared_is_no_pass(tmp_path: Path, design_files: list[Path]) -> None:
    bench = written(recorded(compiled(SMALLEST)), tmp_path)
    (tmp_path / "stimulus.hex").write_text("// nothing\n")
    done = run_bench(bench, *design_files)
    check_fails(done, r"FAIL: 0 register accesses compared, \d+ expected")
