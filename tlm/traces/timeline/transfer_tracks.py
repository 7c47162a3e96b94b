"""Tracks of the host and the DMA: what it waits for, transfers, bursts; arrows to and from the engine; bandwidth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from tlm.chip.format.driver import Unit
from tlm.observe.timeline import HostSpan, TransferSpan
from tlm.traces.timeline.engine_tracks import conflict_counter, running_total
from tlm.traces.timeline.events import Counter, Event, EventMaker
from tlm.traces.timeline.levels import Level
from tlm.traces.timeline.run_view import RunView
from tlm.traces.timeline.transfers import TransferWatcher

LOADED, STORED = "loaded for", "stored from"
"""Names of the arrows."""


def bandwidth_counter(channel: str) -> Counter:
    """Of a DMA channel."""
    return Counter(f"dma.{channel}", "(MB/s)")


@dataclass(frozen=True, slots=True)
class TransferTracks:
    """Makes the events.

    Args:
        view: of the run.
        watcher: of the same system.
        make: for the events.
    """

    view: RunView
    watcher: TransferWatcher
    make: EventMaker

    def transfer_events(self) -> Iterator[Event]:
        """The host, transfers and bandwidth."""
        level = Level.TRANSFER.value
        for span in self.view.timeline.host:
            yield self.make.slice(
                self.make.tracks.host, _host_name(span), span.first_cycle, span.last_cycle + 1, level, {}
            )
        for transfer in self.view.timeline.transfers:
            track, end_cycle = self.make.tracks.dma(transfer.channel), transfer.last_cycle + 1
            args = self._args(transfer)
            yield self.make.slice(track, transfer.label, transfer.first_cycle, end_cycle, level, args)
        for unit in (Unit.LOAD, Unit.STORE):
            yield from self._bandwidth(unit)

    def arrows(self, with_passes: bool) -> Iterator[Event]:
        """From a load to each part that uses it, and from what completed a tensor to its store.

        Viewers bind an arrow to the slice of its track that began last. So it leaves from the part, or if the trace has
        passes, from the write-back of the last one.
        """
        tracks, numbers = self.make.tracks, count(1)
        parts = {part.tag: part for part in self.view.parts}
        writer = tracks.requantiser if with_passes else tracks.engine
        for transfer in self.view.timeline.transfers:
            for tag in transfer.part_bytes:
                part, track = parts.get(tag), tracks.dma(transfer.channel)
                if part is None:
                    continue
                if transfer.channel == Unit.LOAD.value and self._complete(transfer):
                    ends = (track, transfer.last_cycle), (tracks.engine, part.first_cycle)
                    yield from self.make.flow(LOADED, next(numbers), *ends)
                elif transfer.channel == Unit.STORE.value and part.ended:
                    ends = (writer, part.end_cycle - 1), (track, transfer.first_cycle)
                    yield from self.make.flow(STORED, next(numbers), *ends)

    def conflicts(self) -> Iterator[Event]:
        """SRAM accesses of the DMA that were refused so far, counted at the end of each transfer."""
        for unit in (Unit.LOAD, Unit.STORE):
            own = [one for one in self.view.timeline.transfers if one.channel == unit.value]
            counts = [(one.last_cycle + 1, self.watcher.refused[unit][one.index]) for one in own]
            yield from running_total(self.make, conflict_counter(f"dma_{unit.value}"), counts)

    def burst_events(self) -> Iterator[Event]:
        """The bursts of both channels, below their transfers."""
        labels = {(one.channel, one.index): one.label for one in self.view.timeline.transfers}
        for unit in (Unit.LOAD, Unit.STORE):
            for burst, buffer, end_cycle in self.watcher.bursts(unit, self.view.cycles):
                args = {
                    "transfer": labels[unit.value, burst.transfer],
                    "transfer_index": burst.transfer,
                    "burst": burst.index,
                    "bytes": burst.moved_bytes,
                }
                track, name = self.make.tracks.burst(unit.value, buffer), f"burst {burst.index}"
                yield self.make.slice(track, name, burst.first_cycle, end_cycle, Level.BURST.value, args)

    def _args(self, transfer: TransferSpan) -> dict[str, object]:
        program = self.view.watched.program
        return {
            "index": transfer.index,
            "sram": transfer.sram,
            "bytes": transfer.moved_bytes,
            "bytes_of_parts": {program.part_name(tag): size for tag, size in transfer.part_bytes.items()},
            "refused_accesses": self.watcher.refused[Unit(transfer.channel)][transfer.index],
            **({} if self._complete(transfer) else {"unfinished": True}),
        }

    def _complete(self, transfer: TransferSpan) -> bool:
        return transfer.moved_bytes == sum(transfer.part_bytes.values())

    def _bandwidth(self, unit: Unit) -> Iterator[Event]:
        """Of each transfer over its whole span, 0 between them."""
        clock_khz = self.make.clock_khz
        changes = {0: 0.0}
        for one in self.view.timeline.transfers:
            if one.channel == unit.value:
                cycles = one.last_cycle + 1 - one.first_cycle
                changes[one.first_cycle] = round(one.moved_bytes * clock_khz / (cycles * 1000), 3)
                changes[one.last_cycle + 1] = 0
        if len(changes) > 1:
            for cycle, value in changes.items():
                yield self.make.counter(bandwidth_counter(unit.value), cycle, value)


def _host_name(span: HostSpan) -> str:
    if span.waits_for is None:
        return "registers"
    unit = "engine" if span.waits_for == Unit.ENGINE.value else f"dma.{span.waits_for}"
    return f"sleeps until {unit} is done" if span.state == "sleep" else f"finds {unit} done"
