"""The models of engine and DMA that exist."""

from __future__ import annotations

import enum


class Fidelity(enum.Enum):
    """How finely the engine and the DMA are modelled; cycles and values are the same."""

    BEAT = "beat"
    """Every access, step, drained word and bus beat is a transaction: the clear model."""
    BURST = "burst"
    """A pass and a transfer are one transaction each: the fast model."""
