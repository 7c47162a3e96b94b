"""The levels of a trace, from the coarsest to the finest: a trace that would be too big goes without the finest."""

from __future__ import annotations

import enum


class Level(enum.Enum):
    """A kind of slices, with the counters that come with them. The value is their category in the trace."""

    LAYER = "layer"
    """Programs of the engine, parts of layers, waits outside them: always there."""
    TRANSFER = "transfer"
    """The host, DMA transfers and their arrows."""
    PASS = "pass"
    """Groups and passes, and within them the cause of each cycle."""
    BURST = "burst"
    """Bursts of the DMA, which only fidelity "cycle" has."""
