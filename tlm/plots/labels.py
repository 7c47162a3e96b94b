"""Where the labels of points stand, so that each can be read and covers no point."""

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
_NEAR = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_FAR = (1.0, 1.6, 2.4, 3.4, 4.6, 6.0)


def place_labels(spots: Sequence[Spot], texts: Sequence[str], frame: Box) -> list[Spot]:
    """Where texts go beside their spots, as offsets of their centres.

    Right of the spot, left, above, below, then farther away: the first place within the frame that covers neither a
    spot nor another text and is nearest to its own spot; if there is none, nearness does not count.
    """
    half = MARKER_PT / 2 + 1
    taken: list[Box] = [(x - half, y - half, x + half, y + half) for x, y in spots]
    offsets = []
    for spot, text in zip(spots, texts, strict=True):
        size = (len(text) + 0.5) * _DIGIT_PT, _LINE_PT
        across, up = half + size[0] / 2, half + size[1] / 2
        tried = [(far * x * across, far * y * up) for far, (x, y) in product(_FAR, _NEAR)]
        boxes = {offset: _box(spot, offset, size) for offset in tried}
        free = [offset for offset in tried if _within(boxes[offset], frame) and not _covers(boxes[offset], taken)]
        clear = [offset for offset in free if _is_nearest(boxes[offset], spot, spots)]
        found = (clear or free or tried)[0]
        taken.append(boxes[found])
        offsets.append(found)
    return offsets


def _within(box: Box, frame: Box) -> bool:
    return frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _box(spot: Spot, offset: Spot, size: Spot) -> Box:
    x, y = spot[0] + offset[0], spot[1] + offset[1]
    return x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2


def _covers(box: Box, others: Sequence[Box]) -> bool:
    return any(box[0] < one[2] and one[0] < box[2] and box[1] < one[3] and one[1] < box[3] for one in others)


def _is_nearest(box: Box, own: Spot, spots: Sequence[Spot]) -> bool:
    """Whether no other spot is as near to a text as its own."""
    return all(_distance_pt(box, own) < _distance_pt(box, spot) for spot in spots if spot != own)


def _distance_pt(box: Box, spot: Spot) -> float:
    return hypot(max(box[0] - spot[0], 0, spot[0] - box[2]), max(box[1] - spot[1], 0, spot[1] - box[3]))
