"""The signals of a waveform of every cycle, and the transactions and probes that they follow: all but the engine's.

One scope for each block, under the name that it has in error messages. Numbers that count something are integers
(shown in decimal), addresses in bytes and sets of banks or lanes are wires (hexadecimal).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from tlm.chip.around.host import Host
from tlm.chip.around.interconnect import Interconnect
from tlm.chip.around.off_chip_memory import OffChipMemory
from tlm.chip.cycle.dma import Dma
from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.dma import DmaChannel
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import StartTransfer, Transfer, Unit
from tlm.chip.format.registers import ChannelRegister, EngineRegister, UnitRegister
from tlm.chip.states import ChannelState, HostState
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.watched import Watched
from tlm.traces.waves.cycle_averages import watch_averages
from tlm.traces.waves.cycle_causes import watch_causes
from tlm.traces.waves.cycle_engine import watch_engine
from tlm.traces.waves.cycle_layers import watch_layers
from tlm.traces.waves.dump import Dump
from tlm.traces.waves.following import follow_number, follow_open, follow_state, initiator_of, on, watch_interrupt
from tlm.traces.waves.labels import short_label

_ADDRESS_BITS = 32
_DATA_BITS = 64


def watch_system(dump: Dump, watched: Watched) -> None:
    """Register every signal and subscribe to what drives it; before the simulation starts."""
    system, program = watched.system, watched.program
    engine, dma = system.engine, system.dma
    assert isinstance(engine, CycleEngine)  # checked before anything was built
    assert isinstance(dma, Dma)
    _watch_host(dump, system.host)
    _watch_memory(dump, system.memory, system.interconnect.targets["memory"])
    _watch_interconnect(dump, system.interconnect)
    for unit, channel in ((Unit.LOAD, dma.load), (Unit.STORE, dma.store)):
        transfers = [s.transfer for s in program.steps if isinstance(s, StartTransfer) and s.unit is unit]
        _watch_channel(dump, channel, transfers)
        watch_interrupt(dump, channel.path, channel.registers.interrupt, unit)
    watch_engine(dump, engine, watched)
    watch_interrupt(dump, engine.sequencer.path, engine.sequencer.registers.interrupt, Unit.ENGINE)
    watch_causes(dump, engine, watched)
    watch_layers(dump, engine, dma, watched)
    watch_averages(dump, engine, watched)


def _register_names() -> dict[int, tuple[str, str]]:
    """Address -> unit and register of everything that the host can reach."""
    units: tuple[tuple[int, Unit, type[enum.IntEnum]], ...] = (
        (am.LOAD_BASE, Unit.LOAD, ChannelRegister),
        (am.STORE_BASE, Unit.STORE, ChannelRegister),
        (am.ENGINE_BASE, Unit.ENGINE, EngineRegister),
    )
    return {
        base + register: (unit.value, register.name)
        for base, unit, operands in units
        for register in (*operands, *UnitRegister)
    }


def _watch_host(dump: Dump, host: Host) -> None:
    scope, names = host.path, _register_names()
    follow_state(dump, host.state, idle=(HostState.SLEEP, HostState.DONE))
    waits_for = dump.state(scope, "waits_for")
    host.waits_for.observe(lambda changed: waits_for.set("-" if changed.value is None else changed.value.value))
    follow_open(dump.bits(scope, "access"), host.bus)
    unit, register = dump.text(scope, "unit"), dump.text(scope, "register")
    write, data = dump.bits(scope, "write"), dump.bits(scope, "data", _DATA_BITS)

    def begin(payload: MemoryPayload) -> None:
        unit_name, register_name = names.get(payload.address, ("?", hex(payload.address)))
        unit.set(unit_name)
        register.set(register_name)
        write.set(int(payload.command is Command.WRITE))

    def end(payload: MemoryPayload) -> None:
        data.set(int.from_bytes(payload.data, "little"))

    on(Phase.BEGIN_REQ, host.bus, begin)
    on(Phase.END_RESP, host.bus, end)


def _watch_memory(dump: Dump, memory: OffChipMemory, port: InitiatorSocket[MemoryPayload]) -> None:
    scope = memory.path
    busy, beat, write = dump.bits(scope, "busy"), dump.event(scope, "beat"), dump.bits(scope, "write")
    address = dump.bits(scope, "address", _ADDRESS_BITS)
    # the last beat's cycle still belongs to its burst
    memory.busy.observe(lambda changed: busy.set(int(changed.value), late=not changed.value))

    def end(payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            beat.set(1)
            write.set(int(payload.command is Command.WRITE))
            address.set(payload.address)

    on(Phase.END_RESP, port, end)


def _watch_interconnect(dump: Dump, interconnect: Interconnect) -> None:
    scope = interconnect.path
    address = dump.bits(scope, "address", _ADDRESS_BITS)
    for name, port in interconnect.ports.items():
        follow_open(dump.integer(scope, name), initiator_of(port))
        on(Phase.BEGIN_REQ, initiator_of(port), lambda payload: address.set(payload.address))
    for name, target in interconnect.targets.items():
        follow_open(dump.integer(scope, f"to_{name}"), target)


def _watch_channel(dump: Dump, channel: DmaChannel, transfers: Sequence[Transfer]) -> None:
    scope, started = channel.path, iter(transfers)
    busy, transfer, sram = dump.bits(scope, "busy"), dump.text(scope, "transfer"), dump.state(scope, "sram")

    def see(changed: Probe[ChannelState]) -> None:
        now = next(started, None) if changed.value is ChannelState.BUSY else None
        busy.set(int(changed.value is ChannelState.BUSY))
        transfer.set("-" if now is None else short_label(now.label))
        sram.set("-" if now is None else now.sram.name.lower())

    channel.state.observe(see)
    follow_number(dump, channel.address, "word")
    follow_number(dump, channel.moved_bytes, "bytes")
    follow_open(dump.integer(scope, "bursts"), channel.memory)
