"""How many taps or weights pruning leaves, as training goes on. No torch here."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from tlm.core.errors import InputError

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


def stepwise(start: float, end: float, progress: float, steps: int | None = None) -> float:
    """What remains if it falls by the same amount at equal distances; by default by one tap each time.

    The first fall is at progress 0 and the last at ``1 - 1 / steps``, so each is followed by the same retraining.
    """
    falls = max(1, ceil(start - end)) if steps is None else steps
    done = min(max(int(progress * falls + _ROUNDING) + 1, 0), falls)
    return start + (end - start) * done / falls


SCHEDULES: dict[str, Callable[[float, float, float], float]] = {"cubic": cubic, "stepwise": stepwise}
"""Name in a recipe -> what remains, of start, end and progress."""


def taps_left(schedule: str, start: int, end: int, progress: float) -> int:
    """Taps that each channel keeps: a whole number, never below ``end``.

    Raises:
        InputError: an unknown schedule.
    """
    _check(schedule)
    return ceil(SCHEDULES[schedule](start, end, progress) - _ROUNDING)


_SHARE_STEPS = 10


def share_left(schedule: str, start: float, end: float, progress: float) -> float:
    """Share of the weights that remains; stepwise in ten equal falls.

    Raises:
        InputError: an unknown schedule.
    """
    if schedule == "stepwise":
        return stepwise(start, end, progress, _SHARE_STEPS)
    _check(schedule)
    return SCHEDULES[schedule](start, end, progress)


def _check(schedule: str) -> None:
    if schedule not in SCHEDULES:
        raise InputError(f"schedule: {schedule!r} is not known; give {' or '.join(SCHEDULES)}")
