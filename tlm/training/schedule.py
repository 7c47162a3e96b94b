"""How many taps or weights pruning leaves, as training goes on. No torch here."""

from __future__ import annotations

from math import ceil
from typing import Literal

Schedule = Literal["cubic", "stepwise"]

_SHARE_FALLS = 10
_ROUNDING = 1e-9  # a share that should be whole may come out a bit above it


def cubic(start: float, end: float, progress: float) -> float:
    """What remains: ``end + (start - end) * (1 - progress)^3`` (Zhu and Gupta 2017, equation 1, for what remains).

    Args:
        start: before pruning.
        end: after it.
        progress: 0 .. 1; below and above it start and end remain.
    """
    left = 1.0 - min(max(progress, 0.0), 1.0)
    return end + (start - end) * left**3


def stepwise(start: float, end: float, progress: float, falls: int) -> float:
    """What remains if it falls ``falls`` times by the same amount at equal distances.

    The first fall is at progress 0 and the last at ``1 - 1 / falls``, so each is followed by the same retraining.
    """
    done = min(max(int(progress * falls + _ROUNDING) + 1, 0), falls)
    return start + (end - start) * done / falls


def taps_left(schedule: Schedule, start: int, end: int, progress: float) -> int:
    """Taps that each channel keeps: a whole number, never below ``end``; stepwise one goes at a time."""
    left = cubic(start, end, progress)
    if schedule == "stepwise":
        left = stepwise(start, end, progress, max(1, start - end))
    return ceil(left - _ROUNDING)


def share_left(schedule: Schedule, start: float, end: float, progress: float) -> float:
    """Share of the weights that remains; stepwise in ten equal falls."""
    if schedule == "stepwise":
        return stepwise(start, end, progress, _SHARE_FALLS)
    return cubic(start, end, progress)
