"""GTKWave's save file: groups, colours, names of states, curves, markers, and the time that it opens with."""

from __future__ import annotations

import io
import math
import string
from collections.abc import Sequence
from dataclasses import dataclass

from vcd.gtkw import GTKWColor, GTKWFlag, GTKWSave

from tlm.traces.waves.layout import Group, Look, Row

WINDOW = (1400, 900)
"""Size of the window in pixels."""
NAMES_PIXELS = 190
"""Width of the column of names."""
WAVES_PIXELS = 1130
"""Width of what is left for waves, at least."""
_GTKWAVE_FRAME_PIXELS = 200
"""The zoom factor z of a save file means 2^-z units of time for so many pixels."""

_FORMAT = {Look.STATE: "hex", Look.HEX: "hex", Look.NUMBER: "dec", Look.PLAIN: "ascii"}


@dataclass(frozen=True, slots=True)
class View:
    """What GTKWave shows at first."""

    start_ps: int
    ps_per_pixel: float
    markers_ps: tuple[int, ...] = ()
    """Named markers A, B, ..; the first 26 are used."""
    cursor_ps: int = -1
    """GTKWave's own cursor; -1 for none."""


def save_file_text(dump: str, labels: str, groups: Sequence[Group], view: View) -> str:
    """The save file.

    Args:
        dump: name of the dump, in the same directory.
        labels: name of the file with the names of states, there as well.
        groups: from :mod:`tlm.traces.waves.layout`.
        view: the first view.
    """
    text = io.StringIO()
    save = GTKWSave(text)
    save.dumpfile(dump, abspath=False)
    save.timestart(view.start_ps)
    markers = dict(zip(string.ascii_lowercase, view.markers_ps, strict=False))
    save.zoom_markers(-math.log2(view.ps_per_pixel * _GTKWAVE_FRAME_PIXELS), view.cursor_ps, **markers)
    save.size(*WINDOW)
    save.signals_width(NAMES_PIXELS)
    save.sst_expanded(False)
    for group in groups:
        with save.group(group.name, closed=group.closed):
            for row in group.rows:
                _add_row(save, row, labels)
    return text.getvalue()


def _add_row(save: GTKWSave, row: Row, labels: str) -> None:
    colour = GTKWColor(row.colour.value)
    if row.look is Look.CURVE:
        # reals and integers alike: GTKWave takes the value as a number
        flags = GTKWFlag.analog_step | GTKWFlag.analog_fullscale
        save.trace(row.signal, alias=row.label, color=colour, datafmt="dec", extraflags=flags)
        save.blank(analog_extend=True)
        return
    translated = labels if row.look is Look.STATE else None
    save.trace(
        row.signal, alias=row.label, color=colour, datafmt=_FORMAT[row.look], translate_filter_file=translated

    )  # fmt: skip
