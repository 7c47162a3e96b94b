"""Messages between the blocks of fidelity "pass": a pass, a transfer or many accesses in one transaction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tlm.chip.contract import PassTimes, Port
from tlm.chip.format.isa import ParameterArrays
from tlm.chip.payloads import PassPayload
from tlm.core.payload import MemoryPayload, Payload
from tlm.core.sockets import DirectMemory


class BulkPayload(MemoryPayload, eq=False):
    """Many accesses in one transaction, in no time: their timing is the initiator's to work out.

    The data are those of the accesses one after another. In an SRAM they are rows of ``row_words`` consecutive words,
    the first at ``address``, each further one ``stride_words`` behind the one before (off-chip bytes are consecutive).
    """

    stride_words: int = 1
    row_words: int = 1
    refused: int = 0
    """How often a bank would have refused one of them."""
    arrival_cycles: npt.NDArray[np.int64] | None = None
    """At the off-chip memory: when each of its bursts arrived there, (bursts,)."""


class ReservationPayload(Payload, eq=False):
    """Engine to an SRAM, and on to the DMA: the banks that the engine will take in the cycles from ``first_cycle``.

    ``banks`` is uint8, one number per cycle, bit b set where bank b is taken; valid until the next reservation.
    """

    first_cycle: int
    banks: npt.NDArray[np.uint8]
    accesses: Mapping[Port, npt.NDArray[np.int64]]
    """Initiator -> accesses per bank, (banks,): what the reservation consists of."""


class PassStepsPayload(Payload, eq=False):
    """Sequencer to aligner, from a pass's first sequencer cycle s to its last e: all its steps."""

    group: int
    tile: int
    patterns: npt.NDArray[np.uint64]
    """The 60-bit valid patterns of the group, (patterns_per_group,); zeros behind those of a last pooling group."""
    times: PassTimes


class PassActivationsPayload(Payload, eq=False):
    """Aligner to MAC array: the activations of a pass, where they lie in AMem, and the valid patterns of its steps."""

    group: int
    tile: int
    amem: DirectMemory
    patterns: npt.NDArray[np.uint64]
    """As in :class:`PassStepsPayload`."""


class PassWeightsPayload(Payload, eq=False):
    """Sequencer to MAC array: the weight words of a pass, where they lie in WMem; max pooling has none."""

    wmem: DirectMemory
    first_word: int


class TimedPassPayload(PassPayload, eq=False):
    """A pass with the times that the sequencer has worked out."""

    times: PassTimes


class GroupParametersPayload(Payload, eq=False):
    """Sequencer to requantiser: the parameters of all channels of the next group, or of the layer, (channels,) each."""

    parameters: ParameterArrays


class LayerStepsPayload(Payload, eq=False):
    """Sequencer to aligner: all steps of all passes of a layer."""

    patterns: npt.NDArray[np.uint64]
    """The 60-bit valid patterns, (groups, patterns_per_group); zeros behind those of a last pooling group."""


class LayerActivationsPayload(Payload, eq=False):
    """Aligner to MAC array: the activations of a layer, where they lie in AMem, and the valid patterns of its steps."""

    amem: DirectMemory
    patterns: npt.NDArray[np.uint64]
    """As in :class:`LayerStepsPayload`."""


class LayerPassesPayload(Payload, eq=False):
    """Sequencer to MAC array: all passes of a layer, of which the sequencer has worked out the times."""

    pixels: int
    """Output pixels that are computed."""
    times: PassTimes
    """From the first pass's first cycle to the last pass's last; counts are those of all passes together."""


class LayerDrainPayload(Payload, eq=False):
    """MAC array to requantiser: the accumulators of all passes of a layer, int32 (channels, tiles * lanes)."""

    accumulators: npt.NDArray[np.int32]
    of_passes: LayerPassesPayload
