"""The DMA beside the circuit: a transfer at a time in SimPy, an SRAM access and a bus beat at a time in C.

Request flow: registers, sockets and bulk payloads are those of fidelity "pass"; they tell of a transfer when it is
complete. Its bytes have moved before, each in its cycle.
Timing: kernels/dma.c advances both channels, the interconnect's lane and the off-chip memory together with the circuit,
cycle by cycle. It puts each access on the wires of the circuit's DMA ports, and the circuit grants or refuses it.
Constraints: as fidelity "pass"'s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.format.address_map import MEMORY_BASE
from tlm.chip.format.descriptor import Descriptor, sram_size
from tlm.chip.kernels.dma import Channel
from tlm.chip.kernels.dram import Dram
from tlm.chip.passes.dma import TimelineDma
from tlm.core.module import Module


class Dma(TimelineDma):
    """Two channels, advanced by the circuit's clock.

    Args:
        name: of the module.
        parent: the system.
        config: bus, burst and SRAM sizes.
        memory: the off-chip memory's bytes, uint8 (memory_bytes,), which move in C.
        dram: the off-chip memory's times, if it is DRAM.
    """

    def __init__(
        self,
        name: str,
        parent: Module,
        config: ChipConfig,
        memory: npt.NDArray[np.uint8],
        dram: Dram | None = None,
    ) -> None:
        super().__init__(name, parent, config, dram)
        self._bytes = memory
        self._started: Callable[[], None] = lambda: None

    def connect(self, access: int, circuit: int, started: Callable[[], None]) -> tuple[int, int]:
        """Ask a circuit for every access.

        Args:
            access: address of the C function that asks.
            circuit: address of what it asks.
            started: called when a transfer has started.

        Returns:
            Addresses of the C function that lets the DMA's time advance, and of what it is called with.
        """
        self._started = started
        return self.timeline.connect(access, circuit, self._bytes)

    @property
    def busy(self) -> bool:
        """Whether a transfer is under way."""
        return self.timeline.earliest_completion() is not None

    def announce(self) -> None:
        """A transfer has started in this cycle."""
        self._started()

    def room(self, descriptor: Descriptor) -> bytearray:
        """Room for a transfer's bytes on their way."""
        return bytearray(descriptor.rows * descriptor.row_words * sram_size(descriptor.sram, self.config)[1])

    def row_data(self, memory_address: int, size_bytes: int) -> bytearray:
        """What the beats have left in the off-chip memory."""
        first = memory_address - MEMORY_BASE
        return bytearray(self._bytes[first : first + size_bytes])

    def completed(self, channels: int) -> None:
        """The channels whose bits are set make their last accesses in this cycle."""
        self.complete(channel for channel in Channel if channels >> channel & 1)
