"""Gates of the engine's circuit: Yosys maps each block to the cells of a liberty file, and the cells are counted.

A block is a submodule of the engine; what is left are registers between blocks. A module that occurs more than once is
mapped once and counted as often as it occurs. SRAM macros are not mapped. Paths: :mod:`tlm.hardware.netlist`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.rtl import build
from tlm.core.errors import InputError
from tlm.hardware import netlist
from tlm.hardware.liberty import DEBIAN_FILE, Library, read_library
from tlm.hardware.verilog import MODULE, shared_modules

AREA_SCRIPT = "+strash;dc2;dch,-f;amap,-x"
"""Of ABC: for few gates, not for short paths."""

SMALLEST_GATED = 4
"""Flip-flops of one enable from which on a clock gate takes less than a multiplexer before each."""

CLOCK_GATE = """\
module CLOCK_GATE (input enable, input clock, output gated);
    wire held;
    \\$_DFF_N_ hold (.C(clock), .D(enable), .Q(held));
    \\$_AND_ gate (.A(clock), .B(held), .Y(gated));
endmodule
"""
"""For Yosys: an enable taken at the falling edge lets the next rising edge through, so no latch is needed."""

MULTIPLIER = Path(__file__).with_name("multiplier.v")
"""For Yosys: a multiplier with fewer gates than its own, whose multiples of several products have one decoder."""

BETWEEN = "between blocks"
"""Name of what is in no block."""

_CELL = re.compile(r"^  cell \\(\S+) \\(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """What a block is made of."""

    name: str
    cells: Mapping[str, int]
    """Cell -> how often."""
    gates: float
    """Area of the cells in NAND2s."""
    flip_flops: int
    path: netlist.Path
    """The longest one within the block, in delays of a NAND2."""


@dataclass(frozen=True)
class Synthesis:
    """A circuit's blocks, and the whole."""

    library: Library
    blocks: tuple[Block, ...]
    path: netlist.Path
    """The longest one of the whole circuit, through as many blocks as it takes."""
    sha256: str
    """Of the circuit (:func:`digest`)."""

    @property
    def gates(self) -> float:
        """NAND2s of all blocks."""
        return sum(block.gates for block in self.blocks)

    @property
    def flip_flops(self) -> int:
        """Of all blocks."""
        return sum(block.flip_flops for block in self.blocks)


def synthesise(
    chip: ChipConfig, liberty: Path | None = None, progress: Callable[[str], None] = lambda _: None
) -> Synthesis:
    """The engine of a chip in cells.

    Args:
        chip: its circuit keys count.
        liberty: the standard cells; by default those of Debian's package qflow-tech-osu018.
        progress: told what is done next.

    Raises:
        InputError: Amaranth, Yosys or the liberty file is missing, or the file does not serve.
        SimulationError: the circuit has a combinational loop.
    """
    build.require("`tlm rtl --synth`")
    file = liberty or DEBIAN_FILE
    library = read_library(file)
    progress("gates: Amaranth")
    return mapped(circuit(chip), file, library, progress)


def circuit(chip: ChipConfig) -> str:
    """The engine of a chip in Yosys' format, equal modules once."""
    from tlm.chip.rtl.engine import EngineCircuit

    return shared_modules(build.rtlil(EngineCircuit(chip, is_observed=False)))


def digest(rtlil: str) -> str:
    """SHA-256 of a circuit and of how it is mapped; with the same cells and the same Yosys the gates are the same."""
    _, kept = _blocks(rtlil)
    steps = [rtlil, CLOCK_GATE, MULTIPLIER.read_text(), *commands("top", kept)]
    return hashlib.sha256("\n".join(steps).encode()).hexdigest()


def mapped(rtlil: str, file: Path, library: Library, progress: Callable[[str], None] = lambda _: None) -> Synthesis:
    """A circuit in cells, block by block.

    Args:
        rtlil: equal modules share their name; the first is the top.
        file, library: the standard cells.
        progress: told what is done next.

    Raises:
        InputError: Yosys cannot use the file.
        SimulationError: the circuit has a combinational loop.
    """
    top = next(iter(dict(MODULE.findall(rtlil))))
    blocks, kept = _blocks(rtlil)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "circuit.il").write_text(rtlil)
        (folder / "gate.v").write_text(CLOCK_GATE)
        shutil.copyfile(MULTIPLIER, folder / MULTIPLIER.name)
        shutil.copyfile(file, folder / "cells.lib")
        progress("gates: Yosys and ABC")
        try:
            build.yosys(folder, *commands(top, kept))
        except InputError as error:
            raise InputError(f"--liberty: {file}: Yosys cannot map to it ({error}); name another one") from None
        progress("gates: counting")
        models = netlist.read_blif((folder / "circuit.blif").read_text())
    counted = [_block(name, models, kind, library) for name, kind in blocks.items()]
    own = {top: models[top]}
    path = _in_gates(netlist.longest_path(models, top, library), library)
    return Synthesis(library, (*counted, _block(BETWEEN, own, top, library)), path, digest(rtlil))


def _blocks(rtlil: str) -> tuple[dict[str, str], set[str]]:
    """The blocks of the top, each with its module, and the modules that stay apart."""
    modules = dict(MODULE.findall(rtlil))
    blocks = {name: kind for kind, name in _CELL.findall(next(iter(modules.values()))) if kind in modules}
    times = Counter(kind for body in modules.values() for kind, _ in _CELL.findall(body) if kind in modules)
    return blocks, {*blocks.values(), *(kind for kind, count in times.items() if count > 1)}


def _block(name: str, models: Mapping[str, netlist.Model], module: str, library: Library) -> Block:
    cells = netlist.count_cells(models, module, library)
    return Block(
        name,
        dict(sorted(cells.items())),
        sum(count * library.gates(cell) for cell, count in cells.items()),
        sum(count for cell, count in cells.items() if library.cells[cell].is_flip_flop),
        _in_gates(netlist.longest_path(models, module, library), library),
    )


def _in_gates(path: netlist.Path, library: Library) -> netlist.Path:
    return path._replace(delay=path.delay / library.nand2_delay)


def commands(top: str, kept: Collection[str]) -> list[str]:
    """Of Yosys, from circuit.il to a netlist of the cells of cells.lib.

    With gate.v for :data:`CLOCK_GATE`, and :data:`MULTIPLIER`. A module that is not kept becomes part of what is around
    it.
    """
    keep = [f"setattr -mod -set keep_hierarchy 1 {' '.join(sorted(kept))}"] if kept else []
    return [
        "read_rtlil circuit.il", f"setattr -mod -set top 1 {top}", *keep,
        # a reset gives every register its first value, so none needs one from elsewhere
        "attrmap -remove init", "proc", "opt_clean", "opt_hier", "flatten", "opt -fast", "opt_hier", "opt -fast",
        "wreduce", "peepopt", "opt_clean", f"techmap -map {MULTIPLIER.name}", "opt -fast",
        "alumacc", "opt_clean", "memory_map", "opt -fast",
        "techmap", f"clockgate -pos CLOCK_GATE enable:clock:gated -min_net_size {SMALLEST_GATED}",
        "techmap -map gate.v", "dfflibmap -liberty cells.lib", "opt_clean",
        f"abc -liberty cells.lib -script {AREA_SCRIPT}", "opt_clean",
        f"write_blif -top {top} -gates -conn -impltf circuit.blif",
    ]  # fmt: skip


def gates_record(found: Synthesis, chip: ChipConfig, liberty: Path | None = None) -> dict[str, object]:
    """What ``tlm rtl --synth --json`` prints: the figures, and what they depend on."""
    library = found.library
    cells = sum((Counter(block.cells) for block in found.blocks), Counter[str]())
    return {
        "chip": {key: getattr(chip, key) for key in build.CIRCUIT_KEYS},
        "circuit": {"sha256": found.sha256},
        "liberty": {
            "library": library.name,
            "sha256": hashlib.sha256((liberty or DEBIAN_FILE).read_bytes()).hexdigest(),
            "gate": library.nand2,
        },
        "tools": {package: importlib.metadata.version(package) for package in ("amaranth", "pyosys")},
        "sram_bits": sram_bits(chip),
        "blocks": [
            {"name": block.name, **_figures(block.gates, block.flip_flops, block.path)} for block in found.blocks
        ],
        "total": _figures(found.gates, found.flip_flops, found.path),
        "cells": {cell: {"gates": round(library.gates(cell), 3), "count": cells[cell]} for cell in sorted(cells)},
    }


def _figures(gates: float, flip_flops: int, path: netlist.Path) -> dict[str, object]:
    return {
        "gates": round(gates, 1),
        "flip_flops": flip_flops,
        "path_nand2_delays": round(path.delay, 1),
        "path_start": path.start,
        "path_end": path.end,
    }


def sram_bits(chip: ChipConfig) -> int:
    """Bits of all SRAM macros."""
    return sum(8 * words * word_bytes for words, word_bytes in (sram_size(sram, chip) for sram in SramName))
