"""What is varied: ``chip.amem_banks=1,2,4,8``, ``network.taps=1..9``, ``chip.voltage_v=0.8..1.1:0.1``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from tlm.core.errors import InputError
from tlm.inputs.toml_files import parse_toml

REMEDY = "write KEY=VALUES, e.g. chip.amem_banks=1,2,4,8, network.taps=1..9 or chip.voltage_v=0.8..1.1:0.1"

_NUMBER = r"[+-]?(?:\d[\d_]*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(\*?)({_NUMBER}))?")
_KEY = re.compile(r"[A-Za-z_][\w\-]*(\.[\w\-]+)*")
_BARE_WORD = re.compile(r"[A-Za-z_./][A-Za-z0-9_./\-]*")
_MAX_VALUES = 100_000
_DIGITS = 6
"""Significant digits of a value that is drawn from a range of real numbers: it can be read, and typed again."""


@dataclass(frozen=True)
class Axis:
    """A key of the scenario and its values.

    Attributes:
        key: ``chip.amem_banks``.
        values: all values; empty for a range of real numbers without a step, which can only be sampled.
        low, high: ends of that range.
    """

    key: str
    values: tuple[Any, ...]
    low: float = 0.0
    high: float = 0.0

    def at(self, share: float) -> Any:
        """The value at a share in 0 <= share < 1 of the axis."""
        if self.values:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        return float(f"{self.low + share * (self.high - self.low):.{_DIGITS}g}")


def parse_axis(text: str, option: str = "--over") -> Axis:
    """An axis as it is written on the command line.

    Raises:
        InputError: no key, no values, or neither a TOML value, a bare word nor a range; headed by ``option``.
    """
    key, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not values or not _KEY.fullmatch(key):
        raise InputError(f"{option} {text}: {'the values are' if equals else 'KEY=VALUES is'} missing; {REMEDY}")
    return _axis(key, list(_items(values)), f"{option} {text}")


def axes_of(table: Mapping[str, Any], place: str) -> list[Axis]:
    """Axes of a table: key (dotted, or tables in tables) -> list of values, or text such as ``"1..9"``.

    Raises:
        InputError: see :func:`parse_axis`; headed by ``place``.
    """
    found: list[Axis] = []
    for key, value in _flat(table, ()):
        if not _KEY.fullmatch(key):
            raise InputError(f"{place}: {key!r} is not a key; {REMEDY}")
        found.append(_axis(key, _listed(value), f"{place}.{key}"))
    return found


def override_of(key: str, value: Any) -> dict[str, Any]:
    """The nested table that sets one key."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _listed(value: Any) -> list[Any]:
    """Items of a text, of any sequence, or of a numpy array; anything else is the only one."""
    value = _plain(value)
    if isinstance(value, str):
        return list(_items(value))
    return [_plain(item) for item in value] if isinstance(value, (list, tuple, range)) else [value]


def _plain(value: Any) -> Any:
    """Without numpy's types, and paths as texts."""
    if isinstance(value, PurePath):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _flat(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = str(name)
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, key))
        else:
            yield ".".join((*path, key)), value


def _items(text: str) -> Iterator[str]:
    """Items between the commas that stand in no bracket and no string."""
    depth, quote, start = 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and not depth:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def _axis(key: str, items: list[Any], place: str) -> Axis:
    values: list[Any] = []
    for item in items:
        found = _RANGE.fullmatch(item) if isinstance(item, str) else None
        if found is None:
            values.append(_value(item, place) if isinstance(item, str) else item)
            continue
        steps = _range(found, place)
        if steps is None:
            if len(items) > 1:
                raise InputError(f"{place}: {item} has no step, so it must stand alone; give one, e.g. {item}:0.1")
            return Axis(key, (), float(found[1]), float(found[2]))
        values += steps
    unique = [value for index, value in enumerate(values) if not _in(value, values[:index])]
    if not unique:
        raise InputError(f"{place}: no values; {REMEDY}")
    return Axis(key, tuple(unique))


def _in(value: Any, others: list[Any]) -> bool:
    """Whether the value is there already; ``true`` is no 1, but 1.0 is."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in others)


def _value(text: str, place: str) -> Any:
    try:
        return parse_toml(f"value = {text}")["value"]
    except InputError:
        if _BARE_WORD.fullmatch(text):
            return text
    raise InputError(f"{place}: {text!r} is neither a TOML value nor a range; {REMEDY}")


def _range(found: re.Match[str], place: str) -> list[Any] | None:
    """Values of a range, both ends included; None for real numbers without a step."""
    low, high = Decimal(found[1]), Decimal(found[2])
    whole = not any(set(".eE") & set(text) for text in (found[1], found[2], found[4] or ""))
    if high < low:
        raise InputError(f"{place}: {found[0]} goes down; write the smaller end first")
    if found[4] is None and not whole:
        return None
    step = Decimal(found[4] or 1)
    if step <= (1 if found[3] else 0) or (found[3] and low <= 0):
        raise InputError(
            f"{place}: {found[0]} never ends; give a step above {'1, and ends above 0' if found[3] else 0}"
        )
    values: list[Any] = []
    value = low
    while value <= high:
        values.append(int(value) if whole else float(value))
        if len(values) > _MAX_VALUES:
            raise InputError(f"{place}: {found[0]} has more than {_MAX_VALUES:,} values; give a larger step")
        value = value * step if found[3] else value + step
    return values
