"""Where the labels of points stand, so that each can be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_CHARACTER_PX, _LINE_PX = 7.0, 14.0
_POINT_PX = 6.0
"""Half the width of a point, with some air."""


@dataclass(frozen=True)
class Label:
    """A text beside a point.

    Attributes:
        text: what it says.
        x_px, y_px: the point; pixels grow to the right and upwards.
        side: where the text stands, as plotly says it.
    """

    text: str
    x_px: float
    y_px: float
    side: str = "top center"

    def box(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper end of the text."""
        width = _CHARACTER_PX * len(self.text)
        across, up = _SIDES[self.side]
        x = self.x_px + across * (_POINT_PX + width / 2)
        y = self.y_px + up * (_POINT_PX + _LINE_PX / 2)
        return x - width / 2, x + width / 2, y - _LINE_PX / 2, y + _LINE_PX / 2

    def joined(self, other: Label) -> Label:
        """One text for both, beside this point."""
        return replace(self, text=f"{self.text}, {other.text}")


_SIDES = {"top center": (0, 1), "bottom center": (0, -1), "middle right": (1, 0), "middle left": (-1, 0)}


def placed(labels: Iterable[Label]) -> list[Label]:
    """Each label on the first side where it covers neither a point nor another label; else joined to its neighbour."""
    points = _joined_points(labels)
    done: list[Label] = []
    for one in points:
        free = _moved(one, points, done)
        if free is not None:
            done.append(free)
            continue
        for near in sorted(done, key=lambda other: _distance(other, one)):
            others = [other for other in done if other is not near]
            joined = _moved(near.joined(one), points, others)
            if joined is not None:
                done = [*others, joined]
                break
        else:
            done.append(one)  # no room anywhere: it overlaps
    return done


def _moved(label: Label, points: Sequence[Label], done: Sequence[Label]) -> Label | None:
    sides = (replace(label, side=side) for side in _SIDES)
    return next((moved for moved in sides if _is_free(moved, points, done)), None)


def _joined_points(labels: Iterable[Label]) -> list[Label]:
    """Points on the same spot have one label."""
    found: list[Label] = []
    for label in labels:
        same = next((index for index, one in enumerate(found) if _distance(one, label) < _POINT_PX), None)
        if same is None:
            found.append(label)
        else:
            found[same] = found[same].joined(label)
    return found


def _is_free(label: Label, points: Sequence[Label], done: Sequence[Label]) -> bool:
    left, right, low, high = label.box()
    for point in points:
        if left - _POINT_PX < point.x_px < right + _POINT_PX and low - _POINT_PX < point.y_px < high + _POINT_PX:
            return False
    return all(
        right <= other_left or other_right <= left or high <= other_low or other_high <= low
        for other_left, other_right, other_low, other_high in (other.box() for other in done)
    )


def _distance(one: Label, other: Label) -> float:
    return max(abs(one.x_px - other.x_px), abs(one.y_px - other.y_px))
