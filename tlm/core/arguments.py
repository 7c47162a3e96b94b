"""Arguments of the public functions: whether they are of the kind that is expected."""

from __future__ import annotations

from tlm.core.errors import InputError


def expect(key: str, value: object, kinds: type | tuple[type, ...], remedy: str = "") -> None:
    """Nothing if a value is of one of some kinds.

    Args:
        key: how the user calls it.
        remedy: what to do instead, for the message.

    Raises:
        InputError: with what it is and what is expected.
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, kinds):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        shown = f" {value!r}" if isinstance(value, (str, int, float)) else ""
        raise InputError(f"{key}: is a {type(value).__name__}{shown}, but must be a {names}{remedy and '; '}{remedy}")
