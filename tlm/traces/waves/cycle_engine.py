"""The engine's signals in a waveform of every cycle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tlm.chip.cycle.aligner import Aligner
from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.cycle.mac_array import MacArray
from tlm.chip.cycle.requantiser import Requantiser
from tlm.chip.cycle.sequencer import Sequencer
from tlm.chip.cycle.sram import Sram
from tlm.chip.payloads import LayerPayload, StepPayload, VectorPayload
from tlm.chip.states import ArrayState, RequantiserState, SequencerState
from tlm.compiler.program import Program
from tlm.core.payload import MemoryPayload, Payload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Dump, Signal
from tlm.traces.waves.following import follow, follow_number, follow_state, initiator_of, on, pass_of

# These the blocks publish in the last cycle of what ends, not in the first of what begins; a waveform shows them one
# cycle later. (A pass's last sequencer cycle e hands over; the handover h still belongs to the pass.)
_SEQUENCER_ENDS = {
    (SequencerState.STEPS, SequencerState.DRAIN),
    (SequencerState.DRAIN, SequencerState.GAP),
    (SequencerState.GAP, SequencerState.DRAIN),
}
_ARRAY_ENDS = {(ArrayState.HOLD, ArrayState.IDLE)}
_REQUANTISER_ENDS = {(RequantiserState.DRAIN, RequantiserState.IDLE)}

# Words that fit into short boxes; what lasts a cycle now and then has a line of its own.
_ARRAY_NAMES = {ArrayState.HOLD: "compute"}
_REQUANTISER_NAMES = {RequantiserState.DRAIN: "writes", RequantiserState.FROZEN: "writes"}


def watch_engine(dump: Dump, engine: CycleEngine, watched: Watched) -> None:
    """Register the signals of the SRAMs and the datapath."""
    for sram in engine.srams.values():
        _watch_sram(dump, sram)
    _watch_sequencer(dump, engine.sequencer, watched.program)
    _watch_aligner(dump, engine.aligner, engine.sequencer.steps, watched.system.config.lanes)
    _watch_mac_array(dump, engine.mac_array, engine.aligner.vectors)
    _watch_requantiser(dump, engine.requantiser)


def _watch_sram(dump: Dump, sram: Sram) -> None:
    """For each port the banks that it occupies in a cycle (bit = bank), and those where it was refused and waits."""
    scope = sram.path
    follow_number(dump, sram.address, "word")
    accesses = dump.integer(scope, "accesses")
    count = 0

    def note_access() -> None:
        nonlocal count
        count += 1
        accesses.set(count)

    for name, port in sram.ports.items():
        granted, refused = dump.bits(scope, name, sram.banks), dump.bits(scope, f"{name}_wait", sram.banks)
        on(Phase.END_RESP, initiator_of(port), _port_observer(dump, sram.banks, granted, refused, note_access))


def _port_observer(
    dump: Dump, banks: int, granted: Signal, refused: Signal, note_access: Callable[[], None]
) -> Callable[[Any], None]:
    cycle, mask = -1, 0  # a port may use several banks in a cycle

    def see(payload: Any) -> None:
        nonlocal cycle, mask
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
    follow_state(dump, sequencer.state, _SEQUENCER_ENDS, idle=(SequencerState.IDLE,))
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

    follow(sequencer.layer, layer, name_of)
    sequencer.pass_index.observe(see_pass)
    on(Phase.BEGIN_REQ, sequencer.layers_to_aligner, see_layer)
    on(Phase.BEGIN_REQ, sequencer.imem, lambda payload: pc.set(payload.address))
    on(Phase.END_RESP, sequencer.steps, see_step)


def _watch_aligner(dump: Dump, aligner: Aligner, steps: InitiatorSocket[StepPayload], lanes: int) -> None:
    scope = aligner.path
    busy = dump.bits(scope, "busy")
    follow_number(dump, aligner.channel, "channel")
    follow_number(dump, aligner.tap, "tap")
    for probe in aligner.moved_lanes:
        follow(probe, dump.bits(scope, probe.name, lanes), int)

    def see(phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        assert isinstance(payload, StepPayload)
        if payload.is_step:
            if phase is Phase.BEGIN_REQ:
                busy.set(1)
            elif phase is Phase.END_RESP:
                busy.set(0, late=True)

    steps.observe(see)


def _watch_mac_array(dump: Dump, mac_array: MacArray, vectors: InitiatorSocket[VectorPayload]) -> None:
    """``busy`` = a vector is in the multipliers' first stage; ``pass`` = the pass that it belongs to.

    ``hold`` = a pass is complete, but the requantiser has not ended the one before.
    """
    scope = mac_array.path
    follow_state(dump, mac_array.state, _ARRAY_ENDS, names=_ARRAY_NAMES)
    hold = dump.bits(scope, "hold")
    mac_array.state.observe(lambda changed: hold.set(int(changed.value is ArrayState.HOLD)))
    busy, number = dump.bits(scope, "busy"), dump.integer(scope, "pass", None)

    def see_vector(payload: VectorPayload) -> None:
        number.set(pass_of(payload))
        if payload.activations is not None:
            busy.pulse()

    on(Phase.BEGIN_REQ, vectors, see_vector)


def _watch_requantiser(dump: Dump, requantiser: Requantiser) -> None:
    """``frozen`` = a write was refused in this cycle."""
    scope = requantiser.path
    follow_state(
        dump, requantiser.state, _REQUANTISER_ENDS, idle=(RequantiserState.IDLE,), names=_REQUANTISER_NAMES
    )  # fmt: skip
    frozen = dump.bits(scope, "frozen")
    requantiser.state.observe(lambda changed: frozen.set(int(changed.value is RequantiserState.FROZEN)))
    follow_number(dump, requantiser.entry, "entry")
    number, word = dump.integer(scope, "pass", None), dump.integer(scope, "word")
    write, residual = dump.event(scope, "write"), dump.event(scope, "residual")

    def see_write(payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            write.set(1)
            word.set(payload.address)
            number.set(pass_of(payload))

    def see_residual(payload: MemoryPayload) -> None:
        if payload.status is Response.OK:
            residual.set(1)

    on(Phase.END_RESP, requantiser.writes, see_write)
    on(Phase.END_RESP, requantiser.residuals, see_residual)
