"""Draws a chart with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlm.plots import style
from tlm.plots.chart import WHOLE, Bar, Chart, Lane, Panel
from tlm.plots.colours import ink_on
from tlm.plots.roofline import Roofline
from tlm.plots.roofline_drawing import draw_roofline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _REST_INCHES = 0.205, 1.9
_LETTER_INCHES = 0.08
_LONG_NAME, _NAMES_INCHES = 18, 1.4
"""The figure is wider where names beside its rows are longer, .."""
_MORE_INCHES = 0.6
""".. and for each further panel."""


def draw(shown: Chart | Roofline) -> Figure:
    """The figure; to be called within :func:`tlm.plots.style.style`."""
    if isinstance(shown, Roofline):
        return draw_roofline(shown)
    names_inches = max(0, max(map(len, shown.rows)) - _LONG_NAME) * _LETTER_INCHES
    plot_inches = style.WIDTH_INCHES - _NAMES_INCHES + _MORE_INCHES * (len(shown.panels) - 1)
    height_inches = _ROW_INCHES * len(shown.rows) + _REST_INCHES
    figure = style.new_figure(_NAMES_INCHES + names_inches + plot_inches, height_inches, shown.title)
    panels = figure.subplots(1, len(shown.panels), sharey=True, squeeze=False)[0]
    inches = plot_inches / len(panels)
    for axes, panel in zip(panels, shown.panels, strict=True):
        _rows(axes, shown.rows, banded=panel.spans)
        _scales(axes, panel, inches)
        _bars(axes, panel)
        _texts(axes, panel, inches)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
    entries = [one for panel in shown.panels for one in panel.series]
    style.legend(figure, {f"{one.name} {one.share}".strip(): one.colour for one in entries}, shown.legend)
    return figure


def _rows(axes: Axes, names: Sequence[str], banded: bool) -> None:
    """A row for each name, if wanted every second one on a pale ground to lead the eye from a name to its bars."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    for index in range(1, len(names) if banded else 0, 2):
        axes.axhspan(index - 0.5, index + 0.5, color="#f4f4f4", zorder=0)


def _scales(axes: Axes, panel: Panel, inches: float) -> None:
    room = max(map(len, panel.totals), default=-2) + 2
    axes.set_xlim(0, panel.end * inches / max(inches - room * _LETTER_INCHES, inches / 4))
    style.plain_numbers(axes.xaxis, integer=panel.unit == "cycles")
    axes.set_xlabel("; ".join(filter(None, (panel.axis, panel.totals_note))))
    if panel.second_axis is not None:
        title, factor = panel.second_axis
        second = axes.secondary_xaxis("top", functions=style.scaled(factor))
        style.plain_numbers(second.xaxis)
        second.set_xlabel(title)


def _bars(axes: Axes, panel: Panel) -> None:
    places: dict[tuple[int, Lane], list[tuple[Bar, str]]] = {}
    for series in panel.series:
        for bar in series.bars:
            places.setdefault((bar.row, bar.lane), []).append((bar, bar.colour or series.colour))
    for (row, lane), found in places.items():
        ranges = [(bar.start, bar.length) for bar, _ in found]
        colours = [colour for _, colour in found]
        # Not snapped to pixels: many bars are shorter than one, and would be drawn a whole pixel wide, or not at all.
        axes.broken_barh(ranges, (row + lane.top, lane.height), facecolors=colours, linewidth=0, snap=False)


def _texts(axes: Axes, panel: Panel, inches: float) -> None:
    """Text in the bars that have room for it, and behind the bars of a row what they come to."""
    letter = axes.get_xlim()[1] / inches * _LETTER_INCHES
    for series in panel.series:
        for bar in series.bars:
            if bar.text and bar.lane == WHOLE and bar.length > (len(bar.text) + 1) * letter:
                ink = ink_on(bar.colour or series.colour)
                style.note(axes, bar.text, (bar.start + bar.length / 2, bar.row), color=ink)
    ends = [0.0] * len(panel.totals)
    for bar in (bar for series in panel.series for bar in series.bars if bar.row < len(ends)):
        ends[bar.row] = max(ends[bar.row], bar.start + bar.length)
    for row, (end, total) in enumerate(zip(ends, panel.totals, strict=True)):
        ground = {"facecolor": "white", "pad": 0.5}  # so that no grid line crosses it
        style.note(axes, total, (end, row), (4, 0), ha="left", bbox=ground)
