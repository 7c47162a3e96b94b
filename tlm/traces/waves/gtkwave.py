"""GTKWave's save file: groups, colours, names of states, curves, markers, and the time that it opens with."""

from __future__ import annotations

import io
import math
import string
from collections.abc import Sequence
from dataclasses import dataclass

from vcd.gtkw import GTKWColor, GTKWFlag, GTKWSave

from tlm.observe.passes import PartRecord
from tlm.observe.watched import Watched
from tlm.traces.waves.signal_kinds import Group, Kind, Signal, start_ps

WINDOW = (1400, 900)
"""Size of the window in pixels."""
NAMES_PIXELS = 190
"""Width of the column of names."""
WAVES_PIXELS = 1130
"""Width of what is left for waves, at least."""
_ZOOM_PIXELS = 200
"""The zoom factor z of a save file means 2^-z units of time for so many pixels."""
_OPEN_LAYERS = 6
"""So many lines of layers still leave room for the rest on a screen."""
_FORMAT = {Kind.STATE: "hex", Kind.BITS: "hex", Kind.NUMBER: "dec"}


@dataclass(frozen=True, slots=True)
class View:
    """What GTKWave shows at first."""

    first_cycle: int
    cycles: float
    """As many as fill the width of the window."""
    marked_cycles: Sequence[int] = ()
    """Markers A, B, ..; the first 26 are used."""
    cursor_cycle: int | None = None


def first_shown(cycle: int, cycles: float, lead: float, round_to: int, end_cycle: int) -> int:
    """Where so many cycles of a run begin if one of them lies behind ``lead`` of the window, as far as there is room.

    A round cycle.
    """
    first = max(0, min(cycle - int(lead * cycles), end_cycle - int(cycles)))
    return first - first % round_to


def marked_cycles(watched: Watched, first_cycle: int = 0) -> list[int]:
    """Where parts of layers begin, from a cycle on; if there are more than markers, where layers or images begin."""
    parts = [part for part in watched.recorder.parts.values() if part.passes and part.first_cycle >= first_cycle]
    if len(parts) > len(string.ascii_lowercase):
        program, first = watched.program, dict[int, PartRecord]()
        for part in parts:
            image, layer = program.runs[part.tag][0], program.parts[part.tag].layer_index
            first.setdefault(image if program.batch > 1 else layer, part)
        parts = list(first.values())
    return [part.first_cycle for part in parts[: len(string.ascii_lowercase)]]


def save_file_text(dump: str, labels: str, signals: Sequence[Signal], view: View, clock_khz: int) -> str:
    """The save file.

    Args:
        dump: name of the dump, in the same directory.
        labels: name of the file with the names of states, there as well.
        signals: of the dump.
        view: the first view.
        clock_khz: core clock.
    """
    text = io.StringIO()
    save = GTKWSave(text)
    save.dumpfile(dump, abspath=False)
    save.timestart(start_ps(view.first_cycle, clock_khz))
    markers = zip(string.ascii_lowercase, (start_ps(cycle, clock_khz) for cycle in view.marked_cycles), strict=False)
    cursor = -1 if view.cursor_cycle is None else start_ps(view.cursor_cycle, clock_khz)
    ps_per_pixel = start_ps(1, clock_khz) * view.cycles / WAVES_PIXELS
    save.zoom_markers(-math.log2(ps_per_pixel * _ZOOM_PIXELS), cursor, **dict(markers))
    save.size(*WINDOW)
    save.signals_width(NAMES_PIXELS)
    save.sst_expanded(False)
    scopes = {signal.scope: None for signal in signals}
    order = {scope: index for index, scope in enumerate(scopes)}
    for group in Group:
        rows = sorted((one for one in signals if one.group is group), key=lambda one: order[one.scope])
        closed = group in (Group.FINER, Group.MORE) or (group is Group.LAYERS and len(rows) > _OPEN_LAYERS)
        if rows:
            with save.group(group.value, closed=closed):
                for row in rows:
                    _add_row(save, row, labels)
    return text.getvalue()


def _add_row(save: GTKWSave, row: Signal, labels: str) -> None:
    curve = row.curve or row.kind is Kind.REAL
    # reals and integers alike: GTKWave takes the value as a number
    flags = GTKWFlag.analog_step | GTKWFlag.analog_fullscale if curve else GTKWFlag(0)
    save.trace(
        row.full_name,
        alias=row.label,
        color=GTKWColor(row.colour.value),
        datafmt="dec" if curve else _FORMAT.get(row.kind, "ascii"),
        extraflags=flags,
        translate_filter_file=labels if row.kind is Kind.STATE else None,
    )
    if curve:
        save.blank(analog_extend=True)
