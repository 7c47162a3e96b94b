"""Writes the trace of a run for timeline viewers, when the run is left, whichever way."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from tlm.core.errors import TlmError
from tlm.observe.watched import Watched
from tlm.traces.timeline.engine_tracks import conflicts, layer_events, pass_events, utilisation
from tlm.traces.timeline.events import Event, EventMaker, Level
from tlm.traces.timeline.run_view import RunView
from tlm.traces.timeline.transfer_tracks import BurstWatcher, arrows, burst_events, transfer_events
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


def timeline_trace(watched: Watched, path: Path, max_events: int = MAX_EVENTS) -> AbstractContextManager[None]:
    """A context manager around a run: ``with timeline_trace(watched, path): system.run(program.steps)``.

    The file is written under another name beside ``path`` and takes its place when the block is left: after an error or
    Ctrl-C it holds everything up to that moment.

    Args:
        watched: of a system that has not started.
        path: the file; an older one is replaced. Ends in .gz: compressed.
        max_events: of the trace; the finest levels are left out where there are more.

    Raises:
        InputError: the file cannot be written there; on leaving, if the disk did not take it all.
    """
    file = TraceFile(path, "trace.timeline")
    bursts = BurstWatcher(watched.system, max_bursts=max_events + 1)

    def finish(error: BaseException | None) -> None:
        lines = _lines(RunView(watched), bursts, max_events, None if error is None else _told(error))
        with file.stream as stream:
            if path.name.endswith(".gz"):
                # neither a name nor a date in the header: the same run must give the same bytes
                with gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
                    packed.writelines(lines)
            else:
                stream.writelines(lines)
        file.take_place()

    return file.around_run(finish)


def _lines(view: RunView, bursts: BurstWatcher, max_events: int, stopped_by: str | None) -> Iterator[bytes]:
    """One event a line, so that the file can be read and searched line by line."""
    config = view.watched.system.config
    make = EventMaker(config.clock_khz, config.dma_bursts_in_flight)
    events, left_out = _events(view, bursts, make, max_events)
    if left_out:
        args = {"left_out": left_out, "max_events": max_events}
        events.append(make.instant(f"left out, since there were too many: {', '.join(left_out)}", 0, args))
    if stopped_by is not None:
        events.append(make.instant(f"stopped by {stopped_by}", view.cycles - 1, {}))
    head = msgspec.json.encode(_head(view, left_out, max_events, stopped_by))
    process = f"{config.lanes}x{config.columns} MACs, {config.clock_khz / 1000:g} MHz"
    lines = chain(make.names(process, events), (event.line for event in sorted(events)))
    yield b'{"displayTimeUnit":"ns","otherData":' + head + b',"traceEvents":[\n' + next(lines)
    for line in lines:
        yield b",\n" + line
    yield b"\n]}\n"


def _events(view: RunView, bursts: BurstWatcher, make: EventMaker, max_events: int) -> tuple[list[Event], list[str]]:
    """Events of the levels that there is room for, and the levels that are left out: the finest go first."""
    by_part, by_pass = (
        [*utilisation(view, make, by_pass), *conflicts(view, make, by_pass)] for by_pass in (False, True)
    )  # fmt: skip
    sources: dict[Level, Iterable[Event]] = {
        Level.LAYER: layer_events(view, make),
        Level.TRANSFER: transfer_events(view, make),
        Level.PASS: chain(pass_events(view, make), by_pass),
        Level.BURST: burst_events(view, bursts, make),
    }
    events = {
        level: list(source if level is Level.LAYER else islice(source, max_events + 1))
        for level, source in sources.items()
    }
    left_out: list[str] = []
    while True:
        kept = [level for level in events if level.value not in left_out]
        with_passes = Level.PASS in kept
        chosen = [event for level in kept for event in events[level]]
        if not with_passes:
            chosen += by_part
        if Level.TRANSFER in kept:
            chosen += arrows(view, make, with_passes)
        if len(chosen) + _INSTANTS <= max_events or kept == [Level.LAYER]:
            return chosen, left_out
        left_out.insert(0, kept[-1].value)


def _head(view: RunView, left_out: list[str], max_events: int, stopped_by: str | None) -> dict[str, Any]:
    system, program = view.watched.system, view.watched.program
    config = system.config
    return {
        "schema": SCHEMA,
        "simulator": "cartesian-tlm",
        "layers": [layer.name for layer in program.network.layers],
        "array": f"{config.lanes} x {config.columns} MACs",
        "clock_khz": config.clock_khz,
        "voltage_v": config.voltage_v,
        "fidelity": system.fidelity.value,
        "cycles": view.cycles,
        "finished": view.watched.recorder.done,
        "stopped_by": stopped_by,
        "left_out": left_out,
        "max_events": max_events,
        "units": _UNITS,
    }


def _told(error: BaseException) -> str:
    """What stopped a run; the text of others than our own errors may differ from machine to machine."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, TlmError) else name
