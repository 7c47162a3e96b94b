"""Who uses which words of an SRAM and where there is room for new ones; from this follows what waits for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tlm.compiler.places import Place, Window


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of what lies at a place."""

    place: Place
    window: Window

    def apart(self, other: Piece | None) -> bool:
        """Whether the other is a piece of the same place, and has no word in common."""
        if other is None or other.place != self.place:
            return False
        one, two = self.window, other.window
        planes = one.first_plane < two.first_plane + two.planes and two.first_plane < one.first_plane + one.planes
        return not (planes and one.first_word < two.end_word and two.first_word < one.end_word)


class Uses:
    """Who used which words of an SRAM, in order."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int, Piece | None, int]] = []

    def add(self, first: int, end: int, index: int, piece: Piece | None = None) -> None:
        """User ``index`` uses words first .. end - 1, or of these only a piece."""
        if first < end:
            self._spans.append((first, end, piece, index))

    def last(self, first: int, end: int, piece: Piece | None = None) -> int:
        """The last user of any of these words, or of a piece of them; -1 if there is none."""
        for begin, stop, other, index in reversed(self._spans):
            if begin < end and first < stop and (piece is None or not piece.apart(other)):
                return index
        return -1


@dataclass(slots=True)
class Blocks:
    """Allocation of consecutive words of an SRAM, in which blocks stay until they are overwritten."""

    words: int
    uses: Uses
    """Which job uses which words."""
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Key -> first word, end."""
    next: int = 0

    def find(self, key: int) -> int | None:
        """Where a block still lies."""
        return self.spans[key][0] if key in self.spans else None

    def take(self, words: int, needed: Callable[[int], bool]) -> int:
        """Room for new blocks where it is free earliest, if possible without overwriting what is needed again."""
        last = self.words - words
        edges = sorted(edge for first, end in self.spans.values() for edge in (end, first - words))
        starts = [start for start in dict.fromkeys((self.next, 0, *edges, last)) if 0 <= start <= last]
        kept = [span for key, span in self.spans.items() if needed(key)]

        def price(start: int) -> tuple[bool, int]:
            overwrites = any(start < end and first < start + words for first, end in kept)
            return overwrites, self.uses.last(start, start + words)

        start = min(starts, key=price)
        stop = self.next = start + words
        self.spans = {key: span for key, span in self.spans.items() if span[1] <= start or stop <= span[0]}
        return start

    def put(self, key: int, first: int, words: int) -> None:
        """A block that has been given its place."""
        self.spans[key] = (first, first + words)
