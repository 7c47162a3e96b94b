"""Measured numbers of cycles: integers that can explain themselves when a comparison with them fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, isfinite
from typing import TYPE_CHECKING, TypeAlias

from tlm.core.errors import InputError
from tlm.testing.limits import limit, percent_of

if TYPE_CHECKING:
    from tlm.testing.expectation import Expectation


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number may be: from ``low`` to ``high``, both included; None for no bound."""

    low: int | None
    high: int | None
    text: str
    """In words, without the unit: "exactly 73", "at most 73"."""

    @classmethod
    def exactly(cls, number: int, within: int = 0) -> Bounds:
        """``number``, or so many away from it."""
        tolerance = f" within {within:,} ({number - within:,} .. {number + within:,})" if within else ""
        return cls(number - within, number + within, f"{'about' if within else 'exactly'} {number:,}{tolerance}")

    @classmethod
    def at_most(cls, number: int) -> Bounds:
        """Up to ``number``."""
        return cls(None, number, f"at most {number:,}")

    @classmethod
    def at_least(cls, number: int) -> Bounds:
        """From ``number`` on."""
        return cls(number, None, f"at least {number:,}")

    def excess(self, value: int) -> int:
        """How far a value lies above (positive) or below (negative) what is allowed; 0 inside."""
        if self.high is not None and value > self.high:
            return value - self.high
        if self.low is not None and value < self.low:
            return value - self.low
        return 0


def bounds_of(operator: str, number: float) -> Bounds | None:
    """What ``value OPERATOR number`` allows for ``value``, an int.

    None for ``!=`` and whatever is no comparison of size, and where no value is equal.
    """
    if not isfinite(number):
        return None
    match operator:
        case "==" if number == int(number):
            return Bounds.exactly(int(number))
        case "<=":
            return Bounds(None, floor(number), f"at most {number:,}")
        case "<":
            return Bounds(None, ceil(number) - 1, f"less than {number:,}")
        case ">=":
            return Bounds(ceil(number), None, f"at least {number:,}")
        case ">":
            return Bounds(floor(number) + 1, None, f"more than {number:,}")
    return None


def asked_bounds(
    cycles: int | None, within: int, within_percent: float, at_most: int | None, at_least: int | None
) -> Bounds:
    """The bounds that the arguments of ``takes`` and its like ask for.

    Raises:
        InputError: none of them, several that contradict each other, or no number of cycles.
    """
    asked = {"cycles": cycles, "at_most": at_most, "at_least": at_least}
    given = {name: value for name, value in asked.items() if value is not None}
    if len(given) != 1:
        raise InputError(f"give one of cycles, at_most and at_least; here: {' and '.join(given) or 'none'}")
    ((name, number),) = given.items()
    limit(name, number)
    limit("within", within)
    limit("within_percent", within_percent)
    if cycles is None:
        if within or within_percent:
            raise InputError(f"within: a tolerance belongs to cycles, but {name} was given; leave one of them out")
        return Bounds.at_least(number) if at_least is not None else Bounds.at_most(number)
    return Bounds.exactly(cycles, max(within, int(percent_of(within_percent, cycles))))


def counted(cycles: int) -> str:
    """So many cycles, in words."""
    return f"{cycles:,} cycle{'' if cycles == 1 else 's'}"


def difference(excess: int, above: str = "too many", below: str = "too few") -> str:
    """How far it is off, in words."""
    if not excess:
        return ""
    return f": {excess:,} {above}" if excess > 0 else f": {-excess:,} {below}"


Judge: TypeAlias = "Callable[[Bounds], Expectation]"


class Cycles(int):
    """A measured number of cycles: a duration, or a moment since the first host access.

    It is an int. When pytest reports that a comparison with it failed, it says what it is the number of, and why.
    """

    _judge: Judge

    def __new__(cls, value: int, judge: Judge) -> Cycles:
        """A number and what makes an expectation of bounds for it."""
        made = super().__new__(cls, value)
        made._judge = judge
        return made

    def judged(self, bounds: Bounds) -> Expectation:
        """The expectation that it lies within ``bounds``."""
        return self._judge(bounds)

    def compared(self, operator: str, number: float) -> Expectation | None:
        """The expectation that ``self OPERATOR number`` is true, if that is a comparison of size."""
        bounds = bounds_of(operator, number)
        return None if bounds is None else self._judge(bounds)

    def at_most(self, cycles: int) -> Expectation:
        """Not more than so many cycles."""
        return self._judge(Bounds.at_most(limit("at_most", cycles)))

    def at_least(self, cycles: int) -> Expectation:
        """Not fewer than so many cycles."""
        return self._judge(Bounds.at_least(limit("at_least", cycles)))

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """Pickled as a plain number: the run that it came from stays behind."""
        return int, (int(self),)


MIRRORED = {"==": "==", "<=": ">=", "<": ">", ">=": "<=", ">": "<"}
"""``number OPERATOR value`` is ``value MIRRORED number``."""
