"""The signals of a waveform of every cycle: one scope for each block, under the name that it has in error messages.

Numbers that count something are shown in decimal, addresses in bytes, sets of banks and data in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tlm.chip.config import ChipConfig
from tlm.chip.engine import PORTS
from tlm.chip.format.descriptor import sram_banks
from tlm.chip.format.driver import SramName
from tlm.chip.system import BUS_SLOTS
from tlm.compiler.program import Program
from tlm.traces.waves.signals import Colour, Group, Kind, Signal, clock_signals, layer_signals, state

_NUMBER, _BITS, _EVENT, _TEXT, _REAL = Kind.NUMBER, Kind.BITS, Kind.EVENT, Kind.TEXT, Kind.REAL
_TIME, _DMA, _ENGINE, _MORE = Group.TIME, Group.DMA, Group.ENGINE, Group.MORE
_MOVE, _STALL, _CONTROL = Colour.MOVE, Colour.STALL, Colour.CONTROL


def cycle_signals(program: Program) -> list[Signal]:
    """All of them, in the order of the data."""
    config = program.config
    return [
        *clock_signals("cycle", "cycle"),
        state("clock.trace", _TIME, "trace", "recording"),
        *_host(),
        *_bus(),
        *_channel("load"),
        Signal("memory.beat", _EVENT, _DMA, colour=_MOVE),
        *_channel("store"),
        *(signal for sram in SramName for signal in _sram(sram, config)),
        *_sequencer(),
        *_data_path(config),
        *layer_signals(program),
        *_power(),
    ]


def _host() -> Iterator[Signal]:
    yield state("host.state", _MORE, "host", "run")
    yield Signal("host.busy", _BITS, init=1)
    yield state("host.waits_for", _MORE, "host waits for")
    yield Signal("host.access", _BITS)
    yield Signal("host.unit", _TEXT, _MORE, "host: unit", _CONTROL, init="-")
    yield Signal("host.register", _TEXT, _MORE, "host: register", _CONTROL, init="-")
    yield Signal("host.write", _BITS)
    yield Signal("host.data", _BITS, width=64)
    for unit in ("load", "store", "engine"):
        yield Signal(f"host.irq_{unit}", _EVENT, _MORE, colour=_CONTROL)


def _bus() -> Iterator[Signal]:
    yield Signal("memory.busy", _BITS, _MORE, "memory busy", _MOVE)
    yield Signal("memory.write", _BITS)
    yield Signal("memory.address", _BITS, _MORE, colour=_MOVE, width=32)
    yield Signal("interconnect.address", _BITS, width=32)
    for port in (*BUS_SLOTS, "to_load", "to_store", "to_engine", "to_memory"):
        yield Signal(f"interconnect.{port}", _NUMBER)


def _channel(name: str) -> Iterator[Signal]:
    scope, load = f"dma.{name}", name == "load"
    yield Signal(f"{scope}.busy", _BITS)
    yield Signal(f"{scope}.transfer", _TEXT, _DMA, f"{name} transfer", _MOVE, init="-")
    yield state(f"{scope}.sram", None)
    yield Signal(f"{scope}.bursts", _NUMBER, _DMA if load else None, f"{name} bursts", _MOVE)
    yield Signal(f"{scope}.mb_per_s", _REAL, _DMA if load else _MORE, f"{name} MB/s", _MOVE, init=0.0)
    yield Signal(f"{scope}.word", _NUMBER, _MORE, f"{name} word", _MOVE, probe=f"{scope}.address")
    moved = f"{scope}.moved_bytes"
    yield Signal(f"{scope}.bytes", _NUMBER, _MORE, f"{name} bytes so far", _MOVE, curve=True, probe=moved)
    yield Signal(f"{scope}.irq", _EVENT)


def _sram(sram: SramName, config: ChipConfig) -> Iterator[Signal]:
    """For each port the banks that it has in a cycle (bit = bank), and those where it was refused and waits."""
    scope, banks = f"engine.{sram.name.lower()}", sram_banks(sram, config)
    group = Group.AMEM if sram is SramName.AMEM else _MORE
    yield Signal(f"{scope}.word", _NUMBER)
    yield Signal(f"{scope}.accesses", _NUMBER)
    for port in PORTS[sram]:
        yield Signal(f"{scope}.{port}", _BITS, group, port, _MOVE, width=banks)
        yield Signal(f"{scope}.{port}_wait", _BITS, group, f"{port} refused", _STALL, width=banks)


def _sequencer() -> Iterator[Signal]:
    scope = "engine.sequencer"
    yield state("engine.cause", _TIME, "cause", "host")
    yield Signal(f"{scope}.layer", _TEXT, _TIME, colour=Colour.NAME, init="-")
    yield state(f"{scope}.state", _ENGINE, "sequencer", "idle")
    yield Signal(f"{scope}.busy", _BITS)
    yield Signal(f"{scope}.pass", _NUMBER, _ENGINE, colour=_CONTROL, init=None)
    yield Signal(f"{scope}.step", _EVENT, _ENGINE, "step")
    yield Signal(f"{scope}.imem_word", _NUMBER, _MORE, "IMem word", _CONTROL)
    yield Signal(f"{scope}.group", _NUMBER, _MORE, colour=_CONTROL, init=None)
    yield Signal(f"{scope}.tile", _NUMBER, _MORE, colour=_CONTROL, init=None)
    yield Signal(f"{scope}.irq", _EVENT)


def _data_path(config: ChipConfig) -> Iterator[Signal]:
    """The array is ``busy`` when a vector is in the multipliers' first stage; ``pass`` is the one that it belongs to.

    It ``holds`` a pass that is complete if the requantiser has not ended the one before.
    """
    aligner, array, requantiser = "engine.aligner", "engine.mac_array", "engine.requantiser"
    yield Signal(f"{aligner}.busy", _BITS, _ENGINE, "aligner busy", probe=f"{aligner}.fetching")
    yield Signal(f"{aligner}.channel", _NUMBER, _ENGINE, "input channel", _CONTROL, curve=True)
    yield Signal(f"{aligner}.tap", _NUMBER, _MORE, "tap", _CONTROL, curve=True)
    for stage, bank in product(range(1, config.routing_stages + 1), range(config.amem_banks)):
        yield Signal(f"{aligner}.stage_{stage}_bank_{bank}", _BITS, width=4 * config.lanes)
    yield state(f"{array}.state", _ENGINE, "mac array", "idle")
    yield Signal(f"{array}.hold", _BITS, _ENGINE, "array waits", _STALL)
    yield Signal(f"{array}.busy", _BITS, _MORE, "vector arrives")
    yield Signal(f"{array}.pass", _NUMBER, init=None)
    yield state(f"{requantiser}.state", _ENGINE, "requantiser", "idle")
    yield Signal(f"{requantiser}.busy", _BITS)
    yield Signal(f"{requantiser}.write", _EVENT, _ENGINE, "write")
    yield Signal(f"{requantiser}.frozen", _BITS, _ENGINE, "write refused", _STALL)
    yield Signal(f"{requantiser}.entry", _NUMBER, _MORE, "entry", _CONTROL, curve=True)
    yield Signal(f"{requantiser}.pass", _NUMBER, init=None)
    yield Signal(f"{requantiser}.word", _NUMBER)
    yield Signal(f"{requantiser}.residual", _EVENT)


def _power() -> Iterator[Signal]:
    yield Signal("power.utilisation", _REAL, _TIME, init=0.0)
    yield Signal("power.core_mw", _REAL, _TIME, "core power mW", Colour.FIGURE, init=0.0)
    yield Signal("power.off_chip_mw", _REAL, _MORE, "off-chip power mW", Colour.FIGURE, init=0.0)
