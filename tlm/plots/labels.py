"""How long labels are, and where those of points stand, so that each can be read and covers no point."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import hypot
from typing import TypeAlias

Spot: TypeAlias = tuple[float, float]
"""Across and up, in points of 1/72 inch."""
Box: TypeAlias = tuple[float, float, float, float]
"""Left, bottom, right, top."""

MARKER_PT = 6.5
"""Size of a point."""
_DIGIT_PT, _LINE_PT = 5.6, 9.0
_MAX_LETTERS = 60
_NEAR = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_FAR = (1.0, 1.6, 2.4, 3.4, 4.6, 6.0)


def cut(text: str) -> str:
    """A name as figures show it: a result may come from a damaged file, with a name or a number of any length."""
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 2]}.."


def place_labels(spots: Sequence[Spot], texts: Sequence[str], frame: Box) -> list[Spot]:
    """Where texts go beside their spots, as offsets of their centres.

    Right of the spot, left, above, below, then farther away: the first place within the frame that covers neither a
    spot nor another text and is nearest to its own spot; if there is none, nearness does not count.
    """
    half = MARKER_PT / 2 + 1
    taken: list[Box] = [_box(spot, 2 * half, 2 * half) for spot in spots]
    offsets = []
    for (x, y), text in zip(spots, texts, strict=True):
        width, height = (len(text) + 0.5) * _DIGIT_PT, _LINE_PT
        across, up = half + width / 2, half + height / 2
        tried = [(far * right * across, far * above * up) for far, (right, above) in product(_FAR, _NEAR)]
        boxes = {(dx, dy): _box((x + dx, y + dy), width, height) for dx, dy in tried}
        free = [one for one in tried if _is_within(boxes[one], frame) and not _covers(boxes[one], taken)]
        others = [spot for spot in spots if spot != (x, y)]
        clear = (one for one in free if all(_gap(boxes[one], (x, y)) < _gap(boxes[one], spot) for spot in others))
        found = next(clear, (free or tried)[0])
        taken.append(boxes[found])
        offsets.append(found)
    return offsets


def _box(centre: Spot, width: float, height: float) -> Box:
    x, y = centre
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _is_within(box: Box, frame: Box) -> bool:
    return frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _covers(box: Box, others: Sequence[Box]) -> bool:
    return any(box[0] < one[2] and one[0] < box[2] and box[1] < one[3] and one[1] < box[3] for one in others)


def _gap(box: Box, spot: Spot) -> float:
    return hypot(max(box[0] - spot[0], 0, spot[0] - box[2]), max(box[1] - spot[1], 0, spot[1] - box[3]))
