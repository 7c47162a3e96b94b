"""The order in which people number things."""

from __future__ import annotations

import re

_RUN_OF_DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``photo_9`` before ``photo_10``: a run of digits counts as one number, after all letters."""
    key: list[tuple[int, str]] = []
    for index, part in enumerate(_RUN_OF_DIGITS.split(name)):
        key += [(int(part), "")] if index % 2 else [(-1, character) for character in part]
    return key
