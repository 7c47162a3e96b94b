"""Sweeps side by side: the points that have the same settings, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, TypeAlias

from tlm.analysis.bars import fitted
from tlm.analysis.comparison import change, check_number
from tlm.results.console import setting_text
from tlm.sweeps.columns import COLUMNS
from tlm.sweeps.store import read_store

Row: TypeAlias = dict[str, Any]

_FIGURES = {"cycles": ("cycles", 1), "energy_pj": ("energy uJ", 1e6)}
"""What a terminal shows of a point: column -> title, and what it is divided by."""


@dataclass(frozen=True, repr=False)
class SweepComparison:
    """Points of several sweeps; its ``str`` is what ``tlm compare`` prints."""

    names: Sequence[str]
    """Scenario of each sweep."""
    points: Sequence[tuple[Row, Sequence[Row | None]]]
    """Settings -> the point's row in each sweep, None where it has no such point."""

    @property
    def letters(self) -> str:
        """A, B, .. of the sweeps."""
        return ascii_uppercase[: len(self.names)]

    def rows(self) -> list[Row]:
        """A row for each point: its settings, and status and figures of each sweep, such as ``cycles_A``."""
        keys = list(dict.fromkeys(key for settings, _ in self.points for key in settings))
        columns = ("status", *(column.name for column in COLUMNS))
        return [
            {key: settings.get(key) for key in keys}
            | {
                f"{column}_{letter}": None if row is None else row[column]
                for column in columns
                for letter, row in zip(self.letters, found, strict=True)
            }
            for settings, found in self.points
        ]

    def record(self) -> dict[str, Any]:
        """All of it as plain values."""
        sweeps = [{"sweep": letter, "scenario": name} for letter, name in zip(self.letters, self.names, strict=True)]
        return {"sweeps": sweeps, "points": self.rows()}

    def text(self, everything: bool = False) -> str:
        """The whole text, lines with a line feed each.

        Args:
            everything: points that are equal, too.
        """
        return "".join(f"{line}\n" for line in self._lines(everything))

    def __str__(self) -> str:
        return self.text().removesuffix("\n")

    __repr__ = __str__

    def _lines(self, everything: bool) -> Iterator[str]:
        for index, (letter, name) in enumerate(zip(self.letters, self.names, strict=True)):
            yield f"{letter}: sweep of {name}, {sum(found[index] is not None for _, found in self.points):,} points"
        common = [(settings, [row for row in found if row]) for settings, found in self.points if all(found)]
        differing = [one for one in common if not _equal(one[1])]
        yield f"points in all: {len(common):,}, of these with different results: {len(differing):,}"
        shown = common if everything else differing
        for key, (title, unit) in _FIGURES.items():
            if not shown:
                continue
            changes = [f"{letter} to A" for letter in self.letters[1:]]
            cells = [[f"{title} [{'S' if key == 'cycles' else 'A'}]", *self.letters, *changes]]
            for settings, found in shown:
                values = [row[key] for row in found]
                cells.append([
                    setting_text(settings),
                    *(row["status"] if row[key] is None else f"{row[key] / unit:,.{3 * (unit > 1)}f}" for row in found),
                    *(change(values[0], value) for value in values[1:]),
                ])  # fmt: skip
            yield ""
            yield from fitted(cells, list(reversed(changes)))
        if not everything and len(common) > len(differing):
            yield "points whose results are equal are left out; --all shows them"


def compare_sweeps(directories: Sequence[Path]) -> SweepComparison:
    """Compare the sweeps of at least two directories.

    Raises:
        InputError: no sweep, or too many.
    """
    check_number(len(directories))
    names: list[str] = []
    points: dict[str, tuple[Row, list[Row | None]]] = {}
    for index, directory in enumerate(directories):
        with read_store(directory) as store:
            names.append(store.about()["scenario"])
            axes = store.axes()
            for row in store.rows():
                settings = {axis: row[axis] for axis in axes}
                key = json.dumps(settings, sort_keys=True)
                points.setdefault(key, (settings, [None] * len(directories)))[1][index] = row
    return SweepComparison(names, list(points.values()))


def _equal(rows: Sequence[Row]) -> bool:
    return all(row[key] == rows[0][key] for row in rows for key in ("status", *(column.name for column in COLUMNS)))
