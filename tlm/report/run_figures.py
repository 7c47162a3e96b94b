"""The figures of a run, as plotly draws them; what they show is worked out and checked in tlm.plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import log10
from typing import TYPE_CHECKING, Any

from tlm.plots import style
from tlm.plots.causes import causes_of
from tlm.plots.energy import energy_of, energy_unit
from tlm.plots.moments import COMPUTES, HOST, GanttBar
from tlm.plots.roofline import roofline_of
from tlm.plots.timeline import UNITS, timeline_of
from tlm.report.labels import Label, placed

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from tlm.plots.roofline import RooflinePoint
    from tlm.plots.sources import Source

_ROW_PX, _REST_PX = 20, 130
_ENTRY_PX, _BELOW_PX = 19, 40
"""Height of a line of the legend, and how far below the rows the legend may reach."""
_PLOT_PX = 650, 330
"""Width and height of the roofline within its axes, about; on a wider page its labels have more room."""
_THICK, _THIN = (0.55, -0.42), (0.25, 0.15)
"""Width and offset of a bar in a layer's row: what the engine did, and below it what DMA moved."""
_WHOLE = (0.8, -0.4)
_UNSNAPPED: Mapping[str, Any] = {"width": 0.02, "color": "rgba(0, 0, 0, 0)"}
"""Line around a bar, invisible: without a line plotly widens bars shorter than a pixel to whole pixels, over their
neighbours; with one it draws them as long as they are, as tlm.plots.timeline does."""
_LOOKS: Mapping[str, Any] = {
    "margin": {"t": 30, "r": 20, "b": 50},
    "legend": {"traceorder": "normal"},
    "template": None,
}


def figures_of(source: Source) -> dict[str, Any]:
    """Name -> figure, in the order of the page."""
    made = {
        "timeline": _timeline(source),
        "causes": _causes(source),
        "roofline": _roofline(source),
        "energy": _energy(source),
    }
    return {name: json.loads(figure.to_json()) for name, figure in made.items()}


def _figure(traces: Iterable[Any], height_px: int, **layout: Any) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure(list(traces))
    figure.update_layout(height=height_px, **_LOOKS, **layout)
    return figure


def _height(rows: int, entries: int) -> int:
    """Room for all rows, and for all entries of the legend."""
    return max(rows * _ROW_PX + _REST_PX, entries * _ENTRY_PX + _REST_PX - _BELOW_PX)


def _axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, "tickformat": ",", "showgrid": True, **more}


_NAMES = {"autorange": "reversed", "type": "category", "automargin": True, "ticks": ""}


def _timeline(source: Source) -> go.Figure:
    import plotly.graph_objects as go

    shown = timeline_of(source)
    groups: dict[tuple[str, str], list[GanttBar]] = {}
    for bar in (*shown.bars, *shown.layer_bars):
        groups.setdefault(_looks(bar), []).append(bar)
    names = list(dict.fromkeys([*UNITS, *shown.layers, *(bar.row for bar in shown.layer_bars)]))
    traces = []
    for (name, colour), bars in groups.items():
        spots = [_spot(bar) for bar in bars]
        traces.append(
            go.Bar(
                name=name,
                orientation="h",
                y=[bar.row for bar in bars],
                base=[bar.first_cycle for bar in bars],
                x=[bar.cycles for bar in bars],
                width=[width for width, _ in spots],
                offset=[offset for _, offset in spots],
                marker={"color": colour, "line": _UNSNAPPED},
                text=[bar.layer for bar in bars],
                textposition="none",
                hovertemplate=f"{name} %{{text}}<br>cycles %{{base:,}}, for %{{x:,}}<extra>%{{y}}</extra>",
            )
        )
    return _figure(
        traces,
        _height(len(names), len(traces)),
        barmode="overlay",
        xaxis=_axis("core cycles from the first host access [S]", range=[0, shown.cycles]),
        yaxis={**_NAMES, "categoryorder": "array", "categoryarray": names},
    )


def _looks(bar: GanttBar) -> tuple[str, str]:
    """Name in the legend and colour."""
    if bar.role == COMPUTES:
        return "computes", style.CAUSES["computing"]
    if bar.role in style.SRAMS:
        return f"DMA: {bar.role}", style.SRAMS[bar.role]
    if bar.row == HOST:
        return f"host {bar.role}", style.SLEEPS.get(bar.role.removeprefix("sleeps: "), style.HOST_RUNS)
    return f"waits: {style.words(bar.role)}", style.CAUSES[bar.role]


def _spot(bar: GanttBar) -> tuple[float, float]:
    if bar.row in UNITS:
        return _WHOLE
    return _THIN if bar.role in style.SRAMS else _THICK


def _causes(source: Source) -> go.Figure:
    import plotly.graph_objects as go

    shown = causes_of(source)
    found = [dict(bar.causes) for bar in shown.bars]
    traces = [
        go.Bar(
            name=style.words(cause),
            orientation="h",
            y=[bar.name for bar in shown.bars],
            x=[causes.get(cause, 0) for causes in found],
            marker={"color": colour, "line": _UNSNAPPED},
            hovertemplate=f"{style.words(cause)} %{{x:,}} cycles<extra>%{{y}}</extra>",
        )
        for cause, colour in style.CAUSES.items()
        if any(causes.get(cause) for causes in found)
    ]
    axis = _axis("cycles of a layer, with the waits before it [S]")
    return _figure(traces, _height(len(found), len(traces)), barmode="stack", xaxis=axis, yaxis=_NAMES)


def _roofline(source: Source) -> go.Figure:
    import plotly.graph_objects as go

    shown = roofline_of(source)
    points = [point for point in (*shown.points, shown.run) if point.drawable]
    lows = [point.macs_per_byte for point in points] or [1.0]
    ends = [min(*lows, shown.roofs.ridge_macs_per_byte) / 2, max(*lows, shown.roofs.ridge_macs_per_byte) * 2]
    intensities = [ends[0], shown.roofs.ridge_macs_per_byte, ends[1]]
    roof = go.Scatter(
        name=f"roof: bandwidth [A], array {shown.roofs.array_label}", mode="lines", x=intensities,
        line={"color": "#808080", "width": 2}, hovertemplate="%{y:,.1f} MACs/cycle<extra></extra>",
        y=[shown.roofs.bound(value) for value in intensities],
    )  # fmt: skip
    traces: list[Any] = [roof]
    for cause in style.CAUSES:
        members = [point for point in points if point.cause == cause]
        if members:
            traces.append(
                go.Scatter(
                    name=f"most cycles: {style.words(cause)}",
                    mode="markers",
                    x=[point.macs_per_byte for point in members],
                    y=[point.macs_per_cycle for point in members],
                    customdata=[[point.name, shown.roofs.tops(point.macs_per_cycle)] for point in members],
                    hovertemplate="%{customdata[0]}<br>%{x:,.1f} MACs/byte<br>%{y:,.1f} MACs/cycle = "
                    "%{customdata[1]:.3f} TOPS<extra></extra>",
                    marker={
                        "color": style.CAUSES[cause],
                        "opacity": 1,
                        "size": [12 if point.number == 0 else 9 for point in members],
                        "symbol": ["diamond" if point.number == 0 else "circle" for point in members],
                        "line": {"width": 1, "color": "#606060"},
                    },
                )
            )
    traces.append(_numbers(points, ends, shown.roofs.peak_macs_per_cycle))
    logarithmic = {"type": "log", "exponentformat": "none", "dtick": 1}
    return _figure(
        traces,
        480,
        xaxis=_axis("MACs executed a byte moved [S]", **logarithmic),
        yaxis=_axis("MACs executed a cycle [S]", **logarithmic),
    )


def _numbers(points: Sequence[RooflinePoint], ends: Sequence[float], peak: float) -> go.Scatter:
    """Numbers beside the points."""
    import plotly.graph_objects as go

    low = min((point.macs_per_cycle for point in points), default=1.0)
    x_px, y_px = _PLOT_PX[0] / log10(ends[1] / ends[0]), _PLOT_PX[1] / max(log10(peak / low), 1.0)
    labels = placed(
        Label(point.name if point.number == 0 else str(point.number), log10(point.macs_per_byte) * x_px,
              log10(point.macs_per_cycle) * y_px)
        for point in points
    )  # fmt: skip
    return go.Scatter(
        mode="markers+text", showlegend=False, hoverinfo="skip", marker={"opacity": 0, "size": 9},
        text=[one.text for one in labels], textposition=[one.side for one in labels],
        x=[10 ** (one.x_px / x_px) for one in labels], y=[10 ** (one.y_px / y_px) for one in labels],
    )  # fmt: skip


def _energy(source: Source) -> go.Figure:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    shown = energy_of(source)
    unit, unit_pj = energy_unit(max(max(bar.core_pj, bar.off_chip_pj) for bar in shown.bars))
    names = [bar.name for bar in shown.bars]
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.03, column_widths=[0.6, 0.4])
    found = [dict(bar.components_aj) for bar in shown.bars]
    for component, colour in style.COMPONENTS.items():
        if any(parts.get(component) for parts in found):
            values = [parts.get(component, 0) / 1e6 / unit_pj for parts in found]
            figure.add_trace(_bars(go, style.words(component), names, values, colour, unit), 1, 1)
    values = [bar.off_chip_pj / unit_pj for bar in shown.bars]
    figure.add_trace(_bars(go, "off-chip memory", names, values, style.OFF_CHIP, unit), 1, 2)
    figure.update_layout(height=_height(len(names), len(figure.data)), barmode="stack", **_LOOKS)
    figure.update_xaxes(_axis(f"core, {unit} [A]"), col=1)
    figure.update_xaxes(_axis(f"off-chip memory, {unit} [A]"), col=2)
    figure.update_yaxes(_NAMES)
    return figure


def _bars(go: Any, name: str, names: list[str], values: list[float], colour: str, unit: str) -> Any:
    return go.Bar(
        name=name, orientation="h", y=names, x=values, marker={"color": colour, "line": _UNSNAPPED},
        hovertemplate=f"{name} %{{x:,.4g}} {unit}<extra>%{{y}}</extra>",
    )  # fmt: skip
