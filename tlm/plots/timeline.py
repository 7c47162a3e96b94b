"""The timeline: what host, DMA channels and engine did when, and the same layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.observe.causes import WAITS, words
from tlm.plots.chart import LOWER, UPPER, Bar, Chart, Panel, Series
from tlm.plots.colours import CAUSES, HOST_RUNS, LAYERS, SLEEPS, SRAMS
from tlm.plots.moments import AT_END, CAUSE_OF_LOAD, LayerMoments, layer_moments
from tlm.plots.sources import Source
from tlm.results.result_json import TimelineRecord

HOST, LOAD, STORE, ENGINE = UNITS = ("host", "DMA load", "DMA store", "engine")
"""Rows of the chip's units. Below an empty row are those of the layers."""

COMPUTES, RUNS = "computes", "host runs"

_CHANNELS = {"load": UNITS.index(LOAD), "store": UNITS.index(STORE)}
_COLOURS = {
    COMPUTES: LAYERS[1],
    **{f"waits: {words(cause)}": CAUSES[cause] for cause in WAITS},
    RUNS: HOST_RUNS,
    **{f"host sleeps: {unit}": colour for unit, colour in SLEEPS.items()},
    **{f"DMA: {CAUSE_OF_LOAD[sram]}": colour for sram, colour in SRAMS.items()},
}
"""Name of a series -> colour, in the order of the legend."""


def timeline_of(source: Source) -> Chart:
    """Rows of the units, and below them rows of the layers.

    Raises:
        InputError: its timeline contradicts its account.
    """
    stored, moments = source.stored, layer_moments(source)
    names = [layer.name for layer in stored.layers]
    at_end = [AT_END] if any(wait.layer == AT_END for wait in moments.waits) else []
    bars: dict[str, list[Bar]] = {name: [] for name in _COLOURS}
    for name, bar in (*_unit_bars(source.stored.timeline), *_layer_bars(moments, [*names, *at_end])):
        bars[name].append(bar)
    panel = Panel(
        axis="core cycles from the first host access [S]",
        unit="cycles",
        series=[_series(name, own, stored.cycles) for name, own in bars.items() if own],
        end=stored.cycles,
        spans=True,
        second_axis=("time, µs [S]", 1000 / stored.chip.clock_khz),
    )
    return Chart(source.title, [*UNITS, "", *names, *at_end], [panel], "Share of the run's cycles [S]")


def _unit_bars(timeline: TimelineRecord) -> Iterator[tuple[str, Bar]]:
    """What host and DMA did."""
    for host in timeline.host:
        name = f"host sleeps: {host.waits_for}" if host.waits_for else RUNS
        yield name, Bar(UNITS.index(HOST), host.first_cycle, host.end_cycle - host.first_cycle)
    for one in timeline.transfers:
        bar = Bar(_CHANNELS[one.channel], one.first_cycle, one.end_cycle - one.first_cycle)
        yield f"DMA: {CAUSE_OF_LOAD[one.sram]}", bar


def _layer_bars(moments: LayerMoments, names: list[str]) -> Iterator[tuple[str, Bar]]:
    """What the engine did, in its row and once more in the layer's; there, below it, the transfers for the layer."""
    engine = UNITS.index(ENGINE)
    rows = {name: len(UNITS) + 1 + index for index, name in enumerate(names)}
    for part in moments.parts:
        colour = LAYERS[names.index(part.layer) % len(LAYERS)]
        yield COMPUTES, Bar(engine, part.first_cycle, part.cycles, part.layer, colour=colour)
        yield COMPUTES, Bar(rows[part.layer], part.first_cycle, part.cycles, lane=UPPER, colour=colour)
    for wait in moments.waits:
        name = f"waits: {words(wait.what)}"
        yield name, Bar(engine, wait.first_cycle, wait.cycles)
        yield name, Bar(rows[wait.layer], wait.first_cycle, wait.cycles, lane=UPPER)
    for one in moments.transfers:
        yield f"DMA: {CAUSE_OF_LOAD[one.what]}", Bar(rows[one.layer], one.first_cycle, one.cycles, lane=LOWER)


def _series(name: str, bars: list[Bar], run_cycles: int) -> Series:
    cycles = sum(bar.length for bar in bars if bar.row < len(UNITS))
    return Series(name, _COLOURS[name], bars, f"{100 * cycles / run_cycles:.1f} %")
