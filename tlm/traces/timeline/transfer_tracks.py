"""Tracks of the host and the DMA: what it waits for, transfers, bursts; arrows to and from the engine; bandwidth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from tlm.chip.format.driver import Unit
from tlm.chip.payloads import BurstBeat, Work
from tlm.chip.system import System
from tlm.core.payload import Payload, Response
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.power import bandwidth_mb_per_s
from tlm.observe.timeline import HostSpan, TransferSpan
from tlm.traces.timeline.engine_tracks import running_total
from tlm.traces.timeline.events import ENGINE, REQUANTISER, Event, EventMaker, Level
from tlm.traces.timeline.run_view import RunView

_CHANNELS = ("load", "store")


@dataclass(slots=True)
class BurstRecord:
    """A burst: of a load from its request to its last SRAM write, of a store from its first SRAM read to its answer."""

    transfer: int
    """Which one of its channel."""
    index: int
    """Which burst of the transfer."""
    first_cycle: int
    last_cycle: int
    """Of the last access that was seen."""
    moved_bytes: int = 0
    answered: bool = False
    """The last beat was."""


class BurstWatcher:
    """Notes the bursts of the DMA while a system runs; only fidelity "cycle" has them.

    Args:
        system: what is watched.
        max_bursts: of each channel; those behind them are not kept.
    """

    def __init__(self, system: System, max_bursts: int) -> None:
        self._clock = system.simulation.clock
        self._max_bursts = max_bursts
        self._bursts: dict[str, dict[tuple[int, int], BurstRecord]] = {channel: {} for channel in _CHANNELS}
        for name, channel in (("load", system.dma.load), ("store", system.dma.store)):
            for socket in (channel.memory, *channel.srams.values()):
                socket.observe(partial(self._see, self._bursts[name]), (Phase.BEGIN_REQ, Phase.END_RESP))

    def bursts(self, channel: str, cycles: int) -> Iterator[tuple[BurstRecord, int, int]]:
        """(burst, its buffer, its end) in the order of their beginning, each in the lowest buffer that is free.

        Args:
            channel: "load" or "store".
            cycles: of the run; bursts that were not answered are under way until its end.
        """
        ends: list[int] = []
        for burst in sorted(self._bursts[channel].values(), key=lambda one: one.first_cycle):
            end_cycle = burst.last_cycle + 1 if burst.answered else cycles
            buffer = next((index for index, end in enumerate(ends) if end <= burst.first_cycle), len(ends))
            ends[buffer : buffer + 1] = [end_cycle]
            yield burst, buffer, end_cycle

    def _see(
        self, bursts: dict[tuple[int, int], BurstRecord], phase: Phase, _: InitiatorSocket[Any], payload: Payload
    ) -> None:
        """An access that belongs to a burst, which lasts at least until now."""
        link = None if payload.origin is None else payload.origin.find(Work.BURST)
        if link is None or link.parent is None:
            return
        key, now = (link.parent.index, link.index), self._clock.now
        if key not in bursts and len(bursts) == self._max_bursts:
            return
        burst = bursts.setdefault(key, BurstRecord(*key, now, now))
        burst.last_cycle = now
        if isinstance(payload, BurstBeat) and phase is Phase.END_RESP:
            served = payload.status is Response.OK
            burst.answered = not served or payload.beat == payload.beats - 1  # an error ends a burst
            burst.moved_bytes += len(payload.data) if served else 0


def transfer_events(view: RunView, make: EventMaker) -> Iterator[Event]:
    """The host, transfers, bandwidth, and SRAM accesses refused so far, counted at the end of each transfer."""
    level, part_name = Level.TRANSFER, view.watched.program.part_name
    for span in view.timeline.host:
        yield make.slice(level, "host", _host_name(span), (span.first_cycle, span.last_cycle + 1), {})
    refused: dict[str, list[tuple[int, int]]] = {channel: [] for channel in _CHANNELS}
    bandwidth: dict[str, dict[int, float]] = {channel: {0: 0.0} for channel in _CHANNELS}
    for one in view.timeline.transfers:
        record = view.watched.recorder.transfers[Unit(one.channel)][one.index]
        first, end = one.first_cycle, one.last_cycle + 1
        args = {
            "index": one.index,
            "sram": one.sram,
            "bytes": one.moved_bytes,
            "bytes_of_parts": {part_name(tag): size for tag, size in one.part_bytes.items()},
            "refused_accesses": record.refused,
            **({} if _complete(one) else {"unfinished": True}),
        }
        yield make.slice(level, f"dma.{one.channel}", one.label, (first, end), args)
        refused[one.channel].append((end, record.refused))
        bandwidth[one.channel] |= {first: bandwidth_mb_per_s(one.moved_bytes, end - first, make.clock_khz), end: 0}
    for channel in _CHANNELS:
        for cycle, value in bandwidth[channel].items() if refused[channel] else ():
            yield make.counter(f"dma.{channel}", "(MB/s)", cycle, value)
        yield from running_total(make, f"dma_{channel}", refused[channel])


def burst_events(view: RunView, watcher: BurstWatcher, make: EventMaker) -> Iterator[Event]:
    """The bursts of both channels, below their transfers."""
    labels = {(one.channel, one.index): one.label for one in view.timeline.transfers}
    for channel in _CHANNELS:
        for burst, buffer, end_cycle in watcher.bursts(channel, view.cycles):
            args = {
                "transfer": labels[channel, burst.transfer],
                "transfer_index": burst.transfer,
                "burst": burst.index,
                "bytes": burst.moved_bytes,
            }
            track, span = f"dma.{channel} burst {buffer}", (burst.first_cycle, end_cycle)
            yield make.slice(Level.BURST, track, f"burst {burst.index}", span, args)


def arrows(view: RunView, make: EventMaker, with_passes: bool) -> Iterator[Event]:
    """From a load to each part that uses it, and from what completed a tensor to its store.

    Viewers bind an arrow to the slice of its track that began last. So it leaves from the part, or if the trace has
    passes, from the write-back of the last one.
    """
    numbers, parts = count(1), {part.record.tag: part for part in view.parts}
    writer = REQUANTISER if with_passes else ENGINE
    for transfer in view.timeline.transfers:
        track = f"dma.{transfer.channel}"
        for part in (parts[tag] for tag in transfer.part_bytes if tag in parts):
            if transfer.channel == Unit.LOAD.value and _complete(transfer):
                ends = (track, transfer.last_cycle), (ENGINE, part.span[0])
                yield from make.flow("loaded for", next(numbers), *ends)
            elif transfer.channel == Unit.STORE.value and part.record.flushed:
                ends = (writer, part.end_cycle - 1), (track, transfer.first_cycle)
                yield from make.flow("stored from", next(numbers), *ends)


def _complete(transfer: TransferSpan) -> bool:
    return transfer.moved_bytes == sum(transfer.part_bytes.values())


def _host_name(span: HostSpan) -> str:
    if span.waits_for is None:
        return "registers"
    unit = "engine" if span.waits_for == Unit.ENGINE.value else f"dma.{span.waits_for}"
    return f"sleeps until {unit} is done" if span.state == "sleep" else f"finds {unit} done"
