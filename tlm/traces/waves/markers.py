"""Where the named markers of a layout stand."""

from __future__ import annotations

from tlm.observe.passes import PartRecord
from tlm.observe.watched import Watched

_NAMES = 26
"""A to Z."""


def marked_cycles(watched: Watched, first_cycle: int = 0) -> list[int]:
    """Where parts of layers begin, from a cycle on; if there are more than names, where layers begin."""
    parts = [part for part in watched.recorder.parts.values() if part.passes and part.first_cycle >= first_cycle]
    if len(parts) > _NAMES:
        layers: dict[int, PartRecord] = {}
        for part in parts:
            layers.setdefault(watched.program.parts[part.tag].layer_index, part)
        parts = list(layers.values())
    return [part.first_cycle for part in parts[:_NAMES]]
