"""Arguments of the public functions: whether they are of the kind that is expected, and how messages show them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TypeAlias

from tlm.core.errors import InputError

Kinds: TypeAlias = type | tuple[type, ...]


def expect(key: str, value: object, kinds: Kinds, remedy: str = "") -> None:
    """Nothing if a value is of one of some kinds; numpy's integers are ``int``, True and False are no numbers.

    Args:
        key: how the user calls it.
        kinds: a class, or several.
        remedy: what to do instead, for the message.

    Raises:
        InputError: with what it is and what is expected.
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
    """Nothing if a value is a sequence of values of some kinds.

    Raises:
        InputError: with what it is and what is expected.
    """
    expect(key, values, Sequence)
    assert isinstance(values, Sequence)
    for index, value in enumerate(values):
        expect(f"{key}[{index}]", value, kinds)


def shown(value: object) -> str:
    """A value for a message, whatever it is: Python prints no integer of more than 4,300 digits."""
    try:
        return repr(value)
    except Exception:  # of nested lists, of an object of the user's
        return f"{_kind(value)} that cannot be printed"


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
