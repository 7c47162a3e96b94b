"""Messages between the blocks of the chip, other than memory accesses."""

from __future__ import annotations

import enum

from tlm.chip.format.isa import LayerHeader, Parameter
from tlm.chip.kernels import Buffer
from tlm.chip.kernels.dram import IssuedCommand
from tlm.core.payload import MemoryPayload, Payload


class Work(enum.Enum):
    """Levels of an origin, from the whole to the part."""

    LAYER = "layer"
    """Index: the tag in the layer's header."""
    GROUP = "group"
    PASS = "pass"
    """Index: group * tiles + tile."""
    TRANSFER = "transfer"
    """Index: which transfer of its DMA channel."""
    BURST = "burst"
    BEAT = "beat"


class BurstBeat(MemoryPayload, eq=False):
    """One bus beat of a burst between DMA and off-chip memory; the address is that of the beat."""

    beat: int
    beats: int
    """How many beats the burst has."""


class DramCommandPayload(Payload, eq=False):
    """A command on the DRAM's command bus; its origin is the burst that asked for it."""

    command: IssuedCommand


class InterruptPayload(Payload, eq=False):
    """A block has finished or failed; its status register says which."""


class LayerPayload(Payload, eq=False):
    """Sequencer to data path: the decoded header of the layer that starts."""

    header: LayerHeader


class StepPayload(Payload, eq=False):
    """Sequencer to aligner: fetch and align one (input channel, tap) of a tile, or mark a pass's end."""

    tile: int
    channel: int
    tap: int
    is_step: bool = True
    """False for the empty slot that ends a pass whose last cycle fetches nothing."""
    ends_pass: bool = False


class WeightPayload(Payload, eq=False):
    """Sequencer to MAC array: one WMem word, for the step that was fetched in the same cycle."""

    word: bytes


class VectorPayload(Payload, eq=False):
    """Aligner to MAC array: one activation for each lane, or only a pass's end."""

    activations: Buffer | None
    channel: int
    """Input channel of the activations; in max pooling it decides the accumulator row."""
    ends_pass: bool


class ParameterPayload(Payload, eq=False):
    """Sequencer to requantiser: the parameters of one entry slot of the next group."""

    slot: int
    parameter: Parameter


class PassPayload(Payload, eq=False):
    """Sequencer to MAC array, from a pass's last sequencer cycle e to its handover h."""

    group: int
    tile: int
    first_cycle: int
    """s, the pass's first sequencer cycle."""
    pixels: int
    """Real output pixels of the tile."""
    channels: int
    """Real output channels of the group."""


class DrainPayload(Payload, eq=False):
    """MAC array to requantiser: the accumulators of a pass, int32 [columns][lanes]."""

    accumulators: Buffer
    of_pass: PassPayload


class FlushPayload(Payload, eq=False):
    """Sequencer to requantiser: answered in the cycle after the layer's last write."""
