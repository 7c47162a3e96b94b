"""What a test gives, checked: without these checks NaN, or a limit below 0, would hold for everything."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fractions import Fraction
from math import ceil, isfinite
from numbers import Integral, Real
from typing import TypeVar

from tlm.core.errors import InputError

Number = TypeVar("Number", int, float)
_LISTED = 12


def known_name(what: str, name: str, known: Iterable[str]) -> str:
    """``name`` if it is one of ``known``.

    Args:
        what: for the message, such as "layer".

    Raises:
        InputError: it is not; with the nearest names, or with all of them.
    """
    names = list(known)
    if name in names:
        return name
    near = get_close_matches(str(name), names, 3, 0.6)
    if near:
        raise InputError(f"{what}: there is no {name!r}; did you mean {' or '.join(map(repr, near))}?")
    listed = ", ".join(names[:_LISTED]) + (f", .. ({len(names)} in all)" if len(names) > _LISTED else "")
    raise InputError(f"{what}: there is no {name!r}; there are: {listed or 'none'}")


def limit(what: str, value: Number) -> Number:
    """``value``, if it can limit cycles, bytes or energy.

    Args:
        what: for the message, such as "at_most".

    Raises:
        InputError: no number, not finite, or negative.
    """
    if not _is_number(value) or not isfinite(value) or value < 0:
        raise InputError(f"{what}: {value!r} is not allowed; give a number, 0 or more")
    return value


def percent_of(value: float, count: int) -> Fraction:
    """So many percent of a number, exactly: as a float, 86.9 % of 6,000 is more than 5,214."""
    return Fraction(str(float(value))) * count / 100


def nearest_rank(percent: float, count: int) -> int:
    """Index of a percentile in ``count`` sorted values: the smallest that ``percent`` of them do not exceed.

    Raises:
        InputError: not in 0..100.
    """
    if not _is_number(percent) or not 0 <= percent <= 100:
        raise InputError(f"percentile: {percent!r} is not allowed; give 0..100")
    return max(0, ceil(percent_of(percent, count)) - 1)


def moments_of(between: object) -> tuple[int, int]:
    """The first and the last cycle of an interval that a test gives.

    Raises:
        InputError: not two moments, or in the wrong order.
    """
    given = tuple(between) if isinstance(between, Iterable) else ()
    if len(given) != 2 or not all(_is_number(moment) and isfinite(moment) for moment in given):
        raise InputError(
            f"between: {between!r} is not two moments; give the first and the last cycle, "
            'such as run.layer("c1").begin and run.layer("c1").end'
        )
    first, last = map(int, given)
    if last < first:
        raise InputError(f"between: cycle {last:,} lies before {first:,}; give the earlier moment first")
    return first, last


def is_whole(value: object) -> bool:
    """Whether it is a number that counts something."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
