"""Gates counted: circuits whose count is known, a block against its closed form."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from command import tlm
from icarus import needs_icarus, run_bench
from rtl_chip import CHIP

from tlm.chip.config import ChipConfig
from tlm.chip.rtl import build
from tlm.cli import main, rtl_command
from tlm.core.errors import InputError, SimulationError
from tlm.hardware import synthesis
from tlm.hardware.liberty import DEBIAN_FILE, Library, read_library
from tlm.hardware.netlist import longest_path, read_blif
from tlm.hardware.synthesis import (
    CLOCK_GATE,
    MULTIPLIER,
    SMALLEST_GATED,
    Synthesis,
    circuit,
    commands,
    digest,
    gates_record,
    mapped,
    synthesise,
)
from tlm.hardware.verilog import shared_modules
from tlm.reproduction.circuit import counted_gates

pytest.importorskip("amaranth")

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.rtl.mac_array import ACCUMULATOR_BITS, Column, MacArray

TOLERANCE = 0.02
"""Of the stored gates against those counted anew: other versions of Yosys differ by this much."""

pytestmark = pytest.mark.skipif(not DEBIAN_FILE.exists(), reason="needs Debian's qflow-tech-osu018")


class Pairs(Component):
    """NAND gates and registers, as many as it has bits."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"a": In(bits), "b": In(bits), "nand": Out(bits), "kept": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kept = Signal(self.bits, reset_less=True)
        m.d.sync += kept.eq(self.a)
        m.d.comb += [self.nand.eq(~(self.a & self.b)), self.kept.eq(kept)]
        return m


class Twice(Component):
    """Two equal modules, one behind the other."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"a": In(bits), "nand": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.first = first = Pairs(self.bits)
        m.submodules.second = second = Pairs(self.bits)
        m.d.comb += [first.a.eq(self.a), first.b.eq(self.a), second.a.eq(first.kept), second.b.eq(first.kept)]
        m.d.comb += self.nand.eq(second.kept)
        return m


class Enabled(Component):
    """A sum of products with an enable, a reset and a way to clear it, a word kept as long, and other products."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__(
            {
                "a": In(signed(bits)),
                "b": In(signed(bits)),
                "enable": In(1),
                "clear": In(1),
                "total": Out(signed(2 * bits)),
                "kept": Out(bits),
                "mixed": Out(signed(2 * bits)),
                "positive": Out(2 * bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kept = Signal(self.bits, reset_less=True)
        m.d.comb += [self.mixed.eq(self.a * kept), self.positive.eq(kept[:-1] * self.b.as_unsigned())]
        with m.If(self.clear):
            m.d.sync += self.total.eq(0)
        with m.Elif(self.enable):
            m.d.sync += self.total.eq(self.total + self.a * self.b)
        with m.If(self.enable):
            m.d.sync += kept.eq(self.a)
        m.d.comb += self.kept.eq(kept)
        return m


class Kept(Component):
    """A word with an enable."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"a": In(bits), "enable": In(1), "kept": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kept = Signal(self.bits, reset_less=True)
        with m.If(self.enable):
            m.d.sync += kept.eq(self.a)
        m.d.comb += self.kept.eq(kept)
        return m


@pytest.fixture(scope="module")
def library() -> Library:
    return read_library(DEBIAN_FILE)


def gates_of(circuit: Component, library: Library) -> Synthesis:
    return mapped(shared_modules(build.rtlil(circuit, "top")), DEBIAN_FILE, library)


def test_nands_and_registers_count_exactly(library: Library) -> None:
    (block,) = gates_of(Pairs(7), library).blocks
    assert block.cells == {"NAND2X1": 7, "DFFPOSX1": 7}
    assert (block.gates, block.flip_flops) == (7 * 1.0 + 7 * 4.0, 7)


def test_what_nobody_uses_does_not_count_and_equal_blocks_count_each(library: Library) -> None:
    found = gates_of(Twice(5), library)
    assert [(block.name, block.cells) for block in found.blocks] == [
        ("first", {"DFFPOSX1": 5}),
        ("second", {"DFFPOSX1": 5}),
        ("between blocks", {}),
    ]
    assert (found.gates, found.flip_flops) == (40.0, 10)


def test_a_mac_has_an_accumulator_and_a_finished_sum(library: Library) -> None:
    clock_gate = 1
    assert gates_of(Column(3), library).flip_flops == 3 * 2 * ACCUMULATOR_BITS + clock_gate


def test_registers_of_one_enable_share_a_clock_gate_where_that_is_smaller(library: Library) -> None:
    (few,), (many,) = (gates_of(Kept(bits), library).blocks for bits in (SMALLEST_GATED - 1, SMALLEST_GATED))
    assert (few.flip_flops, many.flip_flops) == (SMALLEST_GATED - 1, SMALLEST_GATED + 1)
    assert many.cells == {"AND2X1": 1, "DFFNEGX1": 1, "DFFPOSX1": SMALLEST_GATED}
    assert many.gates < few.gates / few.flip_flops * SMALLEST_GATED


BENCH = """`timescale 1ns/10ps
module bench;
  reg clk = 0, rst = 1, enable = 0, clear = 0;
  reg [5:0] a = 0, b = 0;
  wire [11:0] total, mapped_total;
  wire [5:0] kept, mapped_kept;
  wire [11:0] mixed, mapped_mixed, positive, mapped_positive;
  integer cycle, differences = 0, changes = 0;
  top plain(.clk(clk), .rst(rst), .enable(enable), .clear(clear), .a(a), .b(b), .total(total), .kept(kept),
    .mixed(mixed), .positive(positive));
  cells mapped(
    .clk(clk), .rst(rst), .enable(enable), .clear(clear), .a(a), .b(b), .total(mapped_total), .kept(mapped_kept),
    .mixed(mapped_mixed), .positive(mapped_positive)
  );
  initial begin
    for (cycle = 0; cycle < 2000; cycle = cycle + 1) begin
      #5 clk = 1;
      #2 {a, b, enable} = $random;
      rst = cycle < 2 || $random % 16 == 0;
      clear = $random % 8 == 0;
      #3 clk = 0;
      #2 if (cycle > 40) begin
        differences = differences +
          ({total, kept, mixed, positive} !== {mapped_total, mapped_kept, mapped_mixed, mapped_positive});
        changes = changes + (total != 0);
      end
    end
    $display("%0d differences, %0s", differences, changes > 1000 ? "many sums" : "few sums");
  end
endmodule
"""


@needs_icarus
def test_mapped_cells_do_what_the_circuit_does(tmp_path: Path) -> None:
    """Enables, resets and signed products, in the library's own models of its cells; and with a broken clock gate."""
    (tmp_path / "circuit.il").write_text(shared_modules(build.rtlil(Enabled(6), "top")))
    (tmp_path / "gate.v").write_text(CLOCK_GATE)
    (tmp_path / MULTIPLIER.name).write_text(MULTIPLIER.read_text())
    (tmp_path / "cells.lib").write_text(DEBIAN_FILE.read_text())
    build.yosys(tmp_path, "read_rtlil circuit.il", "proc", "write_verilog -noattr plain.v")
    build.yosys(tmp_path, *commands("top", ()), "rename top cells", "write_verilog -noattr mapped.v")
    # a flip-flop's delay, for the clock's gates have one, too
    models = DEBIAN_FILE.with_suffix(".v").read_text().replace("buf (Q, DS0000)", "buf #1 (Q, DS0000)")
    (tmp_path / "models.v").write_text(re.sub(r"\bspecify\b.*?\bendspecify\b", "", models, flags=re.DOTALL))
    (tmp_path / "bench.v").write_text(BENCH)
    files = [tmp_path / name for name in ("bench.v", "plain.v", "mapped.v", "models.v")]
    assert run_bench(*files, warnings="-Wno-implicit").stdout == "0 differences, many sums\n"
    right = files[2].read_text()
    wrong = re.sub(r"AND2X1( \S+ \(\s*\.A\(clk\))", r"OR2X1\1", right)
    assert wrong != right, "no clock gate"
    files[2].write_text(wrong)
    assert re.fullmatch(r"[1-9]\d* differences, many sums\n", run_bench(*files, warnings="-Wno-implicit").stdout)


def test_the_columns_of_the_array_are_equal_and_add_up(library: Library) -> None:
    found = gates_of(MacArray(CHIP), library)
    columns = [block for block in found.blocks if block.name.startswith("column")]
    assert len(columns) == CHIP.columns
    assert len({block.gates for block in columns}) == 1
    cells = [(library.gates(cell), count) for block in found.blocks for cell, count in block.cells.items()]
    assert found.gates == pytest.approx(sum(gates * count for gates, count in cells))
    assert found.path.delay >= max(block.path.delay for block in found.blocks)


def test_a_chain_of_nands_takes_their_delays(library: Library) -> None:
    chain = [f".gate NAND2X1 A=n{at} B=n{at} Y=n{at + 1}" for at in range(9)]
    text = "\n".join([".model top", ".inputs n0", ".outputs n9", *chain, ".end"])
    path = longest_path(read_blif(text), "top", library)
    assert path == (pytest.approx(9 * library.nand2_delay), "n0", "n9")
    loop = text.replace("A=n0 B=n0", "A=n0 B=n5")
    with pytest.raises(SimulationError, match="combinational loop"):
        longest_path(read_blif(loop), "top", library)


def test_delays_are_interpolated_in_the_tables(tmp_path: Path) -> None:
    """By hand: the load is 4 x 2 = 8, half way from 6 to 10; a transition of 3 lies half way from 2 to 4."""
    table = 'index_1 ("6, 10"); index_2 ("2, 4"); values ("10, 20", "30, 40");'
    flat = 'index_1 ("6, 10"); index_2 ("2, 4"); values ("3, 3", "3, 3");'
    timing = f'timing () {{ related_pin : "A B"; cell_rise (t) {{ {table} }} rise_transition (t) {{ {flat} }} }}'
    file = tmp_path / "small.lib"
    file.write_text(
        "library (small) { lu_table_template (t) { variable_1 : total_output_net_capacitance;"
        " variable_2 : input_net_transition; }"
        " cell (N) { area : 3; pin (A) { direction : input; capacitance : 2; }"
        f' pin (B) {{ direction : input; }} pin (Y) {{ function : "!(A*B)"; {timing} }} }}'
        " cell (F) { area : 12; ff (q, n) { clocked_on : C; } } }"
    )
    small = read_library(file)
    assert (small.nand2, small.nand2_delay, small.gates("F")) == ("N", 25.0, 4.0)


def test_liberty_files_that_do_not_serve_end_in_one_line(tmp_path: Path) -> None:
    whole = DEBIAN_FILE.read_text()
    damaged = {
        "empty": "",
        "cut": whole[: len(whole) // 2],
        "no library": "cell (a) { area : 1; }",
        "no nand": whole.replace("NAND2X1", "OTHER").replace("(!(A B))", "(A B)"),
        "no flip-flop": whole.replace("ff (", "unknown ("),
        "numbers": whole.replace("area : 24;", "area : large;"),
        "words": "library is here",
    }
    for name, text in damaged.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(
            InputError, match=rf"^--liberty: .*/{name} is no complete liberty file \(.+\); name another"
        ):
            read_library(tmp_path / name)
    done = tlm("rtl", "--synth", "--liberty", "none.lib", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "tlm: --liberty: none.lib cannot be read (No such file or directory); "
        "name a liberty file, or install Debian's: apt install qflow-tech-osu018\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "-o", "out"], "--json: needs --synth"),
        (["--liberty", "a.lib", "-o", "out"], "--liberty: needs --synth"),
        (["--synth", "-o", "out"], "-o: is not allowed with --synth"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = tlm("rtl", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"tlm: {said}")


@pytest.mark.slow
def test_a_small_chip_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two syntheses, in two processes, give the same record; the table is that of the second."""
    small = [
        f"--set=chip.{key}={getattr(CHIP, key)}"
        for key in ("lanes", "columns", "amem_words", "wmem_words", "imem_words")
    ]
    printed, found = tlm("rtl", "--synth", "--json", *small, cwd=tmp_path), synthesise(CHIP)
    assert (printed.returncode, printed.stderr) == (0, "")
    record = json.loads(printed.stdout)
    assert record == gates_record(found, CHIP)
    monkeypatch.setattr(rtl_command, "synthesise", lambda *_: found)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["rtl", "--synth", *small]) == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert record["sram_bits"] == 1024 * 32 + 512 * 32 + 512 * 64
    for key in ("gates", "flip_flops"):
        assert sum(block[key] for block in record["blocks"]) == pytest.approx(record["total"][key], abs=1)
    assert f"{record['total']['gates']:,.0f}" in shown


@pytest.mark.slow
def test_the_stored_gates_are_those_of_today() -> None:
    """The circuit and its mapping are those that were counted; with another Yosys all gates are counted again.

    On failure: tlm rtl --synth --json > tlm/reproduction/gates.json; then tlm reproduce -o docs/reproduction.md.
    """
    stored, chip = counted_gates(), ChipConfig()
    assert stored["chip"] == {key: getattr(chip, key) for key in build.CIRCUIT_KEYS}
    assert stored["liberty"]["sha256"] == hashlib.sha256(DEBIAN_FILE.read_bytes()).hexdigest()
    if stored["tools"] == {package: version(package) for package in ("amaranth", "pyosys")}:
        assert stored["circuit"]["sha256"] == digest(circuit(chip))
        return
    found = gates_record(synthesise(chip), chip)
    ours: dict[str, Any] = found["total"]  # type: ignore[assignment]
    assert stored["total"]["flip_flops"] == pytest.approx(ours["flip_flops"], rel=TOLERANCE)
    assert stored["total"]["gates"] == pytest.approx(ours["gates"], rel=TOLERANCE)
    assert [block["name"] for block in stored["blocks"]] == [block["name"] for block in found["blocks"]]  # type: ignore[attr-defined]


def test_a_digest_tells_another_circuit_and_another_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (shared_modules(build.rtlil(Pairs(bits), "top")) for bits in (3, 4))
    before = digest(few)
    assert before == digest(few) != digest(many)
    monkeypatch.setattr(synthesis, "SMALLEST_GATED", SMALLEST_GATED + 1)
    assert digest(few) != before
