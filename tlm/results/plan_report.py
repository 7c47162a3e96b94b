"""A compiled program's plan as a person reads it on a terminal; labels as in :mod:`tlm.core.labels`."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tlm.chip.format.driver import Unit
from tlm.compiler.program import Program
from tlm.compiler.segments import Segment
from tlm.core.labels import LEGEND
from tlm.results.report import array_size


def print_plan(program: Program, console: Console, name: str) -> None:
    """Print what runs together, in which pieces, what stays on chip, and what it should take.

    Args:
        program: compiled.
        console: where to.
        name: of the scenario.
    """
    config = program.config
    console.print(Text(f"{name}: compiled for {array_size(config)}", style="bold"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layers", overflow="fold")
    for heading in ("bands", "parts"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("input", "output"):
        table.add_column(heading, no_wrap=True)
    table.add_column("cycles", justify="right", no_wrap=True)
    for segment in program.segments:
        table.add_row(*_cells(program, segment))
    console.print(table)
    totals = Table.grid(padding=(0, 1, 0, 0))
    totals.add_column(width=12, no_wrap=True)
    totals.add_column()
    for head, text in _totals(program):
        totals.add_row(head, Text(text))
    console.print(totals)
    console.print(Text(LEGEND, style="dim"))


def _cells(program: Program, segment: Segment) -> list[str]:
    layers = range(segment.first, segment.last + 1)
    tags = [tag for index in layers for tag in program.parts_of_layer[index]]
    last = program.parts_of_layer[segment.last]
    bands = len({program.parts[tag].first_tile for tag in last})
    names = [program.network.layers[index].name for index in layers]
    inputs = [
        *(f"{name} by band" if bands > 1 else name for name in segment.stream),
        *segment.load,
    ]
    return [
        " + ".join(names),
        f"{bands:,}",
        f"{len(tags):,}",
        f"loads {', '.join(inputs)}" if inputs else "on chip",
        "stays" if names[-1] not in program.tensors else "stays, stored" if segment.keep_output else "stored",
        f"{sum(program.predicted_cycles[tag] for tag in tags):,}",
    ]


def _totals(program: Program) -> list[tuple[str, str]]:
    config, steps = program.config, sum(program.unsplit_steps)
    predicted = sum(program.predicted_cycles)
    loads, stores = (program.moved_bytes(unit) for unit in (Unit.LOAD, Unit.STORE))
    return [
        ("predicted", f"{program.predicted_total_cycles:,} cycles, of these {predicted:,} in layers [S]"),
        ("steps", f"{steps:,} if no layer were cut [S]"),
        (
            "driver",
            f"{len(program.jobs):,} engine jobs, {len(program.loads):,} loads, {len(program.stores):,} stores [S]",
        ),
        ("DMA", f"{loads:,} bytes loaded, {stores:,} bytes stored [S]"),
        ("off-chip", f"{program.image_bytes:,} of {config.memory_bytes:,} bytes used [S]"),
    ]
