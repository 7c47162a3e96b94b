"""The wiring of the whole system: engine, DMA, the blocks around them, and the bindings of their sockets.

The reading order follows the data: host, off-chip memory, interconnect, DMA, engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tlm.chip.around.dram_memory import DramMemory
from tlm.chip.around.host import Host, UnitAddress
from tlm.chip.around.interconnect import Interconnect
from tlm.chip.around.off_chip_memory import OffChipMemory
from tlm.chip.base.dma import Dma
from tlm.chip.base.memory import Memory
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Engine, Port
from tlm.chip.fidelity import DataFlow, Fidelity
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import DriverStep, SramName, Unit
from tlm.chip.kernels.dram import Dram
from tlm.chip.passes.dma import Dma as PassDma
from tlm.chip.passes.engine import PassEngine
from tlm.chip.passes.interconnect import Interconnect as PassInterconnect
from tlm.chip.passes.off_chip_memory import OffChipMemory as PassOffChipMemory
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket

BUS_SLOTS: Mapping[str, int] = {"host": 1, Port.DMA_LOAD: 2, Port.DMA_STORE: 3}
"""Port of the interconnect -> its slot within the cycle, that is, its priority at a target [A]."""


class System:
    """The chip with its host and off-chip memory, ready to run one driver program.

    Args:
        config: the parameters of all blocks.
        fidelity: which model of engine and DMA runs.
        engine: for fidelity "cycle", another model of the engine behind the same contract.
        traced: for fidelity "rtl", whether the circuit's signals can be written to a waveform.
        flow: for fidelity "pass", how values move through the engine's data path.
    """

    host: Host
    memory: Memory
    dram: Dram | None
    """Commands and times of the off-chip memory, if it is DRAM."""
    interconnect: Interconnect
    dma: Dma
    engine: Engine

    def __init__(
        self,
        config: ChipConfig,
        fidelity: Fidelity = Fidelity.CYCLE,
        engine: Callable[[str, Module, ChipConfig], Engine] | None = None,
        traced: bool = False,
        flow: DataFlow = DataFlow.PASSES,
    ) -> None:
        self.config = config
        self.fidelity = fidelity
        self.simulation = simulation = Simulation()
        regions = am.AddressMap()
        regions.add(am.Region("memory", am.MEMORY_BASE, config.memory_bytes))  # first, because it is accessed most
        regions.add(am.Region("load", am.LOAD_BASE, am.BLOCK_BYTES))
        regions.add(am.Region("store", am.STORE_BASE, am.BLOCK_BYTES))
        regions.add(am.Region("engine", am.ENGINE_BASE, am.BLOCK_BYTES))
        units = {
            Unit.LOAD: UnitAddress(am.LOAD_BASE, "dma.load"),
            Unit.STORE: UnitAddress(am.STORE_BASE, "dma.store"),
            Unit.ENGINE: UnitAddress(am.ENGINE_BASE, "engine.sequencer"),
        }
        self.host = Host("host", simulation, config, units, am.MEMORY_BASE)
        self.dram = dram = Dram(config) if config.uses_dram else None
        match fidelity:
            case Fidelity.CYCLE:
                from tlm.chip.cycle.dma import Dma as CycleDma  # late: a run in fidelity "pass" needs none of it
                from tlm.chip.cycle.engine import CycleEngine

                if dram:
                    self.memory = DramMemory("memory", simulation, config, dram)
                else:
                    self.memory = OffChipMemory("memory", simulation, config)
                self.interconnect = Interconnect("interconnect", simulation, regions, BUS_SLOTS)
                self.dma = CycleDma("dma", simulation, config)
                self.engine = (engine or CycleEngine)("engine", simulation, config)
            case Fidelity.PASS | Fidelity.RTL:
                self.memory = PassOffChipMemory("memory", simulation, config)
                self.interconnect = PassInterconnect("interconnect", simulation, regions, BUS_SLOTS)
                if fidelity is Fidelity.PASS:
                    self.dma = dma = PassDma("dma", simulation, config, dram)
                    self.engine = PassEngine("engine", simulation, config, dma, flow)
                else:
                    self.dma, self.engine = _rtl(simulation, config, self.memory.bytes, dram, traced)
        self._bind()

    def _bind(self) -> None:
        ports, targets, engine = self.interconnect.ports, self.interconnect.targets, self.engine
        self.host.bus.bind(ports["host"])
        targets["memory"].bind(self.memory.port)
        targets["engine"].bind(engine.registers)
        engine.interrupt.bind(self.host.interrupts[Unit.ENGINE])
        for unit, channel, port in ((Unit.LOAD, self.dma.load, "load"), (Unit.STORE, self.dma.store, "store")):
            targets[port].bind(channel.registers.target)
            channel.registers.interrupt.bind(self.host.interrupts[unit])
            channel.memory.bind(ports[f"dma_{port}"])
            for name, of_sram in engine.ports.items():
                channel.srams[name].bind(of_sram.load if unit is Unit.LOAD else of_sram.store)

    def preload(self, image: bytes | bytearray) -> None:
        """Write an image to the start of the off-chip memory by debug transport; takes no time."""
        self.host.bus.debug_transport(MemoryPayload(Command.WRITE, am.MEMORY_BASE, image))

    def read_memory(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Read bytes of the off-chip memory by debug transport; takes no time."""
        data = bytearray(size_bytes)
        self.host.bus.debug_transport(MemoryPayload(Command.READ, am.MEMORY_BASE + offset_bytes, data))
        return bytes(data)

    def sram_socket(self, sram: SramName) -> InitiatorSocket[MemoryPayload]:
        """A socket for inspecting an SRAM by debug transport."""
        return self.dma.load.srams[sram]

    def run(self, steps: Sequence[DriverStep]) -> None:
        """Run a driver program to its end.

        Raises:
            TlmError: whatever went wrong, with component, address and cycle.
        """
        self.simulation.run(lambda: self.host.run(steps))


def _rtl(
    simulation: Simulation, config: ChipConfig, memory: npt.NDArray[np.uint8], dram: Dram | None, traced: bool
) -> tuple[Dma, Engine]:
    """DMA and engine of fidelity "rtl", imported late: they need optional packages.

    Raises:
        InputError: they are not installed.
    """
    from tlm.chip.rtl.build import require

    require()
    from tlm.chip.rtl.coupling import RtlEngine
    from tlm.chip.rtl.dma import Dma as RtlDma

    dma = RtlDma("dma", simulation, config, memory, dram)
    return dma, RtlEngine("engine", simulation, config, dma, traced)
