"""The wiring: every block of the chip and of what surrounds it, and which socket is bound to which.

The only file that knows the whole. Reading order = the way of the data: host, off-chip memory, interconnect, DMA,
SRAMs, sequencer, aligner, MAC array, requantiser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from tlm.chip import address_map as am
from tlm.chip.aligner import Aligner
from tlm.chip.burst.aligner import BurstAligner
from tlm.chip.burst.dma import BurstChannel, BurstDma
from tlm.chip.burst.mac_array import BurstMacArray
from tlm.chip.burst.requantiser import BurstRequantiser
from tlm.chip.burst.sequencer import BurstSequencer
from tlm.chip.burst.sram import BurstSram
from tlm.chip.config import ChipConfig
from tlm.chip.descriptor import sram_size
from tlm.chip.dma import Dma
from tlm.chip.dma_channel import DmaChannel
from tlm.chip.driver import DriverStep, SramName, Unit
from tlm.chip.fidelity import Fidelity
from tlm.chip.host import Host, UnitAddress
from tlm.chip.interconnect import Interconnect
from tlm.chip.mac_array import MacArray
from tlm.chip.off_chip_memory import OffChipMemory
from tlm.chip.requantiser import Requantiser
from tlm.chip.sequencer import Sequencer
from tlm.chip.sram import Sram
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket

# Slots are priorities within a cycle (engine.md, Banks); between the DMA's channels the load comes first [A].
_AMEM_SLOTS = {"aligner": 0, "write_back": 1, "residual": 2, "dma_load": 3, "dma_store": 4}
_FETCH_SLOTS = {"fetch": 0, "dma_load": 1, "dma_store": 2}
_BUS_SLOTS = {"host": 1, "dma_load": 2, "dma_store": 3}


class _SramParameters(TypedDict):
    words: int
    word_bytes: int
    banks: int
    port_slots: Mapping[str, int]


def _sram_parameters(sram: SramName, config: ChipConfig) -> _SramParameters:
    words, word_bytes = sram_size(sram, config)
    banks = {SramName.AMEM: config.amem_banks, SramName.WMEM: config.wmem_banks, SramName.IMEM: config.imem_banks}
    slots = _AMEM_SLOTS if sram is SramName.AMEM else _FETCH_SLOTS
    return _SramParameters(words=words, word_bytes=word_bytes, banks=banks[sram], port_slots=slots)


class Engine(Module):
    """SRAMs and datapath: what an RTL model would replace as a whole, behind the same sockets."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.amem, self.wmem, self.imem = (
            Sram(sram.name.lower(), self, **_sram_parameters(sram, config)) for sram in SramName
        )
        self.sequencer = Sequencer("sequencer", self, config)
        self.aligner = Aligner("aligner", self, config)
        self.mac_array = MacArray("mac_array", self, config)
        self.requantiser = Requantiser("requantiser", self, config)
        self.srams = {SramName.AMEM: self.amem, SramName.WMEM: self.wmem, SramName.IMEM: self.imem}
        self._bind()

    def _bind(self) -> None:
        sequencer, aligner, mac_array, requantiser = self.sequencer, self.aligner, self.mac_array, self.requantiser
        sequencer.imem.bind(self.imem.ports["fetch"])
        sequencer.wmem.bind(self.wmem.ports["fetch"])
        sequencer.steps.bind(aligner.steps)
        sequencer.weights.bind(mac_array.weights)
        sequencer.passes.bind(mac_array.passes)
        sequencer.layers_to_aligner.bind(aligner.layers)
        sequencer.layers_to_mac_array.bind(mac_array.layers)
        sequencer.layers_to_requantiser.bind(requantiser.layers)
        sequencer.parameters.bind(requantiser.parameters)
        sequencer.flushes.bind(requantiser.flushes)
        aligner.amem.bind(self.amem.ports["aligner"])
        aligner.vectors.bind(mac_array.vectors)
        mac_array.drain.bind(requantiser.passes)
        requantiser.writes.bind(self.amem.ports["write_back"])
        requantiser.residuals.bind(self.amem.ports["residual"])


class BurstEngine(Module):
    """The same for whole passes (fidelity "burst")."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.amem, self.wmem, self.imem = (
            BurstSram(sram.name.lower(), self, **_sram_parameters(sram, config)) for sram in SramName
        )
        self.sequencer = BurstSequencer("sequencer", self, config)
        self.aligner = BurstAligner("aligner", self, config)
        self.mac_array = BurstMacArray("mac_array", self, config)
        self.requantiser = BurstRequantiser("requantiser", self, config)
        self.srams = {SramName.AMEM: self.amem, SramName.WMEM: self.wmem, SramName.IMEM: self.imem}
        self._bind()

    def _bind(self) -> None:
        sequencer, aligner, mac_array, requantiser = self.sequencer, self.aligner, self.mac_array, self.requantiser
        sequencer.imem.bind(self.imem.ports["fetch"])
        sequencer.wmem.bind(self.wmem.ports["fetch"])
        sequencer.steps.bind(aligner.steps)
        sequencer.weights.bind(mac_array.weights)
        sequencer.passes.bind(mac_array.passes)
        sequencer.layers_to_aligner.bind(aligner.layers)
        sequencer.layers_to_mac_array.bind(mac_array.layers)
        sequencer.layers_to_requantiser.bind(requantiser.layers)
        sequencer.parameters.bind(requantiser.parameters)
        sequencer.flushes.bind(requantiser.flushes)
        for sram in self.srams.values():
            sequencer.reservations[sram.name].bind(sram.reservations)
        aligner.amem.bind(self.amem.ports["aligner"])
        aligner.vectors.bind(mac_array.vectors)
        mac_array.drain.bind(requantiser.passes)
        requantiser.writes.bind(self.amem.ports["write_back"])
        requantiser.residuals.bind(self.amem.ports["residual"])


class System:
    """The chip with its host and off-chip memory, ready to run one driver program.

    Args:
        config: parameters of everything.
        fidelity: which model of engine and DMA; everything around them is the same.
    """

    def __init__(self, config: ChipConfig, fidelity: Fidelity = Fidelity.BEAT) -> None:
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
        self.interconnect = Interconnect("interconnect", self.simulation, regions, _BUS_SLOTS)
        self.dma: Dma | BurstDma
        self.engine: Engine | BurstEngine
        match fidelity:
            case Fidelity.BEAT:
                self.dma = Dma("dma", self.simulation, config)
                self.engine = Engine("engine", self.simulation, config)
            case Fidelity.BURST:
                self.dma = burst_dma = BurstDma("dma", self.simulation, config)
                self.engine = burst_engine = BurstEngine("engine", self.simulation, config)
                for name, sram in burst_engine.srams.items():
                    sram.calendar.bind(burst_dma.calendars[name])
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

    def _bind_channel(self, unit: Unit, channel: DmaChannel | BurstChannel, port: str) -> None:
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
