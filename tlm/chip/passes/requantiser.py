"""The requantiser and write-back, a pass or a layer at a time.

Request flow: a pass's accumulators are taken over at its handover, a layer's when its first pass starts; residual words
are read and output words written in one bulk access each.
Timing: the write lands in the cycle of the pass's or the layer's last write, as the sequencer has worked it out; the
next handover and the flush wait for it as in fidelity "cycle".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from simpy import Event

from tlm.chip import kernels
from tlm.chip.base.sram import pass_of
from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents, PassTimes, Port
from tlm.chip.format.isa import LayerHeader, ParameterArrays
from tlm.chip.passes.payloads import BulkPayload, GroupParametersPayload, LayerDrainPayload, TimedPassPayload
from tlm.chip.payloads import DrainPayload, FlushPayload, LayerPayload
from tlm.chip.states import RequantiserState
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, READ, WRITE, MemoryPayload, Origin
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket

_IDLE, _DRAIN, _ = RequantiserState  # Python 3.11 is slow to find a member in an Enum's class


class _Place(NamedTuple):
    """Which words of a layer's output."""

    first_channel: int
    first_tile: int
    tiles: int

    def address(self, base_word: int, channel_words: int) -> int:
        """Of the first, where the channels of a tensor lie so far apart."""
        return base_word + self.first_channel * channel_words + self.first_tile


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
        self.layer_passes = TargetSocket(self, "layer_passes", LayerDrainPayload, self._take_over_layer)
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
        acc = kernels.accumulators_array(payload.accumulators, self._config.lanes)[: of_pass.channels]
        place = _Place(of_pass.group * self._config.columns, of_pass.tile, tiles=1)
        self._drain(acc, place, of_pass.pixels, of_pass.times, of_pass.origin)
        payload.status = OK

    def _take_over_layer(self, payload: LayerDrainPayload) -> None:
        acc, passes = payload.accumulators, payload.of_passes
        place = _Place(0, 0, tiles=acc.shape[1] // self._config.lanes)
        self._drain(acc, place, passes.pixels, passes.times, passes.origin)
        payload.status = OK

    def _drain(
        self, acc: npt.NDArray[np.int32], place: _Place, pixels: int, times: PassTimes, origin: Origin | None
    ) -> None:
        """Make output words of accumulators (channels, tiles * lanes), to be written in the cycle of the last write."""
        if self._write is not None:
            raise ProtocolError(f"{self.path}: a pass was handed over in cycle {self.clock.now} before the last write")
        if self._next_parameters is not None:
            self._use_parameters(self._next_parameters)
            self._next_parameters = None
        header = self._header
        assert header is not None  # the sequencer configures and sends parameters before the first pass
        data: bytes | bytearray
        if header.accumulator_output:
            data = kernels.accumulator_layer(acc, bias=self._bias, lanes=self._config.lanes, pixels=pixels)
        else:
            residual = None
            if header.has_residual:
                address = place.address(header.residual_base_word, self._residual_plane)
                residual = bytearray(acc.size // 2)
                refused = times.refused_residual_reads
                read = BulkPayload(READ, address, residual, self._residual_plane, place.tiles, refused, origin=origin)
                self.residuals.transport(read)
                self._expect_ok(read)
            data = self._kernel.words(acc, pixels, residual)
        plane = self._output_plane
        address = place.address(header.output_base_word, plane * header.slots_per_channel)
        self._write = BulkPayload(WRITE, address, data, plane, place.tiles, times.refused_writes, origin=origin)
        self._write_cycle = times.last_write_cycle
        self.state.value = _DRAIN
        self.clock.cycles(self._write_cycle - self.clock.now).callbacks.append(self._write_back)

    def _flush(self, payload: FlushPayload) -> Activity:
        """Answered in the cycle after the last write."""
        yield self.clock.cycles(self._write_cycle + 1 - self.clock.now)
        payload.status = OK

    def _write_back(self, _: Event) -> None:
        """In the cycle of the last write."""
        assert self._write is not None
        self.writes.transport(self._write)
        self._expect_ok(self._write)
        self.state.value = _IDLE
        of_pass = pass_of(Port.WRITE_BACK, self._write)
        if of_pass is not None:
            self._tell_written(of_pass)
        self._write = None

    def _expect_ok(self, payload: MemoryPayload) -> None:
        if payload.status is not OK:
            raise ProtocolError(f"{self.path}: {payload.describe()} was answered with {payload.status.value!r}")
