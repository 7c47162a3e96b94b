"""What the blocks publish through probes: their states, the same in every fidelity, and what happened in them last."""

from __future__ import annotations

import enum
from typing import NamedTuple

from tlm.chip.engine import Port


class HostState(enum.Enum):
    """What the host does."""

    RUN = "run"
    """Accesses registers."""
    SLEEP = "sleep"
    """Waits for an interrupt."""
    DONE = "done"


class ChannelState(enum.Enum):
    """What a channel does."""

    IDLE = "idle"
    BUSY = "busy"


class SequencerState(enum.Enum):
    """What the sequencer does."""

    IDLE = "idle"
    HEADER = "header"
    PARAMETERS = "parameters"
    STEPS = "steps"
    DRAIN = "drain"
    """Waits for the handover of a pass, or for a layer's last write."""
    GAP = "gap"


class ArrayState(enum.Enum):
    """What the array does."""

    IDLE = "idle"
    COMPUTE = "compute"
    HOLD = "hold"
    """A pass is complete; its accumulators wait for the requantiser."""


class RequantiserState(enum.Enum):
    """What the requantiser does."""

    IDLE = "idle"
    DRAIN = "drain"
    FROZEN = "frozen"
    """A write was refused in this cycle."""


class BankAccess(NamedTuple):
    """An access that met its bank's arbiter."""

    cycle: int
    port: Port
    address: int
    """Of the word."""
    bank: int
    served: bool
    """False: the bank served another."""


class ArrivedVector(NamedTuple):
    """A vector that reached the array's multipliers."""

    cycle: int
    pass_index: int | None
    works: bool
    """Whether it brings activations, or only a pass's end."""
