"""Surfer's command file: the rows, markers and first view of GTKWave's layout.

It holds only commands that Surfer's documentation lists for command files. Times are whole units of the dump, which
needs no knowledge of its timescale. Colours and formats of rows would need the rows' indices on the screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tlm.traces.waves.gtkwave import View
from tlm.traces.waves.signal_kinds import Group, Signal, start_ps

_LEFT_OUT = (Group.FINER, Group.MORE)
"""Closed in GTKWave; in Surfer they are in the tree of signals."""
_SEPARATORS = str.maketrans({"#": "_", ";": "_"})
"""Of a command file: the begin of a comment, and the end of a command."""


def command_file_text(dump: str, signals: Sequence[Signal], view: View, clock_khz: int) -> str:
    """The command file.

    Args:
        dump: name of the dump.
        signals: of the dump.
        view: the first view.
        clock_khz: core clock.
    """
    return "".join(f"{line}\n" for line in _lines(dump, signals, view, clock_khz))


def _lines(dump: str, signals: Sequence[Signal], view: View, clock_khz: int) -> Iterator[str]:
    yield f"# surfer {dump} --command-file {dump.rpartition('.')[0]}.sucl"
    for group in Group:
        rows = [one for one in signals if one.group is group and group not in _LEFT_OUT]
        if rows:
            yield f"divider_add {group.value}"
        for row in rows:
            yield f"variable_add {row.name}"
    for cycle, name in view.marks:
        yield f"marker_set_at {start_ps(cycle, clock_khz)} {name.translate(_SEPARATORS)}"
    if view.cursor_cycle is not None:
        yield f"cursor_set {start_ps(view.cursor_cycle, clock_khz)}"
    end_cycle = view.first_cycle + max(1, round(view.cycles))
    yield f"zoom_to {start_ps(view.first_cycle, clock_khz)} {start_ps(end_cycle, clock_khz)}"
