"""When engine, host and DMA were busy, and who used which SRAM bank: seen at probes and sockets in any fidelity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tlm.chip.format.driver import SramName, Unit
from tlm.chip.payloads import BulkPayload, ReservationPayload
from tlm.chip.states import ChannelState, HostState, SequencerState
from tlm.chip.system import System
from tlm.core.module import Module
from tlm.core.payload import MemoryPayload, Payload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.account import ChannelAccount, Spans, SramAccount

FILLS = {SramName.WMEM: "weights", SramName.AMEM: "activations", SramName.IMEM: "instructions"}
"""SRAM -> cause of a wait for a load into it."""

_RESERVED = ("aligner", "fetch")
"""Initiators whose accesses are known from reservations alone where there are any; the others send bulk payloads."""

_ASKED, _ANSWERED = (Phase.BEGIN_REQ,), (Phase.END_RESP,)

Observer = Callable[[Phase, InitiatorSocket[Any], Payload], None]


@dataclass(frozen=True, slots=True)
class _Bank:
    """An SRAM's counters."""

    banks: int
    word_bytes: int
    served: defaultdict[str, list[int]]
    refused: defaultdict[str, int]


def _zeros(banks: int) -> list[int]:
    return [0] * banks


class BankCounter:
    """Counts accesses per SRAM, initiator and bank."""

    def __init__(self, system: System) -> None:
        self._srams = {
            name: _Bank(sram.banks, sram.word_bytes, defaultdict(partial(_zeros, sram.banks)), defaultdict(int))
            for name, sram in system.engine.srams.items()
        }
        engine = system.engine
        engine.aligner.amem.observe(self._count(SramName.AMEM, "aligner"), _ANSWERED)
        engine.requantiser.writes.observe(self._count(SramName.AMEM, "write_back"), _ANSWERED)
        engine.requantiser.residuals.observe(self._count(SramName.AMEM, "residual"), _ANSWERED)
        engine.sequencer.wmem.observe(self._count(SramName.WMEM, "fetch"), _ANSWERED)
        engine.sequencer.imem.observe(self._count(SramName.IMEM, "fetch"), _ANSWERED)
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            for name, socket in channel.srams.items():
                socket.observe(self._count(name, f"dma_{unit.value}"), _ANSWERED)
        self._watch_reservations(engine.sequencer)

    def words(self, initiator: str) -> int:
        """Accesses of an initiator that were served, all SRAMs together."""
        return sum(sum(sram.served[initiator]) for sram in self._srams.values() if initiator in sram.served)

    def served(self) -> dict[tuple[SramName, str], int]:
        """(SRAM, initiator) -> accesses that were served until now."""
        return {(name, who): sum(banks) for name, sram in self._srams.items() for who, banks in sram.served.items()}

    def refused(self, initiator: str) -> int:
        """Accesses of an initiator that were refused, all SRAMs together."""
        return sum(sram.refused.get(initiator, 0) for sram in self._srams.values())

    def accounts(self, cycles: int) -> dict[str, SramAccount]:
        """SRAM ("amem", ...) -> its account over a run of so many cycles."""
        return {
            name.name.lower(): SramAccount(
                busy={initiator: tuple(sram.served[initiator]) for initiator in sorted(sram.served)},
                idle=tuple(cycles - sum(served[bank] for served in sram.served.values()) for bank in range(sram.banks)),
                refused={initiator: count for initiator, count in sorted(sram.refused.items()) if count},
            )
            for name, sram in self._srams.items()
        }

    def _watch_reservations(self, sequencer: Module) -> None:
        """Fidelities that reserve banks ahead have a socket for each SRAM's reservations."""
        for name, socket in sequencer.parts.items():
            if isinstance(socket, InitiatorSocket) and socket.payload_type is ReservationPayload:
                socket.observe(self._count_reserved(SramName[name.removeprefix("reserve_").upper()]), _ANSWERED)

    def _count(self, name: SramName, initiator: str) -> Observer:
        sram = self._srams[name]
        banks, word_bytes, served, refused = sram.banks, sram.word_bytes, sram.served, sram.refused

        def count(_phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            if not isinstance(payload, MemoryPayload):
                return
            if payload.status is Response.RETRY:
                refused[initiator] += 1
            elif payload.status is Response.OK:
                of_bank, address = served[initiator], payload.address
                if not isinstance(payload, BulkPayload):
                    of_bank[address % banks] += 1
                    return
                refused[initiator] += payload.refused
                words = len(payload.data) // word_bytes
                for first in range(min(words, banks)):  # the banks repeat after that many words
                    bank = (address + first * payload.stride_words) % banks
                    of_bank[bank] += -(-(words - first) // banks)

        return count

    def _count_reserved(self, name: SramName) -> Observer:
        served = self._srams[name].served

        def count(_phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            if isinstance(payload, ReservationPayload):
                for initiator in payload.accesses.keys() & set(_RESERVED):
                    counts = payload.accesses[initiator].tolist()
                    if any(counts):
                        served[initiator] = [a + b for a, b in zip(served[initiator], counts, strict=True)]

        return count


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
        self._watch(system.engine.sequencer.state, SequencerState.IDLE, self.running)
        system.host.state.observe(self._see_host)
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            self._watch(channel.state, ChannelState.IDLE, self.busy[unit])
            channel.registers.interrupt.observe(self._see_interrupt(unit), _ASKED)
        for name, socket in system.dma.load.srams.items():
            socket.observe(self._see_load(name), _ASKED)

    def channel_account(self, unit: Unit, cycles: int, counter: BankCounter) -> ChannelAccount:
        """A DMA channel's account over a run of so many cycles."""
        busy, initiator = self.busy[unit].cycles, f"dma_{unit.value}"
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
