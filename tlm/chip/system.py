"""The wiring: every block of the chip and of what surrounds it, and which socket is bound to which.

The only file that knows the whole. Reading order = the way of the data: host, off-chip memory, interconnect, DMA,
SRAMs, sequencer, aligner, MAC array, requantiser.
"""

from __future__ import annotations

from collections.abc import Sequence

from tlm.chip.around.host import Host, UnitAddress
from tlm.chip.around.interconnect import Interconnect
from tlm.chip.around.off_chip_memory import OffChipMemory
from tlm.chip.config import ChipConfig
from tlm.chip.cycle import dma as cycle_dma
from tlm.chip.cycle.dma_channel import DmaChannel
from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.fidelity import Fidelity
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import DriverStep, SramName, Unit
from tlm.chip.passes import dma as pass_dma
from tlm.chip.passes.dma import PassChannel
from tlm.chip.passes.engine import PassEngine
from tlm.chip.wiring import BUS_SLOTS
from tlm.core.payload import Command, MemoryPayload
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket


class System:
    """The chip with its host and off-chip memory, ready to run one driver program.

    Args:
        config: parameters of everything.
        fidelity: which model of engine and DMA; everything around them is the same.
    """

    def __init__(self, config: ChipConfig, fidelity: Fidelity = Fidelity.CYCLE) -> None:
        self.config = config
        self.fidelity = fidelity
        self.simulation = Simulation()
        regions = am.AddressMap()
        regions.add(am.Region("load", am.LOAD_BASE, am.BLOCK_BYTES))
        regions.add(am.Region("store", am.STORE_BASE, am.BLOCK_BYTES))
        regions.add(am.Region("engine", am.ENGINE_BASE, am.BLOCK_BYTES))
        regions.add(am.Region("memory", am.MEMORY_BASE, config.memory_bytes))
        units = {
            Unit.LOAD: UnitAddress(am.LOAD_BASE, "dma.load"),
            Unit.STORE: UnitAddress(am.STORE_BASE, "dma.store"),
            Unit.ENGINE: UnitAddress(am.ENGINE_BASE, "engine.sequencer"),
        }
        self.host = Host("host", self.simulation, config, units, am.MEMORY_BASE)
        self.memory = OffChipMemory("memory", self.simulation, config)
        self.interconnect = Interconnect("interconnect", self.simulation, regions, BUS_SLOTS)
        self.dma: cycle_dma.Dma | pass_dma.Dma
        self.engine: CycleEngine | PassEngine
        match fidelity:
            case Fidelity.CYCLE:
                self.dma = cycle_dma.Dma("dma", self.simulation, config)
                self.engine = CycleEngine("engine", self.simulation, config)
            case Fidelity.PASS:
                self.dma = pass_dma_ = pass_dma.Dma("dma", self.simulation, config)
                self.engine = pass_engine = PassEngine("engine", self.simulation, config)
                for name, sram in pass_engine.srams.items():
                    sram.calendar.bind(pass_dma_.calendars[name])
        self._bind()

    def _bind(self) -> None:
        targets = self.interconnect.targets
        self.host.bus.bind(self.interconnect.ports["host"])
        targets["memory"].bind(self.memory.port)
        targets["engine"].bind(self.engine.sequencer.registers.target)
        self.engine.sequencer.registers.interrupt.bind(self.host.interrupts[Unit.ENGINE])
        for unit, channel, port in (
            (Unit.LOAD, self.dma.load, "dma_load"),
            (Unit.STORE, self.dma.store, "dma_store"),
        ):
            self._bind_channel(unit, channel, port)
            targets[unit.value].bind(channel.registers.target)

    def _bind_channel(self, unit: Unit, channel: DmaChannel | PassChannel, port: str) -> None:
        channel.memory.bind(self.interconnect.ports[port])
        channel.registers.interrupt.bind(self.host.interrupts[unit])
        for name, sram in self.engine.srams.items():
            channel.srams[name].bind(sram.ports[port])

    def preload(self, image: bytes) -> None:
        """Put an image at the start of the off-chip memory, in no time (debug transport)."""
        self.host.bus.debug_transport(MemoryPayload(Command.WRITE, am.MEMORY_BASE, image))

    def read_memory(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Bytes of the off-chip memory, in no time."""
        data = bytearray(size_bytes)
        self.host.bus.debug_transport(MemoryPayload(Command.READ, am.MEMORY_BASE + offset_bytes, data))
        return bytes(data)

    def sram_socket(self, sram: SramName) -> InitiatorSocket[MemoryPayload]:
        """A socket through which an SRAM can be inspected by debug transport."""
        return self.dma.load.srams[sram]

    def run(self, steps: Sequence[DriverStep]) -> None:
        """Run a driver program to its end.

        Raises:
            TlmError: whatever went wrong, with component, address and cycle.
        """
        self.simulation.run(lambda: self.host.run(steps))
