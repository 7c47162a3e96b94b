"""Accuracy against cycles, energy and weight capacity, a point for each trained network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tlm.plots import style
from tlm.plots.colours import CAUSES
from tlm.plots.labels import cut

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tlm.runs.tradeoff import TradeoffPoint

_HEIGHT_INCHES = 3.4
_ROOM = 1.12  # for the text at the last point
_AXES: tuple[tuple[str, Callable[[TradeoffPoint], float]], ...] = (
    ("cycles per image, thousands [S]", lambda point: point.cycles / 1e3),
    ("energy per image, µJ [A]", lambda point: point.energy_uj),
    ("weights in WMem, kB [S]", lambda point: point.weight_bytes / 1e3),
)


def draw(points: Sequence[TradeoffPoint]) -> Figure:
    """One panel for each cost, accuracy upwards."""
    from matplotlib.patheffects import withStroke

    title = "What pruning costs and gains: trained INT4 networks on the engine"
    figure = style.new_figure(style.WIDTH_INCHES, _HEIGHT_INCHES, title)
    panels = figure.subplots(1, len(_AXES), sharey=True)
    colour = CAUSES["computing"]
    for axes, (label, cost) in zip(panels, _AXES, strict=True):
        costs, shares = [cost(point) for point in points], [100 * point.accuracy for point in points]
        axes.plot(costs, shares, "o-", color=colour, linewidth=1.0, markersize=4)
        for point, x in zip(points, costs, strict=True):
            seeds = [100 * one for one in (point.accuracy, *point.other_seeds)]
            if len(seeds) > 1:
                axes.plot([x, x], [min(seeds), max(seeds)], "_-", color=colour, linewidth=1.0, markersize=7)
        for point, x, y in zip(points, costs, shares, strict=True):
            name = cut(point.name) if point.taps is None else f"{point.taps}/9"
            text = axes.annotate(name, (x, y), (4, -10), textcoords="offset points", fontsize=style.SMALL_PT)
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])  # the curve may run below it
        axes.set_xlabel(label)
        axes.set_xlim(0, max(costs) * _ROOM)
        axes.margins(y=0.12)
        axes.grid(visible=True)
    bars = "\nbars: least to most over seeds" if any(point.other_seeds for point in points) else ""
    panels[0].set_ylabel(f"test accuracy, % (measured){bars}")
    return figure
