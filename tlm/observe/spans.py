"""Spans of cycles by cause, in closed form: within a part from its passes (engine.md), outside parts from activity.

The account adds them up and traces draw them, so both show the same causes.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest

from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.observe.passes import PassRecord


class Spans(list[tuple[int, int]]):
    """Half-open intervals of cycles, disjoint and ascending; an interval whose end is not known yet can be open."""

    open_since: int | None = None

    def add(self, start: int, end: int) -> None:
        """``start`` to ``end - 1``, after all that were added before; nothing if that is empty."""
        if start < end:
            self.append((start, end))

    def open(self, start: int) -> None:
        """An interval begins; nothing if one is open already."""
        if self.open_since is None:
            self.open_since = start

    def close(self, end: int) -> None:
        """The open interval ends."""
        assert self.open_since is not None
        self.add(self.open_since, end)
        self.open_since = None

    def until(self, cycles: int) -> Spans:
        """Those of a run of so many cycles; the open one lasts to its end."""
        still_open = [] if self.open_since is None else [(self.open_since, cycles)]
        return Spans((start, min(end, cycles)) for start, end in (*self, *still_open) if start < cycles)

    @property
    def cycles(self) -> int:
        """How many they cover."""
        return sum(end - start for start, end in self)

    def common(self, other: Sequence[tuple[int, int]]) -> Spans:
        """What both cover; ``other`` is disjoint and ascending, too."""
        found, at = Spans(), 0
        for start, end in self:
            at = bisect_right(other, start, at, key=lambda one: one[1])
            for index in range(at, len(other)):
                if other[index][0] >= end:
                    break
                found.add(max(start, other[index][0]), min(end, other[index][1]))
        return found


class CauseSpan(Struct):
    """Cycles of one cause; within "computing" some are conflicts or empty pattern words, within "drain" refused writes.

    How many of these there are is known from the pass, but not which.
    """

    first_cycle: int
    end_cycle: int
    """After its last."""
    cause: str
    of_pass: PassRecord | None = None
    """The pass that it belongs to (parameters: to the next one); None outside parts."""
    before: int = -1
    """Outside parts: which part follows, counted in the order of execution; the number of parts if none does."""

    @property
    def causes(self) -> Mapping[str, int]:
        """Cause of the account -> cycles; in sum all of the span."""
        counts = {self.cause: self.end_cycle - self.first_cycle}
        if self.of_pass is not None:
            one = self.of_pass
            split_causes(counts, one.steps, one.fetch_cycles, one.refused_writes)
        return {cause: count for cause, count in counts.items() if count}


def split_causes(counts: dict[str, int], steps: int, fetch_cycles: int, refused_writes: int) -> None:
    """Tell apart what alternates within fetches ("computing") and within "drain"."""
    if "computing" in counts:
        cycles = counts["computing"]
        counts |= {"computing": steps, "bank_conflict": fetch_cycles - steps, "instruction": cycles - fetch_cycles}
    if "drain" in counts:
        drain = counts.pop("drain") - refused_writes
        counts |= {"write_back": counts.get("write_back", 0) + refused_writes, "drain": drain}


def part_spans(passes: Sequence[PassRecord], config: ChipConfig, end_cycle: int = sys.maxsize) -> Iterator[CauseSpan]:
    """The spans of a part without a gap, but none that is empty. They overlap if the records break a rule of engine.md.

    Args:
        passes: as far as they have not ended, with cycles from ``end_cycle`` on instead.
        config: the chip.
        end_cycle: of a part that has not ended, the one after the last that was seen.
    """
    for cause, first, end, owner in part_causes(passes, config):
        if first < min(end, end_cycle):
            yield CauseSpan(first, min(end, end_cycle), cause, owner)


def part_causes(passes: Sequence[PassRecord], config: ChipConfig) -> Iterator[tuple[str, int, int, PassRecord]]:
    """Cause, first cycle, the one after the last, and pass of each span of a part that has ended; some are empty."""
    pipeline_cycles, gap, depth = config.pipeline_cycles, config.pass_gap_cycles, config.requantiser_cycles
    for one, after in zip_longest(passes, passes[1:]):
        fetched, handover = one.last_fetch_cycle + 1, one.handover_cycle
        rest = handover + 1 + (depth if after is None else gap)
        yield "computing", one.first_cycle, fetched, one
        yield "pipeline", fetched, fetched + pipeline_cycles, one
        yield "write_back", fetched + pipeline_cycles, handover, one
        yield "pipeline", handover, rest, one
        if after is None:
            yield "drain", rest, one.last_write_cycle + 1, one
        else:
            yield "parameters", rest, after.first_cycle, after


def wait_spans(
    cycles: int, parts: Sequence[tuple[int, int]], running: Spans, waiting: Mapping[str, Iterable[tuple[int, int]]]
) -> Iterator[CauseSpan]:
    """Cycles outside parts, in the order of time, as long as a cause lasts.

    Args:
        cycles: of the run, from cycle 0 on.
        parts: (s_0, end) of each, in the order of execution.
        running: when the engine ran a program.
        waiting: cause -> when the host slept for its reason; of causes that overlap the first counts.
    """
    layers = [*reversed(list(waiting.items())), ("instructions", running), ("", parts)]  # the later one counts
    edges = sorted({0, cycles, *(min(edge, cycles) for _, spans in layers for span in spans for edge in span)})
    place = {edge: index for index, edge in enumerate(edges)}
    causes = ["host"] * (len(edges) - 1)
    for cause, spans in layers:
        for start, end in spans:
            first, last = place[min(start, cycles)], place[min(end, cycles)]
            causes[first:last] = [cause] * (last - first)
    starts = [start for start, _ in parts]
    span = CauseSpan(0, 0, "")
    for cause, (start, end) in zip(causes, pairwise(edges), strict=True):
        before = bisect_right(starts, start)
        if (span.cause, span.before) == (cause, before):
            span.end_cycle = end
            continue
        if span.cause:
            yield span
        span = CauseSpan(start, end, cause, before=before)
    if span.cause:
        yield span
