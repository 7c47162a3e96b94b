"""The signals of a waveform of every cycle, each beside its source: probes, the engine's events, sockets around it.

There is one scope for each block, under the name that it has in error messages. Numbers that count something are shown
in decimal, addresses in bytes, sets of banks and data in hexadecimal.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from tlm.chip.contract import PORTS, Accessed, PassId, PassStarted, Port
from tlm.chip.format import address_map as am
from tlm.chip.format.descriptor import sram_banks
from tlm.chip.format.driver import SramName, Unit
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
from tlm.chip.system import BUS_SLOTS
from tlm.core.payload import Command, MemoryPayload, Payload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.timeline_builder import started_transfers
from tlm.observe.watched import Watched
from tlm.traces.waves import labels
from tlm.traces.waves.dram_signals import dram_signals, watch_dram
from tlm.traces.waves.dump import Dump
from tlm.traces.waves.signal_kinds import (
    Colour,
    Group,
    Kind,
    Signal,
    Value,
    clock_signals,
    layer_signals,
    part_scope,
    power_signals,
    state,
)

_NUMBER, _BITS, _EVENT, _TEXT, _REAL = Kind.NUMBER, Kind.BITS, Kind.EVENT, Kind.TEXT, Kind.REAL
_TIME, _DMA, _ENGINE, _MORE = Group.TIME, Group.DMA, Group.ENGINE, Group.MORE
_MOVE, _STALL, _CONTROL = Colour.MOVE, Colour.STALL, Colour.CONTROL
_SEQUENCER, _ALIGNER, _ARRAY = "engine.sequencer", "engine.aligner", "engine.mac_array"
_REQUANTISER = "engine.requantiser"

Probes = Mapping[str, Probe[Any]]

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


def watch(dump: Dump, watched: Watched) -> list[Signal]:
    """Have every signal but causes and averages follow what it shows; before the simulation starts.

    Returns:
        All signals, in the order of the data.
    """
    probes = {probe.path: probe for probe in watched.system.simulation.probes()}
    signals = [
        *clock_signals("cycle", "cycle"),
        state("clock.trace", _TIME, "trace", "recording"),
        *_host(dump, watched, probes),
        *_bus(dump, watched),
        *_channel(dump, watched, Unit.LOAD),
        Signal("memory.beat", _EVENT, _DMA, colour=_MOVE),
        *dram_signals(watched.system.config),
        *_channel(dump, watched, Unit.STORE),
        *(signal for sram in SramName for signal in _sram(dump, watched, sram, probes)),
        *_sequencer(dump, watched, probes),
        *_data_path(dump, watched, probes),
        *layer_signals(watched.program),
        Signal("power.utilisation", _REAL, _TIME, init=0.0),
        *power_signals(),
    ]
    for signal in signals:
        probe = probes.get(signal.probe or signal.name)
        if probe is not None and signal.kind is not _TEXT:
            _follow(dump, signal.name, probe, _shown)
    watch_dram(dump, watched)
    return signals


def on(phase: Phase, socket: InitiatorSocket[Any], act: Callable[[Any], None]) -> None:
    """Call ``act(payload)`` at one phase of the socket's transactions."""
    socket.observe(lambda _, __, payload: act(payload), (phase,))


def _follow(dump: Dump, name: str, probe: Probe[Any], convert: Callable[[Any], Value]) -> None:
    before = probe.value

    def see(changed: Probe[Any]) -> None:
        nonlocal before
        late = changed.value is False or (before, changed.value) in _ENDS
        before = changed.value
        dump.set(name, convert(before), late)

    probe.observe(see)


def _follow_busy(dump: Dump, block: str, probes: Probes) -> None:
    if f"{block}.state" in probes:
        _follow(dump, f"{block}.busy", probes[f"{block}.state"], lambda state: int(state not in _IDLE))


def _shown(value: Any) -> Value:
    if isinstance(value, enum.Enum):
        return _SHOWN.get(value, str(value.value))
    return "-" if value is None else int(value)


def _see(probes: Probes, path: str, act: Callable[[Any], None]) -> None:
    """Call ``act(value)`` whenever a probe changes; nothing where a model lacks it."""
    if path in probes:
        probes[path].observe(lambda changed: act(changed.value))


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


def _host(dump: Dump, watched: Watched, probes: Probes) -> Iterator[Signal]:
    names, bus = dict(_register_names()), watched.system.host.bus

    def begin(payload: MemoryPayload) -> None:
        unit, register = names.get(payload.address, ("?", hex(payload.address)))
        dump.set("host.unit", unit)
        dump.set("host.register", register)
        dump.set("host.write", int(payload.command is Command.WRITE))

    yield state("host.state", _MORE, "host", "run")
    yield Signal("host.busy", _BITS, init=1)
    yield state("host.waits_for", _MORE, "host waits for")
    yield Signal("host.access", _BITS)
    yield Signal("host.unit", _TEXT, _MORE, "host: unit", _CONTROL, init="-")
    yield Signal("host.register", _TEXT, _MORE, "host: register", _CONTROL, init="-")
    yield Signal("host.write", _BITS)
    yield Signal("host.data", _BITS, width=64)
    for unit in ("load", "store", "engine"):
        yield Signal(f"host.irq_{unit}", _EVENT, _MORE, colour=_CONTROL)
    _follow_busy(dump, "host", probes)
    _follow_open(dump, "host.access", bus)
    on(Phase.BEGIN_REQ, bus, begin)
    on(Phase.END_RESP, bus, lambda payload: dump.set("host.data", int.from_bytes(payload.data, "little")))


def _bus(dump: Dump, watched: Watched) -> Iterator[Signal]:
    interconnect = watched.system.interconnect

    def beat(payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            dump.set("memory.beat", 1)
            dump.set("memory.write", int(payload.command is Command.WRITE))

    yield Signal("memory.busy", _BITS, _MORE, "memory busy", _MOVE)
    yield Signal("memory.write", _BITS)
    yield Signal("memory.address", _BITS, _MORE, colour=_MOVE, width=32)
    yield Signal("interconnect.address", _BITS, width=32)
    for name in (*BUS_SLOTS, "to_load", "to_store", "to_engine", "to_memory"):
        yield Signal(f"interconnect.{name}", _NUMBER)
    for name, port in interconnect.ports.items():
        assert isinstance(port.peer, InitiatorSocket)  # the system is bound
        _follow_open(dump, f"interconnect.{name}", port.peer)
        on(Phase.BEGIN_REQ, port.peer, lambda payload: dump.set("interconnect.address", payload.address))
    for name, target in interconnect.targets.items():
        _follow_open(dump, f"interconnect.to_{name}", target)
    on(Phase.END_RESP, interconnect.targets["memory"], beat)


def _interrupt(dump: Dump, name: str, unit: Unit, socket: InitiatorSocket[Any]) -> Signal:
    def see(_: Payload) -> None:
        dump.set(name, 1)
        dump.set(f"host.irq_{unit.value}", 1)

    on(Phase.BEGIN_REQ, socket, see)
    return Signal(name, _EVENT)


def _channel(dump: Dump, watched: Watched, unit: Unit) -> Iterator[Signal]:
    """The transfer that moves; when it ends, its bytes belong to the layers that it was for."""
    name, load, program = unit.value, unit is Unit.LOAD, watched.program
    scope, channel = f"dma.{name}", watched.system.dma.load if load else watched.system.dma.store
    totals: Counter[str] = Counter()
    started = iter(started_transfers(program, unit))
    ended = iter(program.load_uses if load else program.store_uses)

    def see(changed: Probe[ChannelState]) -> None:
        busy = changed.value is ChannelState.BUSY
        transfer = next(started) if busy else None
        dump.set(f"{scope}.busy", int(busy))
        dump.set(f"{scope}.transfer", "-" if transfer is None else labels.short_label(transfer.label))
        dump.set(f"{scope}.sram", "-" if transfer is None else transfer.sram.name.lower())
        for tag, count in () if busy else next(ended).items():
            of_layer = f"{part_scope(program, tag)}.{name}_bytes"
            totals[of_layer] += count
            dump.set(of_layer, totals[of_layer])

    yield Signal(f"{scope}.busy", _BITS)
    yield Signal(f"{scope}.transfer", _TEXT, _DMA, f"{name} transfer", _MOVE, init="-")
    yield state(f"{scope}.sram", None)
    yield Signal(f"{scope}.bursts", _NUMBER, _DMA if load else None, f"{name} bursts", _MOVE)
    yield Signal(f"{scope}.mb_per_s", _REAL, _DMA if load else _MORE, f"{name} MB/s", _MOVE, init=0.0)
    yield Signal(f"{scope}.word", _NUMBER, _MORE, f"{name} word", _MOVE, probe=f"{scope}.address")
    moved = f"{scope}.moved_bytes"
    yield Signal(f"{scope}.bytes", _NUMBER, _MORE, f"{name} bytes so far", _MOVE, curve=True, probe=moved)
    channel.state.observe(see)
    _follow_open(dump, f"{scope}.bursts", channel.memory)
    yield _interrupt(dump, f"{scope}.irq", unit, channel.registers.interrupt)


# -- the engine -------------------------------------------------------------------------------------------------------


def _sram(dump: Dump, watched: Watched, sram: SramName, probes: Probes) -> Iterator[Signal]:
    """The port that has a bank in a cycle; for each port its banks (bit = bank), and those that it waits for."""
    scope, banks = f"engine.{sram.name.lower()}", sram_banks(sram, watched.system.config)
    group = Group.AMEM if sram is SramName.AMEM else _MORE
    present: dict[Port, tuple[int, int]] = {}
    """Port -> cycle of its last access, and the banks that it had then; it may have several in a cycle."""
    served_words = 0

    def see(access: BankAccess) -> None:
        nonlocal served_words
        cycle, port, address, bank, served = access
        if not served:
            dump.pulse(f"{scope}.{port}_wait", 1 << bank)
            return
        last_cycle, before = present.get(port, (-1, 0))
        present[port] = cycle, 1 << bank | (before if last_cycle == cycle else 0)
        served_words += 1
        dump.pulse(f"{scope}.{port}", present[port][1])
        dump.set(f"{scope}.bank_{bank}", str(port))
        dump.set_at(cycle + 1, f"{scope}.bank_{bank}", "-")
        dump.set(f"{scope}.word", address)
        dump.set(f"{scope}.accesses", served_words)
        # what a block's access says of the block
        if port is Port.FETCH and sram is SramName.IMEM:
            dump.set(f"{_SEQUENCER}.imem_word", address)
        elif port is Port.WRITE_BACK:
            dump.set(f"{_REQUANTISER}.write", 1)
            dump.set(f"{_REQUANTISER}.word", address)
        elif port is Port.RESIDUAL:
            dump.set(f"{_REQUANTISER}.residual", 1)

    yield Signal(f"{scope}.word", _NUMBER)
    yield Signal(f"{scope}.accesses", _NUMBER)
    for bank in range(banks):
        yield Signal(f"{scope}.bank_{bank}", Kind.TEXT, group, f"bank {bank}", Colour.NAME, init="-")
    for port in PORTS[sram]:
        yield Signal(f"{scope}.{port}", _BITS, _MORE, port, _MOVE, width=banks)
        yield Signal(f"{scope}.{port}_wait", _BITS, group, f"{port} refused", _STALL, width=banks)
    _see(probes, f"{scope}.last_access", see)


def _sequencer(dump: Dump, watched: Watched, probes: Probes) -> Iterator[Signal]:
    """Layer and pass, and the figures of each layer as the recorder, which listens before, has counted them."""
    program, parts, totals = watched.program, watched.recorder.parts, Counter[str]()

    def see_layer(header: LayerHeader) -> None:
        known = header.tag < len(program.parts)  # a flipped bit can make any tag
        dump.set(f"{_SEQUENCER}.layer", program.part_name(header.tag) if known else f"?{header.tag}")

    def see_start(started: PassStarted) -> None:
        dump.set(f"{_SEQUENCER}.pass", started.of_pass.pass_index)
        dump.set(f"{_SEQUENCER}.group", started.group)
        dump.set(f"{_SEQUENCER}.tile", started.tile)
        dump.set(f"{part_scope(program, started.of_pass.tag)}.active", 1)

    def see_handover(which: PassId) -> None:
        scope, of_pass = part_scope(program, which.tag), parts[which.tag].passes[which.pass_index]
        conflicts = of_pass.conflicts["aligner"]
        for key, count in (("passes", 1), ("steps", of_pass.steps), ("bank_conflict_cycles", conflicts)):
            totals[f"{scope}.{key}"] += count
            dump.set(f"{scope}.{key}", totals[f"{scope}.{key}"])

    def see_end(_: object) -> None:
        dump.set(f"{_SEQUENCER}.layer", "-")
        for name in ("pass", "group", "tile"):
            dump.set(f"{_SEQUENCER}.{name}", None)

    yield state("engine.cause", _TIME, "cause", "host")
    yield Signal(f"{_SEQUENCER}.layer", _TEXT, _TIME, colour=Colour.NAME, init="-")
    yield state(f"{_SEQUENCER}.state", _ENGINE, "sequencer", "idle")
    yield Signal(f"{_SEQUENCER}.busy", _BITS)
    yield Signal(f"{_SEQUENCER}.pass", _NUMBER, _ENGINE, colour=_CONTROL, init=None)
    yield Signal(f"{_SEQUENCER}.step", _EVENT, _ENGINE, "step")
    yield Signal(f"{_SEQUENCER}.imem_word", _NUMBER, _MORE, "IMem word", _CONTROL)
    yield Signal(f"{_SEQUENCER}.group", _NUMBER, _MORE, colour=_CONTROL, init=None)
    yield Signal(f"{_SEQUENCER}.tile", _NUMBER, _MORE, colour=_CONTROL, init=None)
    yield _interrupt(dump, f"{_SEQUENCER}.irq", Unit.ENGINE, watched.system.engine.interrupt)
    _follow_busy(dump, _SEQUENCER, probes)
    _see(probes, f"{_ALIGNER}.fetching", lambda fetching: None if fetching else dump.set(f"{_SEQUENCER}.step", 1))
    events = watched.system.engine.events
    events.layer_started.listen(see_layer)
    events.pass_started.listen(see_start)
    events.pass_handed_over.listen(see_handover)
    events.layer_ended.listen(lambda tag: dump.set(f"{part_scope(program, tag)}.active", 0))
    events.program_ended.listen(see_end)


def _data_path(dump: Dump, watched: Watched, probes: Probes) -> Iterator[Signal]:
    """The array is ``busy`` when a vector is in the multipliers' first stage; ``pass`` is the one that it belongs to.

    It ``holds`` a pass that is complete if the requantiser has not ended the one before.
    """
    config = watched.system.config

    def see_vector(vector: ArrivedVector) -> None:
        dump.set(f"{_ARRAY}.pass", vector.pass_index)
        if vector.works:
            dump.pulse(f"{_ARRAY}.busy")

    def see_access(access: Accessed) -> None:
        if access.port is Port.WRITE_BACK and access.of_pass is not None and not access.refused:
            dump.set(f"{_REQUANTISER}.pass", access.of_pass.pass_index)

    yield Signal(f"{_ALIGNER}.busy", _BITS, _ENGINE, "aligner busy", probe=f"{_ALIGNER}.fetching")
    yield Signal(f"{_ALIGNER}.channel", _NUMBER, _ENGINE, "input channel", _CONTROL, curve=True)
    yield Signal(f"{_ALIGNER}.tap", _NUMBER, _MORE, "tap", _CONTROL, curve=True)
    for stage, bank in product(range(1, config.routing_stages + 1), range(config.amem_banks)):
        yield Signal(f"{_ALIGNER}.stage_{stage}_bank_{bank}", _BITS, width=4 * config.lanes)
    yield state(f"{_ARRAY}.state", _ENGINE, "mac array", "idle")
    yield Signal(f"{_ARRAY}.hold", _BITS, _ENGINE, "array waits", _STALL)
    yield Signal(f"{_ARRAY}.busy", _BITS, _MORE, "vector arrives")
    yield Signal(f"{_ARRAY}.pass", _NUMBER, init=None)
    _see(probes, f"{_ARRAY}.last_vector", see_vector)
    _see(probes, f"{_ARRAY}.state", lambda now: dump.set(f"{_ARRAY}.hold", int(now is ArrayState.HOLD)))
    yield state(f"{_REQUANTISER}.state", _ENGINE, "requantiser", "idle")
    yield Signal(f"{_REQUANTISER}.busy", _BITS)
    yield Signal(f"{_REQUANTISER}.write", _EVENT, _ENGINE, "write")
    yield Signal(f"{_REQUANTISER}.frozen", _BITS, _ENGINE, "write refused", _STALL)
    yield Signal(f"{_REQUANTISER}.entry", _NUMBER, _MORE, "entry", _CONTROL, curve=True)
    yield Signal(f"{_REQUANTISER}.pass", _NUMBER, init=None)
    yield Signal(f"{_REQUANTISER}.word", _NUMBER)
    yield Signal(f"{_REQUANTISER}.residual", _EVENT)
    _follow_busy(dump, _REQUANTISER, probes)
    frozen = RequantiserState.FROZEN
    _see(probes, f"{_REQUANTISER}.state", lambda now: dump.set(f"{_REQUANTISER}.frozen", int(now is frozen)))
    watched.system.engine.events.accessed.listen(see_access)
