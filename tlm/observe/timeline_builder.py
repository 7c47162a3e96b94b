"""The timeline of a run from what was recorded of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tlm.chip.format.driver import StartTransfer, Unit
from tlm.compiler.program import Program
from tlm.observe.passes import PartRecord
from tlm.observe.recorder import Recorder
from tlm.observe.timeline import EngineSpan, PartSpan, Timeline, TransferSpan


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
