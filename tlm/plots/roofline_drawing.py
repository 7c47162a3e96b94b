"""Draws the roofline: logarithmic axes, roofs, numbered points, and beside them which layer has which number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import atan2, ceil, degrees, hypot
from typing import TYPE_CHECKING, TypeAlias

from tlm.plots import style
from tlm.plots.roofline import Roofline, RooflinePoint, Roofs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top; points of 1/72 inch."""

_ROOF = "#606060"
_KEY_ROW_INCHES, _MIN_INCHES, _MAX_KEY_ROWS = 0.185, 5.0, 46
_KEY_LETTER_INCHES, _KEY_INCHES, _MIN_NAME = 0.073, 1.2, 14
_KEY_PT = (20.0, 26.0, -6.0)
"""Of a number, a name and a share, from the left or right edge of their column."""
_BESIDE_INCHES = 1.6
"""What the axes beside the plot take of the width."""
_BELOW_INCHES = 1.5
"""What title, axis and legend take of the height."""
_MARKER_PT, _STAR_PT = 6.5, 10.0
_DIGIT_PT, _LINE_PT = 5.6, 9.0
_SAME_PT = 2.0
_NO_MACS, _NO_BYTES = "no MACs", "no transfers"


def draw(shown: Roofline) -> Figure:
    """The figure; to be called within :func:`tlm.plots.style.style`."""
    columns = ceil(len(shown.points) / _MAX_KEY_ROWS)
    key_rows = ceil(len(shown.points) / columns) + 3
    longest = max(_MIN_NAME, *(len(point.name) for point in shown.points))
    key_inches = (longest * _KEY_LETTER_INCHES + _KEY_INCHES) * columns
    figure = style.new_figure(max(_MIN_INCHES, key_rows * _KEY_ROW_INCHES + _BELOW_INCHES))
    figure.set_figwidth(max(style.WIDTH_INCHES, 6 + key_inches))
    figure.suptitle(shown.title, x=0.01, ha="left")
    plot, key = figure.subplots(1, 2, width_ratios=[figure.get_figwidth() - _BESIDE_INCHES - key_inches, key_inches])
    points = [point for point in (*shown.points, shown.run) if point.drawable]
    _scales(plot, shown.roofs, points)
    _draw_roofs(plot, shown.roofs)
    for point in points:
        plot.plot(point.macs_per_byte, point.macs_per_cycle, marker="o" if point.number else "*", linestyle="",
                  markersize=_MARKER_PT if point.number else _STAR_PT, markeredgecolor="#202020", markeredgewidth=0.6,
                  color=style.CAUSES.get(point.cause, "#000000"), zorder=3)  # fmt: skip
    _write_key(key, shown, key_rows, columns, figure.get_figheight())
    present = {point.cause for point in points}
    most = {style.words(c): colour for c, colour in style.CAUSES.items() if c in present}
    if most:
        style.legend(figure, most, 6, "What takes most of a layer's cycles, the waits before it included [S]")
    figure.draw_without_rendering()  # the layout is known only now
    _name_slope(plot, shown.roofs)
    _number(plot, points, shown.roofs.peak_macs_per_cycle)
    return figure


def place_labels(spots: Sequence[tuple[float, float]], texts: Sequence[str], frame: Box) -> list[tuple[float, float]]:
    """Where texts go beside their spots, as offsets of their centres in points.

    Right of the spot, left, above, below, then farther away: the first place within the frame that covers neither a
    spot nor another text and is nearest to its own spot; if there is none, nearness does not count.
    """
    half = _MARKER_PT / 2 + 1
    taken: list[Box] = [(x - half, y - half, x + half, y + half) for x, y in spots]
    offsets = []
    for spot, text in zip(spots, texts, strict=True):
        size = len(text) * _DIGIT_PT, _LINE_PT
        tried = [(right * (half + size[0] / 2), up * (half + size[1] / 2)) for right, up in _directions()]
        boxes = {offset: _box(spot, offset, size) for offset in tried}
        free = [offset for offset in tried if _within(boxes[offset], frame) and not _covers(boxes[offset], taken)]
        clear = [offset for offset in free if _is_nearest(boxes[offset], spot, spots)]
        found = (clear or free or tried)[0]
        taken.append(boxes[found])
        offsets.append(found)
    return offsets


def _directions() -> chain[tuple[float, float]]:
    near = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
    return chain.from_iterable(((x * far, y * far) for x, y in near) for far in (1.0, 1.6, 2.4, 3.4, 4.6, 6.0))


def _within(box: Box, frame: Box) -> bool:
    return frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _box(spot: tuple[float, float], offset: tuple[float, float], size: tuple[float, float]) -> Box:
    x, y = spot[0] + offset[0], spot[1] + offset[1]
    return x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2


def _covers(box: Box, others: Sequence[Box]) -> bool:
    return any(box[0] < one[2] and one[0] < box[2] and box[1] < one[3] and one[1] < box[3] for one in others)


def _is_nearest(box: Box, own: tuple[float, float], spots: Sequence[tuple[float, float]]) -> bool:
    """Whether no other spot is as near to a text as its own."""
    return all(_distance_pt(box, own) < _distance_pt(box, spot) for spot in spots if spot != own)


def _distance_pt(box: Box, spot: tuple[float, float]) -> float:
    return hypot(max(box[0] - spot[0], 0, spot[0] - box[2]), max(box[1] - spot[1], 0, spot[1] - box[3]))


def _scales(axes: Axes, roofs: Roofs, points: Sequence[RooflinePoint]) -> None:
    intensities = [roofs.ridge_macs_per_byte, *(point.macs_per_byte for point in points)]
    speeds = [roofs.peak_macs_per_cycle, *(point.macs_per_cycle for point in points)]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(*intensities, roofs.ridge_macs_per_byte / 4) / 2, max(intensities) * 2)
    axes.set_ylim(min(min(speeds) / 2, roofs.peak_macs_per_cycle / 20), roofs.peak_macs_per_cycle * 1.8)
    style.plain_logarithms(axes.xaxis, axes.get_xlim())
    style.plain_logarithms(axes.yaxis, axes.get_ylim())
    axes.set_xlabel("executed MACs per byte moved by DMA [S]")
    axes.set_ylabel("executed MACs per cycle with transfers under way [S]")
    axes.grid(which="major")
    tops = axes.secondary_yaxis("right", functions=style.scaled(roofs.tops(1)))
    style.plain_logarithms(tops.yaxis, axes.get_ylim())
    tops.set_ylabel(f"TOPS at {roofs.clock_khz / 1000:g} MHz [S]")


def _draw_roofs(axes: Axes, roofs: Roofs) -> None:
    low, high = axes.get_xlim()
    ridge, peak = roofs.ridge_macs_per_byte, roofs.peak_macs_per_cycle
    axes.plot([low, ridge, high], [roofs.bound(low), peak, peak], color=_ROOF, linewidth=1.4, zorder=2)
    style.note(axes, f"array: {peak:,} MACs/cycle {roofs.array_label}", (high, peak), (-4, 4), ha="right", va="bottom")


def _name_slope(axes: Axes, roofs: Roofs) -> None:
    """The name of the slanted roof along it, on the side on which there are no points."""
    start = max(axes.get_xlim()[0], axes.get_ylim()[0] / roofs.bytes_per_cycle)
    middle = (start * roofs.ridge_macs_per_byte) ** 0.5
    ends = [axes.transData.transform((x, roofs.bound(x))) for x in (start, middle)]
    degrees_up = degrees(atan2(ends[1][1] - ends[0][1], ends[1][0] - ends[0][0]))
    style.note(axes, f"off-chip memory: {roofs.bytes_per_cycle:.2f} bytes/cycle [A]", (middle, roofs.bound(middle)),
               (-3, 3), va="bottom", rotation=degrees_up, rotation_mode="anchor")  # fmt: skip


def _numbers(points: Sequence[RooflinePoint]) -> str:
    """Numbers of points that share a label, neighbours together: ``3..6, 9``."""
    runs: list[list[int]] = []
    for number in sorted(point.number for point in points if point.number):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]}..{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join([*texts, *("run" for point in points if not point.number)])


def _number(axes: Axes, points: Sequence[RooflinePoint], peak: float) -> None:
    """Each point's number beside it and below the array's roof; points that cover each other share a label."""
    inches = axes.transData - axes.figure.dpi_scale_trans
    corners = ((axes.get_xlim()[0], axes.get_ylim()[0]), (axes.get_xlim()[1], peak))
    groups: list[tuple[tuple[float, float], list[RooflinePoint]]] = []
    for point in points:
        x, y = (72 * float(inch) for inch in inches.transform((point.macs_per_byte, point.macs_per_cycle)))
        near = (group for spot, group in groups if abs(spot[0] - x) < _SAME_PT and abs(spot[1] - y) < _SAME_PT)
        same = next(near, None)
        if same is None:
            groups.append(((x, y), [point]))
        else:
            same.append(point)
    texts = [_numbers(group) for _, group in groups]
    (left, bottom), (right, top) = (72 * inches.transform(corner) for corner in corners)
    offsets = place_labels([spot for spot, _ in groups], texts, (left, bottom, right, top - _SAME_PT))
    for (_, group), text, offset in zip(groups, texts, offsets, strict=True):
        style.note(axes, text, (group[0].macs_per_byte, group[0].macs_per_cycle), offset, zorder=4)


def _write_key(axes: Axes, shown: Roofline, rows: int, columns: int, height_inches: float) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, columns)
    axes.set_ylim(max(rows, (height_inches - _BELOW_INCHES) / _KEY_ROW_INCHES), 0)
    entries = [shown.run, *shown.points]
    for column in range(columns):
        _row(axes, (column, column + 1), 0.5, ("", "layer", "of its roof [S]"), "bold")
        part = entries[column * (rows - 2) : (column + 1) * (rows - 2)]
        for index, point in enumerate(part):
            _row(
                axes,
                (column, column + 1),
                index + 1.5,
                (str(point.number or ""), point.name, _share(point, shown.roofs)),
            )


def _row(axes: Axes, column: tuple[int, int], y: float, texts: tuple[str, str, str], weight: str = "normal") -> None:
    """Number, name and share in a column, which has a left and a right edge."""
    left, right = column
    for text, x, offset_pt, side in zip(texts, (left, left, right), _KEY_PT, ("right", "left", "right"), strict=True):
        style.note(axes, text, (x, y), (offset_pt, 0), ha=side, fontweight=weight)


def _share(point: RooflinePoint, roofs: Roofs) -> str:
    if not point.drawable:
        return _NO_BYTES if point.macs else _NO_MACS
    return f"{100 * point.macs_per_cycle / roofs.bound(point.macs_per_byte):.1f} %"
