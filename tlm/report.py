"""A result as a person reads it on a terminal.

Labels: [P] published, [D] derived (everything that the simulation counts), [A] assumed.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tlm.result import LayerResult, Result, chip_labels

MIN_COLUMNS = 76
"""Narrower terminals wrap the lines: the figures stay whole."""

_WIDE_COLUMNS = 110
_MAIN_CAUSES = 3
"""How many causes the line about cycles names."""
_MARKS = {"published": "[P]", "derived": "[D]", "assumed": "[A]", "chosen": "(chosen)"}


def print_report(
    result: Result, console: Console, name: str, description: str = "", differing: Sequence[str] | None = None
) -> None:
    """Print what ran, a line per layer, and the totals.

    Args:
        result: what ``simulate`` returned.
        console: where to; from 110 columns on the table has more of them.
        name: of the scenario.
        description: one line about it.
        differing: names of tensors that differ from the golden model's; None if nobody compared.
    """
    console.print(Text(f"{name}: {description}" if description else name, style="bold"))
    console.print(Text(operating_point(result)))
    console.print(_layer_table(result, wide=console.width >= _WIDE_COLUMNS))
    for head, text in _totals(result):
        console.print(Text(f"{head:12} {text}"))
    style, text = _verdict(result, differing)
    console.print(Text(f"{'golden model':12} {text}", style=style))
    console.print(Text("[P] published  [D] derived, as all of the table  [A] assumed: docs/timing.md", style="dim"))


def operating_point(result: Result) -> str:
    """One line: array, supply, clock, model."""
    chip, labels = result.chip, chip_labels(result.chip)
    marks = {key: _MARKS[label] for key, label in labels.items()}
    return (
        f"{chip.lanes}x{chip.columns} MACs {marks['lanes']}, {chip.voltage_v:g} V {marks['voltage_v']}, "
        f"{chip.frequency_mhz:g} MHz {marks['frequency_mhz']}, {chip.amem_banks} AMem banks {marks['amem_banks']}; "
        f"fidelity {result.fidelity}"
    )


def _layer_table(result: Result, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    for heading in ("kind", "input", "kernel") if wide else ():
        table.add_column(heading, no_wrap=True)
    table.add_column("output", no_wrap=True)
    for heading in ("taps", *(["parts"] if wide else []), "steps", "passes", "cycles", "util.", "DMA bytes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in result.layers.values():
        table.add_row(*_cells(layer, wide))
    return table


def _cells(layer: LayerResult, wide: bool) -> list[str]:
    kernel = "x".join(map(str, layer.kernel))
    stride = str(layer.stride[0]) if layer.stride[0] == layer.stride[1] else "x".join(map(str, layer.stride))
    return [
        layer.name,
        *([layer.kind, _shape(layer.input_shape), f"{kernel}/{stride}"] if wide else []),
        _shape(layer.output_shape),
        _taps(layer),
        *([str(layer.parts)] if wide else []),
        f"{layer.steps:,}",
        f"{layer.passes:,}",
        f"{layer.compute_cycles:,}",
        f"{layer.utilization:.1%}",
        f"{layer.load_bytes + layer.store_bytes:,}",
    ]


def _totals(result: Result) -> list[tuple[str, str]]:
    share = _share(result.compute_cycles, result.cycles)
    conflicts = ", ".join(f"{who} {count:,}" for who, count in sorted(result.bank_conflicts.items()) if count)
    split = [f"{layer.name} in {layer.parts} parts" for layer in result.layers.values() if layer.parts > 1]
    return [
        *([("split", ", ".join(split))] if split else []),
        ("total", f"{result.cycles:,} cycles = {result.time_us:,.2f} us [D], host start to last interrupt"),
        ("in layers", f"{result.compute_cycles:,} cycles, {share:.1%} [D]; the rest is host, loading and storing"),
        ("cycles go to", f"{_main_causes(result)} [D]"),
        ("MACs", f"{result.macs:,} executed of {result.dense_macs:,} dense [D]"),
        (
            "utilisation",
            f"{result.utilization:.1%} over the whole run, {result.compute_utilization:.1%} within layers [D]",
        ),
        ("DMA", f"{result.traffic.load_bytes:,} bytes loaded, {result.traffic.store_bytes:,} bytes stored [D]"),
        ("bank waits", f"{conflicts} cycles [D]" if conflicts else "none [D]"),
    ]


def _main_causes(result: Result) -> str:
    """The causes that took most cycles, and the rest in one."""
    causes = sorted(result.account.by_cause().items(), key=lambda item: -item[1])
    main = [(name, count) for name, count in causes[:_MAIN_CAUSES] if count]
    rest = sum(count for _, count in causes[_MAIN_CAUSES:])
    shares = [*main, *([("other", rest)] if rest else [])]
    return ", ".join(f"{name.replace('_', ' ')} {_share(count, result.cycles):.1%}" for name, count in shares)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _verdict(result: Result, differing: Sequence[str] | None) -> tuple[str, str]:
    if differing is None:
        return "yellow", "not compared (--no-check)"
    if differing:
        return "bold red", f"DIFFERS in {', '.join(differing)}"
    count = len(result.tensors)
    return "green", f"equal, bit for bit ({count} tensor{'s' if count > 1 else ''})"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _taps(layer: LayerResult) -> str:
    """Mean valid taps per input channel and group, of all."""
    taps = layer.kernel[0] * layer.kernel[1]
    mean = layer.density * taps
    return f"{mean:.0f}/{taps}" if mean == round(mean) else f"{mean:.2f}/{taps}"
