"""Writes the trace of a run for timeline viewers, when the run is left, whichever way."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from tlm.core.errors import TlmError
from tlm.observe.watched import Watched
from tlm.traces.timeline.engine_tracks import conflicts, layer_events, pass_events, utilisation
from tlm.traces.timeline.events import Event, EventMaker, Level
from tlm.traces.timeline.run_view import RunView
from tlm.traces.timeline.transfer_tracks import TransferWatcher, arrows, burst_events, transfer_events
from tlm.traces.trace_file import TraceFile

SCHEMA = "tlm.trace/1"
"""Version of names and args in traces: the number grows when one changes its meaning or goes."""

MAX_EVENTS = 400_000
"""Slices, counter values, arrow ends: beyond so many the Perfetto UI and browsers become slow, and files big."""

_INSTANTS = 2
"""At most: what was left out, why the run stopped."""

_UNITS = {
    "cycle": "core clock cycle, counted from the first host access [S]; durations follow from the latencies [A] of "
    "docs/timing.md",
    "ts": "microseconds; cycle c begins at c * 1e6 // clock_khz ns [S]",
    "clock_khz": "what the voltage allows: 534 MHz at 1.1 V and 234 MHz at 0.8 V [P], other points [A]",
    "bytes": "moved to or from off-chip memory [S]",
    "MAC utilisation": "real multiply-accumulates / (cycles x MACs of the array) [S]",
    "mW": "energy of the events of passes and transfers [A, docs/energy.md], spread over their cycles",
    "MB/s": "1e6 bytes per second, over a whole transfer [S]",
}


class TimelineTrace:
    """Context manager around a run: ``with TimelineTrace(watched, path): system.run(program.steps)``.

    The file is written under another name beside ``path`` and takes its place when the block is left: after an error or
    Ctrl-C it holds everything up to that moment.

    Args:
        watched: of a system that has not started.
        path: the file; an older one is replaced. Ends in .gz: compressed.
        max_events: of the trace; the finest levels are left out where there are more.

    Raises:
        InputError: on entry, if the file cannot be written there; on leaving, if the disk did not take it all.
    """

    def __init__(self, watched: Watched, path: Path, max_events: int = MAX_EVENTS) -> None:
        self._watched = watched
        self._path = path
        self._max_events = max_events

    def __enter__(self) -> TimelineTrace:
        self._file = TraceFile(self._path, "trace.timeline")
        self._transfers = TransferWatcher(self._watched.system, max_bursts=self._max_events + 1)
        self._view = RunView(self._watched)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.leave(error, partial(self._finish, None if error is None else _told(error)))

    def _finish(self, stopped_by: str | None) -> None:
        lines = self._lines(stopped_by)
        with self._file.stream as stream:
            if self._path.name.endswith(".gz"):
                # neither a name nor a date in the header: the same run must give the same bytes
                with gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
                    packed.writelines(lines)
            else:
                stream.writelines(lines)
        self._file.take_place()

    def _lines(self, stopped_by: str | None) -> Iterator[bytes]:
        """One event a line, so that the file can be read and searched line by line."""
        config = self._watched.system.config
        make = EventMaker(config.clock_khz, config.dma_bursts_in_flight)
        events, left_out = self._events(make)
        if left_out:
            args = {"left_out": left_out, "max_events": self._max_events}
            events.append(make.instant(f"left out, since there were too many: {', '.join(left_out)}", 0, args))
        if stopped_by is not None:
            events.append(make.instant(f"stopped by {stopped_by}", self._view.cycles - 1, {}))
        head = msgspec.json.encode(self._head(left_out, stopped_by))
        yield b'{"displayTimeUnit":"ns","otherData":' + head + b',"traceEvents":['
        separator = b"\n"
        process = f"{config.lanes}x{config.columns} MACs, {config.clock_khz / 1000:g} MHz"
        for line in chain(make.names(process), (event.line for event in sorted(events))):
            yield separator + line
            separator = b",\n"
        yield b"\n]}\n"

    def _events(self, make: EventMaker) -> tuple[list[Event], list[str]]:
        """Events of the levels that there is room for, and the levels that are left out, the finest first."""
        view, watcher = self._view, self._transfers
        events, left_out = list(layer_events(view, make)), list[str]()
        coarse = [*utilisation(view, make, by_pass=False), *conflicts(view, make, by_pass=False)]

        def fine() -> Iterator[Event]:
            yield from pass_events(view, make)
            yield from utilisation(view, make, by_pass=True)
            yield from conflicts(view, make, by_pass=True)

        sources: dict[Level, Callable[[], Iterator[Event]]] = {
            Level.TRANSFER: lambda: transfer_events(view, watcher, make),
            Level.PASS: fine,
            Level.BURST: lambda: burst_events(view, watcher, make),
        }
        reserved = len(coarse) + len(list(arrows(view, make, with_passes=True))) + _INSTANTS
        for level, source in sources.items():
            room = max(0, self._max_events - reserved - len(events))
            used = set(make.used)
            more = [] if left_out else list(islice(source(), room + 1))
            if left_out or len(more) > room:
                left_out.append(level.value)
                make.used = used
            else:
                events += more
        with_passes = Level.PASS.value not in left_out
        if not with_passes:
            events += coarse
        if Level.TRANSFER.value not in left_out:
            events += arrows(view, make, with_passes)
        return events, left_out

    def _head(self, left_out: list[str], stopped_by: str | None) -> dict[str, Any]:
        system, program = self._watched.system, self._watched.program
        config = system.config
        return {
            "schema": SCHEMA,
            "simulator": "cartesian-tlm",
            "layers": [layer.name for layer in program.network.layers],
            "array": f"{config.lanes} x {config.columns} MACs",
            "clock_khz": config.clock_khz,
            "voltage_v": config.voltage_v,
            "fidelity": system.fidelity.value,
            "cycles": self._view.cycles,
            "finished": self._watched.recorder.done,
            "stopped_by": stopped_by,
            "left_out": left_out,
            "max_events": self._max_events,
            "units": _UNITS,
        }


def _told(error: BaseException) -> str:
    """What stopped a run; the text of others than our own errors may differ from machine to machine."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, TlmError) else name
