"""The account in time order: the cause of each cycle of a run (docs/account.md)."""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.observe.recorder import Recorder
from tlm.observe.spans import CauseSpan, part_spans, wait_spans

__all__ = ["CauseSpan", "cause_spans"]


def cause_spans(recorder: Recorder, config: ChipConfig) -> list[CauseSpan]:
    """Of all that was recorded until now, in the order of time and without a gap, as far as parts have ended."""
    ended = [part for part in recorder.parts.values() if part.flushed]
    cycles = recorder.recorded_cycles
    if len(ended) < len(recorder.parts):
        cycles = ended[-1].end_cycle if ended else 0
    spans = [span for part in ended for span in part_spans(part.passes, config)]
    edges = [(part.first_cycle, part.end_cycle) for part in ended]
    spans += wait_spans(cycles, edges, recorder.running.until(cycles), recorder.waiting)
    return sorted(spans, key=lambda span: span.first_cycle)
