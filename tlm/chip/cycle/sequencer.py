"""The sequencer: fetches and decodes IMem words, and drives aligner, weight fetch, MAC array and requantiser.

Request flow: started by its registers, it reads a layer's header words, the first group's parameters, and then for
each pass the pattern words of its group; every set bit becomes a step for the aligner and a WMem read.
Timing: engine.md, A pass. One IMem word a cycle; pattern word k is read in the first cycle spent on word k-1, word 0
in the cycle before the pass; a pattern word without steps takes one cycle; a step takes as long as its fetch, and
its weight word, if the layer has any, is read in the last cycle of it. The next pass starts pass_gap_cycles behind the
cycle after the handover, or behind the parameter reads of a new group. Layers follow each other without a gap; END
costs the cycle in which it is read, and the interrupt comes in the next.
Constraints: acts on decoded IMem bits only; what it cannot decode stops it with an error status.
"""

from __future__ import annotations

from typing import TypeVar

from tlm.chip.base.sequencer import SequencerBase
from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents, PassFetched, PassId, PassStarted
from tlm.chip.format.isa import (
    IllegalInstructionError,
    LayerHeader,
    Opcode,
    decode,
    decode_header,
    decode_parameter,
    decode_pattern,
    header_word_count,
    opcode_of,
)
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.payloads import (
    FlushPayload,
    LayerPayload,
    ParameterPayload,
    PassPayload,
    StepPayload,
    WeightPayload,
    Work,
)
from tlm.chip.states import SequencerState
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity, ActivityOf
from tlm.core.module import Module
from tlm.core.payload import OK, READ, MemoryPayload, Origin, Payload
from tlm.core.sockets import InitiatorSocket

P = TypeVar("P", bound=Payload)

_BEAT = Work.BEAT


class Sequencer(SequencerBase):
    """The engine's control; its registers are the engine's registers."""

    def __init__(self, name: str, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(name, parent, config, events)
        self._weight_read = MemoryPayload(READ, 0, bytearray(config.wmem_word_bytes))
        self._weights, self._step = WeightPayload(b""), StepPayload(0, 0, 0)
        """The payloads of every step, one after the other: each is answered before the next step."""
        self.steps: InitiatorSocket[StepPayload] = InitiatorSocket(self, "steps", StepPayload)
        self.weights: InitiatorSocket[WeightPayload] = InitiatorSocket(self, "weights", WeightPayload)
        self.passes: InitiatorSocket[PassPayload] = InitiatorSocket(self, "passes", PassPayload)
        self.layers_to_aligner: InitiatorSocket[LayerPayload] = InitiatorSocket(self, "layers_to_aligner", LayerPayload)
        self.layers_to_mac_array: InitiatorSocket[LayerPayload] = InitiatorSocket(
            self, "layers_to_mac_array", LayerPayload
        )
        self.layers_to_requantiser: InitiatorSocket[LayerPayload] = InitiatorSocket(
            self, "layers_to_requantiser", LayerPayload
        )
        self.parameters: InitiatorSocket[ParameterPayload] = InitiatorSocket(self, "parameters", ParameterPayload)
        self.flushes: InitiatorSocket[FlushPayload] = InitiatorSocket(self, "flushes", FlushPayload)

    def program(self, address: int) -> Activity:
        """Layers from ``address`` to END; returns in the cycle after END was read."""
        while True:
            self.state.value = SequencerState.HEADER
            word = yield from self._read_instruction(address)
            yield self.clock.cycles(1)
            if self._opcode(word, address) is Opcode.END:
                return
            words = [word]
            for offset in range(1, header_word_count(word)):
                words.append((yield from self._read_instruction(address + offset)))
                yield self.clock.cycles(1)
            try:
                header = decode_header(words, self.config)
            except IllegalInstructionError:
                raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None
            address = yield from self._layer(header, address + len(words))

    def _layer(self, header: LayerHeader, address: int) -> ActivityOf[int]:
        """One layer, whose first PARAMETER word is at ``address``; returns the address after it, one cycle later."""
        origin = Origin(Work.LAYER, header.tag)
        self.events.layer_started(header)
        self.layer.value = header.tag
        for socket in (self.layers_to_aligner, self.layers_to_mac_array, self.layers_to_requantiser):
            yield from self._tell(socket, LayerPayload(header, origin=origin))
        weight_word = header.weight_base_word
        gap_cycles = 0
        for group in range(header.groups(self.config.columns)):
            channels = header.group_channels(group, self.config.columns)
            slots = channels * header.slots_per_channel
            self.state.value = SequencerState.PARAMETERS
            yield from self._read_parameters(header, address, slots, origin)
            address += channels
            if gap_cycles:
                # after the handover of the group before: at least the gap, and one cycle for pattern word 0
                self.state.value = SequencerState.GAP
                yield self.clock.cycles(max(gap_cycles - 1 - slots, 0))
            group_origin = Origin(Work.GROUP, group, origin)
            for tile in range(header.tiles(self.config.lanes)):
                if tile:
                    yield self.clock.cycles(gap_cycles)
                steps = yield from self._pass(header, group, tile, address, weight_word, group_origin)
                gap_cycles = self.config.pass_gap_cycles
            address += header.pattern_words(group, self.config.columns)
            weight_word += steps
            if group + 1 < header.groups(self.config.columns):
                yield self.clock.cycles(1)
        self.state.value = SequencerState.DRAIN
        yield from self._tell(self.flushes, FlushPayload(origin=origin))
        self.events.layer_ended(header.tag)
        return address

    def _read_parameters(self, header: LayerHeader, address: int, slots: int, origin: Origin) -> Activity:
        """One PARAMETER word a cycle, starting in this one; a channel's word once for each of its entry slots."""
        for slot in range(slots):
            at = address + slot // header.slots_per_channel
            word = yield from self._read_instruction(at)
            yield self.clock.cycles(1)
            try:
                parameter = decode_parameter(word)
            except IllegalInstructionError:
                raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, at) from None
            yield from self._tell(self.parameters, ParameterPayload(slot, parameter, origin=origin))

    def _pass(
        self, header: LayerHeader, group: int, tile: int, address: int, weight_word: int, parent: Origin
    ) -> ActivityOf[int]:
        """One pass, from the read of pattern word 0 in this cycle (s - 1) to the handover h; returns its steps."""
        lanes, columns = self.config.lanes, self.config.columns
        origin = Origin(Work.PASS, group * header.tiles(lanes) + tile, parent)
        word = yield from self._read_instruction(address)
        yield self.clock.cycles(1)
        self.state.value = SequencerState.STEPS
        self.pass_index.value = origin.index
        pixels, first_cycle = header.tile_pixels(tile, lanes), self.clock.now
        work = PassPayload(group, tile, first_cycle, pixels, header.group_channels(group, columns), origin=origin)
        of_pass = PassId(header.tag, origin.index)
        started = PassStarted(of_pass, group, tile, pixels, work.channels)
        self.events.pass_started(started)
        clock, step = self.clock, self._step
        step.tile = tile
        step_count = fetch_cycles = 0
        last = header.pattern_words(group, columns) - 1
        for index in range(last + 1):
            steps = self._pattern(word, header, group, index, address + index)
            if index < last:
                word = yield from self._read_instruction(address + index + 1)
            for position, (channel, tap) in enumerate(steps):
                ends_pass = index == last and position == len(steps) - 1
                beat = Origin(_BEAT, step_count, origin)
                step.rearm()
                step.channel, step.tap, step.ends_pass, step.origin = channel, tap, ends_pass, beat
                asked_cycle = clock.now
                yield from self.steps.b_transport(step)
                if step.status is not OK:
                    raise self._refused(self.steps, step)
                fetch_cycles += clock.now - asked_cycle + 1
                if not header.pooling:
                    self._fetch_weights(weight_word + step_count, beat)
                step_count += 1
                if not ends_pass:
                    yield clock.cycles(1)
            if not steps:
                if index == last:
                    yield from self._tell(
                        self.steps, StepPayload(tile, 0, 0, is_step=False, ends_pass=True, origin=origin)
                    )
                else:
                    yield self.clock.cycles(1)
        self.state.value = SequencerState.DRAIN
        self.events.pass_fetched(PassFetched(started, first_cycle, step_count, fetch_cycles))
        yield from self._tell(self.passes, work)
        self.events.pass_handed_over(of_pass)
        self.state.value = SequencerState.GAP
        return step_count

    def _pattern(self, word: int, header: LayerHeader, group: int, index: int, address: int) -> list[tuple[int, int]]:
        channels = header.pattern_channels(group, index, self.config.columns)
        try:
            return decode_pattern(word, channels, header.pattern_taps(index))
        except IllegalInstructionError:
            raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None

    def _opcode(self, word: int, address: int) -> Opcode:
        try:
            opcode = opcode_of(word)
            if opcode is Opcode.END:
                decode(word, opcode)  # the other kinds are decoded where they are used
            return opcode
        except IllegalInstructionError:
            raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None

    def _read_instruction(self, address: int) -> ActivityOf[int]:
        """The IMem word at ``address``; its bits are for use from the next cycle on."""
        payload = MemoryPayload(READ, address, bytearray(self.config.imem_word_bytes))
        yield from self.imem.b_transport(payload)
        if payload.status is not OK:
            raise UnitFaultError(ErrorCode.PROGRAM_ADDRESS, address)
        return int.from_bytes(payload.data, "little")

    def _fetch_weights(self, address: int, origin: Origin) -> None:
        read, weights = self._weight_read, self._weights
        read.rearm()
        read.address, read.origin = address, origin
        self.wmem.transport(read)
        if read.status is not OK:
            raise UnitFaultError(ErrorCode.WEIGHT_ADDRESS, address)
        weights.rearm()
        weights.word, weights.origin = bytes(read.data), origin
        self.weights.transport(weights)
        if weights.status is not OK:
            raise self._refused(self.weights, weights)

    def _tell(self, socket: InitiatorSocket[P], payload: P) -> Activity:
        """Transport that the data path never refuses."""
        yield from socket.b_transport(payload)
        if payload.status is not OK:
            raise self._refused(socket, payload)

    def _refused(self, socket: InitiatorSocket[P], payload: P) -> ProtocolError:
        return ProtocolError(f"{socket.path}: {payload.describe()} was answered with {payload.status.value!r}")
