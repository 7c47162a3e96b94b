"""The requantiser and write-back, a pass at a time.

Request flow: a pass's accumulators are taken over at its handover; residual words are read and output words written in
one bulk access each.
Timing: the write lands in the cycle of the pass's last write, as the sequencer has worked it out; the next handover and
the flush wait for it as in fidelity "cycle".
"""

from __future__ import annotations

from simpy import Event

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents, pass_id
from tlm.chip.format.isa import LayerHeader, ParameterArrays
from tlm.chip.passes.payloads import BulkPayload, GroupParametersPayload, TimedPassPayload
from tlm.chip.payloads import DrainPayload, FlushPayload, LayerPayload
from tlm.chip.states import RequantiserState
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, READ, WRITE, MemoryPayload
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket

_IDLE, _DRAIN, _ = RequantiserState  # Python 3.11 is slow to find a member in an Enum's class


class Requantiser(Module):
    """Parameter registers, arithmetic and write-back for whole passes."""

    def __init__(self, name: str, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(name, parent)
        self._tell_written = events.pass_written
        self._config = config
        self._header: LayerHeader | None = None
        self._next_parameters: ParameterArrays | None = None
        self._write: BulkPayload | None = None
        self._write_cycle = -1
        self.state = Probe(self, "state", _IDLE)
        self.layers = TargetSocket(self, "layers", LayerPayload, self._configure)
        self.parameters = TargetSocket(self, "parameters", GroupParametersPayload, self._take_parameters)
        self.passes = TargetSocket(self, "passes", DrainPayload, self._take_over)
        self.flushes = TargetSocket(self, "flushes", FlushPayload, self._flush)
        self.writes: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "writes", MemoryPayload)
        self.residuals: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "residuals", MemoryPayload)

    def _configure(self, payload: LayerPayload) -> None:
        header = self._header = payload.header
        self._output_plane = header.output_plane_words(self._config.lanes)
        self._residual_plane = header.residual_plane_words(self._config.lanes)
        payload.status = OK

    def _take_parameters(self, payload: GroupParametersPayload) -> None:
        self._next_parameters = payload.parameters
        payload.status = OK

    def _use_parameters(self, parameters: ParameterArrays) -> None:
        """They become the current ones with the first pass of their group."""
        header = self._header
        assert header is not None  # the sequencer configures before it sends parameters
        low, high = header.output_range
        self._bias = parameters.bias
        self._kernel = kernels.RequantiseKernel(
            bias=parameters.bias, multiplier=parameters.multiplier, shift=parameters.shift, low=low, high=high,
            lanes=self._config.lanes, residual_signed=header.residual_signed,
            residual_multiplier=header.residual_multiplier,
        )  # fmt: skip

    def _take_over(self, payload: DrainPayload) -> None:
        """Answered in the handover cycle, in which it comes: the sequencer has worked out that it can."""
        of_pass = payload.of_pass
        assert isinstance(of_pass, TimedPassPayload)
        if self._write is not None:
            raise ProtocolError(f"{self.path}: a pass was handed over in cycle {self.clock.now} before the last write")
        if self._next_parameters is not None:
            self._use_parameters(self._next_parameters)
            self._next_parameters = None
        self._write = self._words(payload, of_pass)
        self._write_cycle = of_pass.times.last_write_cycle
        self.state.value = _DRAIN
        self.clock.cycles(self._write_cycle - self.clock.now).callbacks.append(self._write_back)
        payload.status = OK

    def _flush(self, payload: FlushPayload) -> Activity:
        """Answered in the cycle after the last write."""
        yield self.clock.cycles(self._write_cycle + 1 - self.clock.now)
        payload.status = OK

    def _write_back(self, _: Event) -> None:
        """In the cycle of a pass's last write."""
        assert self._write is not None
        self.writes.transport(self._write)
        self._expect_ok(self._write)
        self.state.value = _IDLE
        self._tell_written(pass_id(self._write.origin))
        self._write = None

    def _words(self, payload: DrainPayload, of_pass: TimedPassPayload) -> BulkPayload:
        """The write of all output words of a pass."""
        header, lanes, first_channel = self._header, self._config.lanes, of_pass.group * self._config.columns
        assert header is not None  # the sequencer configures and sends parameters before the first pass
        data: bytes | bytearray
        if header.accumulator_output:
            acc = kernels.accumulators_array(payload.accumulators, lanes)[: of_pass.channels]
            data = kernels.accumulator_layer(acc, bias=self._bias, lanes=lanes, pixels=of_pass.pixels)
        else:
            residual = None
            if header.has_residual:
                address = header.residual_base_word + first_channel * self._residual_plane + of_pass.tile
                residual = self._read_residual(address, self._residual_plane, of_pass)
            data = self._kernel.of_pass(payload.accumulators, of_pass.pixels, residual)
        plane = self._output_plane
        address = header.output_base_word + first_channel * header.slots_per_channel * plane + of_pass.tile
        return BulkPayload(WRITE, address, data, plane, of_pass.times.refused_writes, origin=of_pass.origin)

    def _read_residual(self, address: int, plane: int, of_pass: TimedPassPayload) -> bytearray:
        data = bytearray(of_pass.channels * self._config.amem_word_bytes)
        read = BulkPayload(READ, address, data, plane, of_pass.times.refused_residual_reads, origin=of_pass.origin)
        self.residuals.transport(read)
        self._expect_ok(read)
        return data

    def _expect_ok(self, payload: MemoryPayload) -> None:
        if payload.status is not OK:
            raise ProtocolError(f"{self.path}: {payload.describe()} was answered with {payload.status.value!r}")
