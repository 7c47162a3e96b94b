"""Which words of an SRAM are in use, and where new ones have room. This decides what waits for what."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from tlm.compiler.places import Place, Window


class Uses:
    """The last user of each word of an SRAM. Users are numbers and come in ascending order; -1 is none."""

    def __init__(self, words: int) -> None:
        self._last = np.full(words + 1, -1, np.int32)  # one more, so that every edge of a window is an index

    def add(self, first: int, end: int, user: int) -> None:
        """A user takes words first .. end - 1."""
        self._last[first:end] = user

    def last(self, first: int, end: int) -> int:
        """The last user of any of these words."""
        return int(np.maximum.reduce(self._last[first:end], initial=-1))

    def last_of_windows(self, words: int, firsts: Sequence[int]) -> list[int]:
        """The last user of any of so many words, for each of these words as the first of them."""
        edges = [edge for first in firsts for edge in (first, first + words)]
        found: list[int] = np.maximum.reduceat(self._last, edges)[::2].tolist()  # the others lie between windows
        return found


class StoreUses(Uses):
    """The stores that read words of AMem, by number."""

    def __init__(self, words: int) -> None:
        super().__init__(words)
        self._stored: list[tuple[int, int, Place, Window]] = []

    def add_store(self, first: int, end: int, place: Place, window: Window) -> None:
        """The next store reads a window of what lies at a place, in words first .. end - 1."""
        self.add(first, end, len(self._stored))
        self._stored.append((first, end, place, window))

    def last_before(self, place: Place, window: Window) -> int:
        """The last store that a job must wait for before it writes a window of what is to lie at a place.

        It need not wait for stores of other windows at the same place.
        """
        for index in range(self.last(place.base_word, place.end_word), -1, -1):
            first, end, other, stored = self._stored[index]
            apart = place == other and not window.meets(stored)
            if first < place.end_word and place.base_word < end and not apart:
                return index
        return -1


class Blocks:
    """Allocation of consecutive words of an SRAM, in which blocks stay until they are overwritten.

    Args:
        words: of the SRAM.
        uses: which job uses which words.
    """

    def __init__(self, words: int, uses: Uses) -> None:
        self._words = words
        self._uses = uses
        self._spans: dict[int, tuple[int, int]] = {}
        self._next = 0

    def find(self, key: int) -> int | None:
        """Where a block still lies."""
        return self._spans[key][0] if key in self._spans else None

    def take(self, words: int, needed: Callable[[int], bool] | None = None) -> int:
        """Room for new blocks where it is free earliest, if possible without overwriting what is needed again."""
        last = self._words - words
        edges = sorted([edge for first, end in self._spans.values() for edge in (end, first - words)])
        starts = [start for start in dict.fromkeys((self._next, 0, *edges, last)) if 0 <= start <= last]
        kept = sorted([span for key, span in self._spans.items() if needed(key)]) if needed else []
        if kept:
            ends = [end for _, end in kept]
            firsts = [*(first for first, _ in kept), self._words]
            free = [start for start in starts if firsts[bisect_right(ends, start)] >= start + words]
            starts = free or starts
        users = self._uses.last_of_windows(words, starts)
        start = starts[users.index(min(users))]
        stop = self._next = start + words
        self._spans = {key: span for key, span in self._spans.items() if span[1] <= start or stop <= span[0]}
        return start

    def put(self, key: int, first: int, words: int) -> None:
        """A block that has been given its place."""
        self._spans[key] = (first, first + words)
