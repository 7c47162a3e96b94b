"""A comparison of results as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from tlm.analysis.bars import columns
from tlm.analysis.comparison import Comparison, Section

_WIDE = 3
"""Results from which on 80 columns have no room for changes in percent."""

_WORDS = {"uj": "uJ", "mw": "mW", "macs": "MACs", "tops": "TOPS", "w": "W", "dma": "DMA"}
"""Words of figures as they are printed."""


def compare_text(comparison: Comparison, everything: bool = False) -> str:
    """The whole text, lines with a line feed each.

    Args:
        comparison: of results.
        everything: figures that are equal, too.
    """
    sections = [_identity(comparison)]
    equal_layers = []
    for section in comparison.sections:
        shown = section if everything else section.differing()
        if shown.rows:
            sections.append([section.title, *_table(shown, comparison.letters)])
        elif section.layer:
            equal_layers.append(section.layer)
    if not everything:
        sections.append([*_equal(equal_layers), "figures that are equal are left out; --all shows them"])
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def compare_record(comparison: Comparison) -> dict[str, Any]:
    """All figures as plain values; those of docs/result.md by their names, a list with a value for each result."""
    return {
        "results": [
            {"result": letter, "scenario": one.name, "fidelity": one.fidelity, "outputs_sha256": one.outputs_sha256}
            for letter, one in zip(comparison.letters, comparison.results, strict=True)
        ],
        "outputs_equal": comparison.outputs_equal,
        "settings": {key: list(values) for key, values in comparison.settings.items()},
        "sections": [
            {"title": one.title, "layer": one.layer or None, "figures": {k: list(row) for k, row in one.rows.items()}}
            for one in comparison.sections
        ],
    }


def compare_csv(comparison: Comparison) -> str:
    """A row for each figure: layer (empty for the whole run), figure, and a column for each result."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["layer", "figure", *comparison.letters])
    for section in comparison.sections:
        writer.writerows([section.layer, figure, *row] for figure, row in section.rows.items())
    return text.getvalue()


def _identity(comparison: Comparison) -> list[str]:
    named = zip(comparison.letters, comparison.results, strict=True)
    lines = [f"{letter}: {one.name}, fidelity {one.fidelity}" for letter, one in named]
    lines += [f"{key}: {' -> '.join(map(str, values))}" for key, values in comparison.settings.items()]
    return [*lines, f"outputs: {'equal' if comparison.outputs_equal else 'different'}"]


def _equal(layers: list[str]) -> Iterator[str]:
    if layers:
        yield f"layers without a difference: {', '.join(layers)}"


def _table(section: Section, letters: str) -> list[str]:
    changes = [] if len(letters) > _WIDE else [f"{letter} to A" for letter in letters[1:]]
    rows = [["", *letters, *changes]]
    for key, values in section.rows.items():
        cells = [" ".join(_WORDS.get(word, word) for word in key.split("_")), *map(_number, values)]
        rows.append(cells + [_change(values[0], value) for value in values[1:]] * bool(changes))
    return columns(rows)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"


def _change(first: float | None, other: float | None) -> str:
    if first is None or other is None:
        return "-"
    if first == other:
        return "="
    return f"{100 * (other - first) / first:+.1f} %" if first else "new"
