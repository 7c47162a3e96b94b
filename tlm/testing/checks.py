"""What a test gives, checked: without these checks NaN, or a limit below 0, would hold for everything.

Each raises InputError, which says what is allowed. Beside that: numbers of cycles in words.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from fractions import Fraction
from math import ceil, inf, isfinite
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeVar

from tlm.core.errors import InputError

Number = TypeVar("Number", int, float)
_LISTED = 12


def known_name(what: str, name: str, known: Iterable[str]) -> str:
    """``name`` if it is one of ``known``.

    Args:
        what: for the message, such as "layer".
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
    """
    if not _is_number(value) or not isfinite(value) or value < 0:
        raise InputError(f"{what}: {value!r} is not allowed; give a number, 0 or more")
    return value


def percent_of(value: float, count: int) -> Fraction:
    """So many percent of a number, exactly: as a float, 86.9 % of 6,000 is more than 5,214."""
    return Fraction(str(float(value))) * count / 100


def nearest_rank(percent: float, count: int) -> int:
    """Index of a percentile in ``count`` sorted values: the smallest that ``percent`` of them do not exceed."""
    if not _is_number(percent) or not 0 <= percent <= 100:
        raise InputError(f"percentile: {percent!r} is not allowed; give 0..100")
    return max(0, ceil(percent_of(percent, count)) - 1)


def moments_of(between: object) -> tuple[int, int]:
    """The first and the last cycle of an interval that a test gives."""
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


def cycle_limit(*given: Any, **named: Any) -> int:
    """What the marker ``max_cycles`` says."""
    if named or len(given) != 1 or not is_whole(given[0]) or given[0] < 1:
        shown = [*map(repr, given), *(f"{key}={value!r}" for key, value in named.items())]
        raise InputError(
            f"max_cycles: {', '.join(shown) or 'nothing'} is no limit; give one number of cycles, 1 or more, "
            "such as max_cycles(5000)"
        )
    return int(given[0])


def is_whole(value: object) -> bool:
    """Whether it is a number that counts something."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class Bounds(NamedTuple):
    """What a number may be: from ``low`` to ``high``, both included."""

    low: float
    high: float
    text: str
    """In words, without the unit: "exactly 73", "at most 73"."""

    def excess(self, value: int) -> float:
        """How far a value lies above (positive) or below (negative) what is allowed; 0 inside."""
        return value - min(max(value, self.low), self.high)


def exactly(number: int, within: int = 0) -> Bounds:
    """``number``, or up to ``within`` away from it."""
    tolerance = f" within {within:,} ({number - within:,} .. {number + within:,})" if within else ""
    return Bounds(number - within, number + within, f"{'about' if within else 'exactly'} {number:,}{tolerance}")


def at_most(number: int) -> Bounds:
    """Up to ``number``."""
    return Bounds(-inf, number, f"at most {number:,}")


def at_least(number: int) -> Bounds:
    """From ``number`` on."""
    return Bounds(number, inf, f"at least {number:,}")


def asked_bounds(cycles: int | None, within: int, within_percent: float, most: int | None, least: int | None) -> Bounds:
    """The bounds that the arguments of ``takes`` ask for."""
    asked = {"cycles": cycles, "at_most": most, "at_least": least}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) != 1:
        raise InputError(f"give one of cycles, at_most and at_least; here: {' and '.join(given) or 'none'}")
    ((name, number),) = given.items()
    limit(name, number)
    limit("within", within)
    limit("within_percent", within_percent)
    if name == "cycles":
        return exactly(number, max(within, int(percent_of(within_percent, number))))
    if within or within_percent:
        raise InputError(f"within: a tolerance belongs to cycles, but {name} was given; leave one of them out")
    return at_most(number) if name == "at_most" else at_least(number)


def counted(cycles: int) -> str:
    """So many cycles, in words."""
    return f"{cycles:,} cycle{'' if cycles == 1 else 's'}"


def difference(excess: float) -> str:
    """How far a number is off, in words; nothing if it is not."""
    return f": {abs(excess):,} too {'many' if excess > 0 else 'few'}" if excess else ""
