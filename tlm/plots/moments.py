"""What is drawn of a run's timeline: bars with first and last cycle, as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from tlm.analysis.stored_timeline import StoredSpan, StoredTimeline, StoredTransfer
from tlm.plots.sources import Source

ENGINE, HOST, LOAD, STORE = "engine", "host", "DMA load", "DMA store"
"""Rows of the chip's units; the others are the layers'."""
COMPUTES = "computes"
AT_END = "(at the end)"
"""Row of what lies behind the last layer."""

_FILLS = {"wmem": "weights", "amem": "activations", "imem": "instructions"}
_CHANNELS = {"load": LOAD, "store": STORE}


@dataclass(frozen=True)
class GanttBar:
    """Something that lasted from one cycle to another."""

    row: str
    first_cycle: int
    end_cycle: int
    """The first one behind it."""
    role: str
    """What it was: a state of the host ("runs", "sleeps: engine", ..), an SRAM, ``COMPUTES``, or a cause of waiting."""
    layer: str = ""
    """Whose it is; empty where it is nobody's."""

    @property
    def cycles(self) -> int:
        """How long it lasted."""
        return self.end_cycle - self.first_cycle


def host_bars(timeline: StoredTimeline) -> list[GanttBar]:
    """What the host did."""
    return [
        GanttBar(
            HOST, one.first_cycle, one.end_cycle, "runs" if one.state == "run" else f"sleeps: {one.waits_for or 'end'}"
        )
        for one in timeline.host
    ]


def transfer_bars(timeline: StoredTimeline) -> list[GanttBar]:
    """What the DMA channels did."""
    return [GanttBar(_CHANNELS[one.channel], one.first_cycle, one.end_cycle, one.sram) for one in timeline.transfers]


def engine_bars(timeline: StoredTimeline) -> list[GanttBar]:
    """Parts of layers on the engine."""
    return [GanttBar(ENGINE, one.first_cycle, one.end_cycle, COMPUTES, one.layer) for one in timeline.parts]


def wait_bars(timeline: StoredTimeline, cycles: int) -> list[GanttBar]:
    """The cycles without computation, by cause as docs/account.md has it; each belongs to the layer that follows."""
    sleeps = list(_sleeps(timeline))
    spans = [*timeline.parts, *timeline.programs, *(span for span, _ in sleeps)]
    edges = {0, cycles, *(edge for one in spans for edge in (one.first_cycle, one.end_cycle))}
    found: list[GanttBar] = []
    for first, end in pairwise(sorted(edges)):
        if not _at(timeline.parts, first):
            cause = "host"
            if _at(timeline.programs, first):
                cause = "instructions"
            else:
                cause = next((why for span, why in sleeps if span.first_cycle <= first < span.end_cycle), "host")
            layer = next((one.layer for one in timeline.parts if one.first_cycle > first), "")
            _append(found, GanttBar(ENGINE, first, end, cause, layer))
    return found


def layer_bars(timeline: StoredTimeline, waits: Iterable[GanttBar]) -> list[GanttBar]:
    """The same once more in a row of each layer: its waits, its parts, and the transfers that are for it."""
    own = [replace(bar, row=bar.layer or AT_END) for bar in (*waits, *engine_bars(timeline))]
    layer_of = {part.name: part.layer for part in timeline.parts}
    for transfer in timeline.transfers:
        for layer in dict.fromkeys(layer_of[part] for part, count in transfer.part_bytes.items() if count):
            own.append(GanttBar(layer, transfer.first_cycle, transfer.end_cycle, transfer.sram, layer))
    return own


def check(source: Source, waits: Iterable[GanttBar]) -> None:
    """The bars say what the account says.

    Raises:
        InputError: they do not, or a part belongs to no layer.
    """
    stored, timeline = source.stored, source.timeline
    waited: Counter[tuple[str, str]] = Counter()
    for bar in waits:
        waited[bar.layer, bar.role] += bar.cycles
    computed: Counter[str] = Counter()
    for bar in engine_bars(timeline):
        computed[bar.layer] += bar.cycles
    wanted = {("", cause): count for cause, count in stored.account.waits_at_end.items()}
    wanted |= {(layer.name, cause): count for layer in stored.layers for cause, count in layer.waits.items()}
    if waited != Counter(wanted):
        raise source.edited("timeline: the waits between its parts are not those of the account")
    if computed != Counter({layer.name: layer.compute_cycles for layer in stored.layers}):
        raise source.edited("timeline.parts: their cycles are not the compute_cycles of the layers")
    names = {part.name for part in timeline.parts}
    unknown = sorted({name for one in timeline.transfers for name in one.part_bytes} - names)
    if unknown:
        raise source.edited(f"timeline.transfers: part_bytes names {unknown[0]}, which is no part")


def _sleeps(timeline: StoredTimeline) -> Iterator[tuple[StoredSpan, str]]:
    """When the host slept for a transfer, up to its interrupt, and the cause that this is."""
    for host in timeline.host:
        if host.state == "sleep" and host.waits_for is not None:
            ended = _transfer_under_way(timeline.transfers, host.waits_for, host.first_cycle)
            if ended is not None:  # it sleeps for a channel, not for the engine
                last = min(host.last_cycle, ended.last_cycle)
                cause = _FILLS[ended.sram] if ended.channel == "load" else "activations"
                yield StoredSpan(first_cycle=host.first_cycle, last_cycle=last), cause


def _transfer_under_way(transfers: Iterable[StoredTransfer], channel: str, cycle: int) -> StoredTransfer | None:
    return next((one for one in transfers if one.channel == channel and one.last_cycle >= cycle), None)


def _at(spans: Iterable[StoredSpan], cycle: int) -> bool:
    return any(one.first_cycle <= cycle < one.end_cycle for one in spans)


def _append(bars: list[GanttBar], bar: GanttBar) -> None:
    """Add a bar, or lengthen the last one if it goes on."""
    last = bars[-1] if bars else None
    if last is not None and (last.end_cycle, last.role, last.layer) == (bar.first_cycle, bar.role, bar.layer):
        bars[-1] = replace(last, end_cycle=bar.end_cycle)
    else:
        bars.append(bar)
