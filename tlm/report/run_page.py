"""The report of a run, from its result.json."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from tlm.observe.causes import words
from tlm.plots.sources import Source, load_sources, operating_point
from tlm.report.page import LABELS, PJ_PER_UJ, Number, energy_text, figure, page, section, summary, table
from tlm.report.run_figures import figures_of
from tlm.results.result_json import LayerRecord

_COLUMNS: tuple[tuple[str, str, str, Callable[[LayerRecord], Any]], ...] = (
    ("layer", "", "", lambda layer: layer.name),
    ("kind", "", "", lambda layer: layer.kind),
    ("output", "", "[S]", lambda layer: "x".join(map(str, layer.output_shape))),
    ("cycles", "", "[S]", lambda layer: layer.cycles),
    ("compute cycles", "", "[S]", lambda layer: layer.compute_cycles),
    ("waits before", "cycles", "[S]", lambda layer: sum(layer.waits.values())),
    ("utilisation", "%", "[S]", lambda layer: round(100 * layer.utilization, 2)),
    ("MACs", "", "[S]", lambda layer: layer.macs),
    ("steps", "", "[S]", lambda layer: layer.steps),
    ("loaded", "bytes", "[S]", lambda layer: layer.load_bytes),
    ("stored", "bytes", "[S]", lambda layer: layer.store_bytes),
    ("energy", "µJ", "[A]", lambda layer: layer.energy.total_pj / PJ_PER_UJ),
    ("off-chip", "µJ", "[A]", lambda layer: layer.energy.off_chip_pj / PJ_PER_UJ),
    ("most cycles go to", "", "[S]", lambda layer: words(max(layer.by_cause(), key=layer.by_cause().__getitem__))),
)
"""Title, unit, label and value of the table of layers; a number stands before them."""


def run_page(path: Path) -> str:
    """The page of a result file or its directory.

    Raises:
        InputError: see :func:`tlm.plots.sources.load_sources`; figures that contradict each other.
    """
    (source,) = load_sources([path])
    figures = figures_of(source)
    columns = [{"name": name, "title": name, "unit": unit, "label": label} for name, unit, label, _ in _COLUMNS]
    rows = [
        {"no.": index + 1} | {name: value(layer) for name, *_, value in _COLUMNS}
        for index, layer in enumerate(source.stored.layers)
    ]
    body = "".join(
        (
            f"<h1>{escape(source.stored.name)}</h1>",
            f'<p class="faint">{escape(_chip_text(source))}</p>',
            summary(_summary(source)),
            LABELS,
            section("Timeline", figure("timeline"), "Above the units; below each layer with the waits before it, and "
                    "under its bar the transfers for it. Drag to zoom, double-click to see all."),
            section("Where the cycles go", figure("causes")),
            section("Roofline", figure("roofline"), "Numbers are the layers' in the table. A layer's cycles are those "
                    "in which it computes, is waited for, or has a transfer under way. The colour says what takes most "
                    "of the cycles of computing and waiting."),
            section("Energy by component", figure("energy"), "Off-chip memory is in no sum of the core's."),
            section("Layers", table("layers"), "Click a heading to sort.", long=True),
        )
    )  # fmt: skip
    number = {"name": "no.", "title": "no.", "unit": "", "label": ""}
    data = {"figures": figures, "columns": [number, *columns], "rows": rows}
    return page(f"{source.stored.name} - cartesian-tlm", body, data, "run")


def _chip_text(source: Source) -> str:
    stored = source.stored
    chip = stored.chip
    return (
        f"{chip.lanes}x{chip.columns} MACs, {operating_point(stored)}, {chip.amem_banks} AMem banks; "
        f"fidelity {stored.fidelity}"
    )


def _summary(source: Source) -> list[Number]:
    stored, energy = source.stored, source.stored.energy
    seconds = stored.time_us / 1e6
    return [
        Number("cycles", f"{stored.cycles:,}", "[S]"),
        Number("time", f"{stored.time_us:,.2f} µs", "[S]"),
        Number("within layers", f"{stored.compute_cycles:,} cycles", "[S]"),
        Number("MACs executed", f"{stored.macs:,}", "[S]"),
        Number("of these useful", f"{stored.useful_macs:,}", "[S]"),
        Number("MACs of the dense network", f"{stored.dense_macs:,}", "[S]"),
        Number("utilisation, whole run", f"{100 * stored.utilization:.1f} %", "[S]"),
        Number("utilisation within layers", f"{100 * stored.compute_utilization:.1f} %", "[S]"),
        Number("loaded", f"{stored.traffic_bytes.get('load', 0):,} bytes", "[S]"),
        Number("stored", f"{stored.traffic_bytes.get('store', 0):,} bytes", "[S]"),
        Number("energy of the core", energy_text(energy.total_pj), "[A]"),
        Number("off-chip memory, apart", energy_text(energy.off_chip_pj), "[A]"),
        Number("power of the core", f"{energy.total_pj / 1e12 / seconds * 1e3:,.1f} mW", "[A]"),
    ]
