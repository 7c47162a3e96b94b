"""The recorder: figures of a run, counted from the transactions at the sockets.

Nothing here is computed from the program: a step is counted because a step payload crossed a socket, a pass ended
because its handover was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

from tlm.chip.format.driver import Unit
from tlm.chip.payloads import (
    BulkPayload,
    FlushPayload,
    LayerPayload,
    PassPayload,
    PassStepsPayload,
    StepPayload,
    Work,
)
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
        self._fetch_begin = 0
        self._steps = 0
        self._fetch_cycles = 0
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
            **{f"dma_{unit.value}": self.banks.refused(f"dma_{unit.value}") for unit in (Unit.LOAD, Unit.STORE)},
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
        engine = system.engine
        begin, end = (Phase.BEGIN_REQ,), (Phase.END_RESP,)
        engine.sequencer.layers_to_aligner.observe(self._see_layer, begin)
        engine.sequencer.steps.observe(self._see_step, begin + end)
        engine.sequencer.passes.observe(self._see_pass, begin + end)
        engine.sequencer.flushes.observe(self._see_flush, end)
        engine.requantiser.writes.observe(self._see_write, end)
        engine.requantiser.residuals.observe(self._see_residual, end)
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            channel.memory.observe(self._count_bytes(unit), end)
        for registers in (engine.sequencer.registers, system.dma.load.registers, system.dma.store.registers):
            registers.interrupt.observe(self._see_interrupt, begin)

    def _part(self, payload: Payload) -> PartRecord:
        assert payload.cause is not None
        layer = payload.cause.find(Work.LAYER)
        assert layer is not None
        return self.parts[layer.index]

    def _see_layer(self, _phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if isinstance(payload, LayerPayload):
            self.parts[payload.header.tag] = PartRecord(payload.header.tag, pooling=payload.header.pooling)

    def _see_step(self, phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if phase is Phase.BEGIN_REQ:
            self._fetch_begin = self._clock.now
        elif isinstance(payload, PassStepsPayload):
            self._steps = payload.times.steps
            self._fetch_cycles = payload.times.fetch_cycles
        elif isinstance(payload, StepPayload) and payload.is_step:
            self._steps += 1
            self._fetch_cycles += self._clock.now - self._fetch_begin + 1

    def _see_pass(self, phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if phase is Phase.BEGIN_REQ and isinstance(payload, PassPayload):
            part = self._part(payload)
            part.passes.append(
                PassRecord(
                    group=payload.group,
                    tile=payload.tile,
                    first_cycle=payload.first_cycle,
                    last_fetch_cycle=self._clock.now,
                    steps=self._steps,
                    fetch_cycles=self._fetch_cycles,
                    pixels=payload.pixels,
                    channels=payload.channels,
                    pooling=part.pooling,
                )
            )
            self._steps = self._fetch_cycles = 0
        else:
            self._part(payload).passes[-1].handover_cycle = self._clock.now

    def _see_write(self, _phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        of_pass = self._pass(payload)
        of_pass.refused_writes += _refusals(payload)
        if payload.status is Response.OK:
            of_pass.last_write_cycle = self._clock.now

    def _see_residual(self, _phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        self._pass(payload).refused_residual_reads += _refusals(payload)

    def _pass(self, payload: Payload) -> PassRecord:
        assert payload.cause is not None
        of_pass = payload.cause.find(Work.PASS)
        assert of_pass is not None
        return self._part(payload).passes[of_pass.index]

    def _see_flush(self, _phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if isinstance(payload, FlushPayload):
            part = self._part(payload)
            part.flushed = True
            if self._on_layer_done is not None:
                self._on_layer_done(part.tag)

    def _see_interrupt(self, _phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        self.last_interrupt_cycle = self._clock.now

    def _count_bytes(self, unit: Unit) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        moved = self.transfer_bytes[unit]

        def count(_phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
            if payload.status is Response.OK and isinstance(payload, MemoryPayload):
                transfer = None if payload.cause is None else payload.cause.find(Work.TRANSFER)
                assert transfer is not None
                moved[transfer.index] += len(payload.data)

        return count


def _refusals(payload: Payload) -> int:
    """How often this access was refused, or those that it stands for."""
    if isinstance(payload, BulkPayload):
        return payload.refused
    return int(payload.status is Response.RETRY)
