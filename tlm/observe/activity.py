"""When engine, host and DMA were busy, and who used which SRAM bank: seen at probes and sockets in any fidelity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import add
from typing import Any

from tlm.chip.engine import Accessed, Port
from tlm.chip.format.descriptor import sram_banks
from tlm.chip.format.driver import SramName, Unit
from tlm.chip.states import ChannelState, HostState
from tlm.chip.system import System
from tlm.core.payload import Payload
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.account import ChannelAccount, Spans, SramAccount
from tlm.observe.causes import FILLS

_ASKED, _ANSWERED = (Phase.BEGIN_REQ,), (Phase.END_RESP,)

Observer = Callable[[Phase, InitiatorSocket[Any], Payload], None]


@dataclass(frozen=True, slots=True)
class _Sram:
    """An SRAM's counters."""

    banks: int
    served: dict[Port, list[int]] = field(default_factory=dict)
    """Initiator -> accesses of each bank."""
    refused: Counter[Port] = field(default_factory=Counter)


class BankCounter:
    """Counts accesses per SRAM, initiator and bank."""

    def __init__(self, system: System) -> None:
        self._srams = {name: _Sram(sram_banks(name, system.config)) for name in SramName}
        system.engine.events.accessed.listen(self._see_access)

    def _see_access(self, access: Accessed) -> None:
        sram, port = self._srams[access.sram], access.port
        served = sram.served.get(port)
        if any(access.words):
            sram.served[port] = [*map(add, served, access.words)] if served else [*access.words]
        if access.refused:
            sram.refused[port] += access.refused

    def words(self, initiator: Port) -> int:
        """Accesses of an initiator that were served, all SRAMs together."""
        return sum(sum(sram.served.get(initiator, ())) for sram in self._srams.values())

    def served(self) -> dict[tuple[SramName, Port], int]:
        """(SRAM, initiator) -> accesses that were served until now."""
        return {(name, who): sum(banks) for name, sram in self._srams.items() for who, banks in sram.served.items()}

    def refused(self, initiator: Port) -> int:
        """Accesses of an initiator that were refused, all SRAMs together."""
        return sum(sram.refused[initiator] for sram in self._srams.values())

    def accounts(self, cycles: int) -> dict[str, SramAccount]:
        """SRAM ("amem", ...) -> its account over a run of so many cycles."""
        return {
            name.name.lower(): SramAccount(
                busy={port.value: tuple(sram.served[port]) for port in sorted(sram.served)},
                idle=tuple(cycles - sum(served[bank] for served in sram.served.values()) for bank in range(sram.banks)),
                refused={port.value: count for port, count in sorted(sram.refused.items()) if count},
            )
            for name, sram in self._srams.items()
        }


class ActivityRecorder:
    """Intervals in which the engine ran, a DMA channel was busy, the host slept until a transfer was done."""

    def __init__(self, system: System) -> None:
        self._clock = system.simulation.clock
        self._asleep_since: int | None = None
        self._filled = SramName.AMEM
        self.running = Spans()
        """When the engine ran a program."""
        self.busy = {Unit.LOAD: Spans(), Unit.STORE: Spans()}
        """When a DMA channel had a transfer."""
        self.waiting = {cause: Spans() for cause in FILLS.values()}
        """Cause -> when the host slept until such a load (or a store, for activations) was done."""
        self._host = system.host
        events = system.engine.events
        events.program_started.listen(lambda _: self.running.open(self._clock.now))
        events.program_ended.listen(lambda _: self.running.close(self._clock.now))
        system.host.state.observe(self._see_host)
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            self._watch(channel.state, ChannelState.IDLE, self.busy[unit])
            channel.registers.interrupt.observe(self._see_interrupt(unit), _ASKED)
        for name, socket in system.dma.load.srams.items():
            socket.observe(self._see_load(name), _ASKED)

    def channel_account(self, unit: Unit, cycles: int, counter: BankCounter) -> ChannelAccount:
        """A DMA channel's account over a run of so many cycles."""
        busy, initiator = self.busy[unit].cycles, Port(f"dma_{unit.value}")
        moving, refused = counter.words(initiator), counter.refused(initiator)
        return ChannelAccount(moving=moving, bank_conflict=refused, memory=busy - moving - refused, idle=cycles - busy)

    def _watch(self, probe: Probe[Any], idle: object, spans: Spans) -> None:
        def see(changed: Probe[Any]) -> None:
            if changed.value is idle:
                spans.close(self._clock.now)
            else:
                spans.open(self._clock.now)

        probe.observe(see)

    def _see_host(self, state: Probe[HostState]) -> None:
        self._asleep_since = self._clock.now if state.value is HostState.SLEEP else None

    def _see_load(self, name: SramName) -> Observer:
        def see(_phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
            self._filled = name

        return see

    def _see_interrupt(self, unit: Unit) -> Observer:
        """What the host slept for ends here; what follows is its own latency."""

        def see(_phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
            if self._asleep_since is not None and self._host.waits_for.value is unit:
                cause = FILLS[self._filled if unit is Unit.LOAD else SramName.AMEM]
                self.waiting[cause].add(self._asleep_since, self._clock.now)
                self._asleep_since = None

        return see
