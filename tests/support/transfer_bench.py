"""A system whose DMA is watched, for tests of transfers.

T is the cycle in which START is written: 5 A + 9 for the first transfer of a run, A = ceil(host_access_ns x f), since
the four operands and START take A cycles in the host, one to cross, and one back. L is the off-chip memory's latency
and b the cycles between two of its beats (tests/chip/around/test_off_chip_memory.py).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from transaction_bench import read, write

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import DriverStep, SramName, StartTransfer, Transfer, Unit, Wait
from tlm.chip.system import System
from tlm.core.payload import Response
from tlm.core.sockets import Phase

MEMORY_BYTES = 1 << 16


class Bench:
    """A system with figures of what the DMA did."""

    def __init__(self, **parameters: Any) -> None:
        self.config = ChipConfig(memory_bytes=MEMORY_BYTES, **parameters)
        self.system = System(self.config)
        self.clock = self.system.simulation.clock
        self.image = bytes(i * 7 % 253 for i in range(MEMORY_BYTES))
        self.system.preload(self.image)
        self.words: dict[Unit, list[tuple[int, int]]] = {Unit.LOAD: [], Unit.STORE: []}
        """Cycle and address of each SRAM access that was served."""
        self.interrupts: dict[Unit, int] = {}
        for unit, channel in ((Unit.LOAD, self.system.dma.load), (Unit.STORE, self.system.dma.store)):
            for socket in channel.srams.values():
                socket.observe(lambda phase, _, payload, unit=unit: self._see_word(unit, phase, payload))
            channel.registers.interrupt.observe(lambda phase, _, __, unit=unit: self._see_interrupt(unit, phase))

    def _see_word(self, unit: Unit, phase: Phase, payload: Any) -> None:
        if phase is Phase.END_RESP and payload.status is Response.OK:
            self.words[unit].append((self.clock.now, payload.address))

    def _see_interrupt(self, unit: Unit, phase: Phase) -> None:
        if phase is Phase.BEGIN_REQ:
            self.interrupts[unit] = self.clock.now

    @property
    def start_cycle(self) -> int:
        """T of the first transfer."""
        return 5 * self.config.cycles_of_ns(self.config.host_access_ns) + 9

    @property
    def latency(self) -> int:
        """L."""
        return self.config.cycles_of_ns(self.config.memory_latency_ns)

    @property
    def beat(self) -> Fraction:
        """b."""
        return max(
            Fraction(1),
            Fraction(self.config.bus_bytes * self.config.clock_khz, 10**6) / Fraction(str(self.config.memory_gb_per_s)),
        )

    def run(self, *steps: DriverStep) -> None:
        self.system.run(steps)

    def transfer(self, unit: Unit, **fields: Any) -> int:
        """Run one transfer to its interrupt; returns the interrupt's cycle."""
        self.run(StartTransfer(unit, Transfer(**fields)), Wait(unit))
        return self.interrupts[unit]

    def write_sram(self, sram: SramName, word: int, data: bytes) -> None:
        self.system.sram_socket(sram).debug_transport(write(word, data))

    def read_sram(self, sram: SramName, word: int, size_bytes: int) -> bytes:
        payload = read(word, size_bytes)
        self.system.sram_socket(sram).debug_transport(payload)
        return bytes(payload.data)

    def word_bytes(self, sram: SramName) -> int:
        return self.system.engine.srams[sram].word_bytes
