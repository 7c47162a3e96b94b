"""The recorder: figures of a run, counted from the engine's events and the transactions around it.

Nothing here is computed from the program: a pass is counted because the engine has fetched for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

from tlm.chip.engine import Accessed, PassFetched, PassId, Port
from tlm.chip.format.driver import Unit
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.payloads import Work
from tlm.chip.system import System
from tlm.core.payload import MemoryPayload, Payload, Response
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.account import (
    ArrayAccount,
    RunAccount,
    Spans,
    WaitAccount,
    added,
    array_account,
    check_sums,
    wait_accounts,
)
from tlm.observe.activity import ActivityRecorder, BankCounter
from tlm.observe.host_activity import HostRecorder
from tlm.observe.passes import PartRecord, PassRecord

LayerDone = Callable[[int], None]
"""Called with a part's tag in the cycle after its last write."""


class Recorder:
    """Subscribes to a system before it runs.

    Args:
        system: what is watched.
        on_layer_done: called when a part's outputs are complete in AMem.
    """

    def __init__(self, system: System, on_layer_done: LayerDone | None = None) -> None:
        self._clock = system.simulation.clock
        self._on_layer_done = on_layer_done
        self.parts: dict[int, PartRecord] = {}
        self.transfer_bytes: dict[Unit, Counter[int]] = {Unit.LOAD: Counter(), Unit.STORE: Counter()}
        """Channel -> which of its transfers -> bytes that it moved to or from the off-chip memory."""
        self.last_interrupt_cycle = -1
        self.banks = BankCounter(system)
        self.activity = ActivityRecorder(system)
        self.host = HostRecorder(system)
        self._config = system.config
        self._subscribe(system)

    def bank_conflicts(self) -> dict[str, int]:
        """Initiator -> cycles lost because a bank was taken; those without any left out."""
        passes = [one for part in self.parts.values() for one in part.passes]
        lost = {
            "aligner": sum(one.fetch_cycles - one.steps for one in passes),
            "write_back": sum(one.refused_writes for one in passes),
            "residual": sum(one.refused_residual_reads for one in passes),
            **{f"dma_{unit.value}": self.banks.refused(Port(f"dma_{unit.value}")) for unit in (Unit.LOAD, Unit.STORE)},
        }
        return {initiator: count for initiator, count in sorted(lost.items()) if count}

    @property
    def cycles(self) -> int:
        """First host access to the last interrupt, inclusive."""
        return self.last_interrupt_cycle + 1

    @property
    def recorded_cycles(self) -> int:
        """``cycles`` of a run that has ended; else up to now."""
        return self.cycles if self.host.done else self._clock.now + 1

    @property
    def moved_bytes(self) -> dict[Unit, int]:
        """Channel -> bytes that crossed the interface to the off-chip memory."""
        return {unit: moved.total() for unit, moved in self.transfer_bytes.items()}

    def array_account(self, tag: int) -> ArrayAccount:
        """What the array did during one part."""
        return array_account(self.parts[tag], self._config)

    def waits_before(self) -> dict[int, WaitAccount]:
        """Tag -> cycles without computation before that part."""
        return dict(zip(self.parts, self._waits[:-1], strict=True))

    def account(self) -> RunAccount:
        """Where all cycles of the run went.

        Raises:
            SimulationError: a sum does not close.
        """
        waits = self._waits
        account = RunAccount(
            array=added(ArrayAccount, [self.array_account(tag) for tag in self.parts]),
            waits=added(WaitAccount, waits),
            waits_at_end=waits[-1],
            dma={
                unit.value: self.activity.channel_account(unit, self.cycles, self.banks)
                for unit in (Unit.LOAD, Unit.STORE)
            },
            sram=self.banks.accounts(self.cycles),
        )
        check_sums(account, self.cycles)
        return account

    def overlap(self) -> dict[str, tuple[int, int]]:
        """DMA channel -> cycles of its transfers while a part computed, and while none did."""
        computing = Spans()
        for part in self.parts.values():
            computing.add(part.first_cycle, part.last_write_cycle + 1)
        hidden = {unit.value: spans.common_cycles(computing) for unit, spans in self.activity.busy.items()}
        return {
            unit.value: (hidden[unit.value], spans.cycles - hidden[unit.value])
            for unit, spans in self.activity.busy.items()
        }

    @cached_property
    def _waits(self) -> list[WaitAccount]:
        """Worked out once, when the run has ended."""
        activity = self.activity
        return wait_accounts(self.cycles, list(self.parts.values()), activity.running, activity.waiting)

    def _subscribe(self, system: System) -> None:
        events = system.engine.events
        events.layer_started.listen(self._see_layer)
        events.pass_fetched.listen(self._see_pass)
        events.pass_handed_over.listen(self._see_handover)
        events.accessed.listen(self._see_access)
        events.pass_written.listen(self._see_written)
        events.layer_ended.listen(self._see_layer_end)
        end, begin = (Phase.END_RESP,), (Phase.BEGIN_REQ,)
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            channel.memory.observe(self._count_bytes(unit), end)
            channel.registers.interrupt.observe(self._see_interrupt, begin)
        system.engine.interrupt.observe(self._see_interrupt, begin)

    def _see_layer(self, header: LayerHeader) -> None:
        self.parts[header.tag] = PartRecord(header.tag, pooling=header.pooling)

    def _see_pass(self, fetched: PassFetched) -> None:
        started = fetched.started
        part = self.parts[started.of_pass.tag]
        part.passes.append(
            PassRecord(
                group=started.group,
                tile=started.tile,
                first_cycle=fetched.first_cycle,
                last_fetch_cycle=self._clock.now,
                steps=fetched.steps,
                fetch_cycles=fetched.fetch_cycles,
                pixels=started.pixels,
                channels=started.channels,
                pooling=part.pooling,
            )
        )

    def _pass(self, which: PassId) -> PassRecord:
        return self.parts[which.tag].passes[which.pass_index]

    def _see_handover(self, which: PassId) -> None:
        self._pass(which).handover_cycle = self._clock.now

    def _see_access(self, access: Accessed) -> None:
        if access.of_pass is None:
            return
        record = self._pass(access.of_pass)
        if access.port is Port.RESIDUAL:
            record.refused_residual_reads += access.refused
            return
        record.refused_writes += access.refused
        if any(access.words):
            record.last_write_cycle = self._clock.now

    def _see_written(self, which: PassId) -> None:
        self._pass(which).written = True

    def _see_layer_end(self, tag: int) -> None:
        self.parts[tag].flushed = True
        if self._on_layer_done is not None:
            self._on_layer_done(tag)

    def _see_interrupt(self, _phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        self.last_interrupt_cycle = self._clock.now

    def _count_bytes(self, unit: Unit) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        moved = self.transfer_bytes[unit]

        def count(_phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            if payload.status is Response.OK and isinstance(payload, MemoryPayload):
                transfer = None if payload.origin is None else payload.origin.find(Work.TRANSFER)
                assert transfer is not None
                moved[transfer.index] += len(payload.data)

        return count

