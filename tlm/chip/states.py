"""The values that blocks publish through probes: their states, the same in every fidelity, and their last events."""

from __future__ import annotations

import enum
from typing import NamedTuple

from tlm.chip.contract import Port


class HostState(enum.Enum):
    """States of the host."""

    RUN = "run"
    """Accesses registers."""
    SLEEP = "sleep"
    """Waits for an interrupt."""
    DONE = "done"


class ChannelState(enum.Enum):
    """States of a DMA channel."""

    IDLE = "idle"
    BUSY = "busy"


class SequencerState(enum.Enum):
    """States of the sequencer."""

    IDLE = "idle"
    HEADER = "header"
    PARAMETERS = "parameters"
    STEPS = "steps"
    DRAIN = "drain"
    """Waits for the handover of a pass, or for a layer's last write."""
    GAP = "gap"


class ArrayState(enum.Enum):
    """States of the MAC array."""

    IDLE = "idle"
    COMPUTE = "compute"
    HOLD = "hold"
    """A pass is complete; its accumulators wait for the requantiser."""


class RequantiserState(enum.Enum):
    """States of the requantiser."""

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
