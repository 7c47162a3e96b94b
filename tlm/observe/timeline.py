"""The timeline of a run: when host, DMA channels and engine did what. From it pictures and traces are drawn.

Moments are core clock cycles from the first host access, both ends of a span inclusive. What had not ended when a run
failed ends with its last cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tlm.chip.driver import StartTransfer, Unit
from tlm.compiler.program import Program
from tlm.compiler.transfer_uses import Uses
from tlm.observe.host_activity import HostSpan
from tlm.observe.passes import PartRecord
from tlm.observe.recorder import Recorder


@dataclass(frozen=True, slots=True)
class TransferSpan:
    """A transfer of a DMA channel, from the cycle after START to the one before its interrupt."""

    channel: str
    """"load" or "store"."""
    index: int
    """Which one of its channel."""
    label: str
    sram: str
    """"amem", "wmem" or "imem"."""
    first_cycle: int
    last_cycle: int
    moved_bytes: int
    part_bytes: Uses
    """Tag -> bytes: the parts that a load is for, or the one whose output a store moves; as compiled."""


@dataclass(frozen=True, slots=True)
class PartSpan:
    """A part of a layer on the engine, s_0 to the last write."""

    tag: int
    name: str
    """The layer's name, with the part's number if the layer is split."""
    layer: str
    first_cycle: int
    last_cycle: int


@dataclass(frozen=True, slots=True)
class EngineSpan:
    """A program of the engine, from the cycle after START to END."""

    first_cycle: int
    last_cycle: int


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Each kind in the order of time."""

    host: tuple[HostSpan, ...] = ()
    transfers: tuple[TransferSpan, ...] = ()
    programs: tuple[EngineSpan, ...] = ()
    parts: tuple[PartSpan, ...] = ()


def timeline(recorder: Recorder, program: Program) -> Timeline:
    """What was recorded of a run until now, finished or not."""
    cycles = recorder.recorded_cycles
    transfers = sorted(
        (span for unit in (Unit.LOAD, Unit.STORE) for span in _transfers(recorder, program, unit, cycles)),
        key=lambda span: (span.first_cycle, span.channel),
    )
    return Timeline(
        host=tuple(recorder.host.spans(cycles)),
        transfers=tuple(transfers),
        programs=tuple(EngineSpan(*span) for span in recorder.activity.running.until(cycles)),
        parts=tuple(_parts(recorder.parts.values(), program)),
    )


def _transfers(recorder: Recorder, program: Program, unit: Unit, cycles: int) -> Iterator[TransferSpan]:
    started = [step.transfer for step in program.steps if isinstance(step, StartTransfer) and step.unit is unit]
    uses, moved = program.load_uses if unit is Unit.LOAD else program.store_uses, recorder.transfer_bytes[unit]
    for index, (first, last) in enumerate(recorder.activity.busy[unit].until(cycles)):
        transfer = started[index]
        yield TransferSpan(
            channel=unit.value,
            index=index,
            label=transfer.label,
            sram=transfer.sram.name.lower(),
            first_cycle=first,
            last_cycle=last,
            moved_bytes=moved.get(index, 0),
            part_bytes=uses[index],
        )


def _parts(records: Iterable[PartRecord], program: Program) -> Iterator[PartSpan]:
    for part in records:
        if part.passes:
            layer = program.network.layers[program.parts[part.tag].layer_index].name
            yield PartSpan(part.tag, program.part_name(part.tag), layer, part.first_cycle, part.last_seen_cycle)
