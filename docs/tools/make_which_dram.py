"""Runs the sweep of docs/which-dram.md, and writes its table and its picture: ``python docs/tools/make_which_dram.py``.

24 runs of a whole network, some minutes. Needs matplotlib (``pip install 'cartesian-tlm[plot]'``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from make_timing_tables import DOCS, filled

import tlm
from tlm.plots.colours import CAUSES, OFF_CHIP
from tlm.plots.style import content, new_figure, style
from tlm.results.files import whole_file

SWEEP = DOCS / "examples" / "which_dram.toml"
PAGE, PICTURE = DOCS / "which-dram.md", DOCS / "images" / "which_dram.png"
PRESETS = {"lpddr3_1600_x32": "LPDDR3-1600 x32", "lpddr4_3200_x16": "LPDDR4-3200 x16"}
POLICIES = ("open", "closed")
PJ_PER_UJ = 10**6

Point = Mapping[str, Any]
Points = Mapping[tuple[str, str, str], Point]
"""(preset, order, policy) -> what the sweep found."""


def run() -> Points:
    """The sweep.

    Raises:
        SystemExit: a point has failed.
    """
    found = tlm.sweep(SWEEP)
    rows: list[Point] = found if isinstance(found, list) else found.to_dict("records")
    if bad := [row["point"] for row in rows if row["status"] != "ok"]:
        raise SystemExit(f"points {bad} are not ok")
    keys = ("chip.dram.preset", "chip.dram.address_order", "chip.dram.page_policy")
    return {tuple(row[key] for key in keys): row for row in rows}  # type: ignore[misc]  # three keys


def table(points: Points) -> list[str]:
    """Cycles and off-chip energy, open / closed page."""
    lines = ["| order, highest field first | " + " | ".join(f"{name}: cycles | uJ" for name in PRESETS.values()) + " |"]
    lines.append("|---|" + "---|---|" * len(PRESETS))
    for order in dict.fromkeys(order for _, order, _ in points):
        cells = []
        for preset in PRESETS:
            both = [points[preset, order, policy] for policy in POLICIES]
            cells.append(" / ".join(f"{point['cycles']:,}" for point in both))
            cells.append(" / ".join(f"{point['off_chip_pj'] / PJ_PER_UJ:,.1f}" for point in both))
        lines.append(f"| `{order}` | {' | '.join(cells)} |")
    return lines


def draw(points: Points) -> bytes:
    """Bars of cycles and of energy, open pages."""
    with style():
        figure = new_figure(9.0, 4.0, "ResNet-18, 3 of 9 taps, pages left open")
        orders = list(dict.fromkeys(order for _, order, _ in points))
        panels: Sequence[tuple[str, str, float]] = (
            ("cycles", "1,000 cycles [S]", 1e3), ("off_chip_pj", "off-chip energy, uJ [A, +-30 %]", PJ_PER_UJ)
        )  # fmt: skip
        for axes, (key, label, unit) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
            for index, (preset, name) in enumerate(PRESETS.items()):
                values = [points[preset, order, "open"][key] / unit for order in orders]
                places = [row + 0.4 * index - 0.2 for row in range(len(orders))]
                colour = (CAUSES["weights"], OFF_CHIP)[index]
                bars = axes.barh(places, values, 0.36, label=name, color=colour)
                axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=2)
            axes.set_xlabel(label)
            axes.set_yticks(range(len(orders)), orders)
            axes.margins(x=0.15)
        figure.axes[0].invert_yaxis()
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return content(figure, "png")


def main() -> None:
    """Write table and picture."""
    points = run()
    PAGE.write_text(filled(PAGE, {"which-dram": table(points)}), encoding="utf-8")
    with whole_file(PICTURE) as target:
        Path(target).write_bytes(draw(points))


if __name__ == "__main__":
    main()
