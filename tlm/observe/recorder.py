"""The recorder: figures of a run, counted from the engine's events and the transactions around it.

Nothing here is computed from the program: a pass is counted because the engine has fetched for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

from msgspec import Struct

from tlm.chip.contract import Accessed, LayerTimed, PassFetched, PassId, PassStarted, Port
from tlm.chip.format.driver import SramName, Unit
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.format.registers import ChannelRegister, UnitRegisters
from tlm.chip.kernels.dram import RowCounts
from tlm.chip.states import ChannelState, HostState
from tlm.chip.system import System
from tlm.core.payload import OK, MemoryPayload, Payload
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.account import (
    ArrayAccount,
    ChannelAccount,
    RunAccount,
    WaitAccount,
    added,
    array_account,
    check_sums,
    wait_accounts,
)
from tlm.observe.banks import BankCounter
from tlm.observe.causes import DRAM_WAITS, FILLS
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.spans import Spans
from tlm.observe.timeline import HostSpan

LayerDone = Callable[[int], None]
"""Called with a part's tag in the cycle after its last write."""

_PORTS = {Unit.LOAD: Port.DMA_LOAD, Unit.STORE: Port.DMA_STORE}
_UNITS = {port: unit for unit, port in _PORTS.items()}
_RESIDUAL = Port.RESIDUAL  # Python 3.11 is slow to find a member in an Enum's class


class TransferRecord(Struct):
    """A transfer of a DMA channel as it happened."""

    sram: SramName
    first_cycle: int
    end_cycle: int = -1
    """The cycle of its interrupt; -1 until then."""
    moved_bytes: int = 0
    """To or from the off-chip memory."""
    refused: int = 0
    """SRAM accesses that were refused."""
    rows: RowCounts | None = None
    """How its accesses found the DRAM's banks, if there is one and it has ended."""


class Recorder:
    """Subscribes to a system before it runs.

    Args:
        system: what is watched.
        on_layer_done: called when a part's outputs are complete in AMem.
    """

    def __init__(self, system: System, on_layer_done: LayerDone | None = None) -> None:
        self._clock = system.simulation.clock
        self._on_layer_done = on_layer_done
        self._config = system.config
        self._dram = system.dram
        self._rows = {unit: RowCounts(0, 0, 0) for unit in _PORTS}
        """How all accesses of a channel's ended transfers found the DRAM's banks."""
        self.parts: dict[int, PartRecord] = {}
        self.transfers: dict[Unit, list[TransferRecord]] = {unit: [] for unit in _PORTS}
        self.last_interrupt_cycle = -1
        self.banks = BankCounter(system.config, system.engine.events)
        self.running = Spans()
        """When the engine ran a program."""
        self._host = system.host
        self._host_changes: list[tuple[int, HostState, Unit | None]] = [(0, system.host.state.value, None)]
        self._subscribe(system)

    # -- what was recorded ----------------------------------------------------------------------------------------

    @property
    def cycles(self) -> int:
        """First host access to the last interrupt, inclusive."""
        return self.last_interrupt_cycle + 1

    @property
    def done(self) -> bool:
        """Whether the host's program has come to its end."""
        return self._host_changes[-1][1] is HostState.DONE

    @property
    def recorded_cycles(self) -> int:
        """``cycles`` of a run that has ended; else up to now."""
        return self.cycles if self.done else self._clock.now + 1

    def host_spans(self, cycles: int) -> Iterator[HostSpan]:
        """What the host did in a run of so many cycles."""
        ends = [first for first, _, _ in self._host_changes[1:]]
        for (first, state, unit), end in zip(self._host_changes, [*ends, cycles], strict=True):
            end = min(end, cycles)
            if first < end and state is not HostState.DONE:
                yield HostSpan(state.value, None if unit is None else unit.value, first, end - 1)

    @property
    def waiting(self) -> dict[str, Spans]:
        """Cause -> when the host slept until such a load (or a store, for activations) was done: to its interrupt.

        With DRAM first "refresh" and "row": when that load or store stood still for them.
        """
        found = {cause: Spans() for cause in FILLS.values()}
        lost = {cause: Spans() for cause in DRAM_WAITS if self._dram is not None}
        losses = {unit: self._dram.losses(unit is Unit.STORE) for unit in _PORTS} if self._dram is not None else {}
        for host in self.host_spans(self.recorded_cycles):
            channel, first, end = host.waits_for, host.first_cycle, host.last_cycle + 1
            if host.state != HostState.SLEEP.value or channel in (None, Unit.ENGINE.value):
                continue
            own = self.transfers[Unit(channel)]
            index = bisect_right(own, first, key=lambda one: one.first_cycle) - 1
            if index >= 0:
                interrupt = end if own[index].end_cycle < 0 else own[index].end_cycle
                filled = own[index].sram if channel == Unit.LOAD.value else SramName.AMEM
                found[FILLS[filled]].add(first, min(end, interrupt))
                for cause, spans in lost.items():
                    spans += Spans([(first, min(end, interrupt))]).common(getattr(losses[Unit(channel)], cause))
        return lost | found

    @property
    def moved_bytes(self) -> dict[Unit, int]:
        """Channel -> bytes that crossed the interface to the off-chip memory."""
        return {unit: sum(one.moved_bytes for one in own) for unit, own in self.transfers.items()}

    def bank_conflicts(self) -> dict[str, int]:
        """Initiator -> cycles lost because a bank was taken; those without any left out."""
        lost = {"aligner": 0, "write_back": 0, "residual": 0}
        for part in self.parts.values():
            for initiator, count in part.conflicts.items():
                lost[initiator] += count
        lost |= {port.value: self.banks.of_port(port)[1] for port in _UNITS}
        return {initiator: count for initiator, count in sorted(lost.items()) if count}

    def array_account(self, tag: int) -> ArrayAccount:
        """What the array did during one part."""
        return self._arrays[tag]

    def waits_before(self) -> dict[int, WaitAccount]:
        """Tag -> cycles without computation before that part."""
        return dict(zip(self.parts, self._waits[:-1], strict=True))

    def account(self) -> RunAccount:
        """Where all cycles of the run went.

        Raises:
            SimulationError: a sum does not close.
        """
        account = RunAccount(
            array=added(ArrayAccount, self._arrays.values()),
            waits=added(WaitAccount, self._waits),
            waits_at_end=self._waits[-1],
            dma={unit.value: self._channel_account(unit) for unit in self.transfers},
            sram=self.banks.accounts(self.cycles),
        )
        check_sums(account, self.cycles)
        return account

    def overlap(self) -> dict[str, tuple[int, int]]:
        """DMA channel -> cycles of its transfers while a part computed, and while none did."""
        computing = Spans((part.first_cycle, part.end_cycle) for part in self.parts.values())
        found = {}
        for unit in self.transfers:
            busy = self._busy(unit)
            hidden = busy.common(computing).cycles
            found[unit.value] = hidden, busy.cycles - hidden
        return found

    def _busy(self, unit: Unit) -> Spans:
        return Spans((one.first_cycle, one.end_cycle) for one in self.transfers[unit])

    def _channel_account(self, unit: Unit) -> ChannelAccount:
        busy, (moving, refused) = self._busy(unit).cycles, self.banks.of_port(_PORTS[unit])
        return ChannelAccount(
            moving=moving, bank_conflict=refused, memory=busy - moving - refused, idle=self.cycles - busy
        )

    @cached_property
    def _arrays(self) -> dict[int, ArrayAccount]:
        """Worked out once, when the run has ended."""
        return {tag: array_account(part, self._config) for tag, part in self.parts.items()}

    @cached_property
    def _waits(self) -> list[WaitAccount]:
        """Worked out once, when the run has ended."""
        return wait_accounts(self.cycles, list(self.parts.values()), self.running, self.waiting)

    # -- what is seen ---------------------------------------------------------------------------------------------

    def _subscribe(self, system: System) -> None:
        events = system.engine.events
        events.program_started.listen(lambda _: self.running.open(self._clock.now))
        events.program_ended.listen(lambda _: self.running.close(self._clock.now))
        events.layer_started.listen(self._see_layer)
        events.pass_started.listen(self._see_start)
        events.pass_fetched.listen(self._see_pass)
        events.pass_handed_over.listen(self._see_handover)
        events.accessed.listen(self._see_access)
        events.pass_written.listen(self._see_written)
        events.layer_timed.listen(self._see_timed)
        events.layer_ended.listen(self._see_layer_end)
        for unit, channel in ((Unit.LOAD, system.dma.load), (Unit.STORE, system.dma.store)):
            channel.state.observe(partial(self._see_transfer, unit, channel.registers))
            channel.memory.observe(partial(self._count_bytes, self.transfers[unit]), (Phase.END_RESP,))
            channel.registers.interrupt.observe(self._see_interrupt, (Phase.BEGIN_REQ,))
        system.engine.interrupt.observe(self._see_interrupt, (Phase.BEGIN_REQ,))
        system.host.state.observe(self._see_host)
        system.host.waits_for.observe(self._see_host)

    def _see_layer(self, header: LayerHeader) -> None:
        self.parts[header.tag] = PartRecord(header.tag, pooling=header.pooling)

    def _see_start(self, started: PassStarted) -> None:
        self.parts[started.of_pass.tag].under_way_cycle = self._clock.now

    def _see_pass(self, fetched: PassFetched) -> None:
        started = fetched.started
        part = self.parts[started.of_pass.tag]
        part.under_way_cycle = None
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
        self.banks.count(access)
        if access.of_pass is None:
            if access.refused and access.port in _UNITS:
                for transfer in self.transfers[_UNITS[access.port]][-1:]:
                    transfer.refused += access.refused
            return
        record = self._pass(access.of_pass)
        if access.port is _RESIDUAL:
            record.refused_residual_reads += access.refused
            return
        record.refused_writes += access.refused
        if any(access.words):
            record.last_write_cycle = self._clock.now

    def _see_timed(self, layer: LayerTimed) -> None:
        header, tiles = layer.header, len(layer.pixels_of_tiles)
        self.parts[header.tag].passes += [
            PassRecord(
                group=index // tiles,
                tile=index % tiles,
                first_cycle=times.first_cycle,
                last_fetch_cycle=times.last_fetch_cycle,
                handover_cycle=times.handover_cycle,
                last_write_cycle=times.last_write_cycle,
                written=True,
                steps=times.steps,
                fetch_cycles=times.fetch_cycles,
                refused_writes=times.refused_writes,
                refused_residual_reads=times.refused_residual_reads,
                pixels=layer.pixels_of_tiles[index % tiles],
                channels=layer.channels_of_groups[index // tiles],
                pooling=header.pooling,
            )
            for index, times in enumerate(layer.times)
        ]
        for access in layer.accesses:
            self.banks.count(access)

    def _see_written(self, which: PassId) -> None:
        self._pass(which).written = True

    def _see_layer_end(self, tag: int) -> None:
        self.parts[tag].flushed = True
        if self._on_layer_done is not None:
            self._on_layer_done(tag)

    def _see_transfer(self, unit: Unit, registers: UnitRegisters, state: Probe[ChannelState]) -> None:
        own, now = self.transfers[unit], self._clock.now
        if state.value is ChannelState.BUSY:
            _, sram = registers.operand(ChannelRegister.SRAM)
            own.append(TransferRecord(SramName(sram if sram in set(SramName) else 0), now))
        else:
            own[-1].end_cycle = now
            if self._dram is not None:
                rows = self._dram.rows(unit is Unit.STORE)
                own[-1].rows, self._rows[unit] = rows - self._rows[unit], rows

    def _count_bytes(self, own: list[TransferRecord], _phase: Phase, _: InitiatorSocket[Any], payload: Payload) -> None:
        if payload.status is OK and isinstance(payload, MemoryPayload):
            own[-1].moved_bytes += len(payload.data)

    def _see_interrupt(self, _phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        self.last_interrupt_cycle = self._clock.now

    def _see_host(self, _: Probe[HostState] | Probe[Unit | None]) -> None:
        now = self._clock.now
        if self._host_changes[-1][0] == now:  # the last word of a cycle counts
            self._host_changes.pop()
        self._host_changes.append((now, self._host.state.value, self._host.waits_for.value))
