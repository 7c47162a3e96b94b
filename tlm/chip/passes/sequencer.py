"""The sequencer, a layer at a time: decodes a layer's words, works out when its passes happen, and runs them.

Request flow: the words come from IMem through direct memory. What the layer takes of each SRAM's banks goes there as a
reservation; then each pass is a payload to the aligner (its steps), one to the MAC array (its weights), and one that
ends with its handover.
Timing: engine.md, A pass, worked out in C from the decoded words (kernels/timing.c, kernels/occupancy.c) when the
layer starts. Nothing that runs beside the engine can change it: the DMA has the lowest priority at every bank.
A run without values asks nothing of the data path: the sequencer tells the observers the times of a layer's passes.
Constraints: acts on decoded IMem bits only. A word that it cannot decode stops it with the error status of the clear
model; the cycle of the error is that of the layer's start or of s_0, since all words are decoded ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import starmap

import numpy as np
import numpy.typing as npt

from tlm.chip.base.sequencer import SequencerBase
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, EngineEvents, LayerTimed, PassFetched, PassId, PassStarted, PassTimes, Port
from tlm.chip.format.decode import DecodedLayer, decode_layer, is_end
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import IllegalInstructionError
from tlm.chip.format.layer_header import HEADER_WORDS
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.kernels.occupancy import PartOccupancy, occupy
from tlm.chip.passes.payloads import (
    GroupParametersPayload,
    PassStepsPayload,
    PassWeightsPayload,
    ReservationPayload,
    TimedPassPayload,
)
from tlm.chip.payloads import FlushPayload, LayerPayload, Work
from tlm.chip.states import SequencerState
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity, ActivityOf
from tlm.core.module import Module
from tlm.core.payload import Origin
from tlm.core.sockets import DirectMemory, InitiatorSocket

_STEPS, _DRAIN, _GAP = SequencerState.STEPS, SequencerState.DRAIN, SequencerState.GAP
_PASS = Work.PASS  # Python 3.11 is slow to find a member in an Enum's class


class Sequencer(SequencerBase):
    """The engine's control for whole passes; its registers are the engine's registers.

    Args:
        name, parent, config, events: as in the base class.
        computes: whether the data path works; else there are cycles and events, and AMem keeps what it holds.
    """

    def __init__(
        self, name: str, parent: Module, config: ChipConfig, events: EngineEvents, computes: bool = True
    ) -> None:
        super().__init__(name, parent, config, events)
        self._computes = computes
        self.steps: InitiatorSocket[PassStepsPayload] = InitiatorSocket(self, "steps", PassStepsPayload)
        self.weights: InitiatorSocket[PassWeightsPayload] = InitiatorSocket(self, "weights", PassWeightsPayload)
        self.passes: InitiatorSocket[TimedPassPayload] = InitiatorSocket(self, "passes", TimedPassPayload)
        self.layers_to_aligner: InitiatorSocket[LayerPayload] = self._layer_socket("aligner")
        self.layers_to_mac_array: InitiatorSocket[LayerPayload] = self._layer_socket("mac_array")
        self.layers_to_requantiser: InitiatorSocket[LayerPayload] = self._layer_socket("requantiser")
        self.parameters: InitiatorSocket[GroupParametersPayload] = InitiatorSocket(
            self, "parameters", GroupParametersPayload
        )
        self.flushes: InitiatorSocket[FlushPayload] = InitiatorSocket(self, "flushes", FlushPayload)
        self.reservations: dict[SramName, InitiatorSocket[ReservationPayload]] = {
            sram: InitiatorSocket(self, f"reserve_{sram.name.lower()}", ReservationPayload) for sram in SramName
        }

    def _layer_socket(self, block: str) -> InitiatorSocket[LayerPayload]:
        return InitiatorSocket(self, f"layers_to_{block}", LayerPayload)

    def program(self, address: int) -> Activity:
        """Layers from ``address`` to END; returns in the cycle after END was read."""
        while True:
            self.state.value = SequencerState.HEADER
            memory = self.imem.direct_memory()
            word = int(self._words(memory, address, 1)[0])
            try:
                end = is_end(word)
            except IllegalInstructionError:
                yield self.clock.cycles(1)
                raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None
            if end:
                bank = address % self.config.imem_banks
                reads = np.bincount([bank], minlength=self.config.imem_banks)
                banks = np.array([1 << bank], np.uint8)
                self._reserve(SramName.IMEM, self.clock.now, banks, {Port.FETCH: reads})
                yield self.clock.cycles(1)
                return
            address = yield from self._layer(memory, address)

    # -- decoding -------------------------------------------------------------------------------------------------

    def _words(self, memory: DirectMemory, address: int, count: int) -> npt.NDArray[np.uint64]:
        """IMem words; reading one that does not exist or was never written is an error, as if it were fetched."""
        end = address + count
        if end > self.config.imem_words:
            raise UnitFaultError(ErrorCode.PROGRAM_ADDRESS, max(address, self.config.imem_words))
        self._check_written("imem", memory, address, end, self.config.imem_banks)
        size = self.config.imem_word_bytes
        return np.frombuffer(memory.view, "<u8", count, address * size).astype(np.uint64)

    def _check_written(self, sram: str, memory: DirectMemory, first: int, end: int, banks: int) -> None:
        unwritten = bytes(memory.written[first:end]).find(0)
        if unwritten >= 0:
            word = first + unwritten
            raise UnwrittenReadError(
                f"engine.{sram} bank {word % banks}: word {word} is read by the layer that starts in cycle "
                f"{self.clock.now}, but was never written; load it first, or check the addresses in the program"
            )

    # -- running --------------------------------------------------------------------------------------------------

    def _layer(self, memory: DirectMemory, address: int) -> ActivityOf[int]:
        """One layer, whose first header word is at ``address`` and is read now; returns the address after it."""
        cycle_0 = self.clock.now
        try:
            layer = decode_layer(partial(self._words, memory), address, self.config)
        except UnitFaultError:
            yield self.clock.cycles(HEADER_WORDS)
            raise
        header = layer.header
        wmem = self.wmem.direct_memory()
        self._check_written("wmem", wmem, header.weight_base_word, layer.weights_end_word, self.config.wmem_banks)
        occupancy = self._occupy(layer, address)
        of_amem = {
            Port.ALIGNER: occupancy.aligner_reads,
            Port.WRITE_BACK: occupancy.write_back,
            Port.RESIDUAL: occupancy.residual_reads,
        }
        self._reserve(SramName.AMEM, cycle_0, occupancy.amem, of_amem)
        self._reserve(SramName.WMEM, cycle_0, occupancy.wmem, {Port.FETCH: occupancy.weight_reads})
        self._reserve(SramName.IMEM, cycle_0, occupancy.imem, {Port.FETCH: occupancy.instruction_reads})
        yield self.clock.cycles(header.header_words)
        origin = Origin(Work.LAYER, header.tag)
        self.events.layer_started(header)
        self.layer.value = header.tag
        self.state.value = SequencerState.PARAMETERS
        all_times = _pass_times(occupancy, cycle_0)
        if self._computes:
            yield from self._passes(layer, wmem, all_times, origin)
        else:
            yield from self._timed(layer, occupancy, all_times)
        self.events.layer_ended(header.tag)
        return layer.end_word

    def _passes(
        self, layer: DecodedLayer, wmem: DirectMemory, all_times: Iterator[PassTimes], origin: Origin
    ) -> Activity:
        """All passes of a layer, by the blocks of the data path."""
        header = layer.header
        for socket in (self.layers_to_aligner, self.layers_to_mac_array, self.layers_to_requantiser):
            yield from socket.b_transport(LayerPayload(header, origin=origin))
        pixels_of_tiles = header.pixels_of_tiles(self.config.lanes)
        for group, own in enumerate(layer.groups):
            group_origin = Origin(Work.GROUP, group, origin)
            for tile, pixels in enumerate(pixels_of_tiles):
                pass_origin = Origin(_PASS, group * len(pixels_of_tiles) + tile, group_origin)
                times = next(all_times)
                yield self.clock.cycles(times.first_cycle - self.clock.now)
                self.state.value = _STEPS
                self.pass_index.value = pass_origin.index
                if not tile:
                    parameters = GroupParametersPayload(own.parameters, origin=group_origin)
                    yield from self.parameters.b_transport(parameters)
                if not header.pooling:
                    words = PassWeightsPayload(wmem, own.first_weight_word, origin=pass_origin)
                    yield from self.weights.b_transport(words)
                work = TimedPassPayload(group, tile, times.first_cycle, pixels, own.channels, times, origin=pass_origin)
                yield from self._pass(work, PassId(header.tag, pass_origin.index), own.patterns)
        self.state.value = _DRAIN
        yield from self.flushes.b_transport(FlushPayload(origin=origin))

    def _timed(self, layer: DecodedLayer, occupancy: PartOccupancy, all_times: Iterator[PassTimes]) -> Activity:
        """The times of all passes and their traffic in AMem, without their values."""
        header, times = layer.header, tuple(all_times)
        pixels_of_tiles = header.pixels_of_tiles(self.config.lanes)
        accesses = [
            Accessed(SramName.AMEM, port, words.tolist(), sum(refused), None)
            for port, words, refused in (
                (Port.WRITE_BACK, occupancy.write_back, (one.refused_writes for one in times)),
                (Port.RESIDUAL, occupancy.residual_reads, (one.refused_residual_reads for one in times)),
            )
        ]
        yield self.clock.cycles(max(one.last_write_cycle for one in times) - self.clock.now)
        channels = [group.channels for group in layer.groups]
        self.events.layer_timed(LayerTimed(header, pixels_of_tiles, channels, times, accesses))
        yield self.clock.cycles(1)

    def _occupy(self, layer: DecodedLayer, address: int) -> PartOccupancy:
        header, config = layer.header, self.config
        return occupy(
            layer.geometry,
            config,
            patterns=layer.patterns,
            output_base_word=header.output_base_word,
            residual_base_word=header.residual_base_word if header.has_residual else None,
            words_per_channel=header.slots_per_channel,
            output_plane_words=header.output_plane_words(config.lanes),
            residual_plane_words=header.residual_plane_words(config.lanes) if header.has_residual else None,
            weight_base_word=None if header.pooling else header.weight_base_word,
            program_word=address,
            header_words=header.header_words,
        )

    def _reserve(
        self,
        sram: SramName,
        first_cycle: int,
        banks: npt.NDArray[np.uint8],
        accesses: Mapping[Port, npt.NDArray[np.int64]],
    ) -> None:
        self.reservations[sram].transport(ReservationPayload(first_cycle, banks, accesses))

    def _pass(self, work: TimedPassPayload, of_pass: PassId, patterns: npt.NDArray[np.uint64]) -> Activity:
        """One pass, from its first cycle s to its handover h."""
        times = work.times
        started = PassStarted(of_pass, work.group, work.tile, work.pixels, work.channels)
        self.events.pass_started(started)
        steps = PassStepsPayload(work.group, work.tile, patterns, times, origin=work.origin)
        yield from self.steps.b_transport(steps)
        self.state.value = _DRAIN
        self.events.pass_fetched(PassFetched(started, times.first_cycle, times.steps, times.fetch_cycles))
        yield from self.passes.b_transport(work)
        self.events.pass_handed_over(of_pass)
        self.state.value = _GAP


def _pass_times(occupancy: PartOccupancy, cycle_0: int) -> Iterator[PassTimes]:
    """The passes of a layer whose cycle 0 is ``cycle_0``."""
    passes, s_0 = occupancy.passes, cycle_0 + occupancy.first_cycle
    moments = ("first_cycle", "last_fetch_cycle", "handover_cycle", "last_write_cycle")
    counts = ("steps", "fetch_cycles", "refused_writes", "refused_residual_reads")
    columns = [(passes[key] + s_0).tolist() for key in moments] + [passes[key].tolist() for key in counts]
    return starmap(PassTimes, zip(*columns, strict=True))
