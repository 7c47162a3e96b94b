"""Where the signals of every cycle get their values: probes, the engine's events, sockets around it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tlm.chip.engine import Accessed, PassId, PassStarted, Port
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import StartTransfer, Transfer, Unit
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.format.registers import ChannelRegister, EngineRegister, UnitRegister
from tlm.chip.states import (
    ArrayState,
    ArrivedVector,
    BankAccess,
    ChannelState,
    HostState,
    RequantiserState,
    SequencerState,
)
from tlm.core.payload import Command, MemoryPayload, Payload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase, TargetSocket
from tlm.observe.watched import Watched
from tlm.traces.waves import labels
from tlm.traces.waves.dump import Dump
from tlm.traces.waves.signals import Kind, Signal, Totals, Value, part_scope

# What blocks publish in the last cycle of what ends, not in the first of what begins: a waveform shows it one cycle
# later. (A pass's last sequencer cycle e hands over; the handover h still belongs to the pass.)
_ENDS = {
    (SequencerState.STEPS, SequencerState.DRAIN),
    (SequencerState.DRAIN, SequencerState.GAP),
    (SequencerState.GAP, SequencerState.DRAIN),
    (ArrayState.HOLD, ArrayState.IDLE),
    (RequantiserState.DRAIN, RequantiserState.IDLE),
}
_IDLE = {HostState.SLEEP, HostState.DONE, SequencerState.IDLE, RequantiserState.IDLE}
_SHOWN: dict[enum.Enum, str] = {
    # words that fit into short boxes; what lasts a cycle now and then has a line of its own
    ArrayState.HOLD: "compute",
    RequantiserState.DRAIN: "writes",
    RequantiserState.FROZEN: "writes",
}


def watch(dump: Dump, signals: list[Signal], watched: Watched) -> None:
    """Have every signal but causes and averages follow what it shows; before the simulation starts."""
    system = watched.system
    probes = {probe.path: probe for probe in system.simulation.probes()}
    for signal in signals:
        probe = probes.get(signal.probe or signal.name)
        if probe is not None and signal.kind is not Kind.TEXT:
            _follow(dump, signal.name, probe, _shown)
    for block in ("host", "engine.sequencer", "engine.requantiser"):
        if f"{block}.state" in probes:
            _follow(dump, f"{block}.busy", probes[f"{block}.state"], lambda state: int(state not in _IDLE))
    for name, probe in probes.items():
        if name.startswith("engine.") and name.endswith(".last_access"):
            _SramSource(dump, probe)
    _watch_blocks(dump, probes)
    _watch_host(dump, system.host.bus)
    _watch_bus(dump, watched)
    for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
        _watch_transfers(dump, unit, channel.state, watched)
        _follow_open(dump, f"dma.{unit.value}.bursts", channel.memory)
        _watch_interrupt(dump, f"dma.{unit.value}.irq", unit, channel.registers.interrupt)
    _watch_interrupt(dump, "engine.sequencer.irq", Unit.ENGINE, system.engine.interrupt)
    _watch_passes(dump, watched)


def _follow(dump: Dump, name: str, probe: Probe[Any], convert: Callable[[Any], Value]) -> None:
    before = probe.value

    def see(changed: Probe[Any]) -> None:
        nonlocal before
        late = changed.value is False or (before, changed.value) in _ENDS
        before = changed.value
        dump.set(name, convert(before), late)

    probe.observe(see)


def _shown(value: Any) -> Value:
    if isinstance(value, enum.Enum):
        return _SHOWN.get(value, str(value.value))
    return "-" if value is None else int(value)


def on(phase: Phase, socket: InitiatorSocket[Any], act: Callable[[Any], None]) -> None:
    """Call ``act(payload)`` at one phase of the socket's transactions."""
    socket.observe(lambda _, __, payload: act(payload), (phase,))


# -- around the engine ------------------------------------------------------------------------------------------------


def _follow_open(dump: Dump, name: str, socket: InitiatorSocket[Any]) -> None:
    """The signal counts the socket's open transactions; the cycles of request and answer belong to it."""
    count = 0

    def see(phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        nonlocal count
        begins = phase is Phase.BEGIN_REQ
        count += 1 if begins else -1
        dump.set(name, count, late=not begins)

    socket.observe(see, (Phase.BEGIN_REQ, Phase.END_RESP))


def _register_names() -> Iterator[tuple[int, tuple[str, str]]]:
    """Address of everything that the host can reach, and its unit and register."""
    units: tuple[tuple[int, Unit, type[enum.IntEnum]], ...] = (
        (am.LOAD_BASE, Unit.LOAD, ChannelRegister),
        (am.STORE_BASE, Unit.STORE, ChannelRegister),
        (am.ENGINE_BASE, Unit.ENGINE, EngineRegister),
    )
    for base, unit, operands in units:
        for register in (*operands, *UnitRegister):
            yield base + register, (unit.value, register.name)


def _watch_host(dump: Dump, bus: InitiatorSocket[MemoryPayload]) -> None:
    names = dict(_register_names())

    def begin(payload: MemoryPayload) -> None:
        unit, register = names.get(payload.address, ("?", hex(payload.address)))
        dump.set("host.unit", unit)
        dump.set("host.register", register)
        dump.set("host.write", int(payload.command is Command.WRITE))

    _follow_open(dump, "host.access", bus)
    on(Phase.BEGIN_REQ, bus, begin)
    on(Phase.END_RESP, bus, lambda payload: dump.set("host.data", int.from_bytes(payload.data, "little")))


def _watch_bus(dump: Dump, watched: Watched) -> None:
    def beat(payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            dump.set("memory.beat", 1)
            dump.set("memory.write", int(payload.command is Command.WRITE))

    interconnect = watched.system.interconnect
    for name, port in interconnect.ports.items():
        initiator = _initiator_of(port)
        _follow_open(dump, f"interconnect.{name}", initiator)
        on(Phase.BEGIN_REQ, initiator, lambda payload: dump.set("interconnect.address", payload.address))
    for name, target in interconnect.targets.items():
        _follow_open(dump, f"interconnect.to_{name}", target)
    on(Phase.END_RESP, interconnect.targets["memory"], beat)


def _initiator_of(port: TargetSocket[Any]) -> InitiatorSocket[Any]:
    assert isinstance(port.peer, InitiatorSocket)  # the system is bound
    return port.peer


def _watch_interrupt(dump: Dump, name: str, unit: Unit, socket: InitiatorSocket[Any]) -> None:
    def see(_: Payload) -> None:
        dump.set(name, 1)
        dump.set(f"host.irq_{unit.value}", 1)

    on(Phase.BEGIN_REQ, socket, see)


def _watch_transfers(dump: Dump, unit: Unit, state: Probe[ChannelState], watched: Watched) -> None:
    """The transfer that moves; when it ends, its bytes belong to the layers that it was for."""
    scope, program, totals = f"dma.{unit.value}", watched.program, Totals()
    started = iter(transfers_of(watched, unit))
    ended = iter(program.load_uses if unit is Unit.LOAD else program.store_uses)

    def see(changed: Probe[ChannelState]) -> None:
        busy = changed.value is ChannelState.BUSY
        transfer = next(started) if busy else None
        dump.set(f"{scope}.busy", int(busy))
        dump.set(f"{scope}.transfer", "-" if transfer is None else labels.short_label(transfer.label))
        dump.set(f"{scope}.sram", "-" if transfer is None else transfer.sram.name.lower())
        for tag, count in () if busy else next(ended).items():
            name = f"{part_scope(program, tag)}.{unit.value}_bytes"
            dump.set(name, totals.add(name, count))

    state.observe(see)


def transfers_of(watched: Watched, unit: Unit) -> list[Transfer]:
    """Of a channel, in the order in which the driver starts them."""
    steps = watched.program.steps
    return [step.transfer for step in steps if isinstance(step, StartTransfer) and step.unit is unit]


# -- the engine -------------------------------------------------------------------------------------------------------


class _SramSource:
    """For each port the banks that it has in a cycle, and those where it is refused."""

    def __init__(self, dump: Dump, probe: Probe[BankAccess | None]) -> None:
        self._dump = dump
        self._scope = probe.owner.path
        self._served = 0
        self._banks: dict[Port, tuple[int, int]] = {}
        """Port -> cycle of its last access, and the banks that it had then; it may have several in a cycle."""
        probe.observe(lambda changed: self._see(changed.value))

    def _see(self, access: BankAccess | None) -> None:
        assert access is not None
        cycle, port, address, bank, served = access
        if not served:
            self._dump.pulse(f"{self._scope}.{port}_wait", 1 << bank)
            return
        last_cycle, banks = self._banks.get(port, (-1, 0))
        banks = 1 << bank | (banks if last_cycle == cycle else 0)
        self._banks[port] = cycle, banks
        self._served += 1
        self._dump.pulse(f"{self._scope}.{port}", banks)
        self._dump.set(f"{self._scope}.word", address)
        self._dump.set(f"{self._scope}.accesses", self._served)
        for name, value in self._told_elsewhere(port, address):
            self._dump.set(name, value)

    def _told_elsewhere(self, port: Port, address: int) -> Iterator[tuple[str, int]]:
        """What a block's access says of the block."""
        if port is Port.FETCH and self._scope == "engine.imem":
            yield "engine.sequencer.imem_word", address
        elif port is Port.WRITE_BACK:
            yield "engine.requantiser.write", 1
            yield "engine.requantiser.word", address
        elif port is Port.RESIDUAL:
            yield "engine.requantiser.residual", 1


def _watch_blocks(dump: Dump, probes: Mapping[str, Probe[Any]]) -> None:
    """Steps, vectors, and what a state means for those who wait."""

    def see_fetch(changed: Probe[bool]) -> None:
        if not changed.value:
            dump.set("engine.sequencer.step", 1)

    def see_vector(changed: Probe[ArrivedVector]) -> None:
        dump.set("engine.mac_array.pass", changed.value.pass_index)
        if changed.value.works:
            dump.pulse("engine.mac_array.busy")

    def see_array(changed: Probe[ArrayState]) -> None:
        dump.set("engine.mac_array.hold", int(changed.value is ArrayState.HOLD))

    def see_requantiser(changed: Probe[RequantiserState]) -> None:
        dump.set("engine.requantiser.frozen", int(changed.value is RequantiserState.FROZEN))

    for path, see in (
        ("engine.aligner.fetching", see_fetch),
        ("engine.mac_array.last_vector", see_vector),
        ("engine.mac_array.state", see_array),
        ("engine.requantiser.state", see_requantiser),
    ):
        if path in probes:
            probes[path].observe(see)


def _watch_passes(dump: Dump, watched: Watched) -> None:
    """Layer and pass, and the figures of each layer as the recorder, which listens before, has counted them."""
    program, parts, totals, sequencer = watched.program, watched.recorder.parts, Totals(), "engine.sequencer"

    def see_layer(header: LayerHeader) -> None:
        known = header.tag < len(program.parts)  # a flipped bit can make any tag
        dump.set(f"{sequencer}.layer", program.part_name(header.tag) if known else f"?{header.tag}")

    def see_start(started: PassStarted) -> None:
        dump.set(f"{sequencer}.pass", started.of_pass.pass_index)
        dump.set(f"{sequencer}.group", started.group)
        dump.set(f"{sequencer}.tile", started.tile)
        dump.set(f"{part_scope(program, started.of_pass.tag)}.active", 1)

    def see_handover(which: PassId) -> None:
        scope, of_pass = part_scope(program, which.tag), parts[which.tag].passes[which.pass_index]
        conflicts = of_pass.fetch_cycles - of_pass.steps
        for key, count in (("passes", 1), ("steps", of_pass.steps), ("bank_conflict_cycles", conflicts)):
            dump.set(f"{scope}.{key}", totals.add(f"{scope}.{key}", count))

    def see_access(access: Accessed) -> None:
        if access.port is Port.WRITE_BACK and access.of_pass is not None and not access.refused:
            dump.set("engine.requantiser.pass", access.of_pass.pass_index)

    def see_end(_: object) -> None:
        dump.set(f"{sequencer}.layer", "-")
        for name in ("pass", "group", "tile"):
            dump.set(f"{sequencer}.{name}", None)

    events = watched.system.engine.events
    events.layer_started.listen(see_layer)
    events.pass_started.listen(see_start)
    events.pass_handed_over.listen(see_handover)
    events.accessed.listen(see_access)
    events.layer_ended.listen(lambda tag: dump.set(f"{part_scope(program, tag)}.active", 0))
    events.program_ended.listen(see_end)
