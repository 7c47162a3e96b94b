"""The report of a run, from its result.json."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.plots.sources import load_sources, operating_point
from tlm.report.page import LABELS, PJ_PER_UJ, Figure, energy_text, figure, page, section, summary, table
from tlm.report.run_figures import figures_of

if TYPE_CHECKING:
    from tlm.plots.sources import Source
    from tlm.results.result_json import LayerRecord

_COLUMNS = (
    ("number", "no.", "", ""),
    ("name", "layer", "", ""),
    ("kind", "kind", "", ""),
    ("output", "output", "", "[S]"),
    ("cycles", "cycles", "", "[S]"),
    ("compute_cycles", "compute cycles", "", "[S]"),
    ("wait_cycles", "waits before", "cycles", "[S]"),
    ("utilization", "utilisation", "%", "[S]"),
    ("macs", "MACs", "", "[S]"),
    ("steps", "steps", "", "[S]"),
    ("load_bytes", "loaded", "bytes", "[S]"),
    ("store_bytes", "stored", "bytes", "[S]"),
    ("energy_uj", "energy", "µJ", "[A]"),
    ("off_chip_uj", "off-chip", "µJ", "[A]"),
    ("cause", "most cycles go to", "", "[S]"),
)


def run_page(path: Path) -> str:
    """The page of a result file or its directory.

    Raises:
        InputError: see :func:`tlm.plots.sources.load_sources`; a result without timeline or energy.
    """
    (source,) = load_sources([path])
    energies = source.layer_energies
    rows = [
        {**_row(index + 1, layer), "energy_uj": one.total_pj / PJ_PER_UJ, "off_chip_uj": one.off_chip_pj / PJ_PER_UJ}
        for index, (layer, one) in enumerate(zip(source.stored.layers, energies, strict=True))
    ]
    columns = [{"name": name, "title": title, "unit": unit, "label": label} for name, title, unit, label in _COLUMNS]
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
    data = {"figures": figures_of(source), "columns": columns, "rows": rows}
    return page(f"{source.stored.name} - cartesian-tlm", body, data, "run")


def _chip_text(source: Source) -> str:
    stored = source.stored
    chip = stored.chip
    return (
        f"{chip.lanes}x{chip.columns} MACs, {operating_point(stored)}, {chip.amem_banks} AMem banks; "
        f"fidelity {stored.fidelity}"
    )


def _summary(source: Source) -> list[Figure]:
    stored, energy = source.stored, source.energy
    seconds = stored.time_us / 1e6
    return [
        Figure("cycles", f"{stored.cycles:,}", "[S]"),
        Figure("time", f"{stored.time_us:,.2f} µs", "[S]"),
        Figure("within layers", f"{stored.compute_cycles:,} cycles", "[S]"),
        Figure("MACs executed", f"{stored.macs:,}", "[S]"),
        *([] if stored.useful_macs is None else [Figure("of these useful", f"{stored.useful_macs:,}", "[S]")]),
        Figure("MACs of the dense network", f"{stored.dense_macs:,}", "[S]"),
        Figure("utilisation, whole run", f"{100 * stored.utilization:.1f} %", "[S]"),
        Figure("utilisation within layers", f"{100 * stored.compute_utilization:.1f} %", "[S]"),
        Figure("loaded", f"{stored.traffic_bytes.get('load', 0):,} bytes", "[S]"),
        Figure("stored", f"{stored.traffic_bytes.get('store', 0):,} bytes", "[S]"),
        Figure("energy of the core", energy_text(energy.total_pj), "[A]"),
        Figure("off-chip memory, apart", energy_text(energy.off_chip_pj), "[A]"),
        Figure("power of the core", f"{energy.total_pj / 1e12 / seconds * 1e3:,.1f} mW", "[A]"),
    ]


def _row(number: int, layer: LayerRecord) -> dict[str, Any]:
    causes = layer.by_cause()
    return {
        "number": number,
        "name": layer.name,
        "kind": layer.kind,
        "output": "x".join(map(str, layer.output_shape)),
        "cycles": layer.cycles,
        "compute_cycles": layer.compute_cycles,
        "wait_cycles": sum(layer.waits.values()),
        "utilization": round(100 * layer.utilization, 2),
        "macs": layer.macs,
        "steps": layer.steps,
        "load_bytes": layer.load_bytes,
        "store_bytes": layer.store_bytes,
        "cause": max(causes, key=lambda cause: causes[cause]).replace("_", " ") if any(causes.values()) else "",
    }
