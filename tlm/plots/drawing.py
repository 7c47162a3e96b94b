"""Draws figures with matplotlib; to be called within :func:`tlm.plots.style.style`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import atan2, degrees, log10
from typing import TYPE_CHECKING, Any

from tlm.plots.chart import WHOLE, Bar, Chart, Lane, Panel
from tlm.plots.colours import CAUSES, ink_on
from tlm.plots.labels import MARKER_PT, Spot, cut
from tlm.plots.network_graph import LEGEND as HOMES
from tlm.plots.network_graph import NetworkGraph
from tlm.plots.roofline import LEGEND, MACS_PER_BYTE, MACS_PER_CYCLE, Roofline
from tlm.plots.style import SMALL_PT, WIDTH_INCHES, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_ROW_INCHES, _REST_INCHES = 0.205, 1.9
_LETTER_INCHES = 0.08
_LONG_NAME, _NAMES_INCHES = 18, 1.4
"""The figure is wider where names beside its rows are longer, .."""
_MORE_INCHES = 0.6
""".. and for each further panel."""

_KEY_ROW_INCHES, _KEY_LETTER_INCHES = 0.185, 0.073
_KEY_INCHES, _MIN_NAME = 1.2, 14
"""Width of the numbers and shares beside the plot, and letters of a name that there is room for in any case."""
_PLOT_INCHES, _MIN_HEIGHT_INCHES = 6.0, 5.0
_BESIDE_INCHES, _BELOW_INCHES = 1.6, 1.5
"""What axes take of the width; what title, axis and legend take of the height."""
_STAR_PT = 10.0
_FEW_DECADES = 1.7


def draw(shown: Chart | Roofline | NetworkGraph) -> Figure:
    """The figure."""
    if isinstance(shown, NetworkGraph):
        return _draw_network(shown)
    return _draw_roofline(shown) if isinstance(shown, Roofline) else _draw_chart(shown)


# -- bars -------------------------------------------------------------------------------------------------------------


def _draw_chart(shown: Chart) -> Figure:
    """Panels side by side, a row of bars for each name."""
    names = [cut(row) for row in shown.rows]
    names_inches = max(0, max(map(len, names)) - _LONG_NAME) * _LETTER_INCHES
    plot_inches = WIDTH_INCHES - _NAMES_INCHES + _MORE_INCHES * (len(shown.panels) - 1)
    height_inches = _ROW_INCHES * len(shown.rows) + _REST_INCHES
    figure = new_figure(_NAMES_INCHES + names_inches + plot_inches, height_inches, shown.title)
    panels = figure.subplots(1, len(shown.panels), sharey=True, squeeze=False)[0]
    inches = plot_inches / len(panels)
    for axes, panel in zip(panels, shown.panels, strict=True):
        _rows(axes, names, banded=panel.spans)
        _scales(axes, panel, inches)
        _bars(axes, panel)
        _texts(axes, panel, inches)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
    entries = [one for panel in shown.panels for one in panel.series]
    _legend(figure, {f"{one.name} {one.share}".strip(): one.colour for one in entries}, shown.legend)
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
    _plain_numbers(axes.xaxis, integer=panel.unit == "cycles")
    axes.set_xlabel("; ".join(filter(None, (panel.axis, panel.totals_note))))
    if panel.second_axis is not None:
        title, factor = panel.second_axis
        second = axes.secondary_xaxis("top", functions=_scaled(factor))
        _plain_numbers(second.xaxis)
        second.set_xlabel(title)


def _plain_numbers(axis: Axis, integer: bool = False) -> None:
    """Numbers as ``1,200,000`` or ``0.25``; cycles and other counts are integers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(5, integer=integer, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(_plain_number)


def _bars(axes: Axes, panel: Panel) -> None:
    places: dict[tuple[int, Lane], list[tuple[Bar, str]]] = {}
    for series in panel.series:
        for bar in series.bars:
            places.setdefault((bar.row, bar.lane), []).append((bar, bar.colour or series.colour))
    for (row, lane), found in places.items():
        ranges = [(bar.start, bar.length) for bar, _ in found]
        colours = [colour for _, colour in found]
        # Not snapped to pixels: many bars are shorter than one, and would be drawn a whole pixel wide, or not at all.
        axes.broken_barh(ranges, (row + lane[0], lane[1]), facecolors=colours, linewidth=0, snap=False)


def _texts(axes: Axes, panel: Panel, inches: float) -> None:
    """Text in the bars that have room for it, and behind the bars of a row what they come to."""
    letter = axes.get_xlim()[1] / inches * _LETTER_INCHES
    ends = [0.0] * len(panel.totals)
    for series in panel.series:
        for bar in series.bars:
            end = bar.start + bar.length
            if bar.text and bar.lane == WHOLE and bar.length > (len(bar.text) + 1) * letter:
                _note(axes, bar.text, (bar.start + bar.length / 2, bar.row), color=ink_on(bar.colour or series.colour))
            if panel.totals:
                ends[bar.row] = max(ends[bar.row], end)
    for row, (end, total) in enumerate(zip(ends, panel.totals, strict=True)):
        ground = {"facecolor": "white", "pad": 0.5}  # so that no grid line crosses it
        _note(axes, total, (end, row), (4, 0), ha="left", bbox=ground)


# -- the roofline -----------------------------------------------------------------------------------------------------


def _draw_roofline(shown: Roofline) -> Figure:
    """Roofs, numbered points, and beside them which layer has which number."""
    longest = max(_MIN_NAME, *(len(point.name) for point in shown.points))
    key_inches = longest * _KEY_LETTER_INCHES + _KEY_INCHES
    width = max(WIDTH_INCHES, _PLOT_INCHES + key_inches)
    height = max(_MIN_HEIGHT_INCHES, (len(shown.points) + 3) * _KEY_ROW_INCHES + _BELOW_INCHES)
    figure = new_figure(width, height, shown.title)
    plot, key = figure.subplots(1, 2, width_ratios=[width - _BESIDE_INCHES - key_inches, key_inches])
    _roofline_scales(plot, shown)
    plot.plot(*zip(*shown.corners, strict=True), color="#606060", linewidth=1.4, zorder=2)
    _note(plot, shown.roof_names[1], shown.corners[-1], (-4, 4), ha="right", va="bottom")
    for point in shown.drawn:
        marker, size_pt = ("o", MARKER_PT) if point.number else ("*", _STAR_PT)
        plot.plot(point.macs_per_byte, point.macs_per_cycle, marker, color=CAUSES[point.cause], zorder=3,
                  markersize=size_pt, markeredgecolor="#202020", markeredgewidth=0.6)  # fmt: skip
    _key(key, shown, (height - _BELOW_INCHES) / _KEY_ROW_INCHES)
    _legend(figure, shown.colours, LEGEND)
    figure.draw_without_rendering()  # the layout is known only now
    _name_slope(plot, shown)
    inches = plot.transData - figure.dpi_scale_trans

    def place(spot: Spot) -> Spot:
        x, y = inches.transform(spot)
        return 72 * float(x), 72 * float(y)

    for spot, text, offset in shown.labels(place):
        _note(plot, text, spot, offset, zorder=4)
    return figure


def _roofline_scales(axes: Axes, shown: Roofline) -> None:
    across, up = shown.limits
    axes.set(xscale="log", yscale="log", xlim=across, ylim=up, xlabel=MACS_PER_BYTE, ylabel=MACS_PER_CYCLE)
    axes.grid(which="major")
    tops = axes.secondary_yaxis("right", functions=_scaled(shown.tops(1)))
    tops.set_ylabel(f"TOPS at {shown.chip.clock_khz / 1000:g} MHz [S]")
    for axis, limits in ((axes.xaxis, across), (axes.yaxis, up), (tops.yaxis, up)):
        _plain_logarithms(axis, limits)


def _plain_logarithms(axis: Axis, limits: tuple[float, float]) -> None:
    """Numbers of a logarithmic axis without exponents; between the powers of ten only where there are few of those."""
    few = log10(limits[1] / limits[0]) < _FEW_DECADES

    def between(value: float, _: float) -> str:
        return _plain_number(value) if few and f"{value:e}"[0] in "25" else ""

    axis.set_major_formatter(_plain_number)
    axis.set_minor_formatter(between)
    axis.set_tick_params(which="minor", labelsize=SMALL_PT)


def _name_slope(axes: Axes, shown: Roofline) -> None:
    """The name of the slanted roof along it, on the side on which there are no points."""
    start = max(axes.get_xlim()[0], axes.get_ylim()[0] / shown.bytes_per_cycle)
    middle = (start * shown.ridge_macs_per_byte) ** 0.5
    (x, y), (end_x, end_y) = (axes.transData.transform((at, shown.bound(at))) for at in (start, middle))
    _note(axes, shown.roof_names[0], (middle, shown.bound(middle)), (-3, 3), va="bottom",
         rotation=degrees(atan2(end_y - y, end_x - x)), rotation_mode="anchor")  # fmt: skip


def _key(axes: Axes, shown: Roofline, rows: float) -> None:
    """Number, name and share of each point."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(rows, 0))
    lines = [("", "layer", "of its roof [S]")]
    lines += [(str(one.number or ""), one.name, shown.share(one)) for one in (shown.run, *shown.points)]
    for index, (number, name, share) in enumerate(lines):
        weight = "normal" if index else "bold"
        y = index + 0.5
        _note(axes, number, (0, y), (20, 0), ha="right")
        _note(axes, name, (0, y), (26, 0), ha="left", fontweight=weight)
        _note(axes, share, (1, y), (-6, 0), ha="right", fontweight=weight)


# -- the network ------------------------------------------------------------------------------------------------------


def _draw_network(shown: NetworkGraph) -> Figure:
    """Lines that lead from the row that makes a tensor to those that read it, and beside them what the rows are."""
    letters = max(map(len, shown.rows)) + shown.end
    height = _ROW_INCHES * len(shown.rows) + _REST_INCHES
    figure = new_figure(max(WIDTH_INCHES, letters * _LETTER_INCHES), height, shown.title)
    axes = figure.subplots()
    _rows(axes, shown.rows, banded=True)
    axes.set(xlim=(-1, shown.end), xticks=[])
    axes.set_ylim(len(shown.rows) - 0.4, -1.6)  # the heads of the columns stand above
    axes.spines["bottom"].set_visible(False)
    for link in shown.links:
        style = (0, (3, 2)) if link.residual else "-"
        axes.plot(*zip(*link.points, strict=True), color=shown.colours[link.home], linestyle=style, linewidth=1.4)
    for row, home in enumerate(shown.homes):
        axes.plot(0, row, "o", color=shown.colours[home], markersize=MARKER_PT, markeredgecolor="#202020",
                  markeredgewidth=0.6, zorder=3)  # fmt: skip
    for column in shown.columns:
        _note(axes, column.head, (column.at, -1), ha="left", fontweight="bold")
        for row, text in enumerate(column.texts):
            _note(axes, text, (column.at, row), ha="left")
    _legend(figure, shown.colours, HOMES)
    return figure


# -- for all figures --------------------------------------------------------------------------------------------------


def _legend(figure: Figure, colours: Mapping[str, str], title: str = "") -> None:
    """Label -> colour, below all axes, where it covers nothing."""
    from matplotlib.patches import Patch

    if colours:
        edge: dict[str, Any] = {"edgecolor": "#d0d0d0", "linewidth": 0.5}
        entry_inches = max(map(len, colours)) * 0.075 + 0.5
        figure.legend(
            handles=[Patch(facecolor=colour, label=name, **edge) for name, colour in colours.items()],
            loc="outside lower left",
            ncols=max(1, int(figure.get_figwidth() / entry_inches)),
            handlelength=1.2,
            title=title or None,
            title_fontsize=SMALL_PT,
            alignment="left",
        )


def _note(
    axes: Axes, text: str, at: tuple[float, float], offset_pt: tuple[float, float] = (0, 0), **looks: Any
) -> None:
    """A small text beside a spot of the axes; centred on it unless ``looks`` says otherwise."""
    defaults = {"ha": "center", "va": "center", "fontsize": SMALL_PT}
    axes.annotate(text, at, offset_pt, textcoords="offset points", **{**defaults, **looks})


def _plain_number(value: float, _: float = 0) -> str:
    """What stands at a tick: no exponent."""
    return f"{value:,.10g}"


def _scaled(factor: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """What a second axis needs whose values are ``factor`` times those of the first: there and back."""
    return lambda value: value * factor, lambda value: value / factor
