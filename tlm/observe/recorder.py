"""The recorder: figures of a run, counted from the transactions at the sockets.

Nothing here is computed from the program: a step is counted because a step payload crossed a socket, a pass ended
because its handover was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tlm.chip.chip import System
from tlm.chip.driver import Unit
from tlm.chip.payloads import FlushPayload, LayerPayload, PassPayload, StepPayload, Work
from tlm.core.observation import Phase
from tlm.core.payload import MemoryPayload, Payload, Response
from tlm.core.sockets import InitiatorSocket

LayerDone = Callable[[int], None]
"""Called with a part's tag in the cycle after its last write."""


@dataclass(slots=True)
class PassRecord:
    """When one pass happened; cycles since the first host access."""

    group: int
    tile: int
    first_cycle: int
    """s."""
    last_fetch_cycle: int
    """e."""
    handover_cycle: int
    """h."""
    macs: int
    last_write_cycle: int = -1


@dataclass(slots=True)
class PartRecord:
    """What one part of a layer did."""

    tag: int
    steps: int = 0
    fetch_cycles: int = 0
    passes: list[PassRecord] = field(default_factory=list)

    @property
    def first_cycle(self) -> int:
        """s_0."""
        return self.passes[0].first_cycle

    @property
    def last_write_cycle(self) -> int:
        """Cycle of the last write of the last pass."""
        return self.passes[-1].last_write_cycle

    @property
    def compute_cycles(self) -> int:
        """s_0 to the last write, inclusive."""
        return self.last_write_cycle - self.first_cycle + 1


class Recorder:
    """Subscribes to a system before it runs.

    Args:
        system: what is watched.
        on_layer_done: called when a part's outputs are complete in AMem.
    """

    def __init__(self, system: System, on_layer_done: LayerDone | None = None) -> None:
        self._clock = system.simulation.clock
        self._on_layer_done = on_layer_done
        self._steps_of_pass = 0
        self._fetch_begin = 0
        self.parts: dict[int, PartRecord] = {}
        self.refused: Counter[str] = Counter()
        """Initiator -> accesses refused because their bank was taken."""
        self.moved_bytes = {Unit.LOAD: 0, Unit.STORE: 0}
        self.last_interrupt_cycle = -1
        self._subscribe(system)

    def _subscribe(self, system: System) -> None:
        engine = system.engine
        engine.sequencer.layers_to_aligner.observe(self._see_layer)
        engine.sequencer.steps.observe(self._see_step)
        engine.sequencer.passes.observe(self._see_pass)
        engine.sequencer.flushes.observe(self._see_flush)
        engine.requantiser.writes.observe(self._see_write)
        engine.requantiser.residuals.observe(self._count_refusals("residual"))
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            channel.memory.observe(self._count_bytes(unit))
            for socket in channel.srams.values():
                socket.observe(self._count_refusals(f"dma_{unit.value}"))
        for registers in (engine.sequencer.registers, system.dma.load.registers, system.dma.store.registers):
            registers.interrupt.observe(self._see_interrupt)

    def _part(self, payload: Payload) -> PartRecord:
        assert payload.cause is not None
        layer = payload.cause.find(Work.LAYER)
        assert layer is not None
        return self.parts[layer.index]

    def _see_layer(self, phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if phase is Phase.BEGIN_REQ and isinstance(payload, LayerPayload):
            self.parts[payload.header.tag] = PartRecord(payload.header.tag)

    def _see_step(self, phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if phase is Phase.BEGIN_REQ:
            self._fetch_begin = self._clock.now
        elif phase is Phase.END_RESP and isinstance(payload, StepPayload) and payload.is_step:
            part = self._part(payload)
            part.steps += 1
            part.fetch_cycles += self._clock.now - self._fetch_begin + 1
            self._steps_of_pass += 1

    def _see_pass(self, phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if phase is Phase.BEGIN_REQ and isinstance(payload, PassPayload):
            macs = self._steps_of_pass * payload.pixels * payload.channels
            self._steps_of_pass = 0
            self._part(payload).passes.append(
                PassRecord(payload.group, payload.tile, payload.first_cycle, self._clock.now, -1, macs)
            )
        elif phase is Phase.END_RESP:
            self._part(payload).passes[-1].handover_cycle = self._clock.now

    def _see_write(self, phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if phase is not Phase.END_RESP:
            return
        if payload.status is Response.RETRY:
            self.refused["write_back"] += 1
            return
        assert payload.cause is not None
        of_pass = payload.cause.find(Work.PASS)
        assert of_pass is not None
        self._part(payload).passes[of_pass.index].last_write_cycle = self._clock.now

    def _see_flush(self, phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if phase is Phase.END_RESP and isinstance(payload, FlushPayload) and self._on_layer_done is not None:
            self._on_layer_done(self._part(payload).tag)

    def _see_interrupt(self, phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        if phase is Phase.BEGIN_REQ:
            self.last_interrupt_cycle = self._clock.now

    def _count_refusals(self, initiator: str) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        def count(phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            if phase is Phase.END_RESP and payload.status is Response.RETRY:
                self.refused[initiator] += 1

        return count

    def _count_bytes(self, unit: Unit) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        def count(phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            if phase is Phase.END_RESP and payload.status is Response.OK and isinstance(payload, MemoryPayload):
                self.moved_bytes[unit] += len(payload.data)

        return count
