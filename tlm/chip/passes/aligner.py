"""The aligner, a pass or a layer at a time.

Request flow: the steps of a pass, or of a layer, come as one payload; the aligner grants the MAC array its view of AMem
for them (the kernel aligns while it multiplies).
Timing: a pass takes from its first sequencer cycle s to its last e, as the sequencer has worked it out; a whole layer's
payload takes no time.
Constraints: only words that were written may be read.
"""

from __future__ import annotations

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import LayerHeader
from tlm.chip.passes.payloads import (
    LayerActivationsPayload,
    LayerStepsPayload,
    PassActivationsPayload,
    PassStepsPayload,
)
from tlm.chip.payloads import LayerPayload
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, MemoryPayload
from tlm.core.sockets import DirectMemory, InitiatorSocket, TargetSocket


class Aligner(Module):
    """Address generator and aligner for whole passes."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self._config = config
        self._header: LayerHeader | None = None
        self._view: DirectMemory | None = None
        self.layers = TargetSocket(self, "layers", LayerPayload, self._configure)
        self.steps = TargetSocket(self, "steps", PassStepsPayload, self._run)
        self.amem: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "amem", MemoryPayload)
        self.vectors: InitiatorSocket[PassActivationsPayload] = InitiatorSocket(self, "vectors", PassActivationsPayload)
        self.layer_steps = TargetSocket(self, "layer_steps", LayerStepsPayload, self._run_layer)
        self.layer_vectors: InitiatorSocket[LayerActivationsPayload] = InitiatorSocket(
            self, "layer_vectors", LayerActivationsPayload
        )

    def _configure(self, payload: LayerPayload) -> None:
        header = self._header = payload.header
        self._view = self.amem.direct_memory()
        plane = header.input_plane_words(self._config.lanes)
        words = slice(header.input_base_word, header.input_base_word + header.channels * plane)
        self._all_written = 0 not in bytes(self._view.written[words])
        payload.status = OK

    def _run(self, payload: PassStepsPayload) -> Activity:
        view = self._view
        assert view is not None  # the sequencer configures before it steps
        if not self._all_written:
            self._check_written(payload, view)
        yield from self.vectors.b_transport(
            PassActivationsPayload(payload.group, payload.tile, view, payload.patterns, origin=payload.origin)
        )
        yield self.clock.cycles(payload.times.last_fetch_cycle - payload.times.first_cycle)
        payload.status = OK

    def _run_layer(self, payload: LayerStepsPayload) -> None:
        view = self._view
        assert view is not None  # as above
        if not self._all_written:
            raise UnwrittenReadError(f"{self.amem.path}: a word of the layer's input was never written")
        self.layer_vectors.transport(LayerActivationsPayload(view, payload.patterns, origin=payload.origin))
        payload.status = OK

    def _check_written(self, payload: PassStepsPayload, view: DirectMemory) -> None:
        """Some word of the input was never written: does this pass read it?"""
        header = self._header
        assert header is not None
        plane = header.input_plane_words(self._config.lanes)
        geometry = header.geometry(self._config.lanes, self._config.columns)
        for index, pattern in enumerate(payload.patterns.tolist()):
            channels = header.pattern_channels(payload.group, index, self._config.columns)
            taps = header.pattern_taps(index)
            for bit in (bit for bit in range(pattern.bit_length()) if pattern >> bit & 1):
                channel, tap = channels[bit // len(taps)], taps[bit % len(taps)]
                for word in kernels.tap_words(geometry, payload.tile, tap)[0]:
                    address = header.input_base_word + channel * plane + word
                    if not view.written[address]:
                        raise UnwrittenReadError(
                            f"{self.amem.path}: AMem bank {address % self._config.amem_banks}, word {address} is read "
                            f"by the pass that starts in cycle {self.clock.now}, but was never written; "
                            "load it first, or check the addresses in the program"
                        )
