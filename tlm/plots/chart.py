"""A figure of bars as plain values: what is shown, whoever draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Lane: TypeAlias = tuple[float, float]
"""What a bar takes of its row, which is 1 high and has its middle at 0: top and height, downwards."""

WHOLE: Lane = (-0.37, 0.74)
UPPER: Lane = (-0.40, 0.50)
LOWER: Lane = (0.10, 0.24)


class Bar(NamedTuple):
    """A horizontal bar."""

    row: int
    start: float
    length: float
    text: str = ""
    """Stands in the bar, if there is room."""
    lane: Lane = WHOLE
    colour: str = ""
    """If it is another one than that of the series."""


@dataclass(frozen=True)
class Series:
    """Bars of one meaning."""

    name: str
    colour: str
    bars: Sequence[Bar]
    share: str = ""
    """What they come to, for a legend."""


@dataclass(frozen=True)
class Panel:
    """Bars on one axis."""

    axis: str
    """What the axis counts, with unit and label."""
    unit: str
    series: Sequence[Series]
    end: float
    """Where the axis ends at least."""
    totals: Sequence[str] = ()
    """Text behind each row's bars: what they come to."""
    totals_note: str = ""
    """What else that text says."""
    spans: bool = False
    """Whether bars begin at moments, and are not just stacked."""
    second_axis: tuple[str, float] | None = None
    """What an axis above counts, and how much of it one of the axis below is."""


@dataclass(frozen=True)
class Chart:
    """Panels side by side that have the same rows."""

    title: str
    rows: Sequence[str]
    """Names, from the top."""
    panels: Sequence[Panel]
    legend: str = ""
    """Heading of the legend."""

    def amounts(self, row: str, panel: int = 0) -> dict[str, float]:
        """Name of a series -> length of its bars in a row together."""
        lengths = {
            series.name: [bar.length for bar in series.bars if self.rows[bar.row] == row]
            for series in self.panels[panel].series
        }
        return {name: sum(found) for name, found in lengths.items() if found}


def stacked(
    rows: Iterable[Mapping[str, float]],
    looks: Mapping[str, tuple[str, str]],
    text: Callable[[str, float], str] = lambda key, value: "",
) -> list[Series]:
    """Bars on end, without empty ones.

    Args:
        rows: key -> length of each row.
        looks: key -> name and colour, in the order of the stack.
        text: what stands in a bar, from its key and length.
    """
    bars: dict[str, list[Bar]] = {key: [] for key in looks}
    for index, row in enumerate(rows):
        start = 0.0
        for key in looks:
            if length := row.get(key, 0):
                bars[key].append(Bar(index, start, length, text(key, length)))
                start += length
    return [Series(*looks[key], own) for key, own in bars.items() if own]
