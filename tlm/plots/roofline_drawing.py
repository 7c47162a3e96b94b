"""Draws the roofline with matplotlib: roofs, numbered points, and beside them which layer has which number."""

from __future__ import annotations

from math import atan2, degrees
from typing import TYPE_CHECKING

from tlm.plots import style
from tlm.plots.colours import CAUSES
from tlm.plots.labels import MARKER_PT, Spot
from tlm.plots.roofline import LEGEND, MACS_PER_BYTE, MACS_PER_CYCLE, Roofline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROOF = "#606060"
_ROW_INCHES, _LETTER_INCHES = 0.185, 0.073
_KEY_INCHES, _MIN_NAME = 1.2, 14
"""Width of the numbers and shares beside the plot, and letters of a name that there is room for in any case."""
_PLOT_INCHES, _MIN_HEIGHT_INCHES = 6.0, 5.0
_BESIDE_INCHES, _BELOW_INCHES = 1.6, 1.5
"""What axes take of the width; what title, axis and legend take of the height."""
_STAR_PT = 10.0


def draw_roofline(shown: Roofline) -> Figure:
    """The figure; to be called within :func:`tlm.plots.style.style`."""
    longest = max(_MIN_NAME, *(len(point.name) for point in shown.points))
    key_inches = longest * _LETTER_INCHES + _KEY_INCHES
    width = max(style.WIDTH_INCHES, _PLOT_INCHES + key_inches)
    height = max(_MIN_HEIGHT_INCHES, (len(shown.points) + 3) * _ROW_INCHES + _BELOW_INCHES)
    figure = style.new_figure(width, height, shown.title)
    plot, key = figure.subplots(1, 2, width_ratios=[width - _BESIDE_INCHES - key_inches, key_inches])
    _scales(plot, shown)
    _roofs(plot, shown)
    for point in shown.drawn:
        plot.plot(point.macs_per_byte, point.macs_per_cycle, marker="o" if point.number else "*", linestyle="",
                  markersize=MARKER_PT if point.number else _STAR_PT, markeredgecolor="#202020", markeredgewidth=0.6,
                  color=CAUSES[point.cause], zorder=3)  # fmt: skip
    _key(key, shown, (height - _BELOW_INCHES) / _ROW_INCHES)
    style.legend(figure, shown.colours, LEGEND)
    figure.draw_without_rendering()  # the layout is known only now
    _name_slope(plot, shown)
    inches = plot.transData - figure.dpi_scale_trans

    def place(spot: Spot) -> Spot:
        x, y = inches.transform(spot)
        return 72 * float(x), 72 * float(y)

    for spot, text, offset in shown.labels(place):
        style.note(plot, text, spot, offset, zorder=4)
    return figure


def _scales(axes: Axes, shown: Roofline) -> None:
    across, up = shown.limits
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(across)
    axes.set_ylim(up)
    style.plain_logarithms(axes.xaxis, across)
    style.plain_logarithms(axes.yaxis, up)
    axes.set_xlabel(MACS_PER_BYTE)
    axes.set_ylabel(MACS_PER_CYCLE)
    axes.grid(which="major")
    tops = axes.secondary_yaxis("right", functions=style.scaled(shown.roofs.tops(1)))
    style.plain_logarithms(tops.yaxis, up)
    tops.set_ylabel(f"TOPS at {shown.roofs.clock_khz / 1000:g} MHz [S]")


def _roofs(axes: Axes, shown: Roofline) -> None:
    axes.plot(*zip(*shown.corners, strict=True), color=_ROOF, linewidth=1.4, zorder=2)
    style.note(axes, shown.roofs.names[1], shown.corners[-1], (-4, 4), ha="right", va="bottom")


def _name_slope(axes: Axes, shown: Roofline) -> None:
    """The name of the slanted roof along it, on the side on which there are no points."""
    roofs = shown.roofs
    start = max(axes.get_xlim()[0], axes.get_ylim()[0] / roofs.bytes_per_cycle)
    middle = (start * roofs.ridge_macs_per_byte) ** 0.5
    ends = [axes.transData.transform((x, roofs.bound(x))) for x in (start, middle)]
    degrees_up = degrees(atan2(ends[1][1] - ends[0][1], ends[1][0] - ends[0][0]))
    style.note(axes, roofs.names[0], (middle, roofs.bound(middle)),
               (-3, 3), va="bottom", rotation=degrees_up, rotation_mode="anchor")  # fmt: skip


def _key(axes: Axes, shown: Roofline, rows: float) -> None:
    """Number, name and share of each point."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(rows, 0)
    lines = [("", "layer", "of its roof [S]")]
    lines += [(str(one.number or ""), one.name, shown.roofs.share(one)) for one in (shown.run, *shown.points)]
    for index, (number, name, share) in enumerate(lines):
        weight = "normal" if index else "bold"
        y = index + 0.5
        style.note(axes, number, (0, y), (20, 0), ha="right")
        style.note(axes, name, (0, y), (26, 0), ha="left", fontweight=weight)
        style.note(axes, share, (1, y), (-6, 0), ha="right", fontweight=weight)
