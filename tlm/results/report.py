"""A result as a person reads it on a terminal; labels as in :mod:`tlm.core.labels`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from tlm.chip.config import ChipConfig
from tlm.core.labels import LEGEND
from tlm.observe.dram_energy import dram_parts
from tlm.observe.energy_account import tops_per_w
from tlm.results.console import facts, table_of
from tlm.results.result import LayerResult, Result, chip_labels
from tlm.results.scores import are_scores, best_classes

_WIDE_COLUMNS = 144
_BEST_CLASSES = 5
_BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_MAIN_PARTS = 3
"""How many causes the line about cycles names, and how many components the one about energy."""
_PJ_PER_UJ = 1_000_000
_MARKS = {"published": "[P]", "assumed": "[A]", "chosen": "(chosen)"}


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
    columns = [column for column in _COLUMNS if not column[2] or console.width >= _WIDE_COLUMNS]
    rows = [[cell(layer) for *_, cell in columns] for layer in result.layers.values()]
    style, verdict = _verdict(result, differing)
    console.print(Text(f"{name}: {description}" if description else name, style="bold"))
    console.print(Text(operating_point(result)))
    console.print(table_of([column[:2] for column in columns], rows))
    lines = facts(_totals(result))
    lines.add_row(Text("golden model", style=style), Text(verdict, style=style))
    console.print(lines)
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


# -- the table of layers ----------------------------------------------------------------------------------------------


def _by(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _kernel(layer: LayerResult) -> str:
    across, up = layer.stride
    return f"{_by(layer.kernel)}/{across if across == up else _by(layer.stride)}"


def _taps(layer: LayerResult) -> str:
    """Mean valid taps per input channel and group, of all."""
    taps = layer.kernel[0] * layer.kernel[1]
    if not layer.dense_weight_words:
        return f"max {taps}"
    mean = layer.density * taps
    return f"{mean:.0f}/{taps}" if mean == round(mean) else f"{mean:.2f}/{taps}"


def _levels(layer: LayerResult) -> str:
    """The histogram of a layer's outputs as a row of bars, the lowest level first."""
    if layer.histogram is None:
        return "24-bit sums"
    most = max(layer.histogram)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in layer.histogram)


_COLUMNS: tuple[tuple[str, str, bool, Callable[[LayerResult], str]], ...] = (
    ("layer", "left", False, lambda layer: layer.name),
    ("kind", "left", True, lambda layer: layer.kind),
    ("input", "left", True, lambda layer: _by(layer.input_shape)),
    ("kernel", "left", True, _kernel),
    ("output", "left", False, lambda layer: _by(layer.output_shape)),
    ("taps", "right", False, _taps),
    ("bands", "right", True, lambda layer: str(layer.bands)),
    ("parts", "right", True, lambda layer: str(layer.parts)),
    ("steps", "right", False, lambda layer: f"{layer.steps:,}"),
    ("cycles", "right", False, lambda layer: f"{layer.compute_cycles:,}"),
    ("util.", "right", False, lambda layer: f"{layer.utilization:.1%}" if layer.macs else "-"),
    ("DMA bytes", "right", False, lambda layer: f"{layer.load_bytes + layer.store_bytes:,}"),
    ("output levels", "left", True, _levels),
)
"""Heading, side, whether only wide terminals have it, and cell."""


# -- the lines below it -----------------------------------------------------------------------------------------------


def _totals(result: Result) -> list[tuple[str, str]]:
    energy, traffic = result.energy, result.traffic
    deviation = _share(result.predicted_cycles - result.cycles, result.cycles)
    conflicts = ", ".join(f"{who} {count:,}" for who, count in sorted(result.bank_conflicts.items()) if count)
    hidden = [
        f"{channel} {one.hidden_cycles:,} of {one.hidden_cycles + one.exposed_cycles:,}"
        for channel, one in result.overlap.items()
        if one.hidden_cycles + one.exposed_cycles
    ]
    lines = {
        **_plan(result),
        "total": f"{result.cycles:,} cycles = {result.time_us:,.2f} us [S], host start to last interrupt",
        "predicted": f"{result.predicted_cycles:,} cycles when it was compiled, {deviation:+.1%} [S]",
        "in layers": f"{result.compute_cycles:,} cycles, {_share(result.compute_cycles, result.cycles):.1%} [S]; "
        "the rest is host, loading and storing",
        "cycles go to": f"{_shares(result.account.by_cause(), result.cycles)} [S]",
        "MACs": f"{_executed_macs(result)} [S]",
        "utilisation": f"{result.utilization:.1%} over the whole run, {result.compute_utilization:.1%} within layers "
        "[S]",
        "DMA": f"{traffic.load_bytes:,} bytes loaded, {traffic.store_bytes:,} bytes stored [S]",
        **_dram(result),
        "hidden": f"{', '.join(hidden)} cycles, behind layers that computed [S]" if hidden else "",
        "bank waits": f"{conflicts} cycles [S]" if conflicts else "none [S]",
        "energy": f"{energy.total_pj / _PJ_PER_UJ:,.2f} uJ, {result.power_mw:.1f} mW on average; "
        f"off-chip {energy.off_chip_pj / _PJ_PER_UJ:,.2f} uJ apart [A]",
        "of which": f"{_shares(energy.core.by_component_pj(), energy.total_pj)} [A]",
        "TOPS/W": f"{_efficiency(result)} [A]",
        **_batch(result),
        "best classes": _best_classes(result),
    }
    return [(heading, text) for heading, text in lines.items() if text]


def _dram(result: Result) -> dict[str, str]:
    """What the off-chip DRAM did, and where its energy went; nothing without one."""
    if result.dram is None or result.dram_energy is None:
        return {}
    dram, counts = result.dram, result.dram.counts
    shares = _shares(result.dram_energy.by_kind_pj(), result.energy.off_chip_pj)
    return {
        "DRAM": f"rows: hits {counts.row_hits:,}, misses {counts.row_misses:,}, conflicts {counts.row_conflicts:,}; "
        f"{dram.gb_per_s:.2f} of {dram.peak_gb_per_s:.2f} GB/s; {dram.refresh_share:.1%} in refresh [S]",
        "DRAM energy": f"{shares}; +-{dram_parts()[result.chip.dram.preset].uncertainty_percent} % [A]",
    }


def _batch(result: Result) -> dict[str, str]:
    """What an image took; nothing without a batch."""
    batch = result.batch
    if batch is None:
        return {}
    each, off_chip = (one / batch.count / _PJ_PER_UJ for one in (result.energy.total_pj, result.energy.off_chip_pj))
    return {
        "batch": f"{batch.count:,} images: {batch.first_image_cycles:,} cycles the first, "
        f"{batch.steady_cycles_per_image:,.0f} each further one [S]",
        "images/s": f"{result.images_per_s:,.1f}, {result.steady_images_per_s:,.1f} in steady state [S]",
        "an image": f"{each:,.2f} uJ, off-chip {off_chip:,.2f} uJ apart [A]",
    }


def _best_classes(result: Result) -> str:
    """Of one input the best classes, of a batch the best one of each image; empty if outputs are no scores."""
    images, most = (result.outputs, 1) if result.batch else (result.outputs[None], _BEST_CLASSES)
    if not are_scores(images[0]):
        return ""
    best = ", ".join(f"{index} ({score:,})" for one in images for index, score in best_classes(one, most))
    return f"{best}: index (score) [S]"


def _plan(result: Result) -> dict[str, str]:
    """How the compiler cut the network; empty texts where it did not."""
    layers = result.layers.values()
    bands = ", ".join(f"{layer.name} {layer.bands}" for layer in layers if layer.bands > 1)
    parts = ", ".join(layer.name for layer in layers if layer.parts > layer.bands)
    spilled = (layer.name for layer in layers if not layer.stays_on_chip and layer.name != result.output_name)
    off_chip = ", ".join(spilled)
    whole = sum(layer.unsplit_steps for layer in layers)
    twice = sum(layer.steps for layer in layers) - whole
    return {
        "bands": f"{bands}; {twice:,} steps done twice, {_share(twice, whole):.1%} [S]" if bands else "",
        "weights": f"in several parts: {parts}" if parts else "",
        "off-chip": f"{off_chip} did not stay on chip" if off_chip else "",
    }


def _executed_macs(result: Result) -> str:
    """What was executed of the dense network's, and what was executed besides."""
    besides = {"again in other bands": result.repeated_macs, "on structural zeros": result.structural_zero_macs}
    useful = f": {result.useful_macs:,}" if any(besides.values()) else ""
    more = [f", {count:,} {where}" for where, count in besides.items() if count]
    return f"{result.macs:,} executed{useful} of {result.dense_macs:,} dense{''.join(more)}"


def _efficiency(result: Result) -> str:
    """The operations that energy bought, over the whole run and within layers."""
    kinds = {"executed": result.macs, "dense-equivalent": result.dense_macs}
    if result.macs == result.dense_macs:
        del kinds["dense-equivalent"]
    energy = result.energy
    whole = ", ".join(f"{tops_per_w(macs, energy.total_pj):.2f} {kind}" for kind, macs in kinds.items())
    within = ", ".join(f"{tops_per_w(macs, energy.compute.total_pj):.2f}" for macs in kinds.values())
    return f"{whole}; layers {within}"


def _shares(parts: Mapping[str, float], whole: float) -> str:
    """The largest parts, and the rest in one."""
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    rest = sum(part for _, part in ordered[_MAIN_PARTS:])
    shown = [*ordered[:_MAIN_PARTS], ("other", rest)]
    return ", ".join(f"{name.replace('_', ' ')} {_share(part, whole):.1%}" for name, part in shown if part)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _verdict(result: Result, differing: Sequence[str] | None) -> tuple[str, str]:
    if differing is None:
        return "yellow", "not compared (--no-check)"
    if differing:
        return "bold red", f"DIFFERS in {', '.join(differing)}"
    count = len(result.tensors)
    return "green", f"equal, bit for bit ({count} tensor{'s' if count > 1 else ''})"
