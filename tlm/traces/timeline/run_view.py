"""A run until now, finished or not: parts with their passes, and what lies between them.

What had begun but not ended when a run stopped ends with the last cycle of what it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from tlm.chip.engine import PassStarted
from tlm.chip.format.driver import Unit
from tlm.observe.passes import PassRecord
from tlm.observe.spans import CauseSpan, part_spans, wait_spans
from tlm.observe.timeline import Timeline, TransferSpan
from tlm.observe.timeline_builder import timeline
from tlm.observe.watched import Watched


@dataclass(frozen=True, slots=True)
class PartView:
    """A part of a layer on the engine."""

    tag: int
    name: str
    passes: tuple[PassRecord, ...]
    """Those whose last fetch was seen."""
    first_cycle: int
    """s_0."""
    end_cycle: int
    """The one behind the last write, or behind the last that was seen."""
    ended: bool
    under_way_cycle: int | None = None
    """s of a pass whose last fetch has not been seen."""

    def pass_end_cycle(self, index: int) -> int:
        """Of a pass on the engine: the cycle behind its handover, if that was seen."""
        one = self.passes[index]
        return one.handover_cycle + 1 if one.handover_cycle >= 0 else self.end_cycle

    def next_cycle(self, index: int) -> int:
        """The next pass's s, or the part's end."""
        if index + 1 < len(self.passes):
            return self.passes[index + 1].first_cycle
        return self.end_cycle if self.under_way_cycle is None else self.under_way_cycle


class RunView:
    """Made before a run; its properties are worked out when the run stands still, from what was recorded until then."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self._started: PassStarted | None = None
        """The pass that began last."""
        self._start_cycle = -1
        watched.system.engine.events.pass_started.listen(self._see_start)

    def _see_start(self, started: PassStarted) -> None:
        self._started, self._start_cycle = started, self.watched.system.simulation.clock.now

    @property
    def cycles(self) -> int:
        """Until now."""
        return self.watched.recorder.recorded_cycles

    @cached_property
    def timeline(self) -> Timeline:
        """Host, transfers and programs."""
        return timeline(self.watched.recorder, self.watched.program)

    @cached_property
    def parts(self) -> list[PartView]:
        """In the order of execution; those of which a pass has begun."""
        return list(self._parts())

    def array_spans(self, part: PartView) -> Iterator[CauseSpan]:
        """What the array did during a part, up to what was seen; nothing for the fetches of a pass under way."""
        passes = part.passes
        if not part.ended:
            passes = (*(self._closed(one, part.end_cycle) for one in passes), *self._next_pass(part))
        known = part.end_cycle if part.under_way_cycle is None else part.under_way_cycle
        return part_spans(passes, self.watched.system.config, known)

    def wait_spans(self) -> Iterator[CauseSpan]:
        """What no part computed for."""
        recorder, parts = self.watched.recorder, [(part.first_cycle, part.end_cycle) for part in self.parts]
        return wait_spans(self.cycles, parts, recorder.running.until(self.cycles), recorder.waiting)

    def refused(self, transfer: TransferSpan) -> int:
        """SRAM accesses of a transfer that were refused."""
        return self.watched.recorder.transfers[Unit(transfer.channel)][transfer.index].refused

    def _parts(self) -> Iterator[PartView]:
        for tag, record in self.watched.recorder.parts.items():
            name, passes = self.watched.program.part_name(tag), tuple(record.passes)
            if record.flushed:
                yield PartView(tag, name, passes, record.first_cycle, record.last_write_cycle + 1, ended=True)
                continue
            start = self._start_cycle
            begun = self._started is not None and self._started.of_pass == (tag, len(passes))
            if passes or begun:
                first_cycle = passes[0].first_cycle if passes else start
                end_cycle = self._stopped_cycle(first_cycle)
                under_way = start if begun and start < end_cycle else None
                yield PartView(tag, name, passes, first_cycle, end_cycle, False, under_way)

    def _stopped_cycle(self, cycle: int) -> int:
        """Behind the engine's program that ran in a cycle."""
        return next((one.last_cycle + 1 for one in self.timeline.programs if cycle <= one.last_cycle), cycle)

    @staticmethod
    def _closed(one: PassRecord, end: int) -> PassRecord:
        if one.handover_cycle < 0:
            return replace(one, handover_cycle=end, last_write_cycle=end)
        return replace(one, last_write_cycle=max(one.last_write_cycle, end - 1))

    def _next_pass(self, part: PartView) -> Iterator[PassRecord]:
        """The pass under way; if there is none but more are to come, one that would begin now."""
        of_program = self.watched.program.parts[part.tag]
        if len(part.passes) < of_program.groups * of_program.tiles:
            start = part.end_cycle if part.under_way_cycle is None else part.under_way_cycle
            yield PassRecord(0, 0, start, part.end_cycle, part.end_cycle, part.end_cycle)
