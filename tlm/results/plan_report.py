"""A compiled program's plan as a person reads it on a terminal; labels as in :mod:`tlm.core.labels`."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from tlm.chip.format.driver import Unit
from tlm.compiler.program import Program
from tlm.compiler.segments import Segment
from tlm.core.labels import LEGEND
from tlm.results.console import facts, table_of
from tlm.results.report import array_size

_HEADINGS = (
    ("layers", "left"), ("bands", "right"), ("parts", "right"), ("input", "left"), ("output", "left"),
    ("cycles", "right"),
)  # fmt: skip


def print_plan(program: Program, console: Console, name: str) -> None:
    """Print what runs together, in which pieces, what stays on chip, and what it should take.

    Args:
        program: compiled.
        console: where to.
        name: of the scenario.
    """
    config = program.config
    predicted = sum(program.predicted_cycles)
    loads, stores = (program.moved_bytes(unit) for unit in (Unit.LOAD, Unit.STORE))
    counts = (
        f"{len(program.jobs):,} engine jobs", f"{len(program.loads):,} loads", f"{len(program.stores):,} stores"
    )  # fmt: skip
    lines = [
        ("predicted", f"{program.predicted_total_cycles:,} cycles, of these {predicted:,} in layers [S]"),
        ("steps", f"{sum(program.unsplit_steps):,} if no layer were cut [S]"),
        ("batch", f"{program.batch:,} images one after another; all figures are theirs together"),
        ("driver", f"{', '.join(counts)} [S]"),
        ("DMA", f"{loads:,} bytes loaded, {stores:,} bytes stored [S]"),
        ("off-chip", f"{program.image_bytes:,} of {config.memory_bytes:,} bytes used [S]"),
    ]
    console.print(Text(f"{name}: compiled for {array_size(config)}", style="bold"))
    console.print(table_of(_HEADINGS, (_cells(program, segment) for segment in program.segments)))
    console.print(facts(line for line in lines if line[0] != "batch" or program.batch > 1))
    console.print(Text(LEGEND, style="dim"))


def _cells(program: Program, segment: Segment) -> list[str]:
    layers = range(segment.first, segment.last + 1)
    tags = [tag for index in layers for tag in program.parts_of_layer[index]]
    bands = len({program.parts[tag].first_tile for tag in program.parts_of_layer[segment.last]})
    names = [program.network.layers[index].name for index in layers]
    inputs = [*(f"{name} by band" if bands > 1 else name for name in segment.stream), *segment.load]
    return [
        " + ".join(names),
        f"{bands:,}",
        f"{len(tags) // program.batch:,}",
        f"loads {', '.join(inputs)}" if inputs else "on chip",
        "stays" if names[-1] not in program.tensors else "stays, stored" if segment.keep_output else "stored",
        f"{sum(program.predicted_cycles[tag] for tag in tags):,}",
    ]
