"""A recorded run as a self-checking testbench (engine_tb.v) and its stimulus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.rtl.build import settle_cycles
from tlm.core.payload import Response
from tlm.hardware.recording import Event, Interrupt, Recording, RegisterAccess, WordAccess

_TEMPLATE = Path(__file__).with_name("engine_tb.v")
_LOAD, _STORE, _INTERRUPT = 1, 4, 7
_ANSWERS = (Response.OK, Response.ADDRESS_ERROR, Response.COMMAND_ERROR, Response.BURST_ERROR)
"""In the order of the circuit's ``Answer``."""
_HOST = {"clk": "clk", "rst": "rst", "valid": "valid", "write": "write", "offset": "offset", "data": "host_data",
         "cycle": "cycle", "read": "read", "answer": "answer", "irq": "irq"}  # fmt: skip


class Testbench(NamedTuple):
    """The texts of a testbench's files."""

    bench: str
    stimulus: str


def testbench(recording: Recording, config: ChipConfig, stimulus_name: str) -> Testbench:
    """A testbench of what was recorded.

    Args:
        recording: of a run that has ended.
        config: of the chip that ran.
        stimulus_name: the file from which the testbench reads its stimulus.
    """
    events = list(recording.events)
    events += recording.read_back(events[-1].cycle + 1 + settle_cycles(config))
    events.sort(key=lambda event: event.cycle)
    accesses = [event for event in events if isinstance(event, WordAccess)]
    data_bits = max(64, *(8 * sram_size(sram, config)[1] for sram in SramName))
    values = {
        "STIMULUS": stimulus_name,
        "EVENTS": len(events),
        "CYCLES": events[-1].cycle + 2,
        "REGISTER_ACCESSES": sum(isinstance(event, RegisterAccess) for event in events),
        "GRANTS": sum(access.granted for access in accesses),
        "REFUSALS": sum(not access.granted for access in accesses),
        "WORDS": sum(access.granted and not access.load for access in accesses),
        "INTERRUPTS": sum(isinstance(event, Interrupt) for event in events),
        "DATA": data_bits,
        "INSTANCE": "\n".join(_instance(config)),
        **{f"{sram.name}_BANKS": sram_banks(sram, config) for sram in SramName},
    }
    text = _TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    lines = (f"{_line(event, data_bits // 4)}\n" for event in events)
    return Testbench(text, "// cycle kind flags address data\n" + "".join(lines))


def _line(event: Event, digits: int) -> str:
    match event:
        case RegisterAccess(cycle, write, answer, offset, data):
            kind, flags, address = 0, write << 3 | _ANSWERS.index(answer), offset
        case WordAccess(cycle, sram, load, granted, address, data):
            kind, flags = (_LOAD if load else _STORE) + sram, int(granted)
        case Interrupt(cycle):
            kind, flags, address, data = _INTERRUPT, 0, 0, 0
    return f"{cycle:010x}_{kind:x}_{flags:x}_{address:06x}_{data:0{digits}x}"


def _instance(config: ChipConfig) -> Iterator[str]:
    """The engine and the wires to its ports, some of which depend on the configuration."""
    connections = [f".{port}({wire})" for port, wire in _HOST.items()]
    for sram in SramName:
        name, (words, word_bytes) = sram.name.lower(), sram_size(sram, config)
        address = f"{sram * 24} +: {(words - 1).bit_length()}"
        for port, data in (("load", f"load_data[{sram}*DATA +: {8 * word_bytes}]"), ("store", f"{8 * word_bytes}'d0")):
            wires = {
                "valid": f"{port}_valid[{sram}]",
                "write": f"1'b{int(port == 'load')}",
                "address": f"{port}_address[{address}]",
                "data": data,
                "grant": f"{port}_grant[{sram}]",
            }
            connections += [f".{name}_dma_{port}__{wire}({found})" for wire, found in wires.items()]
        for bank in range(sram_banks(sram, config)):
            yield f"  wire [{8 * word_bytes - 1}:0] {name}_read_{bank};"
            yield f"  assign words[{8 * sram + bank}*DATA +: DATA] = {name}_read_{bank};"
            connections.append(f".{name}_read__{bank}({name}_read_{bank})")
    yield "  engine engine (\n    " + ",\n    ".join(connections) + "\n  );"
