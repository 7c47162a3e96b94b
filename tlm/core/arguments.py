"""Type checks for arguments of the public functions, and their form in messages."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TypeAlias

from tlm.core.errors import InputError

Kinds: TypeAlias = type | tuple[type, ...]


def expect(key: str, value: object, kinds: Kinds, remedy: str = "") -> None:
    """Check a value's type. Numpy's integers count as ``int``; bool does not count as a number.

    Args:
        key: the user's name for the value, for the message.
        kinds: a class, or several.
        remedy: what to do instead, for the message.

    Raises:
        InputError: the value has another type; names the type and the expected ones.
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    allowed = (*kinds, Integral) if int in kinds else kinds
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        what = "None" if value is None else _kind(value)
        if isinstance(value, (str, int, float)):
            what = f"{shown(value)} ({what})"
        raise InputError(f"{key}: is {what}, but must be {names}{remedy and '; '}{remedy}")


def expect_each(key: str, values: object, kinds: Kinds) -> None:
    """Check that a value is a sequence whose elements have the given types; the message for one alone names the list.

    Raises:
        InputError: the value or an element has another type; names the type and the expected ones.
    """
    expect(key, values, Sequence, f"give a list, {key}=[...]" if isinstance(values, kinds) else "")
    assert isinstance(values, Sequence)
    for index, value in enumerate(values):
        expect(f"{key}[{index}]", value, kinds)


def shown(value: object) -> str:
    """Any value as text for a message, even if ``repr`` fails (as for integers of more than 4,300 digits)."""
    try:
        return repr(value)
    except Exception:  # of nested lists, of an object of the user's
        return f"{_kind(value)} that cannot be printed"


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
