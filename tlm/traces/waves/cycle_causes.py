"""``engine.cause``: for every cycle the cause that the account counts it under (docs/account.md), as it happens.

A second derivation of the account: from the moments of transactions, where :mod:`tlm.observe.account` has closed forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import StartTransfer, Transfer, Unit
from tlm.chip.format.registers import UnitRegister
from tlm.chip.payloads import PassPayload, StepPayload
from tlm.chip.states import HostState, SequencerState
from tlm.core.payload import MemoryPayload, Payload, Response
from tlm.core.sockets import Phase
from tlm.observe.causes import FILLS
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Dump, State
from tlm.traces.waves.following import on

_START_LOAD = am.LOAD_BASE + UnitRegister.START


def watch_causes(dump: Dump, engine: CycleEngine, watched: Watched) -> None:
    """Register the signal and subscribe to what it follows."""
    _Causes(dump.state("engine", "cause", "host"), engine, watched)


class _Causes:
    def __init__(self, cause: State, engine: CycleEngine, watched: Watched) -> None:
        system = watched.system
        self._cause = cause
        self._clock = system.simulation.clock
        self._config = system.config
        self._host = system.host
        self._loads: Sequence[Transfer] = [
            step.transfer
            for step in watched.program.steps
            if isinstance(step, StartTransfer) and step.unit is Unit.LOAD
        ]
        self._started = 0
        self._running = False
        self._flushing = False
        self._interrupted = False
        """What the host slept for has ended, but it has not woken up yet."""
        on(Phase.END_RESP, system.host.bus, self._see_register)
        system.host.state.observe(lambda _: self._see_host())
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            on(Phase.BEGIN_REQ, channel.registers.interrupt, self._interrupt_of(unit))
        sequencer = engine.sequencer
        sequencer.state.observe(lambda changed: self._see_sequencer(changed.value))
        on(Phase.BEGIN_REQ, sequencer.steps, self._see_fetch)
        on(Phase.END_RESP, sequencer.steps, self._see_step)
        on(Phase.BEGIN_REQ, sequencer.passes, self._see_pass_end)
        on(Phase.END_RESP, sequencer.passes, self._see_handover)
        on(Phase.BEGIN_REQ, sequencer.flushes, self._see_flush)
        on(Phase.END_RESP, sequencer.flushes, self._see_flushed)
        on(Phase.END_RESP, engine.requantiser.writes, self._see_write)

    # -- outside layers -------------------------------------------------------------------------------------------

    def _see_register(self, payload: MemoryPayload) -> None:
        self._started += payload.address == _START_LOAD

    def _see_host(self) -> None:
        self._interrupted = False
        self._outside()

    def _interrupt_of(self, unit: Unit) -> Any:
        """What the host slept for ends here; what follows is its own latency."""

        def see(_: Payload) -> None:
            if self._host.waits_for.value is unit:
                self._interrupted = True
                self._outside()

        return see

    def _see_sequencer(self, state: SequencerState) -> None:
        if state is SequencerState.STEPS:
            self._cause.set("instruction")  # unless a step is fetched in this cycle
        running = state is not SequencerState.IDLE
        if running and not self._running:
            self._cause.set("instructions")
        elif self._running and not running:
            self._running = False
            self._outside()
        self._running = running

    def _outside(self) -> None:
        if self._running:
            return
        unit = self._host.waits_for.value
        asleep = self._host.state.value is HostState.SLEEP and not self._interrupted
        if not asleep or unit not in (Unit.LOAD, Unit.STORE):
            self._cause.set("host")
        elif unit is Unit.LOAD:
            self._cause.set(FILLS[self._loads[self._started - 1].sram])
        else:
            self._cause.set("activations")

    # -- in a pass ------------------------------------------------------------------------------------------------

    def _see_fetch(self, payload: StepPayload) -> None:
        if payload.is_step:
            self._cause.set("bank_conflict")  # unless the fetch ends in this cycle

    def _see_step(self, payload: StepPayload) -> None:
        if payload.is_step:
            self._cause.set("computing")
            self._cause.set("instruction", late=True)  # unless the next step is fetched then

    def _see_pass_end(self, _: PassPayload) -> None:
        behind = self._clock.now + 1
        self._cause.set_at(behind, "pipeline")
        self._cause.set_at(behind + self._config.pipeline_cycles, "write_back")

    def _see_handover(self, _: PassPayload) -> None:
        self._cause.set("pipeline")
        self._cause.set_at(self._clock.now + 1 + self._config.pass_gap_cycles, "parameters")

    # -- behind the last pass -------------------------------------------------------------------------------------

    def _see_flush(self, _: Payload) -> None:
        self._flushing = True
        self._cause.set("pipeline")
        self._cause.set_at(self._clock.now + 1 + self._config.requantiser_cycles, "drain")

    def _see_write(self, payload: Payload) -> None:
        if self._flushing and payload.status is Response.RETRY:
            self._cause.set("write_back")
            self._cause.set("drain", late=True)

    def _see_flushed(self, _: Payload) -> None:
        self._flushing = False
        self._cause.set("instructions")
