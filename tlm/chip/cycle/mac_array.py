"""The Cartesian-product MAC array: every lane's activation meets every column's weight, each cycle.

Request flow: activation vectors come from the aligner, weight words from the sequencer's fetch, one of each per
step and in the same order; the outer product is added to lanes x columns accumulators. In max pooling there are no
weights: a vector meets the accumulator row of its channel, which keeps the maximum. At a pass's end the accumulators
are handed to the requantiser.
Timing: multiply_cycles and accumulate_cycles behind the mask; the handover h is in the cycle after the last
accumulation, or later if the requantiser is not free (engine.md, A pass). The accumulators hold until then.
Constraints: accumulators have 24 bits; the compiler has proved that no sum can leave them.
"""

from __future__ import annotations

from collections import deque

from simpy import Event

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.payloads import DrainPayload, LayerPayload, PassPayload, VectorPayload, WeightPayload, Work
from tlm.chip.states import ArrayState, ArrivedVector
from tlm.core.clock import Pipeline
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket

_COMPUTE = ArrayState.COMPUTE


class MacArray(Module):
    """Multipliers and accumulators."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self._config = config
        self._pooling = False
        self._start_value = 0
        self._accumulators = self._fresh_accumulators()
        self._weights: deque[bytes] = deque()
        self._ended_passes = 0
        self._pass_ended: Event | None = None
        self.state = Probe(self, "state", ArrayState.IDLE)
        self.last_vector = Probe(self, "last_vector", ArrivedVector(-1, None, False))
        self.layers = TargetSocket(self, "layers", LayerPayload, self._configure)
        self.vectors = TargetSocket(self, "vectors", VectorPayload, self._take_vector)
        self.weights = TargetSocket(self, "weights", WeightPayload, self._take_weight)
        self.passes = TargetSocket(self, "passes", PassPayload, self._finish_pass)
        self.drain: InitiatorSocket[DrainPayload] = InitiatorSocket(self, "drain", DrainPayload)
        self._products = Pipeline(self.clock, config.multiply_cycles, self._accumulate)

    def _configure(self, payload: LayerPayload) -> None:
        """The accumulators are idle: the layer before has been written."""
        header = payload.header
        self._pooling = header.pooling
        self._start_value = header.input_range[0] if header.pooling else 0
        self._accumulators = self._fresh_accumulators()
        payload.status = OK

    def _fresh_accumulators(self) -> kernels.Buffer:
        return kernels.new_accumulators(self._config.lanes, self._config.columns, self._start_value)

    def _take_weight(self, payload: WeightPayload) -> None:
        self._weights.append(payload.word)
        payload.status = OK

    def _take_vector(self, payload: VectorPayload) -> None:
        """A vector reaches the multipliers."""
        if self.last_vector.watched:
            of_pass = None if payload.origin is None else payload.origin.find(Work.PASS)
            index = None if of_pass is None else of_pass.index
            self.last_vector.value = ArrivedVector(self.clock.now, index, payload.activations is not None)
        self._products.put(payload)
        payload.status = OK

    def _accumulate(self, vector: VectorPayload) -> None:
        lanes, columns = self._config.lanes, self._config.columns
        # a step whose weight fetch failed has stopped the sequencer and leaves no word: nothing is accumulated
        if vector.activations is not None and self._pooling:
            self.state.value = _COMPUTE
            kernels.pool_step(self._accumulators, vector.activations, vector.channel % columns, lanes)
        elif vector.activations is not None and self._weights:
            self.state.value = _COMPUTE
            kernels.mac_step(self._accumulators, vector.activations, self._weights.popleft(), lanes, columns)
        if vector.ends_pass:
            self._ended_passes += 1
            if self._pass_ended is not None:
                self._pass_ended.succeed()
                self._pass_ended = None

    def _finish_pass(self, payload: PassPayload) -> Activity:
        """From the sequencer's last cycle of a pass to the handover of its accumulators."""
        if not self._ended_passes:
            self._pass_ended = Event(self.clock.env)
            yield self._pass_ended
        self._ended_passes -= 1
        yield self.clock.cycles(self._config.accumulate_cycles)
        self.state.value = ArrayState.HOLD
        full = self._accumulators
        yield from self.drain.b_transport(DrainPayload(full, payload, origin=payload.origin))
        self._accumulators = self._fresh_accumulators()
        self.state.value = ArrayState.IDLE
        payload.status = OK
