"""What a waveform shows: a table of signals, each declared once with its kind and its row in GTKWave."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tlm.compiler.program import Program
from tlm.traces.waves import labels

Value: TypeAlias = int | float | str | None
"""Of a signal. None shows as z: nobody drives it. A state's value is its name."""

_PS_PER_MS = 1_000_000_000


def start_ps(cycle: int, clock_khz: int) -> int:
    """Where a cycle begins, in whole picoseconds, rounded down.

    Computed from the cycle's number, so that no rounding adds up; the same on every machine.
    """
    return cycle * _PS_PER_MS // clock_khz


class Kind(enum.Enum):
    """How a signal's value is to be read."""

    TEXT = "string"
    STATE = "state"
    """A name from :mod:`tlm.traces.waves.labels`."""
    NUMBER = "integer"
    """A count, an index, a word address: decimal."""
    BITS = "wire"
    """A set or an address, in hexadecimal; a line if it is one bit."""
    REAL = "real"
    EVENT = "event"
    """Something that happens at most once a cycle."""


class Colour(enum.Enum):
    """GTKWave's palette, by what a row tells; the value is its number there."""

    NAME = 3
    """Yellow: what is being done."""
    WORK = 4
    """Green: progress."""
    MOVE = 2
    """Orange: data on their way, as GTKWave's blue is too dark on black."""
    STALL = 1
    """Red: lost cycles."""
    FIGURE = 0
    """GTKWave's own: quantities over time."""
    CONTROL = 7
    """Violet: instructions and registers."""


class Group(enum.Enum):
    """Rows under a heading, from top to bottom."""

    TIME = "where the time goes"
    HOST = "host"
    DMA = "DMA"
    AMEM = "AMem banks"
    ENGINE = "engine"
    FINER = "finer states"
    """Closed: their words fit only when one zooms in."""
    LAYERS = "layers, one line each"
    MORE = "more"
    """Closed."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal of a waveform."""

    name: str
    """Scope and name: ``dma.load.busy``."""
    kind: Kind
    group: Group | None = None
    """Where GTKWave shows it; None: only in the tree of signals."""
    label: str | None = None
    """Shown instead of its name."""
    colour: Colour = Colour.WORK
    curve: bool = False
    """Draw the number as steps, two rows high; reals always are."""
    init: Value = 0
    width: int = 1
    """Bits of :attr:`Kind.BITS`."""
    probe: str | None = None
    """Path of the probe that it follows in a waveform of every cycle, if that is not its name."""

    @property
    def full_name(self) -> str:
        """As GTKWave has it, with the range of its bits."""
        width = labels.STATE_BITS if self.kind is Kind.STATE else self.width
        return f"{self.name}[{width - 1}:0]" if width > 1 else self.name

    @property
    def scope(self) -> str:
        """The block that it belongs to."""
        return self.name.rpartition(".")[0]


def state(name: str, group: Group | None, label: str | None = None, init: str = "-") -> Signal:
    """A signal whose values are names of states."""
    return Signal(name, Kind.STATE, group, label, Colour.NAME, init=init)


def clock_signals(ruler_label: str, counter_label: str) -> Iterator[Signal]:
    """The number of the cycle: at every change, and every so many cycles so that it can be read."""
    yield Signal("clock.cycle", Kind.NUMBER, Group.MORE, counter_label, Colour.CONTROL)
    yield Signal("clock.ruler", Kind.NUMBER, Group.TIME, ruler_label, Colour.CONTROL)


def layer_scope(program: Program, index: int) -> str:
    """Scope of a layer: its number in the order of execution and its name, as far as a scope can hold it."""
    return f"layers.L{index:02d}_{re.sub(r'[^A-Za-z0-9_]', '_', program.network.layers[index].name)}"


def part_scope(program: Program, tag: int) -> str:
    """Scope of the layer that a part belongs to."""
    return layer_scope(program, program.parts[tag].layer_index)


def layer_signals(program: Program) -> Iterator[Signal]:
    """For each layer when it was on the engine, and its figures as they grow. A reader needs nothing else."""
    for index, layer in enumerate(program.network.layers):
        scope = layer_scope(program, index)
        yield Signal(f"{scope}.name", Kind.TEXT, init=layer.name)
        for key in ("passes", "steps", "bank_conflict_cycles", "load_bytes", "store_bytes"):
            yield Signal(f"{scope}.{key}", Kind.NUMBER)
        # GTKWave shows only what stands after the last dot
        yield Signal(f"{scope}.active", Kind.BITS, Group.LAYERS, layer.name.replace(".", " "))


def power_signals() -> Iterator[Signal]:
    """Quantities over time."""
    yield Signal("power.core_mw", Kind.REAL, Group.TIME, "core power mW", Colour.FIGURE, init=0.0)
    yield Signal("power.off_chip_mw", Kind.REAL, Group.MORE, "off-chip power mW", Colour.FIGURE, init=0.0)
