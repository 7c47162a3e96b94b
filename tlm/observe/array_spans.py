"""The spans of a part's passes by cause, in closed form from s, e, h and last write (engine.md).

The account adds them up and traces draw them, so both show the same causes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from tlm.chip.config import ChipConfig
from tlm.observe.passes import PassRecord


class PassEdges(NamedTuple):
    """Where a pass's spans begin; each ends where the next begins, and the last with ``end_cycle - 1``."""

    fetch_cycle: int
    pipeline_cycle: int
    """Emptying the pipeline."""
    write_back_cycle: int
    """Waiting for the previous pass's write-back."""
    handover_cycle: int
    """The handover, and the gap behind it or the requantiser's depth: pipeline."""
    rest_cycle: int
    """Parameters of a new group, or behind the last pass: drain."""
    end_cycle: int
    """Where the next pass begins, or behind the last write."""


def pass_edges(passes: Sequence[PassRecord], config: ChipConfig) -> Iterator[PassEdges]:
    """Of a part whose passes have all ended. Edges that descend say that the records break a rule of engine.md."""
    pipeline_cycles, gap, depth = config.pipeline_cycles, config.pass_gap_cycles, config.requantiser_cycles
    for one, after in zip_longest(passes, passes[1:]):
        fetched, handover = one.last_fetch_cycle + 1, one.handover_cycle
        rest = handover + 1 + (depth if after is None else gap)
        end = one.last_write_cycle + 1 if after is None else after.first_cycle
        yield PassEdges(one.first_cycle, fetched, fetched + pipeline_cycles, handover, rest, end)


def fetch_causes(cycles: int, steps: int, fetch_cycles: int) -> dict[str, int]:
    """What the cycles s .. e of a pass, or of several, were spent on."""
    return {"computing": steps, "bank_conflict": fetch_cycles - steps, "instruction": cycles - fetch_cycles}


def drain_causes(cycles: int, refused_writes: int) -> dict[str, int]:
    """What the cycles behind the last pass were spent on, when its first word has left the requantiser."""
    return {"write_back": refused_writes, "drain": cycles - refused_writes}


@dataclass(frozen=True, slots=True)
class ArraySpan:
    """Cycles of a part; its spans follow each other without a gap."""

    first_cycle: int
    end_cycle: int
    """The one behind it."""
    causes: Mapping[str, int]
    """Cause of the account -> cycles; in sum all of the span. Where there are several, they alternate."""
    of_pass: PassRecord
    """The pass that it belongs to; parameters are those of the next."""


def array_spans(passes: Sequence[PassRecord], config: ChipConfig, end_cycle: int) -> Iterator[ArraySpan]:
    """Those of a part, without empty ones, up to ``end_cycle - 1``.

    Args:
        passes: as far as they have not ended, with cycles from ``end_cycle`` on instead.
        config: the chip.
        end_cycle: the one behind the last write, or behind the last that was seen.
    """
    for one, after, edges in zip(passes, [*passes[1:], None], pass_edges(passes, config), strict=True):
        kinds = ("fetch", "pipeline", "write_back", "pipeline", "drain" if after is None else "parameters")
        for kind, first, end in zip(kinds, edges[:-1], edges[1:], strict=True):
            end = min(end, end_cycle)
            if first < end:
                owner = after if kind == "parameters" and after is not None else one
                yield ArraySpan(first, end, _causes(kind, end - first, one), owner)


def _causes(kind: str, cycles: int, one: PassRecord) -> Mapping[str, int]:
    if kind == "fetch":
        causes = fetch_causes(cycles, one.steps, one.fetch_cycles)
    elif kind == "drain":
        causes = drain_causes(cycles, one.refused_writes)
    else:
        return {kind: cycles}
    return {cause: count for cause, count in causes.items() if count}
