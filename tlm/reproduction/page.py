"""The whole comparison as a page in Markdown. ``page.md`` has the prose, and a name for each figure and long table."""

from __future__ import annotations

import sys
from importlib.resources import files
from string import Template

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tlm.chip.operating_point import MAX_VOLTAGE_V, MIN_VOLTAGE_V
from tlm.core.labels import Label
from tlm.reproduction.circuit import circuit_values
from tlm.reproduction.figures import signed_percent, table
from tlm.reproduction.measure import ALL_TAPS, Measurements
from tlm.reproduction.published import CAPACITY_CHANGE
from tlm.reproduction.tables_cycles import cycle_values
from tlm.reproduction.tables_dense import dense_values, parameter_values
from tlm.reproduction.tables_sparse import sparse_values
from tlm.reproduction.uncertainty import FACTOR


def page(measured: Measurements) -> str:
    """Everything that ``tlm reproduce`` prints; equal measurements give equal text.

    Raises:
        SimulationError: steps or cycles are not what they must be.
    """
    template = Template(files("tlm.reproduction").joinpath("page.md").read_text(encoding="utf-8"))
    return template.substitute(
        part="" if measured.extent.taps == ALL_TAPS else _part(measured),
        table_labels=table(("label", "meaning"), [(label.value, label.meaning) for label in Label], left=(0, 1)),
        factor=FACTOR,
        factor_squared=FACTOR**2,
        **parameter_values(),
        **dense_values(measured),
        **sparse_values(measured),
        **cycle_values(measured),
        **_capacity_values(measured),
        **circuit_values(),
        min_voltage=f"{MIN_VOLTAGE_V:g}",
        max_voltage=f"{MAX_VOLTAGE_V:g}",
    )


def print_page(text: str, console: Console) -> None:
    """Show a page within the terminal's width."""
    for block in text.rstrip("\n").split("\n\n"):
        if block.startswith("#"):
            if block.startswith("## "):
                console.print()
            console.print(Text(block.lstrip("# "), style="bold"))
        elif block.startswith("|"):
            _print_table(block, console)
        else:
            console.print(Text(block, style="dim" if block.endswith(":") else ""))


def _part(measured: Measurements) -> str:
    taps = ", ".join(f"{taps}/9" for taps in measured.extent.taps)
    size = measured.extent.size
    return f"\n\nThis is a part of it: levels {taps}, pictures of {size} x {size} pixels."


def _capacity_values(measured: Measurements) -> dict[str, str]:
    found = measured.capacity
    best = min(found, key=lambda one: one.distance)
    own = min((one for one in found if not one.name.startswith("bits")), key=lambda one: one.distance)
    exact = sum(one.rounds_to_published for one in found)
    rows = []
    for one in found:
        notes = [*(["nearest"] if one is best else []), *(["rounds to it"] if one.rounds_to_published else [])]
        off = float(100 * one.change) - float(CAPACITY_CHANGE)
        change = signed_percent(float(one.change), 2)
        rows.append((one.name, f"{one.kept:,}", f"{one.base:,}", change, f"{off:+.2f}", " and ".join(notes)))
    return {
        "readings": str(len(found)),
        "exact": f"{exact} round{'s' if exact == 1 else ''}",
        "nearest": best.name,
        "nearest_change": signed_percent(float(best.change), 2),
        "nearest_weights": own.name,
        "nearest_weights_change": signed_percent(float(own.change), 2),
        "table_capacity": table(("reading", "kept", "of", "change", "percentage points off", ""), rows, left=(0, 5)),
    }


def _print_table(block: str, console: Console) -> None:
    """A table, or where it is too wide for the terminal, a paragraph for each row."""
    head, rule, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines())
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title, alignment in zip(head, rule, strict=True):
        shown.add_column(Text(title), justify="right" if alignment.endswith(":") else "left")
    for row in rows:
        shown.add_row(*map(Text, row))
    if Measurement.get(console, console.options.update(max_width=sys.maxsize), shown).maximum <= console.width:
        console.print(shown)
        return
    for first, *others in rows:
        console.print()
        console.print(Text(first))
        cells = (f"{title}: {cell}" if title else cell for title, cell in zip(head[1:], others, strict=True) if cell)
        console.print(Padding(Text("; ".join(cells)), (0, 0, 0, 2)))
    console.print()
