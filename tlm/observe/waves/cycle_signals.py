"""Which signals of the chip a waveform shows, and the transactions and probes that they follow.

One scope for each block, under the name that it has in error messages. States and names of layers are ``string``
variables: GTKWave shows them as words with no translation file beside the dump. Numbers that count something are
integers (shown in decimal), addresses in bytes and sets of banks or lanes are wires (hexadecimal).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from tlm.chip import address_map as am
from tlm.chip.aligner import Aligner
from tlm.chip.chip import Engine, System
from tlm.chip.dma import Dma
from tlm.chip.dma_channel import DmaChannel
from tlm.chip.driver import StartTransfer, Unit
from tlm.chip.host import Host
from tlm.chip.interconnect import Interconnect
from tlm.chip.mac_array import MacArray
from tlm.chip.off_chip_memory import OffChipMemory
from tlm.chip.payloads import LayerPayload, StepPayload, VectorPayload, Work
from tlm.chip.registers import ChannelRegister, EngineRegister, UnitRegister
from tlm.chip.requantiser import Requantiser
from tlm.chip.sequencer import Sequencer
from tlm.chip.sram import Sram
from tlm.chip.states import ArrayState, ChannelState, HostState, RequantiserState, SequencerState
from tlm.compiler.program import Program
from tlm.core.errors import InputError
from tlm.core.observation import Phase, Probe
from tlm.core.payload import Command, MemoryPayload, Payload, Response
from tlm.core.sockets import InitiatorSocket, TargetSocket
from tlm.observe.waves.dump import Dump, Signal, Value

T = TypeVar("T")
State = TypeVar("State", bound=enum.Enum)

_ADDRESS_BITS = 32
_DATA_BITS = 64

# These the blocks publish in the last cycle of what ends, not in the first of what begins; a waveform shows them one
# cycle later. (A pass's last sequencer cycle e hands over; the handover h still belongs to the pass.)
_SEQUENCER_ENDS = {
    (SequencerState.STEPS, SequencerState.DRAIN),
    (SequencerState.DRAIN, SequencerState.GAP),
    (SequencerState.GAP, SequencerState.DRAIN),
}
_ARRAY_ENDS = {(ArrayState.HOLD, ArrayState.IDLE)}
_REQUANTISER_ENDS = {(RequantiserState.DRAIN, RequantiserState.IDLE)}


def watch_system(dump: Dump, system: System, program: Program) -> None:
    """Register every signal and subscribe to what drives it; before the simulation starts."""
    engine, dma = system.engine, system.dma
    if not isinstance(engine, Engine) or not isinstance(dma, Dma):
        raise InputError(
            f"vcd: a waveform shows cycles, but fidelity is {system.fidelity.value!r}; use fidelity 'beat'"
        )
    _watch_host(dump, system.host)
    _watch_memory(dump, system.memory, system.interconnect.targets["memory"])
    _watch_interconnect(dump, system.interconnect)
    for unit, channel in ((Unit.LOAD, dma.load), (Unit.STORE, dma.store)):
        labels = [s.transfer.label for s in program.steps if isinstance(s, StartTransfer) and s.unit is unit]
        _watch_channel(dump, channel, labels)
        _watch_interrupt(dump, channel.path, channel.registers.interrupt, unit)
    for sram in engine.srams.values():
        _watch_sram(dump, sram)
    _watch_sequencer(dump, engine.sequencer, program)
    _watch_interrupt(dump, engine.sequencer.path, engine.sequencer.registers.interrupt, Unit.ENGINE)
    _watch_aligner(dump, engine.aligner, engine.sequencer.steps, system.config.lanes)
    _watch_mac_array(dump, engine.mac_array, engine.aligner.vectors)
    _watch_requantiser(dump, engine.requantiser)


# -- pieces that several blocks share -------------------------------------------------------------------------------


def _follow(probe: Probe[T], signal: Signal, convert: Callable[[T], Value]) -> None:
    """The signal shows the probe, from its next change on."""
    probe.observe(lambda changed: signal.set(convert(changed.value)))


def _follow_number(dump: Dump, probe: Probe[int], name: str) -> None:
    signal = dump.integer(probe.owner.path, name, probe.value)
    probe.observe(lambda changed: signal.set(changed.value))


def _follow_state(
    dump: Dump, probe: Probe[State], ends: Collection[tuple[State, State]] = (), idle: Collection[State] = ()
) -> None:
    """``state`` as a word; with ``idle`` also ``busy``, 0 in those states. Changes in ``ends`` show a cycle later."""
    scope, before = probe.owner.path, probe.value
    state = dump.text(scope, "state", before.value)
    busy = dump.bits(scope, "busy", init=before not in idle) if idle else None

    def see(changed: Probe[State]) -> None:
        nonlocal before
        late = (before, changed.value) in ends
        before = changed.value
        state.set(before.value, late)
        if busy is not None:
            busy.set(int(before not in idle), late)

    probe.observe(see)


def _follow_open(signal: Signal, socket: InitiatorSocket[Any]) -> None:
    """The signal counts the socket's open transactions; the cycles of request and answer belong to it."""
    count = 0

    def see(phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        nonlocal count
        if phase is Phase.BEGIN_REQ:
            count += 1
            signal.set(count)
        elif phase is Phase.END_RESP:
            count -= 1
            signal.set(count, late=True)

    socket.observe(see)


def _on(phase: Phase, socket: InitiatorSocket[Any], act: Callable[[Any], None]) -> None:
    """Call ``act(payload)`` at one phase of the socket's transactions."""

    def see(seen: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if seen is phase:
            act(payload)

    socket.observe(see)


def _show(text: str, signal: Signal, socket: InitiatorSocket[Any]) -> None:
    """The signal shows ``text`` from a request of this socket on."""
    _on(Phase.BEGIN_REQ, socket, lambda _: signal.set(text))


def _initiator_of(port: TargetSocket[Any]) -> InitiatorSocket[Any]:
    assert isinstance(port.peer, InitiatorSocket)  # the system is bound
    return port.peer


def _watch_interrupt(dump: Dump, scope: str, socket: InitiatorSocket[Any], unit: Unit) -> None:
    irq = dump.event(scope, "irq")
    irq.alias("host", f"irq_{unit.value}")
    _on(Phase.BEGIN_REQ, socket, lambda _: irq.set(1))


def _of_pass(payload: Payload) -> int | None:
    found = None if payload.cause is None else payload.cause.find(Work.PASS)
    return None if found is None else found.index


# -- around the engine ----------------------------------------------------------------------------------------------


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
    _follow_state(dump, host.state, idle=(HostState.SLEEP, HostState.DONE))
    waits_for = dump.text(scope, "waits_for")
    _follow(host.waits_for, waits_for, lambda unit: "-" if unit is None else unit.value)
    _follow_open(dump.bits(scope, "access"), host.bus)
    unit, register = dump.text(scope, "unit"), dump.text(scope, "register")
    write, data = dump.bits(scope, "write"), dump.bits(scope, "data", _DATA_BITS)

    def begin(payload: MemoryPayload) -> None:
        unit_name, register_name = names.get(payload.address, ("?", hex(payload.address)))
        unit.set(unit_name)
        register.set(register_name)
        write.set(int(payload.command is Command.WRITE))

    def end(payload: MemoryPayload) -> None:
        data.set(int.from_bytes(payload.data, "little"))

    _on(Phase.BEGIN_REQ, host.bus, begin)
    _on(Phase.END_RESP, host.bus, end)


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

    _on(Phase.END_RESP, port, end)


def _watch_interconnect(dump: Dump, interconnect: Interconnect) -> None:
    scope = interconnect.path
    address = dump.bits(scope, "address", _ADDRESS_BITS)
    for name, port in interconnect.ports.items():
        _follow_open(dump.integer(scope, name), _initiator_of(port))
        _on(Phase.BEGIN_REQ, _initiator_of(port), lambda payload: address.set(payload.address))
    for name, target in interconnect.targets.items():
        _follow_open(dump.integer(scope, f"to_{name}"), target)


def _watch_channel(dump: Dump, channel: DmaChannel, labels: list[str]) -> None:
    scope, transfers = channel.path, iter(labels)
    busy, transfer, sram = dump.bits(scope, "busy"), dump.text(scope, "transfer"), dump.text(scope, "sram")

    def see(changed: Probe[ChannelState]) -> None:
        starts = changed.value is ChannelState.BUSY
        busy.set(int(starts))
        transfer.set(next(transfers, "?") if starts else "-")
        if not starts:
            sram.set("-")

    channel.state.observe(see)
    _follow_number(dump, channel.address, "word")
    _follow_number(dump, channel.moved_bytes, "bytes")
    _follow_open(dump.integer(scope, "bursts"), channel.memory)
    for name, socket in channel.srams.items():
        _show(name.name.lower(), sram, socket)


# -- the engine -----------------------------------------------------------------------------------------------------


def _watch_sram(dump: Dump, sram: Sram) -> None:
    """For each port the banks that it occupies in a cycle (bit = bank), and those where it was refused and waits."""
    scope = sram.path
    _follow_number(dump, sram.address, "word")
    accesses = dump.integer(scope, "accesses")
    count = 0

    def note_access() -> None:
        nonlocal count
        count += 1
        accesses.set(count)

    for name, port in sram.ports.items():
        granted, refused = dump.bits(scope, name, sram.banks), dump.bits(scope, f"{name}_wait", sram.banks)
        _initiator_of(port).observe(_port_observer(dump, sram.banks, granted, refused, note_access))


def _port_observer(
    dump: Dump, banks: int, granted: Signal, refused: Signal, note_access: Callable[[], None]
) -> Callable[[Phase, InitiatorSocket[Any], Any], None]:
    cycle, mask = -1, 0  # a port may use several banks in a cycle

    def see(phase: Phase, _: InitiatorSocket[Any], payload: Any) -> None:
        nonlocal cycle, mask
        if phase is not Phase.END_RESP:
            return
        bank = 1 << payload.address % banks
        if payload.status is Response.RETRY:
            refused.pulse(bank)
        elif payload.status is Response.OK:
            now = dump.clock.now
            mask = mask | bank if cycle == now else bank
            cycle = now
            granted.pulse(mask)
            note_access()

    return see


def _watch_sequencer(dump: Dump, sequencer: Sequencer, program: Program) -> None:
    scope = sequencer.path
    _follow_state(dump, sequencer.state, _SEQUENCER_ENDS, idle=(SequencerState.IDLE,))
    layer = dump.text(scope, "layer")
    number, group, tile = (dump.integer(scope, name, None) for name in ("pass", "group", "tile"))
    pc, step = dump.integer(scope, "imem_word"), dump.event(scope, "step")
    tiles = 1

    def see_layer(payload: LayerPayload) -> None:
        nonlocal tiles
        tiles = payload.header.tiles(program.config.lanes)

    def see_pass(changed: Probe[int]) -> None:
        index = changed.value
        known = index >= 0
        number.set(index if known else None)
        group.set(index // tiles if known else None)
        tile.set(index % tiles if known else None)

    def name_of(tag: int) -> str:
        if 0 <= tag < len(program.parts):
            return program.part_name(tag)
        return "-" if tag < 0 else f"?{tag}"  # a flipped bit can make any tag

    def see_step(payload: StepPayload) -> None:
        if payload.is_step:
            step.set(1)

    _follow(sequencer.layer, layer, name_of)
    sequencer.pass_index.observe(see_pass)
    _on(Phase.BEGIN_REQ, sequencer.layers_to_aligner, see_layer)
    _on(Phase.BEGIN_REQ, sequencer.imem, lambda payload: pc.set(payload.address))
    _on(Phase.END_RESP, sequencer.steps, see_step)


def _watch_aligner(dump: Dump, aligner: Aligner, steps: InitiatorSocket[StepPayload], lanes: int) -> None:
    scope = aligner.path
    busy = dump.bits(scope, "busy")
    _follow_number(dump, aligner.channel, "channel")
    _follow_number(dump, aligner.tap, "tap")
    for probe in aligner.moved_lanes:
        _follow(probe, dump.bits(scope, probe.name, lanes), int)

    def see(phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        assert isinstance(payload, StepPayload)
        if payload.is_step:
            if phase is Phase.BEGIN_REQ:
                busy.set(1)
            elif phase is Phase.END_RESP:
                busy.set(0, late=True)

    steps.observe(see)


def _watch_mac_array(dump: Dump, mac_array: MacArray, vectors: InitiatorSocket[VectorPayload]) -> None:
    """``busy`` = a vector is in the multipliers' first stage; ``pass`` = the pass that it belongs to."""
    scope = mac_array.path
    _follow_state(dump, mac_array.state, _ARRAY_ENDS)
    busy, number = dump.bits(scope, "busy"), dump.integer(scope, "pass", None)

    def see_vector(payload: VectorPayload) -> None:
        number.set(_of_pass(payload))
        if payload.activations is not None:
            busy.pulse()

    _on(Phase.BEGIN_REQ, vectors, see_vector)


def _watch_requantiser(dump: Dump, requantiser: Requantiser) -> None:
    scope = requantiser.path
    _follow_state(dump, requantiser.state, _REQUANTISER_ENDS, idle=(RequantiserState.IDLE,))
    _follow_number(dump, requantiser.entry, "entry")
    number, word = dump.integer(scope, "pass", None), dump.integer(scope, "word")
    write, residual = dump.event(scope, "write"), dump.event(scope, "residual")

    def see_write(payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            write.set(1)
            word.set(payload.address)
            number.set(_of_pass(payload))

    def see_residual(payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            residual.set(1)

    _on(Phase.END_RESP, requantiser.writes, see_write)
    _on(Phase.END_RESP, requantiser.residuals, see_residual)
