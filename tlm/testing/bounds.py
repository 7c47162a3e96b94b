"""What a number of cycles may be, and how numbers of cycles are put into words."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from tlm.core.errors import InputError
from tlm.testing.checks import limit, percent_of


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
    """The bounds that the arguments of ``takes`` ask for.

    Raises:
        InputError: none of them, several that contradict each other, or no number of cycles.
    """
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
