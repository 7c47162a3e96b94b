"""What stands in a trace: which levels it has room for, and its head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from tlm.chip.config import ChipConfig
from tlm.traces.timeline.engine_tracks import EngineTracks
from tlm.traces.timeline.events import Event, EventMaker, Tracks
from tlm.traces.timeline.levels import Level
from tlm.traces.timeline.power_tracks import power_events
from tlm.traces.timeline.run_view import RunView
from tlm.traces.timeline.transfer_tracks import TransferTracks
from tlm.traces.timeline.transfers import TransferWatcher

SCHEMA = "tlm.trace/1"
"""Version of names and args in traces: the number grows when one changes its meaning or goes."""

MAX_EVENTS = 400_000
"""Slices, counter values, arrow ends: beyond so many the Perfetto UI and browsers become slow, and files big."""

_INSTANTS = 2
"""At most: what was left out, why the run stopped."""


@dataclass(frozen=True)
class Content:
    """A trace before it is written."""

    head: dict[str, Any]
    names: tuple[bytes, ...]
    """Lines of JSON that name the tracks."""
    events: tuple[Event, ...]
    """In the order of time."""


def content(view: RunView, watcher: TransferWatcher, max_events: int, stopped_by: str | None) -> Content:
    """The trace of what was recorded until now.

    Args:
        view: of the run.
        watcher: of the same system.
        max_events: levels are left out, the finest first, until there are no more; the coarsest is never left out.
        stopped_by: why the run did not end, if it did not.
    """
    config = view.watched.system.config
    make = EventMaker(config.clock_khz, Tracks(config.dma_bursts_in_flight))
    engine, transfers = EngineTracks(view, make), TransferTracks(view, watcher, make)
    events = list(engine.layer_events())
    coarse = [*engine.utilisation(by_pass=False), *engine.conflicts(by_pass=False)]
    arrows = {with_passes: list(transfers.arrows(with_passes)) for with_passes in (False, True)}
    sources: dict[Level, Callable[[], Iterator[Event]]] = {
        Level.TRANSFER: lambda: chain(transfers.transfer_events(), transfers.conflicts()),
        Level.PASS: lambda: chain(
            engine.pass_events(),
            engine.utilisation(by_pass=True),
            engine.conflicts(by_pass=True),
            power_events(view, make),
        ),
        Level.BURST: transfers.burst_events,
    }
    reserved, left_out = len(coarse) + len(arrows[True]) + _INSTANTS, list[str]()
    for level, source in sources.items():
        room = max_events - reserved - len(events)
        used = dict(make.used)
        more = [] if left_out else list(islice(source(), max(0, room + 1)))
        if left_out or len(more) > room:
            left_out.append(level.value)
            make.used = used
        else:
            events += more
    with_passes = Level.PASS.value not in left_out
    events += [] if with_passes else coarse
    events += [] if Level.TRANSFER.value in left_out else arrows[with_passes]
    if left_out:
        args = {"left_out": left_out, "max_events": max_events}
        events.append(
            make.instant(make.tracks.engine, f"left out, since there were too many: {', '.join(left_out)}", 0, args)
        )
    if stopped_by is not None:
        events.append(make.instant(make.tracks.engine, f"stopped by {stopped_by}", view.cycles - 1, {}))
    events.sort()
    return Content(
        _head(view, config, left_out, max_events, stopped_by), tuple(make.names(_chip_name(config))), tuple(events)
    )


def _head(
    view: RunView, config: ChipConfig, left_out: list[str], max_events: int, stopped_by: str | None
) -> dict[str, Any]:
    program = view.watched.program
    return {
        "schema": SCHEMA,
        "simulator": "cartesian-tlm",
        "layers": [layer.name for layer in program.network.layers],
        "array": f"{config.lanes} x {config.columns} MACs",
        "clock_khz": config.clock_khz,
        "voltage_v": config.voltage_v,
        "fidelity": view.watched.system.fidelity.value,
        "cycles": view.cycles,
        "finished": view.finished,
        "stopped_by": stopped_by,
        "left_out": left_out,
        "max_events": max_events,
        "units": _UNITS,
    }


def _chip_name(config: ChipConfig) -> str:
    return f"{config.lanes}x{config.columns} MACs, {config.clock_khz / 1000:g} MHz"


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
