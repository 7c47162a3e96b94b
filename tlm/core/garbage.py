"""Python's collector of cyclic garbage, in processes that do one thing and end."""

from __future__ import annotations

import gc

_NEW_OBJECTS = 100_000
"""That start the collector; Python's 700 cost a short command a twelfth of its time, 20,000 a network a fortieth."""


def collect_seldom() -> None:
    """Nearly all that such a process makes lives until it ends, so looking for garbage is mostly in vain."""
    gc.set_threshold(_NEW_OBJECTS)
