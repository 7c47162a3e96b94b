"""A result as a person reads it on a terminal.

Labels as in :mod:`tlm.core.labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tlm.chip.config import ChipConfig
from tlm.core.labels import LEGEND
from tlm.observe.energy_account import tops_per_w
from tlm.results.console import Terminal
from tlm.results.result import LayerResult, Result, chip_labels
from tlm.results.scores import are_scores, best_classes

_MIN_COLUMNS = 76
"""Narrower terminals wrap the lines: the figures stay whole."""

_WIDE_COLUMNS = 144
_HEAD_COLUMNS = 12
_BEST_CLASSES = 5
_BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_MAIN_PARTS = 3
"""How many causes the line about cycles names, and how many components the one about energy."""
_PJ_PER_UJ = 1_000_000
_MARKS = {"published": "[P]", "assumed": "[A]", "chosen": "(chosen)"}


def report_console(soft_wrap: bool = False) -> Console:
    """Standard output, as wide as the terminal but wide enough for a report.

    Args:
        soft_wrap: leave it to the terminal to wrap lines.
    """
    width = max(Terminal().width, _MIN_COLUMNS)
    return Terminal(highlight=False, markup=False, width=width, soft_wrap=soft_wrap)


def print_report(
    result: Result, console: Console, name: str, description: str = "", differing: Sequence[str] | None = None
) -> None:
    """Print what ran, a line per layer, and the totals.

    Args:
        result: what ``simulate`` returned.
        console: where to; from 144 columns on the table has more of them.
        name: of the scenario.
        description: one line about it.
        differing: names of tensors that differ from the golden model's; None if the check is off.
    """
    console.print(Text(f"{name}: {description}" if description else name, style="bold"))
    console.print(Text(operating_point(result)))
    console.print(_layer_table(result, wide=console.width >= _WIDE_COLUMNS))
    totals = Table.grid(padding=(0, 1, 0, 0))
    totals.add_column(width=_HEAD_COLUMNS, no_wrap=True)
    totals.add_column()
    for head, text in _totals(result):
        totals.add_row(head, Text(text))
    style, text = _verdict(result, differing)
    totals.add_row(Text("golden model", style=style), Text(text, style=style))
    console.print(totals)
    console.print(Text(LEGEND, style="dim"))


def operating_point(result: Result) -> str:
    """One line: array, supply, clock, model."""
    chip, marks = result.chip, chip_marks(result.chip)
    return (
        f"{array_size(chip)}, {chip.voltage_v:g} V {marks['voltage_v']}, "
        f"{chip.frequency_mhz:g} MHz {marks['frequency_mhz']}, {chip.amem_banks} AMem banks {marks['amem_banks']}; "
        f"fidelity {result.fidelity}"
    )


def array_size(chip: ChipConfig) -> str:
    """Lanes and columns with their label: published only if both are."""
    marks = chip_marks(chip)
    mark = marks["columns"] if chip.lanes == ChipConfig().lanes else marks["lanes"]
    return f"{chip.lanes}x{chip.columns} MACs {mark}"


def chip_marks(chip: ChipConfig) -> dict[str, str]:
    """For each key of the chip the label that stands behind its value."""
    return {key: _MARKS[label] for key, label in chip_labels(chip).items()}


def _layer_table(result: Result, wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    for heading in ("kind", "input", "kernel") if wide else ():
        table.add_column(heading, no_wrap=True)
    table.add_column("output", no_wrap=True)
    for heading in ("taps", *(["bands", "parts"] if wide else []), "steps", "cycles", "util.", "DMA bytes"):
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("output levels", no_wrap=True)
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
        *([str(layer.bands), str(layer.parts)] if wide else []),
        f"{layer.steps:,}",
        f"{layer.compute_cycles:,}",
        f"{layer.utilization:.1%}" if layer.macs else "-",
        f"{layer.load_bytes + layer.store_bytes:,}",
        *([_levels(layer)] if wide else []),
    ]


def _levels(layer: LayerResult) -> str:
    """The histogram of a layer's outputs as a row of bars, the lowest level first."""
    if layer.histogram is None:
        return "24-bit sums"
    most = max(layer.histogram)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in layer.histogram)


def _totals(result: Result) -> list[tuple[str, str]]:
    share = _share(result.compute_cycles, result.cycles)
    conflicts = ", ".join(f"{who} {count:,}" for who, count in sorted(result.bank_conflicts.items()) if count)
    return [
        *_plan(result),
        ("total", f"{result.cycles:,} cycles = {result.time_us:,.2f} us [S], host start to last interrupt"),
        ("predicted", f"{result.predicted_cycles:,} cycles when it was compiled, {_deviation(result)} [S]"),
        ("in layers", f"{result.compute_cycles:,} cycles, {share:.1%} [S]; the rest is host, loading and storing"),
        ("cycles go to", f"{_shares(result.account.by_cause(), result.cycles)} [S]"),
        ("MACs", f"{_executed_macs(result)} [S]"),
        (
            "utilisation",
            f"{result.utilization:.1%} over the whole run, {result.compute_utilization:.1%} within layers [S]",
        ),
        ("DMA", f"{result.traffic.load_bytes:,} bytes loaded, {result.traffic.store_bytes:,} bytes stored [S]"),
        *_hidden(result),
        ("bank waits", f"{conflicts} cycles [S]" if conflicts else "none [S]"),
        *_energy(result),
        *_scores(result),
    ]


def _executed_macs(result: Result) -> str:
    """What was executed of the dense network's, and what was executed besides."""
    besides = {"again in other bands": result.repeated_macs, "on structural zeros": result.structural_zero_macs}
    text = f"{result.macs:,} executed"
    if any(besides.values()):
        text += f": {result.useful_macs:,}"
    shown = [
        f"{text} of {result.dense_macs:,} dense",
        *(f"{count:,} {where}" for where, count in besides.items() if count),
    ]
    return ", ".join(shown)


def _plan(result: Result) -> list[tuple[str, str]]:
    """How the compiler cut the network, if it did."""
    layers = result.layers.values()
    bands = [f"{layer.name} {layer.bands}" for layer in layers if layer.bands > 1]
    parts = [layer.name for layer in layers if layer.parts > layer.bands]
    spilled = [layer.name for layer in layers if not layer.stays_on_chip and layer.name != result.output_name]
    twice = sum(layer.steps - layer.unsplit_steps for layer in layers)
    whole = sum(layer.unsplit_steps for layer in layers)
    lines = []
    if bands:
        lines.append(("bands", f"{', '.join(bands)}; {twice:,} steps done twice, {_share(twice, whole):.1%} [S]"))
    if parts:
        lines.append(("weights", f"in several parts: {', '.join(parts)}"))
    if spilled:
        lines.append(("off-chip", f"{', '.join(spilled)} did not stay on chip"))
    return lines


def _hidden(result: Result) -> list[tuple[str, str]]:
    """What of the transfers the computation hid."""
    texts = []
    for channel, overlap in result.overlap.items():
        busy = overlap.hidden_cycles + overlap.exposed_cycles
        if busy:
            texts.append(f"{channel} {overlap.hidden_cycles:,} of {busy:,}")
    return [("hidden", f"{', '.join(texts)} cycles, behind layers that computed [S]")] if texts else []


def _deviation(result: Result) -> str:
    return f"{_share(result.predicted_cycles - result.cycles, result.cycles):+.1%}"


def _scores(result: Result) -> list[tuple[str, str]]:
    """The best classes, where the output is one number a class."""
    if not are_scores(result.outputs):
        return []
    best = ", ".join(f"{index} ({score:,})" for index, score in best_classes(result.outputs, _BEST_CLASSES))
    return [("best classes", f"{best}: index (score) [S]")]


def _energy(result: Result) -> list[tuple[str, str]]:
    """What the core took, where it went, and the operations that it bought."""
    energy = result.energy
    kinds = {"executed": result.macs, "dense-equivalent": result.dense_macs}
    if result.macs == result.dense_macs:
        del kinds["dense-equivalent"]
    whole = ", ".join(f"{tops_per_w(macs, energy.total_pj):.2f} {kind}" for kind, macs in kinds.items())
    within = ", ".join(f"{tops_per_w(macs, energy.compute.total_pj):.2f}" for macs in kinds.values())
    return [
        (
            "energy",
            f"{energy.total_pj / _PJ_PER_UJ:,.2f} uJ, {result.power_mw:.1f} mW on average; "
            f"off-chip {energy.off_chip_pj / _PJ_PER_UJ:,.2f} uJ apart [A]",
        ),
        ("of which", f"{_shares(energy.core.by_component_pj(), energy.total_pj)} [A]"),
        ("TOPS/W", f"{whole}; layers {within} [A]"),
    ]


def _shares(parts: Mapping[str, float], whole: float) -> str:
    """The largest parts, and the rest in one."""
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    main = [(name, part) for name, part in ordered[:_MAIN_PARTS] if part]
    rest = sum(part for _, part in ordered[_MAIN_PARTS:])
    shown = [*main, *([("other", rest)] if rest else [])]
    return ", ".join(f"{name.replace('_', ' ')} {_share(part, whole):.1%}" for name, part in shown)


def _share(part: float, whole: float) -> float:
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
    if not layer.dense_weight_words:
        return f"max {taps}"
    mean = layer.density * taps
    return f"{mean:.0f}/{taps}" if mean == round(mean) else f"{mean:.2f}/{taps}"
