"""``engine.cause``: for every cycle the cause that the account counts it under (docs/account.md), as it happens.

A second derivation of the account: from the engine's events, where :mod:`tlm.observe.account` has closed forms.
"""

from __future__ import annotations

from functools import partial

from tlm.chip.contract import Accessed, PassId, Port
from tlm.chip.format.driver import SramName, Unit
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.states import HostState
from tlm.core.payload import Payload
from tlm.core.probe import Probe
from tlm.core.sockets import Phase
from tlm.observe.causes import FILLS
from tlm.observe.watched import Watched
from tlm.traces.waves.cycle_signals import on
from tlm.traces.waves.dump import Dump

_CAUSE = "engine.cause"


class CauseWatcher:
    """Subscribes before the simulation starts.

    Args:
        dump: where the signal is.
        watched: the run.
    """

    def __init__(self, dump: Dump, watched: Watched) -> None:
        system = watched.system
        self._dump = dump
        self._config = system.config
        self._host = system.host
        self._loads = watched.recorder.transfers[Unit.LOAD]
        self._running = False
        self._passes = 0
        """Of the layer."""
        self._flushing = False
        """The layer's last pass has been handed over."""
        self._interrupted = False
        """What the host slept for has ended, but it has not woken up yet."""
        system.host.state.observe(lambda _: self._outside(interrupted=False))
        system.dma.load.state.observe(lambda _: self._outside(self._interrupted))
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            on(Phase.BEGIN_REQ, channel.registers.interrupt, partial(self._see_interrupt, unit))
        events = system.engine.events
        events.program_started.listen(lambda _: self._see_program(running=True))
        events.program_ended.listen(lambda _: self._see_program(running=False))
        events.layer_started.listen(self._see_layer)
        # an instruction, unless a step is fetched in this cycle
        events.pass_started.listen(lambda _: dump.set(_CAUSE, "instruction"))
        events.pass_fetched.listen(lambda _: self._empty_pipeline(self._config.pipeline_cycles, "write_back"))
        events.pass_handed_over.listen(self._see_handover)
        events.accessed.listen(self._see_access)
        events.layer_ended.listen(lambda _: dump.set(_CAUSE, "instructions"))
        for probe in system.simulation.probes():
            if probe.path == "engine.aligner.fetching":
                probe.observe(self._see_step)

    # -- outside layers -------------------------------------------------------------------------------------------

    def _see_interrupt(self, unit: Unit, _: Payload) -> None:
        """What the host slept for ends here; what follows is its own latency."""
        if self._host.waits_for.value is unit:
            self._outside(interrupted=True)

    def _see_program(self, running: bool) -> None:
        self._running = running
        if running:
            self._dump.set(_CAUSE, "instructions")
        else:
            self._outside(self._interrupted)

    def _outside(self, interrupted: bool) -> None:
        self._interrupted = interrupted
        if self._running:
            return
        unit, asleep = self._host.waits_for.value, self._host.state.value is HostState.SLEEP
        if interrupted or not asleep or unit not in (Unit.LOAD, Unit.STORE):
            self._dump.set(_CAUSE, "host")
        else:
            filled = self._loads[-1].sram if unit is Unit.LOAD and self._loads else SramName.AMEM
            self._dump.set(_CAUSE, FILLS[filled])

    # -- in a layer -----------------------------------------------------------------------------------------------

    def _see_layer(self, header: LayerHeader) -> None:
        self._passes = header.groups(self._config.columns) * header.tiles(self._config.lanes)
        self._flushing = False

    def _see_step(self, fetching: Probe[bool]) -> None:
        if fetching.value:
            self._dump.set(_CAUSE, "bank_conflict")  # unless the fetch ends in this cycle
        else:
            self._dump.set(_CAUSE, "computing")
            self._dump.set(_CAUSE, "instruction", late=True)  # unless the next step is fetched then

    def _empty_pipeline(self, cycles: int, then: str) -> None:
        """From the next cycle on."""
        behind = self._dump.clock.now + 1
        self._dump.set_at(behind, _CAUSE, "pipeline")
        self._dump.set_at(behind + cycles, _CAUSE, then)

    def _see_handover(self, which: PassId) -> None:
        self._flushing = which.pass_index == self._passes - 1
        self._dump.set(_CAUSE, "pipeline")
        if self._flushing:
            self._empty_pipeline(self._config.requantiser_cycles, "drain")
        else:
            self._empty_pipeline(self._config.pass_gap_cycles, "parameters")

    def _see_access(self, access: Accessed) -> None:
        if self._flushing and access.port is Port.WRITE_BACK and access.refused:
            self._dump.set(_CAUSE, "write_back")
            self._dump.set(_CAUSE, "drain", late=True)
