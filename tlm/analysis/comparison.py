"""Results side by side: what ``tlm compare`` and ``Result.compare`` show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from textwrap import wrap
from typing import Any

from msgspec import UNSET, structs

from tlm.analysis.bars import columns
from tlm.chip.config import ChipConfig, compared
from tlm.core.errors import InputError
from tlm.results.result_json import LayerRecord, RunRecord, flat

MOST = len(ascii_uppercase)
"""Results that have a letter."""

_SIZE = "Size of the chip, from its settings; its area is not known"
_WIDTH = 80
"""Columns of a terminal."""

_WORDS = {"uj": "uJ", "mw": "mW", "macs": "MACs", "tops": "TOPS", "w": "W", "dma": "DMA", "dram": "DRAM", "gb": "GB"}
"""Words of figures as they are printed."""


@dataclass(frozen=True)
class Section:
    """Figures of one kind.

    Attributes:
        title: heading, with the labels of the figures.
        rows: figure, with its unit in the name -> a value for each result; None where a result has no such figure.
        layer: name of the layer; empty for the whole run.
    """

    title: str
    rows: Mapping[str, tuple[float | None, ...]]
    layer: str = ""

    def differing(self) -> Section:
        """The rows whose values are not all equal."""
        return Section(self.title, {key: row for key, row in self.rows.items() if len(set(row)) > 1}, self.layer)


@dataclass(frozen=True, repr=False)
class Comparison:
    """What results have in common and what not; its ``str`` is what ``tlm compare`` prints.

    Attributes:
        results: in their order; the first is A.
        settings: key of chip, network or input that differs -> its value in each result; "absent" where it has none.
        outputs_equal: whether all last layers' outputs are the same.
        sections: the whole run first, then layer by layer.
    """

    results: Sequence[RunRecord]
    settings: Mapping[str, tuple[Any, ...]]
    outputs_equal: bool
    sections: Sequence[Section]

    @property
    def letters(self) -> str:
        """A, B, .. of the results."""
        return ascii_uppercase[: len(self.results)]

    def text(self, everything: bool = False) -> str:
        """The whole text, lines with a line feed each.

        Args:
            everything: figures that are equal, too.
        """
        sections = [_identity(self)]
        equal_layers = []
        for section in self.sections:
            shown = section if everything else section.differing()
            if shown.rows:
                sections.append([*wrap(section.title, _WIDTH, subsequent_indent="  "), *_table(shown, self.letters)])
            elif section.layer:
                equal_layers.append(section.layer)
        if not everything:
            sections.append([*_equal(equal_layers), "figures that are equal are left out; --all shows them"])
        return "\n".join("".join(f"{line}\n" for line in section) for section in sections)

    def __str__(self) -> str:
        return self.text().removesuffix("\n")

    __repr__ = __str__

    def record(self) -> dict[str, Any]:
        """All figures as plain values; those of docs/result.md by their names, a list with a value for each result."""
        return {
            "results": [
                {"result": letter, "scenario": one.name, "fidelity": one.fidelity, "outputs_sha256": one.outputs_sha256}
                for letter, one in zip(self.letters, self.results, strict=True)
            ],
            "outputs_equal": self.outputs_equal,
            "settings": {key: list(values) for key, values in self.settings.items()},
            "sections": [
                {
                    "title": one.title,
                    "layer": one.layer or None,
                    "figures": {key: list(row) for key, row in one.rows.items()},
                }
                for one in self.sections
            ],
        }

    def rows(self, differing: bool = False) -> list[dict[str, Any]]:
        """A row for each figure: layer (empty for the whole run), figure, and a value for each result.

        Args:
            differing: leave out those that are equal.
        """
        return [
            {"layer": section.layer, "figure": figure, **dict(zip(self.letters, row, strict=True))}
            for section in (one.differing() if differing else one for one in self.sections)
            for figure, row in section.rows.items()
        ]


def compare(results: Sequence[RunRecord]) -> Comparison:
    """Compare at least two results.

    Raises:
        InputError: more than :data:`MOST`.
    """
    check_number(len(results))
    chips = compared([one.chip for one in results])
    keys = [{**flat({"chip": chip}), **flat(one.settings)} for chip, one in zip(chips, results, strict=True)]
    names = dict.fromkeys(name for one in keys for name in one)
    settings = {name: tuple(one.get(name, "absent") for one in keys) for name in names}
    return Comparison(
        results,
        {key: values for key, values in settings.items() if any(value != values[0] for value in values)},
        len({one.outputs_sha256 for one in results}) == 1,
        [
            Section("Whole run [S]", _side_by_side([_totals(one) for one in results])),
            *([Section("Batch [S], energy [A]", batches)] if (batches := _batches(results)) else []),
            Section("Energy [A]", _side_by_side([_energy(one) for one in results])),
            Section("Where the cycles go [S]", _side_by_side([_cycles(one.account.causes) for one in results])),
            *([Section("DRAM [S]", drams)] if (drams := _side_by_side([_dram(one) for one in results])) else []),
            Section(_SIZE, _side_by_side([_size(one.chip) for one in results])),
            *_layers(results),
        ],
    )


def _side_by_side(figures: Sequence[Mapping[str, float]]) -> dict[str, tuple[float | None, ...]]:
    """A row for each figure that is not 0 everywhere; a result with figures, but not this one, has none of it: 0."""
    keys = dict.fromkeys(key for one in figures for key in one)
    rows = {key: tuple(one.get(key, 0) if one else None for one in figures) for key in keys}
    return {key: row for key, row in rows.items() if any(row)}


def _totals(result: RunRecord) -> dict[str, float]:
    return {
        "cycles": result.cycles,
        "time_us": result.time_us,
        "compute_cycles": result.compute_cycles,
        "macs": result.macs,
        "useful_macs": result.useful_macs,
        "dense_macs": result.dense_macs,
        "utilisation_%": 100 * result.utilization,
        "utilisation_within_layers_%": 100 * result.compute_utilization,
        **{f"{way}_bytes": count for way, count in structs.asdict(result.traffic_bytes).items()},
        **{f"conflicts_{who}_cycles": count for who, count in result.bank_conflict_cycles.items()},
    }


def _batches(results: Sequence[RunRecord]) -> dict[str, tuple[float | None, ...]]:
    """Figures of an image, if any result is a batch's; a single image has no steady state."""
    batches = [None if one.batch is UNSET else one.batch for one in results]
    if not any(batches):
        return {}
    counts = [1 if one is None else one.count for one in batches]
    both = list(zip(results, counts, strict=True))
    return {
        "images": tuple(counts),
        "cycles_per_image": tuple(one.cycles / count for one, count in both),
        "steady_cycles_per_image": tuple(None if one is None else one.steady_cycles_per_image for one in batches),
        "images_per_s": tuple(1e6 * count / one.time_us for one, count in both),
        "energy_per_image_uj": tuple(one.energy.total_pj / count / 1e6 for one, count in both),
        "off_chip_per_image_uj": tuple(one.energy.off_chip_pj / count / 1e6 for one, count in both),
    }


def _size(chip: ChipConfig) -> dict[str, float]:
    """What decides the area, which nothing here knows (docs/rtl.md)."""
    words = {
        "amem": chip.amem_words * chip.amem_word_bytes,
        "wmem": chip.wmem_words * chip.wmem_word_bytes,
        "imem": chip.imem_words * chip.imem_word_bytes,
    }
    return {"multipliers": chip.peak_macs_per_cycle, **{f"{name}_bytes": size for name, size in words.items()}}


def _energy(result: RunRecord) -> dict[str, float]:
    energy = result.energy
    return {
        "energy_uj": energy.total_pj / 1e6,
        **{f"{name}_uj": picojoules / 1e6 for name, picojoules in energy.components_pj.items()},
        "off_chip_uj": energy.off_chip_pj / 1e6,
        "power_mw": energy.power_mw,
        "tops_per_w": energy.tops_per_w,
        "dense_tops_per_w": energy.dense_tops_per_w,
    }


def _cycles(causes: Mapping[str, int], head: str = "") -> dict[str, float]:
    return {f"{head}{cause}_cycles": count for cause, count in causes.items()}


def _dram(result: RunRecord) -> dict[str, float]:
    """Nothing of a memory of fixed latency and bandwidth."""
    dram = result.dram
    if dram is UNSET:
        return {}
    return {
        **{f"row_{name}": count for name, count in structs.asdict(dram.rows).items()},
        **{f"{name}_commands": count for name, count in dram.commands.items()},
        "dram_clocks": dram.clocks,
        "refresh_clocks": dram.refresh_clocks,
        "refresh_share_%": 100 * dram.refresh_share,
        "gb_per_s": dram.gb_per_s,
        "peak_gb_per_s": dram.peak_gb_per_s,
    }


def _layers(results: Sequence[RunRecord]) -> Iterator[Section]:
    of_name = [{layer.name: layer for layer in one.layers} for one in results]
    for name in dict.fromkeys(name for one in of_name for name in one):
        figures = [_layer_figures(one[name]) if name in one else {} for one in of_name]
        yield Section(f"Layer {name} [S], energy [A]", _side_by_side(figures), name)


def _layer_figures(layer: LayerRecord) -> dict[str, float]:
    return {
        "compute_cycles": layer.compute_cycles,
        "steps": layer.steps,
        "macs": layer.macs,
        "utilisation_%": 100 * layer.utilization,
        "energy_uj": layer.energy.total_pj / 1e6,
        **_cycles(layer.account.by_cause()),
        **_cycles(layer.waits.by_cause(), "wait_"),
    }


# -- the text ---------------------------------------------------------------------------------------------------------


def _identity(comparison: Comparison) -> list[str]:
    named = zip(comparison.letters, comparison.results, strict=True)
    lines = [f"{letter}: {one.name}, fidelity {one.fidelity}" for letter, one in named]
    for key, values in comparison.settings.items():
        line = f"{key}: {' -> '.join('default' if value is None else str(value) for value in values)}"
        lines += wrap(line, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [*lines, f"outputs: {'equal' if comparison.outputs_equal else 'different'}"]


def _equal(layers: list[str]) -> Iterator[str]:
    if layers:
        line = f"layers without a difference: {', '.join(layers)}"
        yield from wrap(line, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def figure_words(key: str) -> str:
    """``energy uJ`` of the figure ``energy_uj``."""
    return " ".join(_WORDS.get(word, word) for word in key.split("_"))


def _table(section: Section, letters: str) -> list[str]:
    """Lines that fit a terminal: without changes if there is no room for them, and in several tables if need be."""
    changes = [f"{letter} to A" for letter in letters[1:]]
    rows = [["", *letters, *changes]]
    for key, values in section.rows.items():
        cells = [figure_words(key), *map(_number, values)]
        rows.append(cells + [change(values[0], value) for value in values[1:]])
    lines = columns(rows)
    if max(map(len, lines)) <= _WIDTH:
        return lines
    most = len(letters)
    while max(map(len, lines := columns([row[: 1 + most] for row in rows]))) > _WIDTH and most > 1:
        most -= 1
    for first in range(1 + most, 1 + len(letters), most):
        lines += columns([[row[0], *row[first : min(first + most, 1 + len(letters))]] for row in rows])
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def check_number(count: int) -> None:
    """Nothing if each of so many results has a letter.

    Raises:
        InputError: they are too many.
    """
    if count > MOST:
        raise InputError(f"compare: {count} results, but {MOST} are the most")


def change(first: float | None, other: float | None) -> str:
    """From one value to another in percent, ``=`` if there is none."""
    if first is None or other is None:
        return "-"
    if first == other:
        return "="
    return f"{100 * (other - first) / first:+.1f} %" if first else "new"
