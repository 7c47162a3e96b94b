"""The timeline of a run from what was recorded of it."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.chip.format.driver import StartTransfer, Transfer, Unit
from tlm.compiler.program import Program
from tlm.observe.causes import DRAM_WAITS
from tlm.observe.recorder import Recorder
from tlm.observe.timeline import DramWaitSpan, EngineSpan, PartSpan, Timeline, TransferSpan


def timeline(recorder: Recorder, program: Program) -> Timeline:
    """What was recorded of a run until now, finished or not."""
    cycles = recorder.recorded_cycles
    transfers = [span for unit in (Unit.LOAD, Unit.STORE) for span in _transfers(recorder, program, unit, cycles)]
    return Timeline(
        host=tuple(recorder.host_spans(cycles)),
        transfers=tuple(sorted(transfers, key=lambda span: (span.first_cycle, span.channel))),
        programs=tuple(EngineSpan(start, end - 1) for start, end in recorder.running.until(cycles)),
        parts=tuple(_parts(recorder, program)),
        dram_waits=_dram_waits(recorder),
    )


def started_transfers(program: Program, unit: Unit) -> list[Transfer]:
    """Of a channel, in the order in which the driver starts them."""
    return [step.transfer for step in program.steps if isinstance(step, StartTransfer) and step.unit is unit]


def _transfers(recorder: Recorder, program: Program, unit: Unit, cycles: int) -> Iterator[TransferSpan]:
    started = started_transfers(program, unit)
    uses = program.load_uses if unit is Unit.LOAD else program.store_uses
    for index, record in enumerate(recorder.transfers[unit]):
        if record.first_cycle < cycles:
            yield TransferSpan(
                channel=unit.value,
                index=index,
                label=started[index].label,
                sram=started[index].sram.name.lower(),
                first_cycle=record.first_cycle,
                last_cycle=(cycles if record.end_cycle < 0 else min(record.end_cycle, cycles)) - 1,
                moved_bytes=record.moved_bytes,
                part_bytes=uses[index],
            )


def _dram_waits(recorder: Recorder) -> tuple[DramWaitSpan, ...] | None:
    waiting = recorder.waiting
    if not waiting.keys() >= set(DRAM_WAITS):
        return None
    spans = (DramWaitSpan(cause, start, end - 1) for cause in DRAM_WAITS for start, end in waiting[cause])
    return tuple(sorted(spans, key=lambda span: span.first_cycle))


def _parts(recorder: Recorder, program: Program) -> Iterator[PartSpan]:
    for part in recorder.parts.values():
        if part.passes:
            layer = program.network.layers[program.parts[part.tag].layer_index].name
            yield PartSpan(part.tag, program.part_name(part.tag), layer, part.first_cycle, part.last_seen_cycle)
