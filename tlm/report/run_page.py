"""The report of a run, or of several side by side. Its figures are those of tlm.plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log10
from typing import Any, TypeAlias

import msgspec

from tlm.analysis.comparison import compare, figure_words
from tlm.observe.causes import words
from tlm.plots.labels import Spot
from tlm.plots.render import figures
from tlm.plots.roofline import MACS_PER_BYTE, MACS_PER_CYCLE, Roofline
from tlm.plots.sources import Source, names, operating_point
from tlm.report.page import PJ_PER_UJ, Number, energy_text, page
from tlm.results.result_json import LayerRecord

_PX_PER_PT = 1.4
"""Text has 12 pixels in a page, and 8.5 points where labels are placed."""
_PLOT_PX = 650, 330
"""Width and height of the roofline within its axes, about; on a wider page its labels have more room."""

_Column: TypeAlias = tuple[str, str, str, Callable[[LayerRecord], Any]]
"""Title, unit, label and value."""
_TIMES: tuple[_Column, ...] = (
    ("kind", "", "", lambda layer: layer.kind),
    ("output", "", "[S]", lambda layer: "x".join(map(str, layer.output_shape))),
    ("cycles", "", "[S]", lambda layer: layer.cycles),
    ("compute cycles", "", "[S]", lambda layer: layer.compute_cycles),
    ("waits before", "cycles", "[S]", lambda layer: layer.cycles - layer.compute_cycles),
    ("utilisation", "%", "[S]", lambda layer: round(100 * layer.utilization, 2)),
    ("most cycles go to", "", "[S]", lambda layer: words(layer.main_cause)),
)
_WORK: tuple[_Column, ...] = (
    ("MACs", "", "[S]", lambda layer: layer.macs),
    ("steps", "", "[S]", lambda layer: layer.steps),
    ("loaded", "bytes", "[S]", lambda layer: layer.load_bytes),
    ("stored", "bytes", "[S]", lambda layer: layer.store_bytes),
    ("energy", "µJ", "[A]", lambda layer: layer.energy.total_pj / PJ_PER_UJ),
    ("off-chip", "µJ", "[A]", lambda layer: layer.energy.off_chip_pj / PJ_PER_UJ),
)
_TABLES = {"layers": _TIMES, "work": _WORK}
"""Place in the page -> its columns, behind number and name: two tables that fit a page of 800 pixels."""


def run_page(sources: Sequence[Source]) -> str:
    """The page of a result, or of several side by side.

    Raises:
        InputError: figures that contradict each other.
    """
    return _one(*sources) if len(sources) == 1 else _several(sources)


def _several(sources: Sequence[Source]) -> str:
    comparison = compare([source.stored for source in sources])
    heads = ["layer", "figure", *comparison.letters]
    listed = zip(comparison.letters, names(sources), sources, strict=True)
    return page(
        "runs",
        f"{len(sources)} results - cartesian-tlm",
        [(f"{letter}: {name}", f"{source.stored.cycles:,} cycles", "[S]") for letter, name, source in listed],
        {
            "figures": {name: msgspec.to_builtins(one) for name, one in figures(sources).items()},
            "tables": {
                "layers": {
                    "columns": [{"name": name, "title": name, "unit": "", "label": ""} for name in heads],
                    "rows": [row | {"figure": figure_words(row["figure"])} for row in comparison.rows(differing=True)],
                }
            },
            "rowwise": True,
        },
        script="run",
        heading=f"{len(sources)} results side by side",
    )


def _one(source: Source) -> str:
    stored, chip = source.stored, source.stored.chip
    shown = {
        name: _roofline(one) if isinstance(one, Roofline) else msgspec.to_builtins(one)
        for name, one in figures([source]).items()
    }
    return page(
        "run",
        f"{stored.name} - cartesian-tlm",
        _summary(source),
        {"figures": shown, "tables": {name: _table(columns, stored.layers) for name, columns in _TABLES.items()}},
        heading=stored.name,
        chip=f"{chip.lanes}x{chip.columns} MACs, {operating_point(stored)}, {chip.amem_banks} AMem banks; "
        f"fidelity {stored.fidelity}",
    )


def _table(columns: Sequence[_Column], layers: Sequence[LayerRecord]) -> dict[str, Any]:
    """A row for each layer."""
    heads = [("no.", "", ""), ("layer", "", ""), *(column[:3] for column in columns)]
    rows = [
        {"no.": number, "layer": layer.name} | {name: value(layer) for name, *_, value in columns}
        for number, layer in enumerate(layers, 1)
    ]
    return {
        "columns": [{"name": name, "title": name, "unit": unit, "label": label} for name, unit, label in heads],
        "rows": rows,
    }


def _summary(source: Source) -> list[Number]:
    stored, energy = source.stored, source.stored.energy
    return [
        ("cycles", f"{stored.cycles:,}", "[S]"),
        ("time", f"{stored.time_us:,.2f} µs", "[S]"),
        ("within layers", f"{stored.compute_cycles:,} cycles", "[S]"),
        ("MACs executed", f"{stored.macs:,}", "[S]"),
        ("of these useful", f"{stored.useful_macs:,}", "[S]"),
        ("MACs of the dense network", f"{stored.dense_macs:,}", "[S]"),
        ("utilisation, whole run", f"{100 * stored.utilization:.1f} %", "[S]"),
        ("utilisation within layers", f"{100 * stored.compute_utilization:.1f} %", "[S]"),
        ("loaded", f"{stored.traffic_bytes.load:,} bytes", "[S]"),
        ("stored", f"{stored.traffic_bytes.store:,} bytes", "[S]"),
        ("energy of the core", energy_text(energy.total_pj), "[A]"),
        ("off-chip memory, apart", energy_text(energy.off_chip_pj), "[A]"),
        ("power of the core", f"{energy.power_mw:,.1f} mW", "[A]"),
    ]


def _roofline(shown: Roofline) -> dict[str, Any]:
    """What the script draws of a roofline, its labels placed already."""
    scales = [px / _PX_PER_PT / log10(end / start) for px, (start, end) in zip(_PLOT_PX, shown.limits, strict=True)]

    def place(spot: Spot) -> Spot:
        return log10(spot[0]) * scales[0], log10(spot[1]) * scales[1]

    points: dict[str, list[dict[str, Any]]] = {cause: [] for cause in shown.colours}
    for one in shown.drawn:
        x, y = one.macs_per_byte, one.macs_per_cycle
        about = {"number": one.number, "name": one.name, "tops": shown.tops(y), "share": shown.share(one)}
        points[words(one.cause)].append({"x": x, "y": y, **about})
    return {
        "axes": [MACS_PER_BYTE, MACS_PER_CYCLE],
        "limits": shown.limits,
        "corners": shown.corners,
        "roofs": shown.roof_names,
        "causes": [{"name": cause, "colour": shown.colours[cause], "points": own} for cause, own in points.items()],
        "labels": [(*spot, text, *(_PX_PER_PT * pt for pt in offset)) for spot, text, offset in shown.labels(place)],
    }
