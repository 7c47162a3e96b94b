"""Which moment a waveform opens with, and how wide: where something happens, and where every word can be read.

GTKWave puts a ``+`` into a box that is too narrow for its word, and nothing into one that is hardly wider than its
frame. So a view is good if each box in it is either wide enough or that narrow.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tlm.traces.waves.save_file import WAVES_PIXELS

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


@dataclass(frozen=True, slots=True)
class Choice:
    """A view, and which rows can be read in it."""

    span: Span
    readable: frozenset[str]
    """Names of rows without a word that does not fit."""


def best_choice(
    needed: Mapping[str, Boxes], finer: Mapping[str, Boxes], moments: Iterable[Sequence[Span]], end_cycle: int
) -> Choice:
    """The first moment at which all words of the needed rows fit, in the view in which the most finer rows fit, too.

    If there is none, the view with the fewest words that do not fit.

    Args:
        needed: name -> row that is shown in any case.
        finer: likewise, of rows that are shown only if they can be read.
        moments: for each moment the views of it to choose from; the best first.
        end_cycle: of the run: the last box of each row ends there.
    """
    best, price = Choice(Span(0, max(1, end_cycle)), frozenset()), (end_cycle, 0)
    for spans in moments:
        for span in spans:
            crowded = {name: crowded_boxes(row, span, end_cycle) for name, row in needed.items()}
            total = sum(crowded.values())
            if total > price[0]:
                continue
            readable = {name for name, row in finer.items() if not crowded_boxes(row, span, end_cycle)}
            if (total, -len(readable)) < price:
                price = total, -len(readable)
                best = Choice(span, frozenset(readable))
        if not price[0]:
            break
    return best


def crowded_boxes(row: Boxes, span: Span, end_cycle: int) -> int:
    """How many boxes of a row in a view are too narrow for their words."""
    first, end = span.first_cycle, span.first_cycle + span.cycles
    count, scale = 0, span.pixels_per_cycle
    begin = max(0, bisect_right(row.starts, first) - 1)
    for index in range(begin, bisect_left(row.starts, end)):
        stop = row.starts[index + 1] if index + 1 < len(row.starts) else end_cycle
        # a box that goes on beyond the right edge shows the beginning of its word there
        pixels = (stop - max(row.starts[index], first)) * scale
        text = row.texts[index]
        count += bool(text) and _EMPTY_PIXELS < pixels < _CHARACTER_PIXELS * len(text) + _FRAME_PIXELS
    return count


def round_number(at_least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, .. that is not below."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= at_least:
                return step * factor
        step *= 10
