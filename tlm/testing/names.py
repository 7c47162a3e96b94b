"""Names that a test gives: the one that is meant, or a message with the nearest that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from tlm.core.errors import InputError

_LISTED = 12


def known_name(what: str, name: str, known: Iterable[str]) -> str:
    """``name`` if it is one of ``known``.

    Args:
        what: for the message, such as "layer".
        name: as it was given.
        known: all that there are.

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
