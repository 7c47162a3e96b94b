"""What of the DMA's transfers is counted for the trace alone: refused accesses and, in fidelity "cycle", bursts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tlm.chip.format.driver import Unit
from tlm.chip.passes.payloads import BulkPayload
from tlm.chip.payloads import BurstBeat, Work
from tlm.chip.system import System
from tlm.core.payload import Payload, Response
from tlm.core.sockets import InitiatorSocket, Phase


@dataclass(slots=True)
class BurstRecord:
    """A burst: of a load from its request to its last SRAM write, of a store from its first SRAM read to its answer."""

    transfer: int
    """Which one of its channel."""
    index: int
    """Which burst of the transfer."""
    first_cycle: int
    last_cycle: int
    """Of the last access that was seen."""
    moved_bytes: int = 0
    answered: bool = False
    """The last beat was."""


class TransferWatcher:
    """Subscribes to the DMA's sockets before a system runs.

    Args:
        system: what is watched.
        max_bursts: of each channel; those behind them are not kept.
    """

    def __init__(self, system: System, max_bursts: int) -> None:
        self._clock = system.simulation.clock
        self._max_bursts = max_bursts
        self._bursts: dict[Unit, dict[tuple[int, int], BurstRecord]] = {Unit.LOAD: {}, Unit.STORE: {}}
        self.refused: dict[Unit, Counter[int]] = {Unit.LOAD: Counter(), Unit.STORE: Counter()}
        """Channel -> which of its transfers -> SRAM accesses that were refused."""
        phases = (Phase.BEGIN_REQ, Phase.END_RESP)
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            channel.memory.observe(self._see_memory(unit), phases)
            for socket in channel.srams.values():
                socket.observe(self._see_sram(unit), phases)

    def bursts(self, unit: Unit, cycles: int) -> Iterator[tuple[BurstRecord, int, int]]:
        """(burst, its buffer, its end) in the order of their beginning, each in the lowest buffer that is free.

        Args:
            unit: the channel.
            cycles: of the run; bursts that were not answered are under way until its end.
        """
        ends: list[int] = []
        for burst in sorted(self._bursts[unit].values(), key=lambda one: one.first_cycle):
            end_cycle = burst.last_cycle + 1 if burst.answered else cycles
            buffer = next((index for index, end in enumerate(ends) if end <= burst.first_cycle), len(ends))
            if buffer == len(ends):
                ends.append(end_cycle)
            ends[buffer] = end_cycle
            yield burst, buffer, end_cycle

    def _see_memory(self, unit: Unit) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        def see(phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            if isinstance(payload, BurstBeat):
                burst = self._burst(unit, payload)
                if burst is None or phase is Phase.BEGIN_REQ:
                    return
                served = payload.status is Response.OK
                burst.answered = not served or payload.beat == payload.beats - 1  # an error ends a burst
                burst.moved_bytes += len(payload.data) if served else 0

        return see

    def _see_sram(self, unit: Unit) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        refused = self.refused[unit]

        def see(phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            self._burst(unit, payload)
            if phase is Phase.END_RESP and payload.cause is not None:
                transfer = payload.cause.find(Work.TRANSFER)
                assert transfer is not None
                if isinstance(payload, BulkPayload):
                    refused[transfer.index] += payload.refused
                elif payload.status is Response.RETRY:
                    refused[transfer.index] += 1

        return see

    def _burst(self, unit: Unit, payload: Payload) -> BurstRecord | None:
        """The burst that an access belongs to, which lasts at least until now."""
        link = None if payload.cause is None else payload.cause.find(Work.BURST)
        if link is None or link.parent is None:
            return None
        bursts, key, now = self._bursts[unit], (link.parent.index, link.index), self._clock.now
        burst = bursts.get(key)
        if burst is None:
            if len(bursts) == self._max_bursts:
                return None
            burst = bursts[key] = BurstRecord(*key, now, now)
        burst.last_cycle = now
        return burst
