"""The exported Verilog: what stands in it, that it repeats, and what Verilator's linter says of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rtl_chip import CHIP, DEEP_CHIP

from tlm.chip.config import ChipConfig
from tlm.chip.rtl.build import Tools
from tlm.hardware.verilog import Design, design, shared_modules

BLOCKS = {"engine", "amem", "wmem", "imem", "registers", "header", "sequencer", "address_generator", "aligner",
          "mac_array", "requantiser"}  # fmt: skip


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+)", text, re.MULTILINE)


def test_each_block_is_a_module_and_equal_instances_share_one(exported: Design) -> None:
    names = modules(exported.engine)
    assert len(names) == len(set(names))
    assert set(names) >= BLOCKS
    assert not [name for name in names if re.search(r"_\d+$", name)]
    assert len(re.findall(r"^  column column_\d+ \(", exported.engine, re.MULTILINE)) == CHIP.columns
    start = exported.engine.index("  column column_1 (")
    ports = re.findall(r"^    \.(\w+)\(", exported.engine[start : exported.engine.index(";", start)], re.MULTILINE)
    assert ports == ["activations", "clear", "clk", "finished", "handover", "rst", "weight"]


def test_sram_macros_are_apart_and_each_size_is_there_once(exported: Design) -> None:
    assert modules(exported.srams) == ["sram_128x32", "sram_256x32", "sram_256x64"]
    assert not set(modules(exported.srams)) & set(modules(exported.engine))
    used = re.findall(r"^  (sram_\w+) bank_\d \(", exported.engine, re.MULTILINE)
    assert {macro: used.count(macro) for macro in used} == {"sram_256x32": 4, "sram_128x32": 4, "sram_256x64": 2}


def test_the_top_has_the_ports_of_host_and_dma_alone(exported: Design) -> None:
    start = exported.engine.index("\nmodule engine(")
    header = exported.engine[start : exported.engine.index(";", start)]
    ports = set(re.findall(r"\w+", header)) - {"module", "engine"}
    host = {"clk", "rst", "valid", "write", "offset", "data", "cycle", "read", "answer", "irq"}
    assert host <= ports
    assert all(re.fullmatch(r"[awi]mem_(dma_(load|store)__\w+|read__\d)", port) for port in ports - host)
    assert "observed" not in exported.engine


def test_no_text_names_a_tool_a_date_or_a_place(exported: Design) -> None:
    for text in exported:
        assert not re.search(r"yosys|amaranth|\.py|\.cc|/\w+/|\(\*|\b20\d\d\b", text, re.IGNORECASE)


@pytest.mark.slow
def test_the_same_bytes_in_another_process(exported: Design, tmp_path: Path) -> None:
    command = (
        "import sys; sys.path[:0] = sys.argv[1:]; from rtl_chip import CHIP; from tlm.hardware.verilog import design; "
        "print(*design(CHIP), sep='', end='')"
    )
    support = Path(__file__).parents[1] / "support"
    again = subprocess.run(
        [sys.executable, "-c", command, str(support)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout == "".join(exported)


def lint(texts: Design, folder: Path) -> set[str]:
    """Kinds of Verilator's warnings."""
    names = ("engine.v", "engine_srams.v")
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_text(text)
    tools = Tools()
    done = subprocess.run(
        [str(tools._verilator), "--lint-only", "-Wall", "-Wno-fatal", "--top-module", "engine", *names],
        cwd=folder,
        env={**os.environ, "VERILATOR_ROOT": str(tools._root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^%Warning-(\w+)", done.stderr, re.MULTILINE))


HARMLESS = {
    "CASEINCOMPLETE",  # the value for all other cases stands before the case
    "CMPCONST",  # a value of the configuration makes a comparison always true
    "DECLFILENAME",  # one file has several modules
    "PROCASSINIT",  # registers have a start value
    "UNUSEDSIGNAL",  # signals keep their names, even where others took their place
    "WIDTHEXPAND",
    "WIDTHTRUNC",  # Verilog's own rules of widths are meant
}


def test_no_latch_no_loop(exported: Design, tmp_path: Path) -> None:
    assert lint(exported, tmp_path) <= HARMLESS


@pytest.mark.slow
@pytest.mark.parametrize("chip", [DEEP_CHIP, ChipConfig(lanes=8, columns=8, amem_words=8, amem_banks=8)])
def test_no_latch_no_loop_in_others(chip: ChipConfig, tmp_path: Path) -> None:
    assert lint(design(chip), tmp_path) <= HARMLESS


def test_the_lint_sees_a_latch_and_a_loop(tmp_path: Path) -> None:
    latch = "  always @* if (a) c = b;\n"
    loop = "  wire e;\n  assign d = e & a;\n  assign e = d | b;\n"
    text = f"module engine(input a, input b, output reg c, output d);\n{latch}{loop}endmodule\n"
    assert {"LATCH", "UNOPTFLAT"} <= lint(Design(text, ""), tmp_path)


INSTANCES = """\
module \\top
  wire width 1 \\valid$12
  cell \\top.a_0 \\a_0
    connect \\port$7$0 \\valid$12
  end
  cell \\top.a_1 \\a_1
    connect \\port$9$0 \\valid$12
  end
  cell \\top.b.a_0 \\a_2
  end
end
module \\top.a_0
  wire width 1 input 0  \\port$7$0
end
module \\top.a_1
  wire width 1 input 0  \\port$9$0
end
module \\top.b.a_0
  wire width 2 \\other
end
"""


def test_modules_are_shared_only_if_they_are_equal() -> None:
    text = shared_modules(INSTANCES)
    assert re.findall(r"^module \\(\w+)", text, re.MULTILINE) == ["top", "a_1", "a"]
    assert re.findall(r"^  cell \\(\w+)", text, re.MULTILINE) == ["a_1", "a_1", "a"]
    assert text.count("    connect \\port_0 \\valid_12\n") == 2
    assert text.count("  wire width 1 input 0  \\port_0\n") == 1
