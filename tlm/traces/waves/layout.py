"""What GTKWave shows of a dump, and how: groups of rows in the order of the data, colours by role."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.traces.waves.layer_signals import layer_scope


class Look(enum.Enum):
    """How a row is drawn."""

    PLAIN = enum.auto()
    """Words; a line for one bit; an event."""
    STATE = enum.auto()
    """By name, in the colour of its role."""
    NUMBER = enum.auto()
    HEX = enum.auto()
    CURVE = enum.auto()
    """Steps, two rows high."""


class Colour(enum.Enum):
    """GTKWave's palette, by what a row tells; the value is its number there."""

    NAME = 3
    """Yellow: what is being done."""
    WORK = 4
    """Green: progress."""
    MOVE = 5
    """Blue: data on their way."""
    STALL = 1
    """Red: lost cycles."""
    FIGURE = 2
    """Orange: quantities over time."""
    CONTROL = 7
    """Violet: instructions and registers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One signal, by its full name in GTKWave."""

    signal: str
    look: Look = Look.PLAIN
    colour: Colour = Colour.WORK
    label: str | None = None
    """Shown instead of the signal's name."""
    finer: bool = False
    """Shown at first only if its words can be read there."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a heading."""

    name: str
    rows: tuple[Row, ...]
    closed: bool = False


def _state(signal: str, label: str | None = None, finer: bool = False) -> Row:
    return Row(f"{signal}[7:0]", Look.STATE, Colour.NAME, label, finer)


def _channel(channel: str, preposition: str) -> tuple[Row, ...]:
    scope = f"dma.{channel}"
    return (
        Row(f"{scope}.busy", colour=Colour.MOVE, label=f"{channel} busy"),
        Row(f"{scope}.transfer", colour=Colour.MOVE, label=channel),
        _state(f"{scope}.sram", f"{channel} {preposition}", finer=True),
        Row(f"{scope}.mb_per_s", Look.CURVE, Colour.MOVE, label=f"{channel} MB/s"),
    )


def _layers(program: Program) -> Group:
    rows = [
        # GTKWave shows only what stands behind the last dot
        Row(f"{layer_scope(index, layer.name)}.active", label=layer.name.replace(".", " "))
        for index, layer in enumerate(program.network.layers)
    ]
    return Group("layers, one line each", tuple(rows), closed=len(rows) > _OPEN_LAYERS)


_OPEN_LAYERS = 6
"""So many lines of layers still leave room for the rest on a screen."""


def pass_layout(program: Program) -> list[Group]:
    """Of a waveform of passes."""
    return [
        Group(
            "where the time goes",
            (
                Row("clock.ruler", Look.NUMBER, Colour.CONTROL, "cycle"),
                Row("engine.sequencer.layer", colour=Colour.NAME),
                _state("engine.activity", "array"),
                _state("engine.cause", "cause", finer=True),
                Row("engine.mac_array.utilisation", Look.CURVE, Colour.WORK),
                Row("power.core_mw", Look.CURVE, Colour.FIGURE, "core power mW"),
            ),
        ),
        Group("host", (_state("host.state", "host", finer=True), _state("host.waits_for", "waits for"))),
        Group("DMA", (*_channel("load", "into"), *_channel("store", "from"))),
        Group(
            "engine",
            (
                Row("engine.sequencer.pass", Look.NUMBER, Colour.CONTROL),
                _state("engine.sequencer.state", "sequencer", finer=True),
                Row("engine.aligner.bank_conflict_cycles", Look.CURVE, Colour.STALL, "conflict cycles"),
                _state("engine.mac_array.state", "mac array", finer=True),
                Row("engine.mac_array.busy", label="array computes"),
                Row("engine.mac_array.hold", colour=Colour.STALL, label="array waits"),
                _state("engine.requantiser.state", "requantiser", finer=True),
                Row("engine.requantiser.busy", label="requantiser writes"),
                Row("engine.requantiser.refused_writes", Look.CURVE, Colour.STALL, "refused writes"),
            ),
        ),
        _layers(program),
        Group(
            "more",
            (
                Row("clock.cycle", Look.NUMBER, Colour.CONTROL, "cycle at last change"),
                *(Row(f"host.irq_{unit}", colour=Colour.CONTROL) for unit in ("load", "store", "engine")),
                Row("power.off_chip_mw", Look.CURVE, Colour.FIGURE, "off-chip power mW"),
                Row("dma.load.bytes", Look.CURVE, Colour.MOVE, "load bytes so far"),
                Row("dma.store.bytes", Look.CURVE, Colour.MOVE, "store bytes so far"),
                Row("engine.running", colour=Colour.CONTROL),
                Row("engine.sequencer.group", Look.NUMBER, Colour.CONTROL),
                Row("engine.sequencer.tile", Look.NUMBER, Colour.CONTROL),
                Row("engine.mac_array.steps", Look.CURVE, Colour.WORK, "steps so far"),
                Row("engine.requantiser.pass", Look.NUMBER, Colour.CONTROL, "pass written back"),
                Row("engine.requantiser.refused_residual_reads", Look.CURVE, Colour.STALL),
            ),
            closed=True,
        ),
    ]


def with_readable(groups: Sequence[Group], readable: Collection[str]) -> list[Group]:
    """The layout with finer rows only where they can be read; the others come into a closed group, for zooming in."""
    hidden = [row for group in groups for row in group.rows if row.finer and row.signal not in readable]
    shown = [Group(group.name, tuple(row for row in group.rows if row not in hidden), group.closed) for group in groups]
    finer = [Group("finer states", tuple(hidden), closed=True)] if hidden else []
    return [*shown[:-2], *finer, *shown[-2:]]


def cycle_layout(program: Program, config: ChipConfig) -> list[Group]:
    """Of a waveform of every cycle."""
    return [
        Group(
            "where the time goes",
            (
                Row("clock.ruler", Look.NUMBER, Colour.CONTROL, "cycle"),
                _state("clock.trace", "trace"),
                Row("engine.sequencer.layer", colour=Colour.NAME),
                _state("engine.cause", "cause", finer=True),
                Row("power.utilisation", Look.CURVE, Colour.WORK),
                Row("power.core_mw", Look.CURVE, Colour.FIGURE, "core power mW"),
            ),
        ),
        Group(
            "DMA",
            (
                Row("dma.load.transfer", colour=Colour.MOVE, label="load transfer"),
                Row("dma.load.bursts", Look.NUMBER, Colour.MOVE, "load bursts"),
                Row("memory.beat", colour=Colour.MOVE),
                Row("dma.load.mb_per_s", Look.CURVE, Colour.MOVE, label="load MB/s"),
                Row("dma.store.transfer", colour=Colour.MOVE, label="store transfer"),
            ),
        ),
        Group("AMem banks", _banks("amem", ("aligner", "write_back", "residual", "dma_load", "dma_store"), config)),
        Group(
            "engine",
            (
                _state("engine.sequencer.state", "sequencer", finer=True),
                Row("engine.sequencer.pass", Look.NUMBER, Colour.CONTROL),
                Row("engine.aligner.busy", label="aligner busy"),
                Row("engine.sequencer.step", label="step"),
                Row("engine.aligner.channel", Look.CURVE, Colour.CONTROL, "input channel"),
                _state("engine.mac_array.state", "mac array", finer=True),
                Row("engine.mac_array.hold", colour=Colour.STALL, label="array waits"),
                _state("engine.requantiser.state", "requantiser", finer=True),
                Row("engine.requantiser.write", label="write"),
                Row("engine.requantiser.frozen", colour=Colour.STALL, label="write refused"),
            ),
        ),
        _layers_closed(program),
        _more(config),
    ]


def _layers_closed(program: Program) -> Group:
    group = _layers(program)
    return Group(group.name, group.rows, closed=True)


def _banks(sram: str, ports: Sequence[str], config: ChipConfig) -> tuple[Row, ...]:
    """For each port the banks that it has, and in red those that it was refused."""
    index = bank_index(getattr(config, f"{sram}_banks"))
    scope = f"engine.{sram}"
    return tuple(
        row
        for port in ports
        for row in (
            Row(f"{scope}.{port}{index}", Look.HEX, Colour.MOVE, port),
            Row(f"{scope}.{port}_wait{index}", Look.HEX, Colour.STALL, f"{port} refused"),
        )
    )


def bank_index(banks: int) -> str:
    """How a set of banks is named behind its signal."""
    return f"[{banks - 1}:0]" if banks > 1 else ""


def _more(config: ChipConfig) -> Group:
    fetching = ("fetch", "dma_load", "dma_store")
    return Group(
        "more",
        (
            Row("clock.cycle", Look.NUMBER, Colour.CONTROL, "cycle"),
            _state("host.state", "host"),
            _state("host.waits_for", "host waits for"),
            Row("host.unit", colour=Colour.CONTROL, label="host: unit"),
            Row("host.register", colour=Colour.CONTROL, label="host: register"),
            *(Row(f"host.irq_{unit}", colour=Colour.CONTROL) for unit in ("load", "store", "engine")),
            Row("memory.busy", colour=Colour.MOVE, label="memory busy"),
            Row("dma.store.mb_per_s", Look.CURVE, Colour.MOVE, label="store MB/s"),
            Row("memory.address[31:0]", Look.HEX, Colour.MOVE),
            Row("dma.load.word", Look.NUMBER, Colour.MOVE, "load word"),
            Row("dma.load.bytes", Look.CURVE, Colour.MOVE, "load bytes so far"),
            Row("dma.store.word", Look.NUMBER, Colour.MOVE, "store word"),
            Row("dma.store.bytes", Look.CURVE, Colour.MOVE, "store bytes so far"),
            *_banks("wmem", fetching, config),
            *_banks("imem", fetching, config),
            Row("engine.sequencer.imem_word", Look.NUMBER, Colour.CONTROL, "IMem word"),
            Row("engine.sequencer.group", Look.NUMBER, Colour.CONTROL),
            Row("engine.sequencer.tile", Look.NUMBER, Colour.CONTROL),
            Row("engine.aligner.tap", Look.CURVE, Colour.CONTROL, "tap"),
            Row("engine.mac_array.busy", label="vector arrives"),
            Row("engine.requantiser.entry", Look.CURVE, Colour.CONTROL, "entry"),
            Row("power.off_chip_mw", Look.CURVE, Colour.FIGURE, "off-chip power mW"),
        ),
        closed=True,
    )
