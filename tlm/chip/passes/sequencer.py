"""The sequencer, a layer at a time: decodes a layer's words, works out when its passes happen, and runs them.

Request flow: the words come from IMem through direct memory. What the layer takes of each SRAM's banks goes there as a
reservation; then each pass is a payload to the aligner (its steps), one to the MAC array (its weights), and one that
ends with its handover. Where nobody needs passes one by one (``DataFlow.LAYERS``), such a payload stands for all passes
of a layer.
Timing: engine.md, A pass, worked out in C from the decoded words (kernels/timing.c, kernels/occupancy.c) when the
layer starts. Nothing that runs beside the engine can change it: the DMA has the lowest priority at every bank.
The sequencer then tells the observers the times of all passes at once. A run without values asks nothing of the data
path.
Constraints: acts on decoded IMem bits only. A word that it cannot decode stops it with the error status of the clear
model; the cycle of the error is that of the layer's start or of s_0, since all words are decoded ahead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import starmap

import numpy as np
import numpy.typing as npt

from tlm.chip.base.sequencer import SequencerBase
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, EngineEvents, LayerTimed, PassFetched, PassId, PassStarted, PassTimes, Port
from tlm.chip.fidelity import DataFlow
from tlm.chip.format.decode import DecodedLayer, decode_layer, is_end
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import IllegalInstructionError
from tlm.chip.format.layer_header import HEADER_WORDS, LayerHeader
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.kernels.occupancy import PartOccupancy, occupy
from tlm.chip.passes.payloads import (
    GroupParametersPayload,
    LayerPassesPayload,
    LayerStepsPayload,
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
_PASSES, _LAYERS, _ = DataFlow


class Sequencer(SequencerBase):
    """The engine's control for whole passes; its registers are the engine's registers.

    Args:
        name, parent, config, events: as in the base class.
        flow: how values move through the data path; if not at all, AMem keeps what it holds.
    """

    def __init__(
        self,
        name: str,
        parent: Module,
        config: ChipConfig,
        events: EngineEvents,
        flow: DataFlow = DataFlow.PASSES,
    ) -> None:
        super().__init__(name, parent, config, events)
        self._flow = flow
        self.steps: InitiatorSocket[PassStepsPayload] = InitiatorSocket(self, "steps", PassStepsPayload)
        self.weights: InitiatorSocket[PassWeightsPayload] = InitiatorSocket(self, "weights", PassWeightsPayload)
        self.passes: InitiatorSocket[TimedPassPayload] = InitiatorSocket(self, "passes", TimedPassPayload)
        self.layers_to_aligner: InitiatorSocket[LayerPayload] = self._layer_socket("aligner")
        self.layers_to_mac_array: InitiatorSocket[LayerPayload] = self._layer_socket("mac_array")
        self.layers_to_requantiser: InitiatorSocket[LayerPayload] = self._layer_socket("requantiser")
        self.parameters: InitiatorSocket[GroupParametersPayload] = InitiatorSocket(
            self, "parameters", GroupParametersPayload
        )
        self.layer_steps: InitiatorSocket[LayerStepsPayload] = InitiatorSocket(self, "layer_steps", LayerStepsPayload)
        self.layer_passes: InitiatorSocket[LayerPassesPayload] = InitiatorSocket(
            self, "layer_passes", LayerPassesPayload
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
        times = _pass_times(occupancy, cycle_0)
        if self._flow is _PASSES:
            yield from self._passes(layer, wmem, times, origin)
        else:
            yield from self._whole(layer, occupancy, wmem, times, origin)
        self.events.layer_ended(header.tag)
        return layer.end_word

    def _passes(
        self, layer: DecodedLayer, wmem: DirectMemory, all_times: Sequence[PassTimes], origin: Origin
    ) -> Activity:
        """All passes of a layer, one after another."""
        header = layer.header
        self._configure(header, origin)
        pixels_of_tiles = header.pixels_of_tiles(self.config.lanes)
        for group, own in enumerate(layer.groups):
            group_origin = Origin(Work.GROUP, group, origin)
            for tile, pixels in enumerate(pixels_of_tiles):
                pass_origin = Origin(_PASS, group * len(pixels_of_tiles) + tile, group_origin)
                times = all_times[pass_origin.index]
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

    def _whole(
        self,
        layer: DecodedLayer,
        occupancy: PartOccupancy,
        wmem: DirectMemory,
        times: Sequence[PassTimes],
        origin: Origin,
    ) -> Activity:
        """All passes of a layer at once; returns in the cycle after the last write."""
        header, all_times = layer.header, _together(times)
        pixels_of_tiles = header.pixels_of_tiles(self.config.lanes)
        accesses: Sequence[Accessed] = ()
        if self._flow is _LAYERS:
            yield self.clock.cycles(all_times.first_cycle - self.clock.now)
            try:
                self._compute(layer, wmem, LayerPassesPayload(sum(pixels_of_tiles), all_times, origin=origin))
            except UnwrittenReadError:  # whether that matters, and to which pass, only passes tell
                yield from self._passes(layer, wmem, times, origin)
                return
        else:
            accesses = [
                Accessed(SramName.AMEM, port, words.tolist(), refused, None)
                for port, words, refused in (
                    (Port.WRITE_BACK, occupancy.write_back, all_times.refused_writes),
                    (Port.RESIDUAL, occupancy.residual_reads, all_times.refused_residual_reads),
                )
            ]
        yield self.clock.cycles(all_times.last_write_cycle - self.clock.now)
        channels = [group.channels for group in layer.groups]
        self.events.layer_timed(LayerTimed(header, pixels_of_tiles, channels, times, accesses))
        yield self.clock.cycles(1)

    def _configure(self, header: LayerHeader, origin: Origin | None) -> None:
        for socket in (self.layers_to_aligner, self.layers_to_mac_array, self.layers_to_requantiser):
            socket.transport(LayerPayload(header, origin=origin))

    def _compute(self, layer: DecodedLayer, wmem: DirectMemory, passes: LayerPassesPayload) -> None:
        """Have the data path compute all of a layer now, to be written in the cycle of its last write.

        Raises:
            UnwrittenReadError: a word was never written; nothing has changed.
        """
        origin = passes.origin
        self._configure(layer.header, origin)
        self.parameters.transport(GroupParametersPayload(layer.parameters, origin=origin))
        if not layer.header.pooling:
            self.weights.transport(PassWeightsPayload(wmem, layer.header.weight_base_word, origin=origin))
        self.layer_steps.transport(LayerStepsPayload(layer.patterns, origin=origin))
        self.layer_passes.transport(passes)

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


def _together(times: Sequence[PassTimes]) -> PassTimes:
    """All passes of a layer as if they were one."""
    first, last = times[0], times[-1]
    moments = first.first_cycle, last.last_fetch_cycle, last.handover_cycle, last.last_write_cycle
    counts = [(one.steps, one.fetch_cycles, one.refused_writes, one.refused_residual_reads) for one in times]
    return PassTimes(*moments, *map(sum, zip(*counts, strict=True)))


def _pass_times(occupancy: PartOccupancy, cycle_0: int) -> Sequence[PassTimes]:
    """The passes of a layer whose cycle 0 is ``cycle_0``."""
    passes, s_0 = occupancy.passes, cycle_0 + occupancy.first_cycle
    moments = ("first_cycle", "last_fetch_cycle", "handover_cycle", "last_write_cycle")
    counts = ("steps", "fetch_cycles", "refused_writes", "refused_residual_reads")
    columns = [(passes[key] + s_0).tolist() for key in moments] + [passes[key].tolist() for key in counts]
    return tuple(starmap(PassTimes, zip(*columns, strict=True)))
