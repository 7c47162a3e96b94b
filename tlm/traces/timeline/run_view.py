"""A run until now, finished or not: parts with their passes, and what lies between them.

What had begun but not ended when a run stopped ends with the last cycle of what it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.spans import CauseSpan, part_spans, wait_spans
from tlm.observe.timeline_builder import timeline
from tlm.observe.watched import Watched


@dataclass(frozen=True, slots=True)
class PartView:
    """A part of a layer on the engine; its passes are those whose last fetch was seen."""

    record: PartRecord
    name: str
    end_cycle: int
    """The one after the last write, or after the last that was seen."""
    under_way_cycle: int | None
    """s of a pass whose last fetch has not been seen."""

    @property
    def span(self) -> tuple[int, int]:
        """First cycle and the one after the last."""
        return self.pass_span(0)[0], self.end_cycle

    def pass_span(self, index: int) -> tuple[int, int]:
        """Of a pass on the engine: s and the cycle after its handover, if that was seen; also of the one under way."""
        passes = self.record.passes
        if index == len(passes) and self.under_way_cycle is not None:
            return self.under_way_cycle, self.end_cycle
        one = passes[index]
        return one.first_cycle, one.handover_cycle + 1 if one.handover_cycle >= 0 else self.end_cycle

    def next_cycle(self, index: int) -> int:
        """The next pass's s, or the part's end."""
        if index + 1 < len(self.record.passes):
            return self.record.passes[index + 1].first_cycle
        return self.end_cycle if self.under_way_cycle is None else self.under_way_cycle


class RunView:
    """Made when the run stands still, from what was recorded until then."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.cycles = watched.recorder.recorded_cycles
        self.timeline = timeline(watched.recorder, watched.program)
        self.parts = [part for record in watched.recorder.parts.values() for part in self._part(record)]
        """In the order of execution; those of which a pass has begun."""

    def array_spans(self, part: PartView) -> Iterator[CauseSpan]:
        """What the array did during a part, up to what was seen; nothing for the fetches of a pass under way."""
        passes, end = part.record.passes, part.end_cycle
        known = end if part.under_way_cycle is None else part.under_way_cycle
        if not part.record.flushed:
            passes = [self._closed(one, end) for one in passes]
            of_program = self.watched.program.parts[part.record.tag]
            if len(passes) < of_program.groups * of_program.tiles:  # one is under way, or would begin now
                passes.append(PassRecord(0, 0, known, end, end, end))
        return part_spans(passes, self.watched.system.config, known)

    def wait_spans(self) -> Iterator[CauseSpan]:
        """What no part computed for."""
        recorder = self.watched.recorder
        spans = [part.span for part in self.parts]
        return wait_spans(self.cycles, spans, recorder.running.until(self.cycles), recorder.waiting)

    def _part(self, record: PartRecord) -> Iterator[PartView]:
        name = self.watched.program.part_name(record.tag)
        if record.flushed:
            yield PartView(record, name, record.end_cycle, None)
        elif record.passes or record.under_way_cycle is not None:
            first = record.first_cycle if record.passes else record.under_way_cycle
            assert first is not None
            programs = self.timeline.programs
            end = next((one.last_cycle + 1 for one in programs if first <= one.last_cycle), first)
            under_way = record.under_way_cycle
            yield PartView(record, name, end, under_way if under_way is not None and under_way < end else None)

    @staticmethod
    def _closed(one: PassRecord, end: int) -> PassRecord:
        if one.handover_cycle < 0:
            return replace(one, handover_cycle=end, last_write_cycle=end)
        return replace(one, last_write_cycle=max(one.last_write_cycle, end - 1))
