"""What the blocks of the chip say to each other, beside memory accesses."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tlm.chip.format.isa import LayerHeader, Parameter, ParameterArrays
from tlm.chip.kernels.steps import Buffer
from tlm.core.payload import MemoryPayload, Payload
from tlm.core.sockets import DirectMemory


class Work(enum.Enum):
    """Levels of the chain of causes, from the whole to the part."""

    LAYER = "layer"
    """Index: the tag in the layer's header."""
    GROUP = "group"
    PASS = "pass"
    """Index: group * tiles + tile."""
    TRANSFER = "transfer"
    """Index: which transfer of its DMA channel."""
    BURST = "burst"
    BEAT = "beat"


@dataclass(slots=True, eq=False)
class BurstBeat(MemoryPayload):
    """One bus beat of a burst between DMA and off-chip memory; the address is that of the beat."""

    beat: int
    beats: int
    """How many beats the burst has."""


@dataclass(slots=True, eq=False)
class BulkPayload(MemoryPayload):
    """Many accesses in one transaction, in no time: their timing is the initiator's to work out.

    The data are those of the accesses one after another, ``address`` that of the first, and each further SRAM word lies
    ``stride_words`` behind the one before (off-chip bytes are consecutive).
    """

    stride_words: int = 1
    refused: int = 0
    """How often a bank would have refused one of them."""


@dataclass(slots=True, eq=False)
class InterruptPayload(Payload):
    """A block has finished or failed; its status register says which."""


@dataclass(slots=True, eq=False)
class LayerPayload(Payload):
    """Sequencer to datapath: the decoded header of the layer that starts."""

    header: LayerHeader


@dataclass(slots=True, eq=False)
class StepPayload(Payload):
    """Sequencer to aligner: fetch and align one (input channel, tap) of a tile, or carry a pass's end."""

    tile: int
    channel: int
    tap: int
    is_step: bool = True
    """False for the empty slot that ends a pass whose last cycle fetches nothing."""
    ends_pass: bool = False


@dataclass(slots=True, eq=False)
class WeightPayload(Payload):
    """Sequencer to MAC array: one WMem word, for the step that was fetched in the same cycle."""

    word: bytearray


@dataclass(slots=True, eq=False)
class VectorPayload(Payload):
    """Aligner to MAC array: one activation for each lane, or only a pass's end."""

    activations: Buffer | None
    channel: int
    """Input channel of the activations; in max pooling it decides the accumulator row."""
    ends_pass: bool


@dataclass(slots=True, eq=False)
class ParameterPayload(Payload):
    """Sequencer to requantiser: the parameters of one entry slot of the next group."""

    slot: int
    parameter: Parameter


@dataclass(slots=True, eq=False)
class PassPayload(Payload):
    """Sequencer to MAC array, from a pass's last sequencer cycle e to its handover h."""

    group: int
    tile: int
    first_cycle: int
    """s, the pass's first sequencer cycle."""
    pixels: int
    """Real output pixels of the tile."""
    channels: int
    """Real output channels of the group."""


@dataclass(slots=True, eq=False)
class DrainPayload(Payload):
    """MAC array to requantiser: the accumulators of a pass, int32 [columns][lanes]."""

    accumulators: Buffer
    of_pass: PassPayload


@dataclass(slots=True, eq=False)
class FlushPayload(Payload):
    """Sequencer to requantiser: answered in the cycle after the layer's last write."""


# -- fidelity "pass": a pass is one transaction ------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class ReservationPayload(Payload):
    """Engine to an SRAM, and on to the DMA: the banks that the engine will take in the cycles from ``first_cycle``.

    ``banks`` is uint8, one number per cycle, bit b set where bank b is taken; valid until the next reservation.
    """

    first_cycle: int
    banks: npt.NDArray[np.uint8]
    accesses: Mapping[str, npt.NDArray[np.int64]]
    """Initiator -> accesses per bank, (banks,): what the reservation consists of."""


class PassTimes(NamedTuple):
    """When a pass happens, in cycles since the first host access, and how much it does."""

    first_cycle: int
    """s."""
    last_fetch_cycle: int
    """e."""
    handover_cycle: int
    """h."""
    last_write_cycle: int
    steps: int
    fetch_cycles: int
    refused_writes: int
    refused_residual_reads: int


@dataclass(slots=True, eq=False)
class PassStepsPayload(Payload):
    """Sequencer to aligner, from a pass's first sequencer cycle s to its last e: all its steps."""

    group: int
    tile: int
    patterns: npt.NDArray[np.uint64]
    """The 60-bit valid patterns of the group, (patterns_per_group,); zeros behind those of a last pooling group."""
    times: PassTimes


@dataclass(slots=True, eq=False)
class PassActivationsPayload(Payload):
    """Aligner to MAC array: the activations of a pass, where they lie in AMem, and the valid patterns of its steps."""

    group: int
    tile: int
    amem: DirectMemory
    patterns: npt.NDArray[np.uint64]
    """As in :class:`PassStepsPayload`."""


@dataclass(slots=True, eq=False)
class PassWeightsPayload(Payload):
    """Sequencer to MAC array: the weight words of a pass, where they lie in WMem; max pooling has none."""

    wmem: DirectMemory
    first_word: int


@dataclass(slots=True, eq=False)
class TimedPassPayload(PassPayload):
    """A pass with the times that the sequencer has worked out."""

    times: PassTimes


@dataclass(slots=True, eq=False)
class GroupParametersPayload(Payload):
    """Sequencer to requantiser: the parameters of every channel of the next group, (channels,) each."""

    parameters: ParameterArrays
