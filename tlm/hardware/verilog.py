"""The engine as readable Verilog-2005, its SRAM macros apart.

Amaranth writes a module for each instance; here equal modules become one, and SRAM banks become instances of macros.
Yosys then writes Verilog. The text depends on the configuration and on the versions of Amaranth and Yosys alone.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.rtl import build

TOP = "engine"
MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end$", re.MULTILINE | re.DOTALL)
"""Name and contents of a module in RTLIL."""
_CELL = re.compile(r"^  cell \\(\S+) \\(\S+)\n(.*?)^  end$", re.MULTILINE | re.DOTALL)
_UNNAMED = re.compile(r"^  wire width \d+ (?:input|output) (\d+)  (?:signed )?\\(port\$\S+)$", re.MULTILINE)
_NUMBERED = re.compile(r"\\\$?([a-z]\w*)\$(\d+)(?=\s)")
_TRIGGER = re.compile(r"\\\$auto\$verilog_backend\S+ ")
"""A variable that never changes; its start value has simulators evaluate each ``always @*`` once."""
_MACRO_PORTS = {"write__data": "write_data", "read": "read_data"}
"""What Amaranth calls ports of :class:`tlm.chip.rtl.sram.Bank` -> what they are called here; a macro has no reset."""
_YOSYS = ("proc -nomux", "opt_clean", "write_verilog -noattr design.v")


class Design(NamedTuple):
    """The texts of an engine's Verilog files."""

    engine: str
    """Everything but the SRAM macros; the module ``engine`` is its top."""
    srams: str
    """Behavioural models of the SRAM macros."""


def design(config: ChipConfig) -> Design:
    """The engine of a chip.

    Raises:
        InputError: Amaranth or Yosys is missing; says what to install.
    """
    build.require()
    from tlm.chip.rtl.engine import EngineCircuit

    text = shared_modules(build.rtlil(config, EngineCircuit(config, is_observed=False)), macros(config))
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "design.il").write_text(text)
        build.yosys(folder, "read_rtlil design.il", *_YOSYS)
        written = (folder / "design.v").read_text()
    body = _TRIGGER.sub("at_start", re.sub(r"^/\*.*?\*/\n", "", written, count=1))
    return Design(_engine_header(config) + body, _SRAMS_HEADER + "".join(_models(config)))


def macros(config: ChipConfig) -> dict[str, str]:
    """Path of each SRAM bank in the hierarchy -> its macro's module."""
    return {
        f"{TOP}.{sram.name.lower()}.bank_{bank}": _macro(*_bank_size(sram, config))
        for sram in SramName
        for bank in range(sram_banks(sram, config))
    }


def _bank_size(sram: SramName, config: ChipConfig) -> tuple[int, int]:
    words, word_bytes = sram_size(sram, config)
    return words // sram_banks(sram, config), 8 * word_bytes


def _macro(words: int, bits: int) -> str:
    return f"sram_{words}x{bits}"


def shared_modules(rtlil: str, macros: dict[str, str]) -> str:
    """RTLIL in which instances of equal contents share a module with a short name, and macros have no contents.

    Args:
        rtlil: Amaranth's, where a module is named by the path of its only instance.
        macros: paths of instances that are left to somebody else -> their module.
    """
    names, contents = dict(macros), dict[str, str]()
    known: dict[tuple[str, str], str] = {}
    ports = dict.fromkeys(macros, _MACRO_PORTS)

    def cell(match: re.Match[str]) -> str:
        path, name, connections = match.groups()
        if path in macros:
            connections = re.sub(r"^ *connect \\rst .*\n", "", connections, flags=re.MULTILINE)
        for old, new in ports.get(path, {}).items():
            connections = connections.replace(f"connect \\{old} ", f"connect \\{new} ")
        return f"  cell \\{names[path]} \\{name}\n{connections}  end"

    for path, body in reversed(MODULE.findall(rtlil)):  # instances stand behind those that contain them
        if path in macros:
            continue
        ports[path] = {name: f"port_{number}" for number, name in _UNNAMED.findall(body)}
        body = _CELL.sub(cell, body)
        for old, new in ports[path].items():
            body = re.sub(rf"\\{re.escape(old)}(?=\s)", rf"\\{new}", body)
        body = _NUMBERED.sub(r"\\\1_\2", body)
        alike = (next(_short_names(path)), body)
        if alike not in known:
            known[alike] = next(name for name in _short_names(path) if name not in contents)
            contents[known[alike]] = body
        names[path] = known[alike]
    return "".join(f"module \\{name}\n{body}end\n" for name, body in reversed(contents.items()))


def _short_names(path: str) -> Iterator[str]:
    """The instance's own name without its number, then more and more of its path."""
    parts = path.split(".")
    yield re.sub(r"_\d+$", "", parts[-1])
    for first in range(len(parts) - 1, -1, -1):
        yield "_".join(parts[first:])


def _engine_header(config: ChipConfig) -> str:
    lines = [
        f"The engine of a cartesian-tlm chip: {config.lanes} lanes x {config.columns} columns.",
        "One clock (clk, rising edge), synchronous reset (rst). Its SRAM macros are in another file.",
        *(
            f"{sram.name.lower()}: {sram_banks(sram, config)} x {macro}"
            for sram in SramName
            for macro in [_macro(*_bank_size(sram, config))]
        ),
    ]
    return "".join(f"// {line}\n" for line in lines) + "\n"


_SRAMS_HEADER = """// Behavioural models of the engine's SRAM macros, for simulation.
// For silicon or an FPGA, give the same modules the foundry's or the vendor's macros instead.
// Each is single-ported: in a cycle with enable, a write or a read. Read data come in the
// next cycle and stay until the next read. There is no reset, and words are undefined at first.
"""


def _models(config: ChipConfig) -> Iterator[str]:
    for words, bits in sorted({_bank_size(sram, config) for sram in SramName}):
        # a macro of one word has no address
        pin = f"\n  input [{(words - 1).bit_length() - 1}:0] address," if words > 1 else ""
        word = "words[address]" if words > 1 else "words[0]"
        yield f"""
module {_macro(words, bits)} (
  input clk,
  input enable,
  input write,{pin}
  input [{bits - 1}:0] write_data,
  output reg [{bits - 1}:0] read_data
);
  reg [{bits - 1}:0] words [0:{words - 1}];

  always @(posedge clk)
    if (enable && write)
      {word} <= write_data;
    else if (enable)
      read_data <= {word};
endmodule
"""
