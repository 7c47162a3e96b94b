"""Events of Chrome's trace format: slices, counters, flows, on tracks, at whole nanoseconds.

An event is a line of JSON with its sorting key. Of slices that begin together the outer one must come first in the
file, and a flow behind the slices that it binds to; that is what the rank is for.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

_encode = msgspec.json.Encoder().encode
_NS_TIMES_KHZ = 1_000_000
_SLICE_RANK, _FLOW_RANK, _COUNTER_RANK, _INSTANT_RANK = 5, 10, 11, 12

_PID = 1
"""Of the one process: viewers sort tracks by their index only within a process."""
_FIRST_TID = 2
"""Viewers take 1 for a main thread."""

ENGINE, CAUSES, MAC_ARRAY, REQUANTISER = "engine", "cause of each cycle", "mac_array", "requantiser"


class Level(enum.Enum):
    """A kind of slices, with the counters that come with them. The value is their category in the trace.

    From the coarsest to the finest: a trace that would be too big goes without the finest.
    """

    LAYER = "layer"
    """Programs of the engine, parts of layers, waits outside them: always there."""
    TRANSFER = "transfer"
    """The host, DMA transfers and their arrows."""
    PASS = "pass"
    """Groups and passes, and within them the cause of each cycle."""
    BURST = "burst"
    """Bursts of the DMA, which only fidelity "cycle" has."""


class Event(NamedTuple):
    """Sorts by time, then from the outer to the inner."""

    time_ns: int
    rank: int
    line: bytes
    track: str = ""
    """Of a slice or a mark."""


class EventMaker:
    """Makes the events of one trace. A track is a row of slices, which nest.

    Args:
        clock_khz: core clock; cycle c begins at c * 1e6 // clock_khz ns, so edges never change their order.
        burst_buffers: of each DMA channel.
    """

    def __init__(self, clock_khz: int, burst_buffers: int) -> None:
        self.clock_khz = clock_khz
        tracks = ["host"]
        for channel in ("dma.load", "dma.store"):
            tracks += [channel, *(f"{channel} burst {index}" for index in range(burst_buffers))]
        tracks += [ENGINE, CAUSES, MAC_ARRAY, REQUANTISER]
        self._tids = {track: _FIRST_TID + index for index, track in enumerate(tracks)}

    def slice(
        self,
        level: Level,
        track: str,
        name: str,
        span: tuple[int, int],
        args: Mapping[str, Any],
        rank: int = _SLICE_RANK,
    ) -> Event:
        """Something that lasts for a span (first cycle, the cycle behind).

        Args:
            level: which kinds of event a trace can do without.
            track: where.
            name: in the viewer.
            span: when.
            args: what viewers show when it is chosen; the exact cycles are added.
            rank: how deep it is nested.
        """
        first, end = span
        start_ns = self._time_ns(first)
        event = {
            "ph": "X",
            "pid": _PID,
            "tid": self._tids[track],
            "ts": start_ns / 1000,
            "dur": (self._time_ns(end) - start_ns) / 1000,
            "name": name,
            "cat": level.value,
            "args": {"first_cycle": first, "last_cycle": end - 1, "cycles": end - first, **args},
        }
        return Event(start_ns, rank, _encode(event), track)

    def flow(self, name: str, index: int, start: tuple[str, int], end: tuple[str, int]) -> Iterator[Event]:
        """An arrow from the innermost slice that covers a cycle of a track, (track, cycle), to another one."""
        for phase, (track, cycle), more in (("s", start, {}), ("f", end, {"bp": "e"})):
            time_ns = self._time_ns(cycle)
            event = {"ph": phase, "pid": _PID, "tid": self._tids[track], "ts": time_ns / 1000}
            yield Event(time_ns, _FLOW_RANK, _encode({**event, "id": index, "name": name, "cat": "flow", **more}))

    def counter(self, name: str, unit: str, cycle: int, value: float) -> Event:
        """A counter's value from a cycle on; viewers show name and unit together."""
        time_ns = self._time_ns(cycle)
        event = {"ph": "C", "pid": _PID, "ts": time_ns / 1000, "name": name, "args": {unit: value}}
        return Event(time_ns, _COUNTER_RANK, _encode(event))

    def instant(self, name: str, cycle: int, args: Mapping[str, Any]) -> Event:
        """A mark on the engine's track."""
        time_ns, tid = self._time_ns(cycle), self._tids[ENGINE]
        event = {"ph": "i", "s": "t", "pid": _PID, "tid": tid, "ts": time_ns / 1000, "name": name, "args": args}
        return Event(time_ns, _INSTANT_RANK, _encode(event), ENGINE)

    def names(self, process: str, events: Iterable[Event]) -> Iterator[bytes]:
        """Names of the process and of the tracks that events are on, and their order, as lines."""
        used = {event.track for event in events}
        metadata: list[tuple[int, str, dict[str, Any]]] = [(0, "process_name", {"name": process})]
        for track, tid in self._tids.items():
            if track in used:
                metadata += [(tid, "thread_name", {"name": track}), (tid, "thread_sort_index", {"sort_index": tid})]
        for tid, name, args in metadata:
            yield _encode({"ph": "M", "pid": _PID, "tid": tid, "name": name, "args": args})

    def _time_ns(self, cycle: int) -> int:
        return cycle * _NS_TIMES_KHZ // self.clock_khz
