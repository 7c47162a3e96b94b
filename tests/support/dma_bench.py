"""Fidelity "cycle"'s DMA, interconnect, off-chip memory and SRAMs without host and engine.

A bench writes the channels' registers by script and takes SRAM banks by calendar, through the engine's ports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from simpy import Event

from tlm.chip.around.dram_memory import DramMemory
from tlm.chip.around.interconnect import Interconnect
from tlm.chip.around.off_chip_memory import OffChipMemory
from tlm.chip.base.memory import Memory
from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents
from tlm.chip.cycle.dma import Dma
from tlm.chip.cycle.sram import Sram
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import SramName, Transfer
from tlm.chip.format.registers import ChannelRegister, Status, UnitRegister
from tlm.chip.kernels.dma import Channel
from tlm.chip.kernels.dram import Dram
from tlm.chip.payloads import InterruptPayload
from tlm.chip.system import BUS_SLOTS
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket, Phase, TargetSocket

ENGINE_PORTS = {
    SramName.AMEM: ("aligner", "write_back", "residual"),
    SramName.WMEM: ("fetch",),
    SramName.IMEM: ("fetch",),
}


@dataclass(frozen=True)
class Calendar:
    """The engine's banks of an SRAM from a cycle on: uint8 (cycles,), bit b = bank b."""

    first_cycle: int
    banks: npt.NDArray[np.uint8]

    def __repr__(self) -> str:
        return f"Calendar({self.first_cycle}, {self.banks.tolist()})"


@dataclass(frozen=True)
class Start:
    """A transfer, START written so many cycles after the interrupt before it (or after cycle 0)."""

    delay_cycles: int
    transfer: Transfer


@dataclass
class Outcome:
    """What happened: figures by channel."""

    completed: dict[Channel, list[int]] = field(default_factory=lambda: {channel: [] for channel in Channel})
    """Cycle in which each transfer's last access came."""
    granted: Counter[tuple[Channel, SramName, int]] = field(default_factory=Counter)
    """(channel, SRAM, bank) -> accesses."""
    refused: Counter[tuple[Channel, SramName, int]] = field(default_factory=Counter)
    beats: Counter[Channel] = field(default_factory=Counter)


class Bench(Module):
    """In place of host and engine."""

    def __init__(
        self,
        simulation: Simulation,
        dma: Dma,
        srams: Mapping[SramName, Sram],
        starts: Mapping[Channel, Sequence[Start]],
        calendars: Mapping[SramName, Sequence[Calendar]],
    ) -> None:
        super().__init__("bench", simulation)
        self._clock = simulation.clock
        self._channels = {Channel.LOAD: dma.load, Channel.STORE: dma.store}
        self._starts = starts
        self._interrupted = {channel: Event(simulation.kernel.env) for channel in Channel}
        self._registers: dict[Channel, InitiatorSocket[MemoryPayload]] = {}
        self.outcome = Outcome()
        for channel, block in self._channels.items():
            name = channel.name.lower()
            self._registers[channel] = InitiatorSocket(self, name, MemoryPayload)
            self._registers[channel].bind(block.registers.target)
            block.registers.interrupt.bind(
                TargetSocket(self, f"interrupt_{name}", InterruptPayload, partial(self._interrupt, channel))
            )
            block.memory.observe(partial(self._see_beat, channel))
            for sram, socket in block.srams.items():
                socket.observe(partial(self._see_access, channel, sram, srams[sram].banks))
        for sram, ports in ENGINE_PORTS.items():
            for index, port in enumerate(ports):
                name = f"{sram.name.lower()}_{port}"
                out: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, name, MemoryPayload)
                out.bind(srams[sram].ports[port])
                share = index, len(ports)
                self.add_process(partial(self._take_banks, out, srams[sram], calendars[sram], *share))

    def run(self) -> Activity:
        """Until every channel has done its script."""
        scripts = [self._clock.env.process(self._script(channel)) for channel in Channel]
        yield from scripts

    def _script(self, channel: Channel) -> Activity:
        for start in self._starts[channel]:
            yield self._clock.cycles(start.delay_cycles)
            t = start.transfer
            for register, value in (
                (UnitRegister.STATUS, Status.DONE),
                (ChannelRegister.MEMORY_ADDRESS, am.MEMORY_BASE + t.memory_offset_bytes),
                (ChannelRegister.SRAM, t.sram_word | t.sram << 32),
                (ChannelRegister.ROWS, t.row_words | t.rows << 32),
                (ChannelRegister.STRIDES, t.memory_stride_bytes | t.sram_stride_words << 32),
                (UnitRegister.START, 1),
            ):
                payload = MemoryPayload(Command.WRITE, register, int(value).to_bytes(8, "little"))
                yield from self._registers[channel].b_transport(payload)
                assert payload.status is Response.OK
            self._interrupted[channel] = Event(self._clock.env)
            yield self._interrupted[channel]

    def _interrupt(self, channel: Channel, payload: InterruptPayload) -> None:
        status = MemoryPayload(Command.READ, UnitRegister.STATUS, bytearray(8))
        self._registers[channel].debug_transport(status)
        assert status.data[0] == Status.DONE
        self.outcome.completed[channel].append(self._clock.now - 1)  # the interrupt comes in the cycle after
        self._interrupted[channel].succeed()
        payload.status = Response.OK

    def _take_banks(
        self, out: InitiatorSocket[MemoryPayload], sram: Sram, calendars: Sequence[Calendar], index: int, ports: int
    ) -> Activity:
        """A port takes every ports-th bank of the calendars."""
        for calendar in calendars:
            for k, banks in enumerate(calendar.banks.tolist()):
                mine = [bank for bank in range(index, sram.banks, ports) if banks >> bank & 1]
                if mine:
                    yield self._clock.cycles(calendar.first_cycle + k - self._clock.now)
                for bank in mine:
                    word = MemoryPayload(Command.READ, bank, bytearray(sram.word_bytes))
                    yield from out.b_transport(word)
                    assert word.status is Response.OK

    def _see_access(self, channel: Channel, sram: SramName, banks: int, phase: Phase, _: Any, payload: Any) -> None:
        if phase is Phase.END_RESP:
            counts = self.outcome.refused if payload.status is Response.RETRY else self.outcome.granted
            counts[channel, sram, payload.address % banks] += 1

    def _see_beat(self, channel: Channel, phase: Phase, _: Any, payload: Any) -> None:
        if phase is Phase.END_RESP:
            assert payload.status is Response.OK
            self.outcome.beats[channel] += 1


def play(
    config: ChipConfig, starts: Mapping[Channel, Sequence[Start]], calendars: Mapping[SramName, Sequence[Calendar]]
) -> Outcome:
    """Run fidelity "cycle" to the end of every script."""
    simulation = Simulation()
    regions = am.AddressMap()
    regions.add(am.Region("memory", am.MEMORY_BASE, config.memory_bytes))
    memory: Memory
    if config.uses_dram:
        memory = DramMemory("memory", simulation, config, Dram(config))
    else:
        memory = OffChipMemory("memory", simulation, config)
    slots = {port: slot for port, slot in BUS_SLOTS.items() if port != "host"}
    interconnect = Interconnect("interconnect", simulation, regions, slots)
    dma = Dma("dma", simulation, config)
    srams = {sram: Sram(sram, simulation, config, EngineEvents()) for sram in SramName}
    interconnect.targets["memory"].bind(memory.port)
    for channel, port in ((dma.load, "dma_load"), (dma.store, "dma_store")):
        channel.memory.bind(interconnect.ports[port])
        for name, sram in srams.items():
            channel.srams[name].bind(sram.ports[port])
    bench = Bench(simulation, dma, srams, starts, calendars)
    dma.load.memory.debug_transport(MemoryPayload(Command.WRITE, am.MEMORY_BASE, bytes(config.memory_bytes)))
    for name, sram in srams.items():
        dma.load.srams[name].debug_transport(MemoryPayload(Command.WRITE, 0, bytes(sram.words * sram.word_bytes)))
    simulation.run(bench.run)
    return bench.outcome
