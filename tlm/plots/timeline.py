"""The timeline: what host, DMA channels and engine did when, and the same layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlm.plots import moments, style
from tlm.plots.moments import AT_END, COMPUTES, ENGINE, HOST, LOAD, STORE, GanttBar
from tlm.plots.sources import Source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = (HOST, LOAD, STORE, ENGINE)

_UNIT_INCHES, _LAYER_INCHES, _REST_INCHES = 0.27, 0.2, 1.9
_HEIGHT = 0.72
_TOP, _THICK, _THIN = -0.40, 0.50, 0.24
_INCHES_OF_LETTER = 0.085
_SRAM_WORDS = {"wmem": "weights", "amem": "activations", "imem": "instructions"}


@dataclass(frozen=True)
class Timeline:
    """All that the figure shows."""

    title: str
    cycles: int
    clock_khz: int
    layers: tuple[str, ...]
    """In the order of execution."""
    bars: tuple[GanttBar, ...]
    """In rows of the units."""
    layer_bars: tuple[GanttBar, ...]
    """In rows of the layers."""

    def cycles_by_role(self, row: str) -> dict[str, int]:
        """Role -> cycles of a unit's bars."""
        found: dict[str, int] = {}
        for bar in self.bars:
            if bar.row == row:
                found[bar.role] = found.get(bar.role, 0) + bar.cycles
        return found


def timeline_of(source: Source) -> Timeline:
    """What the figure shows of a result.

    Raises:
        InputError: it has no timeline, or one that contradicts its account.
    """
    stored, spans = source.stored, source.timeline
    waits = moments.wait_bars(spans, stored.cycles)
    moments.check(source, waits)
    return Timeline(
        title=source.title,
        cycles=stored.cycles,
        clock_khz=stored.chip.clock_khz,
        layers=tuple(layer.name for layer in stored.layers),
        bars=(*moments.host_bars(spans), *moments.transfer_bars(spans), *moments.engine_bars(spans), *waits),
        layer_bars=tuple(moments.layer_bars(spans, waits)),
    )


def draw(shown: Timeline) -> Figure:
    """The figure; to be called within :func:`tlm.plots.style.style`."""
    names = [*shown.layers, *([AT_END] if any(bar.row == AT_END for bar in shown.layer_bars) else [])]
    heights = [_UNIT_INCHES * len(UNITS), _LAYER_INCHES * len(names)]
    figure = style.new_figure(sum(heights) + _REST_INCHES, names)
    figure.suptitle(shown.title, x=0.01, ha="left")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    colours = {name: style.layer_colour(index) for index, name in enumerate(shown.layers)}
    for axes, rows, bars in ((top, UNITS, shown.bars), (bottom, names, shown.layer_bars)):
        style.rows(axes, rows)
        style.bands(axes, len(rows))
        _draw_bars(axes, rows, bars, colours)
    _name_parts(top, shown, colours, figure.get_figwidth())
    _scales(top, bottom, shown)
    style.legend(figure, _legend(shown), 4, "Share of the run's cycles [S]")
    return figure


def _draw_bars(axes: Axes, rows: Sequence[str], bars: Iterable[GanttBar], colours: Mapping[str, str]) -> None:
    place = {row: index for index, row in enumerate(rows)}
    spans: dict[tuple[float, float], tuple[list[tuple[float, float]], list[str]]] = {}
    for bar in bars:
        spot = _spot(bar, place[bar.row])
        ranges, faces = spans.setdefault(spot, ([], []))
        ranges.append((bar.first_cycle, bar.cycles))
        faces.append(_colour(bar, colours))
    for spot, (ranges, faces) in spans.items():
        # Not snapped to pixels: many spans are shorter than one, and would be drawn a whole pixel wide, or not at all.
        axes.broken_barh(ranges, spot, facecolors=faces, linewidth=0, snap=False)


def _spot(bar: GanttBar, index: int) -> tuple[float, float]:
    """Lowest y and height: in a layer's row transfers are thin, below what the engine did."""
    if bar.row in UNITS:
        return index - _HEIGHT / 2, _HEIGHT
    if bar.role in style.SRAMS:
        return index + _TOP + _THICK, _THIN
    return index + _TOP, _THICK


def _colour(bar: GanttBar, colours: Mapping[str, str]) -> str:
    if bar.role == COMPUTES:
        return colours[bar.layer]
    if bar.role in style.SRAMS:
        return style.SRAMS[bar.role]
    if bar.row == HOST:
        return style.SLEEPS.get(bar.role.removeprefix("sleeps: "), style.HOST_RUNS)
    return style.CAUSES[bar.role]


def _name_parts(axes: Axes, shown: Timeline, colours: Mapping[str, str], width_inches: float) -> None:
    """Names in the engine's bars, where they fit; the rows below have all of them."""
    cycles_of_letter = shown.cycles * _INCHES_OF_LETTER / (width_inches - 2)
    for bar in shown.bars:
        if bar.role == COMPUTES and bar.cycles > (len(bar.layer) + 1) * cycles_of_letter:
            middle = (bar.first_cycle + bar.end_cycle) / 2
            ink = style.ink_on(colours[bar.layer])
            style.note(axes, bar.layer, (middle, UNITS.index(ENGINE)), color=ink)


def _scales(top: Axes, bottom: Axes, shown: Timeline) -> None:
    bottom.set_xlim(0, shown.cycles)
    style.plain_numbers(bottom.xaxis, integer=True)
    bottom.set_xlabel("core cycles from the first host access [S]")
    time = top.secondary_xaxis("top", functions=style.scaled(1000 / shown.clock_khz))
    style.plain_numbers(time.xaxis)
    time.set_xlabel("time, µs [S]")
    top.tick_params(axis="x", length=0, labelbottom=False)


def _legend(shown: Timeline) -> dict[str, str]:
    host, engine = shown.cycles_by_role(HOST), shown.cycles_by_role(ENGINE)
    entries: dict[str, str] = {}

    def add(text: str, colour: str, cycles: int) -> None:
        if cycles:
            entries[f"{text} {100 * cycles / shown.cycles:.1f} %"] = colour

    add("engine: a layer (shades)", style.layer_colour(1), engine.get(COMPUTES, 0))
    for cause, colour in style.CAUSES.items():
        add(f"waits: {cause}", colour, engine.get(cause, 0))
    add("host runs", style.HOST_RUNS, host.get("runs", 0))
    for unit, colour in style.SLEEPS.items():
        add(f"host sleeps: {unit}", colour, host.get(f"sleeps: {unit}", 0))
    for sram, colour in style.SRAMS.items():
        add(f"DMA: {_SRAM_WORDS[sram]}", colour, sum(shown.cycles_by_role(row).get(sram, 0) for row in (LOAD, STORE)))
    return entries
