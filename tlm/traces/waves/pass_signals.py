"""The signals of a waveform of passes."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.traces.waves.dram_signals import dram_signals
from tlm.traces.waves.signal_kinds import (
    Colour,
    Group,
    Kind,
    Signal,
    clock_signals,
    layer_signals,
    power_signals,
    state,
)

CHANNELS = ("load", "store")


def pass_signals(program: Program, config: ChipConfig) -> list[Signal]:
    """All of them, in the order of the data."""
    return [
        *clock_signals("cycle", "cycle at last change"),
        *layer_signals(program),
        *_around(),
        *dram_signals(config),
        *_engine(),
        *power_signals(),
    ]


def _around() -> Iterator[Signal]:
    yield state("host.state", Group.HOST, "host", "run")
    yield state("host.waits_for", Group.HOST, "waits for")
    for unit in ("load", "store", "engine"):
        yield Signal(f"host.irq_{unit}", Kind.EVENT, Group.MORE, colour=Colour.CONTROL)
    for one in CHANNELS:
        yield Signal(f"dma.{one}.busy", Kind.BITS, Group.DMA, f"{one} busy", Colour.MOVE)
    for one in CHANNELS:
        yield Signal(f"dma.{one}.transfer", Kind.TEXT, Group.DMA, one, Colour.MOVE, init="-")
    for one, preposition in zip(CHANNELS, ("into", "from"), strict=True):
        yield state(f"dma.{one}.sram", Group.DMA, f"{one} {preposition}")
    for one in CHANNELS:
        yield Signal(f"dma.{one}.bytes", Kind.NUMBER, Group.MORE, f"{one} bytes so far", Colour.MOVE, curve=True)
    for one in CHANNELS:
        yield Signal(f"dma.{one}.mb_per_s", Kind.REAL, Group.DMA, f"{one} MB/s", Colour.MOVE, init=0.0)


def _engine() -> Iterator[Signal]:
    more, engine, number = Group.MORE, Group.ENGINE, Kind.NUMBER
    yield Signal("engine.running", Kind.BITS, more, colour=Colour.CONTROL)
    yield state("engine.activity", Group.TIME, "array", "host")
    yield state("engine.cause", Group.TIME, "cause", "host")
    yield Signal("engine.sequencer.layer", Kind.TEXT, Group.TIME, colour=Colour.NAME, init="-")
    yield state("engine.sequencer.state", Group.FINER, "sequencer", "idle")
    yield Signal("engine.sequencer.pass", number, engine, colour=Colour.CONTROL, init=None)
    yield Signal("engine.sequencer.group", number, more, colour=Colour.CONTROL, init=None)
    yield Signal("engine.sequencer.tile", number, more, colour=Colour.CONTROL, init=None)
    yield Signal("engine.aligner.bank_conflict_cycles", number, engine, "conflict cycles", Colour.STALL, curve=True)
    yield state("engine.mac_array.state", Group.FINER, "mac array", "idle")
    yield Signal("engine.mac_array.steps", number, more, "steps so far", curve=True)
    yield Signal("engine.mac_array.busy", Kind.BITS, engine, "array computes")
    yield Signal("engine.mac_array.hold", Kind.BITS, engine, "array waits", Colour.STALL)
    yield Signal("engine.mac_array.utilisation", Kind.REAL, Group.TIME, init=0.0)
    yield state("engine.requantiser.state", Group.FINER, "requantiser", "idle")
    yield Signal("engine.requantiser.busy", Kind.BITS, engine, "requantiser writes")
    yield Signal("engine.requantiser.pass", number, more, "pass written back", Colour.CONTROL, init=None)
    yield Signal("engine.requantiser.refused_writes", number, engine, "refused writes", Colour.STALL, curve=True)
    yield Signal("engine.requantiser.refused_residual_reads", number, more, None, Colour.STALL, curve=True)
