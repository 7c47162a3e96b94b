"""The account as a sequence: for each moment of a run the cause that its cycle is counted under (docs/account.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tlm.chip.config import ChipConfig
from tlm.observe.account import wait_spans
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.recorder import Recorder


@dataclass(frozen=True, slots=True)
class CauseSpan:
    """Cycles of one cause; within "computing" some are conflicts or empty pattern words, within "drain" refused writes.

    How many of these there are is known from the pass, but not which.
    """

    first_cycle: int
    end_cycle: int
    """Behind its last."""
    cause: str
    of_pass: PassRecord | None = None
    """None outside layers."""


def cause_spans(recorder: Recorder, config: ChipConfig) -> list[CauseSpan]:
    """Of all that was recorded until now, in the order of time and without a gap, as far as parts have ended."""
    ended = [part for part in recorder.parts.values() if _has_ended(part)]
    spans = [span for part in ended for span in part_spans(part, config) if span.first_cycle < span.end_cycle]
    activity, cycles = recorder.activity, recorder.recorded_cycles
    if len(ended) < len(recorder.parts):
        cycles = ended[-1].last_write_cycle + 1 if ended else 0
    spans += [CauseSpan(*wait) for wait in wait_spans(cycles, ended, activity.running, activity.waiting)]
    return sorted(spans, key=lambda span: span.first_cycle)


def part_spans(part: PartRecord, config: ChipConfig) -> Iterator[CauseSpan]:
    """Of a part that has ended; some may be empty. In sum :func:`tlm.observe.account.array_account`."""
    for before, after in pairwise(part.passes):
        yield from _until_handover(before, config)
        gap_end = before.handover_cycle + 1 + config.pass_gap_cycles
        yield CauseSpan(before.handover_cycle, gap_end, "pipeline", before)
        yield CauseSpan(gap_end, after.first_cycle, "parameters", after)
    last = part.passes[-1]
    yield from _until_handover(last, config)
    drain = last.handover_cycle + 1 + config.requantiser_cycles
    yield CauseSpan(last.handover_cycle, drain, "pipeline", last)
    yield CauseSpan(drain, last.last_write_cycle + 1, "drain", last)


def _until_handover(one: PassRecord, config: ChipConfig) -> Iterator[CauseSpan]:
    behind = one.last_fetch_cycle + 1
    yield CauseSpan(one.first_cycle, behind, "computing", one)
    yield CauseSpan(behind, behind + config.pipeline_cycles, "pipeline", one)
    yield CauseSpan(behind + config.pipeline_cycles, one.handover_cycle, "write_back", one)


def _has_ended(part: PartRecord) -> bool:
    return bool(part.passes) and part.flushed
