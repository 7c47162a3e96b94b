"""The network as a graph: its layers, what each reads, and where each tensor lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlm.plots.colours import OFF_CHIP, SRAMS
from tlm.plots.labels import Spot, cut
from tlm.plots.sources import Source
from tlm.results.result_json import LayerRecord

_INPUT = "input"
_COLOURS = {"AMem": SRAMS["amem"], "off-chip memory": OFF_CHIP}
LEGEND = "Where a tensor lives [S]"
_LANE, _GAP = 2.0, 3.0
"""Between two lines side by side; between two columns of text."""


@dataclass(frozen=True)
class Link:
    """A tensor on its way from the row that makes it to the row that reads it."""

    points: Sequence[Spot]
    """A polyline in letters across and rows down."""
    home: str
    """Where the tensor lives."""
    residual: bool
    """Whether it is added to the sums, and not multiplied."""


@dataclass(frozen=True)
class Column:
    """Text beside the graph."""

    at: float
    """Where it begins, in letters."""
    head: str
    texts: Sequence[str]


@dataclass(frozen=True)
class NetworkGraph:
    """All that the figure shows: a row for the input and one for each layer, in the order of execution."""

    title: str
    rows: Sequence[str]
    homes: Sequence[str]
    """Where each row's tensor lives: a key of ``colours``."""
    colours: Mapping[str, str]
    links: Sequence[Link]
    columns: Sequence[Column]
    end: float
    """Where the last column ends, in letters."""


def network_graph_of(source: Source) -> NetworkGraph:
    """What the figure shows of a result."""
    layers = source.stored.layers
    rows = [_INPUT, *(layer.name for layer in layers)]
    homes = ["off-chip memory", *("AMem" if layer.stays_on_chip else "off-chip memory" for layer in layers)]
    links, lanes = _links(layers, rows, homes)
    columns, at = [], lanes * _LANE + _GAP
    for head, texts in _texts(layers).items():
        shown = [cut(text) for text in texts]
        columns.append(Column(at, head, shown))
        at += max(len(head), *map(len, shown)) + _GAP
    return NetworkGraph(source.title, [cut(row) for row in rows], homes, _COLOURS, links, columns, at)


def _texts(layers: Sequence[LayerRecord]) -> dict[str, list[str]]:
    shapes = [layers[0].input_shape, *(layer.output_shape for layer in layers)]
    return {
        "layer": ["", *(f"{layer.kind} {_kernel(layer)}" for layer in layers)],
        "tensor": ["x".join(map(str, shape)) for shape in shapes],
        "lives in": ["off-chip memory", *map(_home, layers)],
    }


def _kernel(layer: LayerRecord) -> str:
    kernel, stride = ("x".join(map(str, size)) for size in (layer.kernel, layer.stride))
    return kernel if layer.stride == (1, 1) else f"{kernel} / {stride}"


def _home(layer: LayerRecord) -> str:
    if not layer.stays_on_chip:
        return "off-chip memory"
    return f"AMem, {layer.bands} bands" if layer.bands > 1 else "AMem"


def _links(layers: Sequence[LayerRecord], rows: Sequence[str], homes: Sequence[str]) -> tuple[list[Link], int]:
    """Straight lines to the next row, others around the rows between; and how many run side by side at most."""
    row = {name: index for index, name in enumerate(rows)}
    found = [(row[name], end, False) for end, one in enumerate(layers, 1) if (name := one.input) in row]
    found += [(row[name], end, True) for end, one in enumerate(layers, 1) if (name := one.residual) in row]
    lanes: list[list[tuple[int, int]]] = []
    links = []
    for start, end, residual in sorted(found, key=lambda link: (link[1] - link[0], link)):
        points: list[Spot] = [(0, start), (0, end)]
        if residual or end > start + 1:
            free = (own for own in lanes if all(end <= other[0] or other[1] <= start for other in own))
            lane = next(free, None)
            if lane is None:
                lanes.append(lane := [])
            lane.append((start, end))
            x = _LANE * (1 + next(index for index, own in enumerate(lanes) if own is lane))
            points = [(0, start), (x, start + 0.4), (x, end - 0.4), (0, end)]
        links.append(Link(points, homes[start], residual))
    return links, len(lanes)
