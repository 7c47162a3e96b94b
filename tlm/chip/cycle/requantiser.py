"""The requantiser and write-back: accumulators to 4-bit activations in AMem, with residual addition.

Request flow: a pass's accumulators are taken over, its channels enter one after another (six nibble planes each
where the layer has accumulator output), and each leaves as one AMem word. A residual word is read as its channel
enters. Parameters come from the sequencer into a second set of registers, which becomes the current one with the
first pass of a group.
Timing: entry j in cycle h+1+j, its write requantiser_cycles later (engine.md, A pass). A refused write freezes
everything; a refused residual read delays only the entry.
Constraints: one pass at a time; the next is taken over in the cycle after the last write or later.
"""

from __future__ import annotations

from collections import deque

from simpy import Event

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents, pass_id
from tlm.chip.format.isa import LayerHeader, Parameter
from tlm.chip.payloads import DrainPayload, FlushPayload, LayerPayload, ParameterPayload
from tlm.chip.states import RequantiserState
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity, ActivityOf
from tlm.core.module import Module
from tlm.core.payload import OK, READ, RETRY, WRITE, MemoryPayload
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket


class Requantiser(Module):
    """Parameter registers, arithmetic and write-back."""

    def __init__(self, name: str, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(name, parent)
        self._tell_written = events.pass_written
        self._config = config
        self._header: LayerHeader | None = None
        self._next_parameters: dict[int, Parameter] = {}
        self._parameters: dict[int, Parameter] = {}
        self._job: DrainPayload | None = None
        self._job_given: Event = Event(self.clock.env)
        self._idle: Event | None = None
        self.state = Probe(self, "state", RequantiserState.IDLE)
        self.entry = Probe(self, "entry", 0)
        self.layers = TargetSocket(self, "layers", LayerPayload, self._configure)
        self.parameters = TargetSocket(self, "parameters", ParameterPayload, self._take_parameter)
        self.passes = TargetSocket(self, "passes", DrainPayload, self._take_over)
        self.flushes = TargetSocket(self, "flushes", FlushPayload, self._flush)
        self.writes: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "writes", MemoryPayload)
        self.residuals: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "residuals", MemoryPayload)
        self.add_process(self._drain)

    def _configure(self, payload: LayerPayload) -> None:
        self._header = payload.header
        payload.status = OK

    def _take_parameter(self, payload: ParameterPayload) -> None:
        self._next_parameters[payload.slot] = payload.parameter
        payload.status = OK

    def _take_over(self, payload: DrainPayload) -> Activity:
        """Answered in the handover cycle h."""
        yield from self._wait_until_idle()
        if self._next_parameters:
            self._parameters, self._next_parameters = self._next_parameters, {}
        self._job = payload
        self._job_given.succeed()
        payload.status = OK

    def _flush(self, payload: FlushPayload) -> Activity:
        """Answered in the cycle after the last write."""
        yield from self._wait_until_idle()
        payload.status = OK

    def _wait_until_idle(self) -> Activity:
        if self._job is not None:
            self._idle = Event(self.clock.env)
            yield self._idle
            yield self.clock.cycles(1)

    def _drain(self) -> Activity:
        while True:
            yield self._job_given
            self._job_given = Event(self.clock.env)
            yield self.clock.cycles(1)
            self.state.value = RequantiserState.DRAIN
            yield from self._drain_pass()
            self.state.value = RequantiserState.IDLE
            assert self._job is not None
            self._tell_written(pass_id(self._job.origin))
            self._job = None
            if self._idle is not None:
                self._idle.succeed()
                self._idle = None

    def _drain_pass(self) -> Activity:
        """From the first entry to the cycle of the last write."""
        assert self._job is not None
        assert self._header is not None
        slots = self._job.of_pass.channels * self._header.slots_per_channel
        stages: deque[MemoryPayload | None] = deque([None] * self._config.requantiser_cycles)
        entered = 0
        while True:
            write = stages[0]
            if write is not None:
                yield from self.writes.b_transport(write)
                if write.status is RETRY:  # frozen: no stage moves, nothing enters, no residual is read
                    write.rearm()
                    self.state.value = RequantiserState.FROZEN
                    yield self.clock.cycles(1)
                    continue
                self._expect_ok(write)
                self.state.value = RequantiserState.DRAIN
            stages.popleft()
            entry = None
            if entered < slots:
                entry = yield from self._enter(entered)
                entered += entry is not None
            elif not any(stages):
                return
            stages.append(entry)
            yield self.clock.cycles(1)

    def _enter(self, slot: int) -> ActivityOf[MemoryPayload | None]:
        """The write of one entry slot, or None if its residual read was refused in this cycle."""
        assert self._job is not None
        assert self._header is not None
        header, of_pass, lanes = self._header, self._job.of_pass, self._config.lanes
        channel, plane = divmod(slot, header.slots_per_channel)
        layer_channel = of_pass.group * self._config.columns + channel
        residual = None
        if header.has_residual:
            address = header.residual_base_word + layer_channel * header.residual_plane_words(lanes) + of_pass.tile
            residual = MemoryPayload(
                READ, address, bytearray(self._config.amem_word_bytes), origin=of_pass.origin
            )
            yield from self.residuals.b_transport(residual)
            if residual.status is RETRY:
                return None
            self._expect_ok(residual)
        self.entry.value = slot
        parameter = self._parameters[slot]
        if header.accumulator_output:
            word = kernels.accumulator_plane(
                self._job.accumulators, channel, parameter.bias, plane, lanes, of_pass.pixels
            )
        else:
            low, high = header.output_range
            word = kernels.requantise_word(
                self._job.accumulators, channel, None if residual is None else residual.data, header.residual_signed,
                parameter.bias, parameter.multiplier, parameter.shift, header.residual_multiplier, low, high,
                lanes, of_pass.pixels,
            )  # fmt: skip
        address = (
            header.output_base_word
            + (layer_channel * header.slots_per_channel + plane) * header.output_plane_words(lanes)
            + of_pass.tile
        )
        return MemoryPayload(WRITE, address, word, origin=of_pass.origin)

    def _expect_ok(self, payload: MemoryPayload) -> None:
        if payload.status is not OK:
            raise ProtocolError(f"{self.path}: {payload.describe()} was answered with {payload.status.value!r}")
