"""The DMA of fidelity "pass" with real memory and interconnect: when transfers end, and beside which banks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from block_bench import CHIP
from transaction_bench import Initiator, Target

from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents, Port
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import SramName
from tlm.chip.format.registers import ChannelRegister, ErrorCode, Status, UnitRegister
from tlm.chip.passes.dma import Dma
from tlm.chip.passes.interconnect import Interconnect
from tlm.chip.passes.off_chip_memory import OffChipMemory
from tlm.chip.passes.payloads import ReservationPayload
from tlm.chip.passes.sram import Sram
from tlm.chip.payloads import InterruptPayload
from tlm.chip.system import BUS_SLOTS
from tlm.core.kernel import Activity
from tlm.core.payload import Command, MemoryPayload
from tlm.core.simulation import Simulation

START_CYCLE = 20
LATENCY_CYCLES = CHIP.cycles_of_ns(CHIP.memory_latency_ns)


class Bench:
    """Two channels, their memories, and an engine that reserves banks."""

    def __init__(self, chip: ChipConfig = CHIP) -> None:
        self.simulation = simulation = Simulation()
        regions = am.AddressMap()
        regions.add(am.Region("memory", am.MEMORY_BASE, chip.memory_bytes))
        memory = OffChipMemory("memory", simulation, chip)
        ports = {port: slot for port, slot in BUS_SLOTS.items() if port != "host"}
        interconnect = Interconnect("interconnect", simulation, regions, ports)
        interconnect.targets["memory"].bind(memory.port)
        self.dma = Dma("dma", simulation, chip)
        self.srams = {sram: Sram(sram, simulation, chip, EngineEvents()) for sram in SramName}
        self.engine = {name: Initiator(f"engine_{name.name}", simulation, ReservationPayload).out for name in SramName}
        self.interrupts: list[tuple[int, str]] = []
        self.registers = {}
        for name, channel, port in (("load", self.dma.load, Port.DMA_LOAD), ("store", self.dma.store, Port.DMA_STORE)):
            self.registers[name] = Initiator(f"{name}_registers", simulation).out
            self.registers[name].bind(channel.registers.target)
            target = Target(f"{name}_host", simulation, payload_type=InterruptPayload)
            channel.registers.interrupt.bind(target.port)
            channel.registers.interrupt.observe(
                lambda phase, _, __, name=name: self.interrupts.append((simulation.clock.now, name))
                if phase.name == "BEGIN_REQ" else None
            )  # fmt: skip
            channel.memory.bind(interconnect.ports[port])
            for sram, block in self.srams.items():
                channel.srams[sram].bind(block.ports[port])
        for sram, block in self.srams.items():
            self.engine[sram].bind(block.reservations)
            block.calendar.bind(self.dma.calendars[sram])
            for port in set(block.ports) - {Port.DMA_LOAD, Port.DMA_STORE}:
                Initiator(f"{block.name}_{port}", simulation).out.bind(block.ports[port])

    def transfer(self, name: str, words: int, memory_address: int = am.MEMORY_BASE) -> Activity:
        """Start one row into or out of AMem word 0 in START_CYCLE, and wait for its interrupt."""
        yield self.simulation.clock.cycles(START_CYCLE)
        for register, value in (
            (ChannelRegister.MEMORY_ADDRESS, memory_address), (ChannelRegister.SRAM, 0),
            (ChannelRegister.ROWS, words | 1 << 32), (ChannelRegister.STRIDES, 0), (UnitRegister.START, 1),
        ):  # fmt: skip
            write = MemoryPayload(Command.WRITE, register, value.to_bytes(8, "little"))
            yield from self.registers[name].b_transport(write)
        while name not in [ended for _, ended in self.interrupts]:
            yield self.simulation.clock.cycles(1)

    def fill(self, data: bytes) -> None:
        self.dma.load.memory.debug_transport(MemoryPayload(Command.WRITE, am.MEMORY_BASE, data))


DATA = bytes(range(256))


@pytest.mark.parametrize("beats", [2, 4, 8, 18])
def test_a_load_moves_its_bytes_and_ends_when_the_closed_form_says(beats: int) -> None:
    """docs/timing.md, DMA: the interrupt of N beats comes in t + 4 + L + ceil((N - 1) * B), with latency hidden."""
    chip = ChipConfig(lanes=32, dma_bursts_in_flight=8)  # a word is two beats
    bench = Bench(chip)
    bench.fill(DATA)
    words = beats * chip.bus_bytes // chip.amem_word_bytes
    bench.simulation.run(lambda: bench.transfer("load", words))
    wait = math.ceil((beats - 1) * chip.memory_beat_cycles)
    assert bench.interrupts == [(START_CYCLE + 4 + LATENCY_CYCLES + wait, "load")]
    assert bench.srams[SramName.AMEM].bytes[: beats * chip.bus_bytes] == DATA[: beats * chip.bus_bytes]


def test_a_store_moves_its_bytes() -> None:
    bench = Bench()
    bench.dma.store.srams[SramName.AMEM].debug_transport(MemoryPayload(Command.WRITE, 0, DATA))
    bench.simulation.run(lambda: bench.transfer("store", 16))
    found = bytearray(64)
    bench.dma.load.memory.debug_transport(MemoryPayload(Command.READ, am.MEMORY_BASE, found))
    assert bytes(found) == DATA[:64]


@pytest.mark.parametrize("taken_cycles", [1, 5, 40])
def test_a_word_waits_while_the_engine_has_its_bank(taken_cycles: int) -> None:
    """One beat is two words, of banks 0 and 1; the engine has bank 0 when the first could be written."""
    bench = Bench()
    bench.fill(DATA)
    first_cycle = START_CYCLE + 3 + LATENCY_CYCLES
    banks = np.ones(taken_cycles, np.uint8)

    def reserve() -> Activity:
        yield bench.simulation.clock.cycles(1)
        payload = ReservationPayload(first_cycle, banks, {Port.ALIGNER: np.array([taken_cycles, 0, 0, 0])})
        yield from bench.engine[SramName.AMEM].b_transport(payload)

    def both() -> Activity:
        bench.simulation.kernel.env.process(reserve())
        yield from bench.transfer("load", 2)

    bench.simulation.run(both)
    unhindered = START_CYCLE + 4 + LATENCY_CYCLES + 1  # the second word a cycle behind the first
    assert bench.interrupts == [(unhindered + taken_cycles, "load")]


def test_a_transfer_that_leaves_the_memory_ends_with_an_error() -> None:
    bench = Bench()
    address = am.MEMORY_BASE + CHIP.memory_bytes - 8
    bench.simulation.run(lambda: bench.transfer("load", 16, address))
    data = bytearray(8)
    bench.registers["load"].debug_transport(MemoryPayload(Command.READ, UnitRegister.STATUS, data))
    assert data[0] == Status.DONE | Status.ERROR
    bench.registers["load"].debug_transport(MemoryPayload(Command.READ, UnitRegister.ERROR_CODE, data))
    assert data[0] == ErrorCode.MEMORY_ADDRESS
