"""The states that blocks publish through probes, the same in every fidelity."""

from __future__ import annotations

import enum


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
