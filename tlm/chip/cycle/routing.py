"""The aligner's routing network: it moves the nibbles of one AMem word to the lanes that want them.

Both a word's sources and the lanes that take them are in raster order, so a route keeps the order of the nibbles. It
splits into two halves in which no two nibbles meet, whatever stride, dilation, padding or row end it comes from:

- Compress: the wanted nibble at position p moves down to slot r, its rank among the wanted ones. The distance p - r
  never decreases along the word, so moving by its bits, the lowest first, keeps all nibbles apart.
- Expand: the nibble in slot r moves up to its lane l. The distance l - r never decreases either, so moving by its bits,
  the highest first, keeps them apart.

Each bit is a level of two-input multiplexers: 2 log2(lanes) levels, two to a pipeline stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

LEVELS_PER_STAGE = 2


class Level(NamedTuple):
    """One level of multiplexers: which nibbles of the word stay, and which move. The others are dropped."""

    stay: int
    """Mask over the word's bits."""
    move: int
    """Mask over the word's bits, before they move."""
    down_bits: int
    """How far nibbles move towards lane 0, bits; 0 in the half that expands."""
    up_bits: int
    """How far nibbles move away from lane 0, bits; 0 in the half that compresses."""


@lru_cache(maxsize=1 << 16)
def route(sources: tuple[int, ...]) -> tuple[Level, ...]:
    """The setting of the network, level by level, that gives each lane its nibble.

    Args:
        sources: for each lane the position of its nibble in the word, or -1 where it takes none.

    Raises:
        ValueError: the positions do not increase along the lanes.
    """
    bits = (len(sources) - 1).bit_length()
    lanes = [lane for lane, source in enumerate(sources) if source >= 0]
    at = [sources[lane] for lane in lanes]
    if any(low >= high for low, high in pairwise(at)):
        raise ValueError(f"the sources {at} do not increase along the lanes")
    to_slot = [position - slot for slot, position in enumerate(at)]
    to_lane = [lane - slot for slot, lane in enumerate(lanes)]
    levels = [_level(at, to_slot, bit, -1) for bit in range(bits)]
    levels += [_level(at, to_lane, bit, 1) for bit in reversed(range(bits))]
    return tuple(levels)


def changing(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """The levels without those that leave a word as it is: what nobody wants is dropped by the first."""
    return levels[:1] + tuple(level for level in levels[1:] if level.move)


def _level(at: list[int], distances: Sequence[int], bit: int, direction: int) -> Level:
    """The level that moves by 2^bit; ``at``, where the nibbles are, moves along."""
    stay = move = 0
    for i, distance in enumerate(distances):
        if distance >> bit & 1:
            move |= 15 << 4 * at[i]
            at[i] += direction << bit
        else:
            stay |= 15 << 4 * at[i]
    step_bits = 4 << bit
    return Level(stay, move, step_bits if direction < 0 else 0, step_bits if direction > 0 else 0)


def through(word: int, levels: tuple[Level, ...], count: int | None = None) -> int:
    """What leaves the last of the levels, or of the first ``count`` of them, when ``word`` enters the network."""
    for stay, move, down_bits, up_bits in levels[:count]:
        word = word & stay | (word & move) >> down_bits << up_bits
    return word
