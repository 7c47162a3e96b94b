"""The engine as readable Verilog-2005, its SRAM macros apart.

Amaranth writes a module for each instance (columns apart); here equal modules become one.
Yosys then writes Verilog. The text depends on the configuration and on the versions of Amaranth and Yosys alone.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_banks
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
    from tlm.chip.rtl.sram import macro_models

    text = shared_modules(build.rtlil(EngineCircuit(config, is_observed=False)))
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "design.il").write_text(text)
        build.yosys(folder, "read_rtlil design.il", *_YOSYS)
        written = (folder / "design.v").read_text()
    body = _TRIGGER.sub("at_start", re.sub(r"^/\*.*?\*/\n", "", written, count=1))
    return Design(_engine_header(config) + body, _SRAMS_HEADER + macro_models(config))


def shared_modules(rtlil: str) -> str:
    """RTLIL in which instances of equal contents share a module with a short name.

    Args:
        rtlil: Amaranth's, where a module is named by the path of its only instance; macros have names already.
    """
    names, contents = dict[str, str](), dict[str, str]()
    known: dict[tuple[str, str], str] = {}
    ports: dict[str, dict[str, str]] = {}

    def cell(match: re.Match[str]) -> str:
        path, name, connections = match.groups()
        for old, new in ports.get(path, {}).items():
            connections = connections.replace(f"connect \\{old} ", f"connect \\{new} ")
        return f"  cell \\{names.get(path, path)} \\{name}\n{connections}  end"

    for path, body in reversed(MODULE.findall(rtlil)):  # instances stand behind those that contain them
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
    from tlm.chip.rtl.sram import macro_name

    lines = [
        f"The engine of a cartesian-tlm chip: {config.lanes} lanes x {config.columns} columns.",
        "One clock (clk, rising edge), synchronous reset (rst). Its SRAM macros are in another file.",
        *(
            f"{sram.name.lower()}: {sram_banks(sram, config)} x {macro}"
            for sram in SramName
            for macro in [macro_name(sram, config)]
        ),
    ]
    return "".join(f"// {line}\n" for line in lines) + "\n"


_SRAMS_HEADER = """// Behavioural models of the engine's SRAM macros, for simulation.
// For silicon or an FPGA, give the same modules the foundry's or the vendor's macros instead.
// Each is single-ported: in a cycle with enable, a write or a read. Read data come in the
// next cycle and stay until the next read. There is no reset, and words are undefined at first.
"""
