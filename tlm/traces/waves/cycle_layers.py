"""The scopes of the layers in a waveform of every cycle: what the recorder has counted, as soon as it is known."""

from __future__ import annotations

from typing import Any

from vcd.writer import Variable

from tlm.chip.cycle.dma import Dma
from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.format.driver import Unit
from tlm.chip.payloads import Work
from tlm.chip.states import ChannelState, SequencerState
from tlm.compiler.transfer_uses import Uses
from tlm.core.payload import Payload
from tlm.core.probe import Probe
from tlm.core.sockets import Phase
from tlm.observe.passes import PartRecord
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Dump, Signal
from tlm.traces.waves.following import on
from tlm.traces.waves.layer_signals import LayerSignals, layer_signals
from tlm.traces.waves.variables import Totals, Value


def watch_layers(dump: Dump, engine: CycleEngine, dma: Dma, watched: Watched) -> None:
    """Register the signals and subscribe to what they follow."""
    layers = _Layers(dump, layer_signals(dump.variables, watched.program), watched)
    sequencer = engine.sequencer
    sequencer.state.observe(lambda changed: layers.see_state(sequencer.layer.value, changed.value))
    on(Phase.END_RESP, engine.sequencer.passes, layers.see_handover)
    on(Phase.END_RESP, engine.sequencer.flushes, layers.see_flushed)
    for unit, channel in ((Unit.LOAD, dma.load), (Unit.STORE, dma.store)):
        channel.state.observe(layers.observer_of(unit))


class _Layers:
    def __init__(self, dump: Dump, layers: list[LayerSignals], watched: Watched) -> None:
        self._dump = dump
        self._layers = layers
        self._watched = watched
        self._totals = Totals()

    def see_state(self, tag: int, state: SequencerState) -> None:
        """A pass begins, or something else."""
        if state is SequencerState.STEPS:
            self._set(self._of_tag(tag).active, 1)

    def see_handover(self, payload: Payload) -> None:
        """A pass has been handed over."""
        part = self._part(payload)
        layer, last = self._of_tag(part.tag), part.passes[-1]
        self._add(layer.passes, 1)
        self._add(layer.steps, last.steps)
        self._add(layer.bank_conflict_cycles, last.fetch_cycles - last.steps)

    def see_flushed(self, payload: Payload) -> None:
        """Everything has been written; this is the cycle behind."""
        self._set(self._of_tag(self._part(payload).tag).active, 0)

    def observer_of(self, unit: Unit) -> Any:
        """Of a channel's state: when a transfer ends, its bytes belong to the layers that it was for."""
        program = self._watched.program
        uses: tuple[Uses, ...] = program.load_uses if unit is Unit.LOAD else program.store_uses
        ended = iter(uses)

        def see(changed: Probe[ChannelState]) -> None:
            if changed.value is ChannelState.IDLE:
                for tag, count in next(ended).items():
                    layer = self._of_tag(tag)
                    self._add(layer.load_bytes if unit is Unit.LOAD else layer.store_bytes, count)

        return see

    def _of_tag(self, tag: int) -> LayerSignals:
        return self._layers[self._watched.program.parts[tag].layer_index]

    def _part(self, payload: Payload) -> PartRecord:
        assert payload.cause is not None
        layer = payload.cause.find(Work.LAYER)
        assert layer is not None
        return self._watched.recorder.parts[layer.index]

    def _add(self, variable: Variable[Any], count: int) -> None:
        self._set(variable, self._totals.add(self._dump.clock.now, variable, count).value)

    def _set(self, variable: Variable[Any], value: Value) -> None:
        Signal(self._dump, variable).set(value)
