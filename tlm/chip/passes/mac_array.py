"""The MAC array, a pass or a layer at a time: one call of the C kernel on the packed AMem and WMem words.

Request flow: the views of activations and (but for max pooling) weights come first, then the pass or the layer, whose
accumulators go to the requantiser.
Timing: a pass's handover is in the cycle that the sequencer has worked out; a layer's payload takes no time.
"""

from __future__ import annotations

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.passes.payloads import (
    LayerActivationsPayload,
    LayerDrainPayload,
    LayerPassesPayload,
    PassActivationsPayload,
    PassWeightsPayload,
    TimedPassPayload,
)
from tlm.chip.payloads import DrainPayload, LayerPayload
from tlm.chip.states import ArrayState
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket

_IDLE, _COMPUTE, _HOLD = ArrayState  # Python 3.11 is slow to find a member in an Enum's class


class MacArray(Module):
    """Multipliers and accumulators for whole passes."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self._config = config
        self._activations: PassActivationsPayload | None = None
        self._layer_activations: LayerActivationsPayload | None = None
        self._weights: PassWeightsPayload | None = None
        self._accumulators = kernels.new_accumulators(config.lanes, config.columns)
        self.state = Probe(self, "state", _IDLE)
        self.layers = TargetSocket(self, "layers", LayerPayload, self._configure)
        self.vectors = TargetSocket(self, "vectors", PassActivationsPayload, self._take_activations)
        self.weights = TargetSocket(self, "weights", PassWeightsPayload, self._take_weights)
        self.passes = TargetSocket(self, "passes", TimedPassPayload, self._finish_pass)
        self.drain: InitiatorSocket[DrainPayload] = InitiatorSocket(self, "drain", DrainPayload)
        self.layer_vectors = TargetSocket(self, "layer_vectors", LayerActivationsPayload, self._take_layer_activations)
        self.layer_passes = TargetSocket(self, "layer_passes", LayerPassesPayload, self._finish_layer)
        self.layer_drain: InitiatorSocket[LayerDrainPayload] = InitiatorSocket(self, "layer_drain", LayerDrainPayload)

    def _configure(self, payload: LayerPayload) -> None:
        geometry = self._geometry = payload.header.geometry(self._config.lanes, self._config.columns)
        self._kernel = kernels.PoolPass(geometry) if payload.header.pooling else kernels.MacPass(geometry)
        payload.status = OK

    def _take_activations(self, payload: PassActivationsPayload) -> None:
        self._activations = payload
        self.state.value = _COMPUTE
        payload.status = OK

    def _take_layer_activations(self, payload: LayerActivationsPayload) -> None:
        self._layer_activations = payload
        payload.status = OK

    def _take_weights(self, payload: PassWeightsPayload) -> None:
        self._weights = payload
        payload.status = OK

    def _finish_pass(self, payload: TimedPassPayload) -> Activity:
        """From the sequencer's last cycle of a pass to the handover of its accumulators."""
        activations, weights = self._activations, self._weights
        assert activations is not None  # sent when the pass started, as the weights were
        if isinstance(self._kernel, kernels.PoolPass):
            self._kernel(
                activations.amem.view, activations.patterns, activations.group, activations.tile, self._accumulators
            )
        else:
            assert weights is not None
            self._kernel(
                activations.amem.view, weights.wmem.view, weights.first_word, activations.patterns, activations.tile,
                self._accumulators,
            )  # fmt: skip
        self.state.value = _HOLD
        yield self.clock.cycles(payload.times.handover_cycle - self.clock.now)
        yield from self.drain.b_transport(DrainPayload(self._accumulators, payload, origin=payload.origin))
        self.state.value = _IDLE
        payload.status = OK

    def _finish_layer(self, payload: LayerPassesPayload) -> None:
        activations, weights = self._layer_activations, self._weights
        assert activations is not None  # sent before, as the weights were
        if isinstance(self._kernel, kernels.PoolPass):
            accumulators = kernels.pool_layer(self._geometry, activations.amem.view, activations.patterns)
        else:
            assert weights is not None
            accumulators, _ = kernels.mac_layer(
                self._geometry, activations.amem.view, weights.wmem.view, weights.first_word, activations.patterns
            )
        self.layer_drain.transport(LayerDrainPayload(accumulators, payload, origin=payload.origin))
        payload.status = OK
