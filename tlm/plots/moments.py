"""What happened when in a run, layer by layer: from the timeline of a result, checked against its account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tlm.chip.format.driver import SramName
from tlm.observe.causes import DRAM_WAITS, FILLS
from tlm.observe.spans import Spans, wait_spans
from tlm.plots.sources import Source
from tlm.results.result_json import SpanRecord, TimelineRecord

AT_END = "(at the end)"
"""Name of what lies after the last layer."""

CAUSE_OF_LOAD = {sram.name.lower(): cause for sram, cause in FILLS.items()}
"""SRAM as a result names it -> what it holds, which is the cause of a wait for a load into it."""


class Moments(NamedTuple):
    """Cycles of a layer."""

    layer: str
    """``AT_END`` after the last one."""
    what: str
    """"computing", a cause of waiting, or the SRAM of a transfer."""
    first_cycle: int
    end_cycle: int
    """The first one after it."""

    @property
    def cycles(self) -> int:
        """How many they are."""
        return self.end_cycle - self.first_cycle


class LayerMoments(NamedTuple):
    """All moments of the layers of a run, in the order of time."""

    parts: Sequence[Moments]
    """In which they compute."""
    waits: Sequence[Moments]
    """In which none computes; each belongs to the layer that follows."""
    transfers: Sequence[Moments]
    """In which DMA moves something for them."""


def layer_moments(source: Source) -> LayerMoments:
    """When which layer computed, waited, and had transfers under way.

    Raises:
        InputError: its timeline contradicts its account.
    """
    stored, timeline = source.stored, source.stored.timeline
    ordered: dict[str, Sequence[SpanRecord]] = {
        "parts": timeline.parts, "programs": timeline.programs, "host": timeline.host
    }  # fmt: skip
    for key, spans in ordered.items():
        if any(one.end_cycle > after.first_cycle for one, after in pairwise(spans)):
            raise source.edited(f"timeline.{key}: is not in the order of time")
    parts = [Moments(one.layer, "computing", one.first_cycle, one.end_cycle) for one in timeline.parts]
    followers = [*(part.layer for part in parts), AT_END]
    computing, running = [(part.first_cycle, part.end_cycle) for part in parts], Spans()
    for program in timeline.programs:
        running.add(program.first_cycle, program.end_cycle)
    waits = [
        Moments(followers[one.before], one.cause, one.first_cycle, one.end_cycle)
        for one in wait_spans(stored.cycles, computing, running, _waiting(timeline))
    ]
    accounts = [(layer.name, layer.waits) for layer in stored.layers] + [(AT_END, stored.account.waits_at_end)]
    wanted = {(name, cause): count for name, account in accounts for cause, count in account.by_cause().items()}
    if _counted(waits) != Counter(wanted):
        raise source.edited("timeline: the waits between its parts are not those of the account")
    if _counted(parts) != Counter({(layer.name, "computing"): layer.compute_cycles for layer in stored.layers}):
        raise source.edited("timeline.parts: their cycles are not the compute_cycles of the layers")
    return LayerMoments(parts, waits, _transfers(source))


def _counted(moments: Iterable[Moments]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for one in moments:
        found[one.layer, one.what] += one.cycles
    return found


def _waiting(timeline: TimelineRecord) -> dict[str, Spans]:
    """Cause -> when the host slept for a transfer, up to its interrupt."""
    lost, found = ({cause: Spans() for cause in causes} for causes in (DRAM_WAITS, FILLS.values()))
    for host in timeline.host:
        awaited = (  # none if it sleeps for the engine
            one for one in timeline.transfers
            if one.channel == host.waits_for and one.last_cycle >= host.first_cycle
        )  # fmt: skip
        transfer = next(awaited, None)
        if host.state == "sleep" and transfer is not None:
            cause = CAUSE_OF_LOAD[transfer.sram] if transfer.channel == "load" else FILLS[SramName.AMEM]
            found[cause].add(host.first_cycle, min(host.end_cycle, transfer.end_cycle))
    for wait in timeline.dram_waits or ():
        lost[wait.cause].add(wait.first_cycle, wait.end_cycle)
    return lost | found


def _transfers(source: Source) -> list[Moments]:
    layer_of = {part.name: part.layer for part in source.stored.timeline.parts}
    found = []
    for one in source.stored.timeline.transfers:
        if unknown := sorted(set(one.part_bytes) - set(layer_of)):
            raise source.edited(f"timeline.transfers: part_bytes names {unknown[0]}, which is no part")
        for layer in dict.fromkeys(layer_of[part] for part, count in one.part_bytes.items() if count):
            found.append(Moments(layer, one.sram, one.first_cycle, one.end_cycle))
    return found
