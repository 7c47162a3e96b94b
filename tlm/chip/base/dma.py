"""The DMA's contract: two independent channels with the same interface to the rest of the system in every model.

Each channel has its own registers and interrupt, a port to the interconnect and one to each SRAM. If both request
the same SRAM bank or the interconnect in the same cycle, the load channel wins [A].
"""

from __future__ import annotations

from abc import abstractmethod

from tlm.chip.base.unit import UnitModule
from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import Descriptor, read_descriptor
from tlm.chip.format.driver import SramName
from tlm.chip.format.registers import ChannelRegister, UnitFaultError
from tlm.chip.payloads import Work
from tlm.chip.states import ChannelState
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import MemoryPayload, Origin
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket


class DmaChannel(UnitModule):
    """Base of every model's load and store channel.

    Args:
        name: "load" or "store".
        parent: the DMA.
        config: bus, burst and SRAM sizes.
    """

    ending_cycles = 1  # the interrupt comes in the cycle after the last access

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent, ChannelRegister)
        self.config = config
        self._transfers = 0
        self.state = Probe(self, "state", ChannelState.IDLE)
        self.address = Probe(self, "address", 0)
        self.moved_bytes = Probe(self, "moved_bytes", 0)
        self.memory: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "memory", MemoryPayload)
        self.srams: dict[SramName, InitiatorSocket[MemoryPayload]] = {
            sram: InitiatorSocket(self, sram.name.lower(), MemoryPayload) for sram in SramName
        }

    @abstractmethod
    def move(self, descriptor: Descriptor, origin: Origin) -> Activity:
        """Do one transfer; return in the cycle of its last access.

        Raises:
            UnitFaultError: it leaves a memory.
        """

    def work(self) -> Activity:
        """Do the transfer that the registers describe."""
        self.state.value = ChannelState.BUSY
        origin = Origin(Work.TRANSFER, self._transfers)
        self._transfers += 1
        yield from self.move(read_descriptor(self.registers, self.config), origin)

    def rest(self, fault: UnitFaultError | None) -> None:
        """Show that it is idle."""
        self.state.value = ChannelState.IDLE


class Dma(Module):
    """Base of every model's DMA."""

    load: DmaChannel
    store: DmaChannel
