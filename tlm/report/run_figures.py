"""Draws the figures of a run with plotly; what they show is defined and checked in tlm.plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import log10
from typing import Any

from tlm.observe.causes import words
from tlm.plots.chart import Bar, Chart, Panel, Series
from tlm.plots.colours import CAUSES
from tlm.plots.labels import Spot
from tlm.plots.render import figures
from tlm.plots.roofline import MACS_PER_BYTE, MACS_PER_CYCLE, Roofline
from tlm.plots.sources import Source

_ROW_PX, _REST_PX = 20, 130
_ENTRY_PX, _BELOW_PX = 19, 40
"""Height of a line of the legend, and how far below the rows the legend may reach."""
_GAP = 0.03
"""Between two panels, of the width of both."""
_PX_PER_PT = 1.4
"""Text has 12 pixels here, and 8.5 points where labels are placed."""
_PLOT_PX = 650, 330
"""Width and height of the roofline within its axes, about; on a wider page its labels have more room."""
_ROOFLINE_PX = 480
_UNSNAPPED: Mapping[str, Any] = {"width": 0.02, "color": "rgba(0, 0, 0, 0)"}
"""Line around a bar, invisible: without a line plotly widens bars shorter than a pixel to whole pixels, over their
neighbours; with one it draws them as long as they are, as tlm.plots does."""


def figures_of(source: Source) -> dict[str, Any]:
    """Name -> figure, in the order of the page."""
    return {name: _drawn(figure) for name, figure in figures([source]).items()}


def _drawn(shown: Chart | Roofline) -> Any:
    import plotly.graph_objects as go

    traces, layout = _bars(shown) if isinstance(shown, Chart) else _roofline(shown)
    look = {"margin": {"t": 30, "r": 20, "b": 50}, "legend": {"traceorder": "normal"}, "template": None}
    return json.loads(go.Figure(traces, {**look, **layout}).to_json())


def _bars(chart: Chart) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Traces and layout."""
    traces: list[dict[str, Any]] = []
    named: set[str] = set()
    layout: dict[str, Any] = {"barmode": "overlay"}
    width = (1 + _GAP) / len(chart.panels)
    for index, panel in enumerate(chart.panels):
        number = str(index + 1) if index else ""
        for series in panel.series:
            looks = {"xaxis": f"x{number}", "legendgroup": series.name, "showlegend": series.name not in named}
            traces.append({**_trace(chart, panel, series), **looks})
            named.add(series.name)
        domain = [index * width, (index + 1) * width - _GAP]
        layout[f"xaxis{number}"] = _axis(panel.axis, domain=domain, range=[0, panel.end], anchor="y", ticks="")
    rows = len(chart.rows)
    layout["height"] = max(rows * _ROW_PX + _REST_PX, len(named) * _ENTRY_PX + _REST_PX - _BELOW_PX)
    layout["yaxis"] = {
        "tickvals": list(range(rows)), "ticktext": list(chart.rows), "range": [rows - 0.4, -0.6],
        "showgrid": False, "zeroline": False, "ticks": "",
    }  # fmt: skip
    return traces, layout


def _trace(chart: Chart, panel: Panel, series: Series) -> dict[str, Any]:
    bars = series.bars
    return {
        "type": "bar",
        "name": series.name,
        "orientation": "h",
        "y": [bar.row for bar in bars],
        "base": [bar.start for bar in bars],
        "x": [bar.length for bar in bars],
        "offset": [bar.lane.top for bar in bars],
        "width": [bar.lane.height for bar in bars],
        "marker": {
            "color": [bar.colour for bar in bars] if any(bar.colour for bar in bars) else series.colour,
            "line": _UNSNAPPED,
        },
        "hovertext": [_hover(panel, series, bar) for bar in bars],
        "customdata": [chart.rows[bar.row] for bar in bars],
        "hovertemplate": "%{hovertext}<extra>%{customdata}</extra>",
    }


def _hover(panel: Panel, series: Series, bar: Bar) -> str:
    if panel.spans:
        return f"{series.name} {bar.text}<br>{bar.length:,} {panel.unit} from {bar.start:,} on"
    length = f"{bar.length:,}" if isinstance(bar.length, int) else f"{bar.length:,.4g}"
    return f"{series.name}: {length} {panel.unit}"


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "tickformat": ",", "showgrid": True, **more}


def _roofline(shown: Roofline) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Traces and layout."""
    memory, array = shown.roofs.names
    roof = {
        "type": "scatter",
        "mode": "lines",
        "name": "roofs",
        "x": [x for x, _ in shown.corners],
        "y": [y for _, y in shown.corners],
        "text": [memory, f"{memory}<br>{array}", array],
        "hovertemplate": "%{text}<extra></extra>",
        "line": {"color": "#808080", "width": 2},
    }
    across, up = ([log10(end) for end in ends] for ends in shown.limits)
    scales = [px / _PX_PER_PT / (end - start) for px, (start, end) in zip(_PLOT_PX, (across, up), strict=True)]

    def place(spot: Spot) -> Spot:
        return log10(spot[0]) * scales[0], log10(spot[1]) * scales[1]

    labels = [
        {
            "text": text, "showarrow": False, "x": log10(spot[0]), "y": log10(spot[1]),
            "xshift": offset[0] * _PX_PER_PT, "yshift": offset[1] * _PX_PER_PT,
        }
        for spot, text, offset in shown.labels(place)
    ]  # fmt: skip
    logarithmic = {"type": "log", "exponentformat": "none", "dtick": 1}
    layout = {
        "height": _ROOFLINE_PX,
        "annotations": labels,
        "xaxis": _axis(MACS_PER_BYTE, range=across, **logarithmic),
        "yaxis": _axis(MACS_PER_CYCLE, range=up, **logarithmic),
    }
    return [roof, *(_points(shown, cause) for cause in CAUSES if words(cause) in shown.colours)], layout


def _points(shown: Roofline, cause: str) -> dict[str, Any]:
    points = [point for point in shown.drawn if point.cause == cause]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": words(cause),
        "x": [point.macs_per_byte for point in points],
        "y": [point.macs_per_cycle for point in points],
        "customdata": [
            [point.name, shown.roofs.tops(point.macs_per_cycle), shown.roofs.share(point)] for point in points
        ],
        "hovertemplate": "%{customdata[0]}<br>%{x:,.1f} MACs/byte<br>%{y:,.1f} MACs/cycle = %{customdata[1]:.3f} TOPS"
        "<br>%{customdata[2]} of its roof<extra></extra>",
        "marker": {
            "color": CAUSES[cause],
            "opacity": 1,
            "size": [9 if point.number else 14 for point in points],
            "symbol": ["circle" if point.number else "star" for point in points],
            "line": {"width": 1, "color": "#606060"},
        },
    }
