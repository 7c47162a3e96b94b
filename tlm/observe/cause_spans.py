"""The account in time order: the cause of each cycle of a run (docs/account.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.observe.account import wait_spans
from tlm.observe.array_spans import array_spans
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.recorder import Recorder

_MIXED = ("computing", "bank_conflict", "instruction")
"""Causes between which the fetches of a pass alternate."""


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
    """The pass that it belongs to; None outside layers."""


def cause_spans(recorder: Recorder, config: ChipConfig) -> list[CauseSpan]:
    """Of all that was recorded until now, in the order of time and without a gap, as far as parts have ended."""
    ended = [part for part in recorder.parts.values() if part.flushed]
    activity, cycles = recorder.activity, recorder.recorded_cycles
    if len(ended) < len(recorder.parts):
        cycles = ended[-1].last_write_cycle + 1 if ended else 0
    spans = [span for part in ended for span in _part_spans(part, config)]
    edges = [(part.first_cycle, part.last_write_cycle + 1) for part in ended]
    for wait in wait_spans(cycles, edges, activity.running, activity.waiting):
        spans.append(CauseSpan(wait.first_cycle, wait.end_cycle, wait.cause))
    return sorted(spans, key=lambda span: span.first_cycle)


def _part_spans(part: PartRecord, config: ChipConfig) -> Iterator[CauseSpan]:
    for span in array_spans(part.passes, config, part.last_write_cycle + 1):
        yield CauseSpan(span.first_cycle, span.end_cycle, _main_cause(span.causes), span.of_pass)


def _main_cause(causes: Mapping[str, int]) -> str:
    if any(cause in causes for cause in _MIXED):
        return "computing"
    return "drain" if "drain" in causes else next(iter(causes))
