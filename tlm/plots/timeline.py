"""The timeline: what host, DMA channels and engine did when, and the same layer by layer."""

from __future__ import annotations

from tlm.observe.causes import WAITS, words
from tlm.plots.chart import LOWER, UPPER, WHOLE, Bar, Chart, Lane, Panel, Series
from tlm.plots.colours import CAUSES, HOST_RUNS, LAYERS, SLEEPS, SRAMS
from tlm.plots.moments import AT_END, CAUSE_OF_LOAD, layer_moments
from tlm.plots.sources import Source

HOST, LOAD, STORE, ENGINE = UNITS = ("host", "DMA load", "DMA store", "engine")
"""Rows of the chip's units. Below an empty row are those of the layers."""

COMPUTES, RUNS = "computes", "host runs"

_COLOURS = {
    COMPUTES: LAYERS[1],
    **{f"waits: {words(cause)}": CAUSES[cause] for cause in WAITS},
    RUNS: HOST_RUNS,
    **{f"host sleeps: {unit}": colour for unit, colour in SLEEPS.items()},
    **{f"DMA: {CAUSE_OF_LOAD[sram]}": colour for sram, colour in SRAMS.items()},
}
"""Name of a series -> colour, in the order of the legend."""


def timeline_of(source: Source) -> Chart:
    """Rows of the units, and below them rows of the layers, whose bars have the transfers for the layer below them.

    Raises:
        InputError: its timeline contradicts its account.
    """
    stored, moments = source.stored, layer_moments(source)
    names = [layer.name for layer in stored.layers]
    if any(wait.layer == AT_END for wait in moments.waits):
        names.append(AT_END)
    row_of = {name: row for row, name in enumerate(names, len(UNITS) + 1)}
    host_row, load_row, store_row, engine_row = range(len(UNITS))
    bars: dict[str, list[Bar]] = {name: [] for name in _COLOURS}
    shares = dict.fromkeys(_COLOURS, 0)

    def add(name: str, row: int, start: int, end: int, lane: Lane = WHOLE, text: str = "", colour: str = "") -> None:
        bars[name].append(Bar(row, start, end - start, text, lane, colour))
        shares[name] += end - start if row < len(UNITS) else 0

    for host in stored.timeline.host:
        name = f"host sleeps: {host.waits_for}" if host.waits_for else RUNS
        add(name, host_row, host.first_cycle, host.end_cycle)
    for move in stored.timeline.transfers:
        row = load_row if move.channel == "load" else store_row
        add(f"DMA: {CAUSE_OF_LOAD[move.sram]}", row, move.first_cycle, move.end_cycle)
    for layer, _, start, end in moments.parts:
        colour = LAYERS[names.index(layer) % len(LAYERS)]
        add(COMPUTES, engine_row, start, end, text=layer, colour=colour)
        add(COMPUTES, row_of[layer], start, end, UPPER, colour=colour)
    for layer, cause, start, end in moments.waits:
        add(f"waits: {words(cause)}", engine_row, start, end)
        add(f"waits: {words(cause)}", row_of[layer], start, end, UPPER)
    for layer, sram, start, end in moments.transfers:
        add(f"DMA: {CAUSE_OF_LOAD[sram]}", row_of[layer], start, end, LOWER)
    panel = Panel(
        axis="core cycles from the first host access [S]",
        unit="cycles",
        series=[
            Series(name, _COLOURS[name], own, f"{100 * shares[name] / stored.cycles:.1f} %")
            for name, own in bars.items()
            if own
        ],
        end=stored.cycles,
        spans=True,
        second_axis=("time, µs [S]", 1000 / stored.chip.clock_khz),
    )
    return Chart(source.title, [*UNITS, "", *names], [panel], "Share of the run's cycles [S]")
