"""Events of Chrome's trace format: slices, counters, flows, on tracks, at whole nanoseconds.

An event is a line of JSON with its sorting key. Of slices that begin together the outer one must come first in the
file, and a flow behind the slices that it binds to; that is what the rank is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

_encode = msgspec.json.Encoder().encode
_NS_TIMES_KHZ = 1_000_000
_FLOW_RANK, _COUNTER_RANK, _INSTANT_RANK = 10, 11, 12


class Event(NamedTuple):
    """Sorts by time, then from the outer to the inner."""

    time_ns: int
    rank: int
    line: bytes


_PID = 1
"""Of the one process: viewers sort tracks by their index only within a process."""


@dataclass(frozen=True, slots=True)
class Track:
    """A row of slices, which nest."""

    tid: int
    """Also its place in the order from top to bottom; none is 1, which viewers take for a main thread."""
    name: str


class Tracks:
    """All tracks in the direction of data.

    Args:
        burst_buffers: of each DMA channel.
    """

    def __init__(self, burst_buffers: int) -> None:
        self.host = Track(2, "host")
        self.load = Track(3, "dma.load")
        self.store = Track(4 + burst_buffers, "dma.store")
        first = 5 + 2 * burst_buffers
        names = ("engine", "cause of each cycle", "mac_array", "requantiser")
        self.engine, self.causes, self.mac_array, self.requantiser = (
            Track(first + index, name) for index, name in enumerate(names)
        )

    def dma(self, channel: str) -> Track:
        """Of a channel's transfers: "load" or "store"."""
        return {"load": self.load, "store": self.store}[channel]

    def burst(self, channel: str, buffer: int) -> Track:
        """Of the bursts that one buffer of a channel held."""
        above = self.dma(channel)
        return Track(above.tid + 1 + buffer, f"{above.name} burst {buffer}")


@dataclass(frozen=True, slots=True)
class Counter:
    """A row of values over time; viewers show name and unit together."""

    name: str
    unit: str


@dataclass(slots=True)
class EventMaker:
    """Makes the events of one trace.

    Args:
        clock_khz: core clock; cycle c begins at c * 1e6 // clock_khz ns, so edges never change their order.
        tracks: where they go.
    """

    clock_khz: int
    tracks: Tracks
    used: dict[int, Track] = field(default_factory=dict)
    """Tracks that have slices, by tid."""

    def time_ns(self, cycle: int) -> int:
        """Where a cycle begins."""
        return cycle * _NS_TIMES_KHZ // self.clock_khz

    def slice(
        self,
        track: Track,
        name: str,
        first_cycle: int,
        end_cycle: int,
        level: str,
        args: Mapping[str, Any],
        rank: int = 5,
    ) -> Event:
        """Something that lasts from ``first_cycle`` to the cycle before ``end_cycle``.

        Args:
            level: its category; which kinds of event a trace can do without.
            args: what viewers show when it is chosen; the exact cycles are added.
            rank: how deep it is nested.
        """
        self.used[track.tid] = track
        start_ns = self.time_ns(first_cycle)
        args = {"first_cycle": first_cycle, "last_cycle": end_cycle - 1, "cycles": end_cycle - first_cycle, **args}
        return self._event(
            start_ns,
            rank,
            {
                "ph": "X", "pid": _PID, "tid": track.tid, "ts": start_ns / 1000,
                "dur": (self.time_ns(end_cycle) - start_ns) / 1000, "name": name, "cat": level, "args": args,
            },
        )  # fmt: skip

    def flow(self, name: str, index: int, start: tuple[Track, int], end: tuple[Track, int]) -> Iterator[Event]:
        """An arrow from the innermost slice that covers a cycle of a track to another one.

        Args:
            name: what the arrow means.
            index: unique in the trace.
            start: track and cycle.
            end: track and cycle.
        """
        for phase, (track, cycle), more in (("s", start, {}), ("f", end, {"bp": "e"})):
            time_ns = self.time_ns(cycle)
            event = {"ph": phase, "pid": _PID, "tid": track.tid, "ts": time_ns / 1000}
            yield self._event(time_ns, _FLOW_RANK, {**event, "id": index, "name": name, "cat": "flow", **more})

    def counter(self, counter: Counter, cycle: int, value: float) -> Event:
        """A counter's value from a cycle on."""
        time_ns = self.time_ns(cycle)
        event = {"ph": "C", "pid": _PID, "ts": time_ns / 1000, "name": counter.name, "args": {counter.unit: value}}
        return self._event(time_ns, _COUNTER_RANK, event)

    def instant(self, track: Track, name: str, cycle: int, args: Mapping[str, Any]) -> Event:
        """Something without duration."""
        self.used[track.tid] = track
        time_ns = self.time_ns(cycle)
        event = {"ph": "i", "s": "t", "pid": _PID, "tid": track.tid, "ts": time_ns / 1000, "name": name}
        return self._event(time_ns, _INSTANT_RANK, {**event, "args": args})

    def names(self, process: str) -> Iterator[bytes]:
        """Names of the process and of the tracks that are used, and their order, as lines."""
        yield self._metadata(0, "process_name", {"name": process})
        for tid, track in sorted(self.used.items()):
            yield self._metadata(tid, "thread_name", {"name": track.name})
            yield self._metadata(tid, "thread_sort_index", {"sort_index": tid})

    def _metadata(self, tid: int, name: str, args: Mapping[str, Any]) -> bytes:
        return _encode({"ph": "M", "pid": _PID, "tid": tid, "name": name, "args": args})

    def _event(self, time_ns: int, rank: int, event: Mapping[str, Any]) -> Event:
        return Event(time_ns, rank, _encode(event))
