"""Which moment a waveform opens with, and how wide: where something happens, and where every word can be read.

GTKWave puts a ``+`` into a box that is too narrow for its word, and nothing into one that is hardly wider than its
frame. So a view is good if each box in it is either wide enough or that narrow.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlm.observe.waves.save_file import WAVES_PIXELS

_CHARACTER_PIXELS = 6
_FRAME_PIXELS = 6
_EMPTY_PIXELS = 4
"""Boxes up to this width have no text at all."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """A row of words: each lasts until the next begins."""

    starts: Sequence[int]
    """Cycles, ascending."""
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Span:
    """Cycles that fill the width of the window."""

    first_cycle: int
    cycles: float

    @property
    def pixels_per_cycle(self) -> float:
        """How wide a cycle is."""
        return WAVES_PIXELS / self.cycles


def crowded(rows: Iterable[Boxes], span: Span, end_cycle: int) -> int:
    """How many boxes in a view are too narrow for their words.

    Args:
        rows: what is shown.
        span: the view.
        end_cycle: of the run: the last box of each row ends there.
    """
    return sum(_crowded_row(row, span, end_cycle) for row in rows)


def best_span(rows: Sequence[Boxes], spans: Iterable[Span], end_cycle: int) -> Span:
    """The first view in which every word can be read, or else the one with the fewest that cannot."""
    best, fewest = None, 0
    for span in spans:
        count = crowded(rows, span, end_cycle)
        if not count:
            return span
        if best is None or count < fewest:
            best, fewest = span, count
    return best or Span(0, max(1, end_cycle))


def _crowded_row(row: Boxes, span: Span, end_cycle: int) -> int:
    first, end = span.first_cycle, span.first_cycle + span.cycles
    count, scale = 0, span.pixels_per_cycle
    begin = max(0, bisect_right(row.starts, first) - 1)
    for index in range(begin, bisect_left(row.starts, end)):
        stop = row.starts[index + 1] if index + 1 < len(row.starts) else end_cycle
        pixels = (min(stop, end) - max(row.starts[index], first)) * scale
        count += _EMPTY_PIXELS < pixels < _CHARACTER_PIXELS * len(row.texts[index]) + _FRAME_PIXELS
    return count


def round_number(at_least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, .. that is not below."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= at_least:
                return step * factor
        step *= 10
