"""Numbers of cycles: what they may be, and how they are put into words."""

from __future__ import annotations

from dataclasses import dataclass

from tlm.core.errors import InputError
from tlm.testing.limits import limit, percent_of


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
