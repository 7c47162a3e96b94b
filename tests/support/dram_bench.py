"""Bursts that arrive at a DRAM: played in C as fidelity "pass" does, and at the block of fidelity "cycle"."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dram_rules import Played, Request

from tlm.chip.around.dram_memory import DramMemory
from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import DramConfig
from tlm.chip.kernels.dram import Dram, IssuedCommand
from tlm.chip.payloads import BurstBeat, Work
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Origin, Response
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket, Phase


def chip(preset: str, **keys: Any) -> ChipConfig:
    """A chip of whose cycles one is a DRAM clock."""
    keys = {"trefi_clocks": 100_000, **keys}
    dram = DramConfig(preset=preset, tck_ps=2500, **keys)  # type: ignore[arg-type]
    return ChipConfig(memory_model="dram", dram=dram, frequency_mhz=400.0, memory_bytes=1 << 20)


def play_in_c(config: ChipConfig, requests: Sequence[Request], dram: Dram | None = None) -> Played:
    """From event to event, as kernels/dma.c does; a burst waits where 64 of its direction are under way."""
    dram, commands = dram or Dram(config), list[IssuedCommand]()
    ended: dict[bool, list[int]] = {False: [], True: []}
    waiting, now = deque(requests), 0
    left = {way: sum(one.is_write is way for one in requests) for way in (False, True)}
    left[False] = sum(one.beats for one in requests if not one.is_write)
    while waiting or any(left.values()):
        cycle = dram.next_cycle()
        one = waiting[0] if waiting else None
        if one and max(one.cycle, now) <= cycle and dram.state.bursts[one.is_write].count < 64:
            waiting.popleft()
            dram.request(max(one.cycle, now), one.address, one.beats, one.is_write)
            continue
        now = cycle
        while command := dram.step(cycle):
            commands.append(command)
        for way in (False, True):
            if dram.serve(cycle, way):
                ended[way].append(cycle)
                left[way] -= 1
    return Played(commands, ended)


class _Sender(Module):
    """Sends every burst in its cycle, beats as the DMA does: each in the cycle after the one before was answered."""

    def __init__(self, simulation: Simulation, requests: Sequence[Request], bus_bytes: int) -> None:
        super().__init__("sender", simulation)
        self._requests, self._bus_bytes = requests, bus_bytes
        self.memory: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "memory", MemoryPayload)
        self.ended: dict[bool, list[int]] = {False: [], True: []}

    def run(self) -> Activity:
        bursts = [self.clock.env.process(self._send(one, index)) for index, one in enumerate(self._requests)]
        yield from bursts

    def _send(self, one: Request, index: int) -> Activity:
        if one.cycle:
            yield self.clock.cycles(one.cycle)
        burst = Origin(Work.BURST, index)
        for beat in range(one.beats):
            if beat:
                yield self.clock.cycles(1)
            data: Any = bytes(self._bus_bytes) if one.is_write else bytearray(self._bus_bytes)
            command = Command.WRITE if one.is_write else Command.READ
            origin = Origin(Work.BEAT, beat, burst)
            payload = BurstBeat(command, one.address + beat * self._bus_bytes, data, beat, one.beats, origin=origin)
            yield from self.memory.b_transport(payload)
            assert payload.status is Response.OK
            if not one.is_write or beat == one.beats - 1:
                self.ended[one.is_write].append(self.clock.now)


def play_in_block(config: ChipConfig, requests: Sequence[Request], dram: Dram | None = None) -> Played:
    """The same bursts sent to the block."""
    simulation = Simulation()
    memory = DramMemory("memory", simulation, config, dram or Dram(config))
    sender = _Sender(simulation, requests, config.bus_bytes)
    sender.memory.bind(memory.port)
    sender.memory.debug_transport(MemoryPayload(Command.WRITE, 0, bytes(config.memory_bytes)))
    commands = list[IssuedCommand]()

    def see(phase: Phase, _: Any, payload: Any) -> None:
        if phase is Phase.END_RESP:
            commands.append(payload.command)
            burst = payload.origin and payload.origin.find(Work.BURST)
            own = [index for index, one in enumerate(requests) if one.is_write is payload.command.is_write]
            assert (burst is None) == (payload.command.burst is None)
            assert burst is None or burst.index == own[payload.command.burst]

    memory.commands.observe(see)
    simulation.run(sender.run)
    return Played(commands, sender.ended)


PLAYERS: Mapping[str, Callable[..., Played]] = {"pass": play_in_c, "cycle": play_in_block}
"""Fidelity -> its model."""
