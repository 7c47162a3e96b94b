"""What is varied: ``chip.amem_banks=1,2,4,8``, ``network.taps=1..9``, ``chip.voltage_v=0.8..1.1``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tlm.core.errors import InputError
from tlm.inputs.toml_files import parse_toml
from tlm.scenario.sources import KEY, dotted, plain

REMEDY = "write KEY=VALUES, e.g. chip.amem_banks=1,2,4,8 or network.taps=1..9"

_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
_BARE_WORD = re.compile(r"[A-Za-z_./][A-Za-z0-9_./\-]*")
_MAX_VALUES = 100_000
_DIGITS = 6
"""Significant digits of a value that is drawn from a range of real numbers: it can be read, and typed again."""


@dataclass(frozen=True)
class Axis:
    """A key of the scenario and its values.

    Attributes:
        key: ``chip.amem_banks``.
        values: all values; empty for a range of real numbers, which can only be sampled.
        low, high: ends of that range.
        origin: what messages put before the key: who gave the axis, "--over " or "over.".
    """

    key: str
    values: tuple[Any, ...]
    low: float = 0.0
    high: float = 0.0
    origin: str = field(default="", compare=False)

    @property
    def setting(self) -> Any:
        """The axis as a scenario file says it."""
        return list(self.values) if self.values else f"{self.low!r}..{self.high!r}"

    def at(self, share: float) -> Any:
        """The value at a share in 0 <= share < 1 of the axis."""
        if self.values:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        return float(f"{self.low + share * (self.high - self.low):.{_DIGITS}g}")


def parse_axis(text: str, option: str = "--over") -> Axis:
    """An axis as it is written on the command line.

    Raises:
        InputError: no key, no values, or neither a TOML array, bare words nor a range; headed by ``option``.
    """
    key, equals, values = (part.strip() for part in text.partition("="))
    key = dotted(key)
    if not equals or not values or not KEY.fullmatch(key):
        raise InputError(f"{option} {text}: {'the values are' if equals else 'KEY=VALUES is'} missing; {REMEDY}")
    return replace(_axis(key, values, f"{option} {text}"), origin=f"{option} ")


def axes_of(table: Mapping[str, Any], place: str) -> list[Axis]:
    """Axes of a table: key (dotted, or tables in tables) -> list of values, or text such as ``"1..9"``.

    Raises:
        InputError: see :func:`parse_axis`; headed by ``place``.
    """
    found: list[Axis] = []
    for key, value in _flat(table, ()):
        if not KEY.fullmatch(key):
            raise InputError(f"{place}: {key!r} is not a key; {REMEDY}")
        found.append(replace(_axis(key, value, f"{place}.{key}"), origin=f"{place}."))
    return found


def _flat(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = dotted(str(name))
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, key))
        else:
            yield ".".join((*path, key)), value


def _axis(key: str, given: Any, place: str) -> Axis:
    """The axis of a text, of any sequence, or of a numpy array; anything else is the only value."""
    given = plain(given)
    if isinstance(given, str):
        if ends := _RANGE.fullmatch(given):
            return _range(key, ends[1], ends[2], place)
        given = _listed(given, place)
    values = [plain(item) for item in given] if isinstance(given, (list, tuple, range)) else [given]
    unique = [value for index, value in enumerate(values) if not _in(value, values[:index])]
    if not unique:
        raise InputError(f"{place}: no values; {REMEDY}")
    return Axis(key, tuple(unique))


def _listed(text: str, place: str) -> list[Any]:
    """Items of a TOML array, with or without its brackets, or bare words between commas."""
    try:
        values: list[Any] = parse_toml(f"values = [{text}]")["values"]
    except InputError:
        words = [word.strip() for word in text.split(",")]
        if all(map(_BARE_WORD.fullmatch, words)):
            return words
        raise InputError(f"{place}: neither a TOML array, bare words nor a range; {REMEDY}") from None
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


def _in(value: Any, others: list[Any]) -> bool:
    """Whether the value is there already; ``true`` is no 1, but 1.0 is."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in others)


def _range(key: str, low: str, high: str, place: str) -> Axis:
    """Whole numbers, both ends included, or real numbers to sample from."""
    if float(high) < float(low):
        raise InputError(f"{place}: {low}..{high} goes down; write the smaller end first")
    if set(".eE") & set(low + high):
        return Axis(key, (), float(low), float(high))
    values = range(int(low), int(high) + 1)
    if int(high) - int(low) >= _MAX_VALUES:
        raise InputError(f"{place}: {low}..{high} has more than {_MAX_VALUES:,} values; give fewer")
    return Axis(key, tuple(values))
