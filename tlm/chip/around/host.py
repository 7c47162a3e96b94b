"""The host: runs a driver program that starts DMA channels and engine and sleeps on their interrupts.

Timing: a register access costs ``host_access_ns`` (rounded up to cycles) before it enters the interconnect, which
takes one cycle each way. The driver continues ``host_interrupt_ns`` after an interrupt, or at once if it starts to
wait later than that.
Constraints: an access answered with an error, or a unit that reports one, stops the driver with a DriverError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct
from simpy import Event

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import DriverStep, StartEngine, StartTransfer, Unit, Wait
from tlm.chip.format.registers import (
    ERROR_TEXT,
    REGISTER_BYTES,
    ChannelRegister,
    EngineRegister,
    ErrorCode,
    Status,
    UnitRegister,
)
from tlm.chip.payloads import InterruptPayload
from tlm.chip.states import HostState
from tlm.core.errors import DriverError
from tlm.core.kernel import Activity, ActivityOf
from tlm.core.module import Module
from tlm.core.payload import OK, READ, WRITE, MemoryPayload
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, TargetSocket


class UnitAddress(Struct, frozen=True):
    """The place of a unit's registers, and the unit's name for messages."""

    base: int
    path: str


class Host(Module):
    """The driver's processor.

    Args:
        name: of the module.
        parent: the system.
        config: for the costs of accesses and interrupts.
        units: where each unit's registers are.
        memory_base: address of the off-chip memory's first byte.
    """

    def __init__(
        self,
        name: str,
        parent: Module,
        config: ChipConfig,
        units: Mapping[Unit, UnitAddress],
        memory_base: int,
    ) -> None:
        super().__init__(name, parent)
        self._access_cycles = config.cycles_of_ns(config.host_access_ns)
        self._interrupt_cycles = config.cycles_of_ns(config.host_interrupt_ns)
        self._units = units
        self._memory_base = memory_base
        self._raised: dict[Unit, int] = {}
        """Cycle of each interrupt that the driver has not yet waited for."""
        self._wake: Event | None = None
        self.state = Probe(self, "state", HostState.RUN)
        self.waits_for: Probe[Unit | None] = Probe(self, "waits_for", None)
        self.bus: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "bus", MemoryPayload)
        self.interrupts = {
            unit: TargetSocket(self, f"interrupt_{unit.value}", InterruptPayload, partial(self._interrupt, unit))
            for unit in Unit
        }

    def run(self, steps: Sequence[DriverStep]) -> Activity:
        """Run the driver program, from cycle 0 until it has handled its last interrupt."""
        for step in steps:
            match step:
                case StartTransfer():
                    yield from self._start_transfer(step)
                case StartEngine():
                    base = self._units[Unit.ENGINE].base
                    yield from self._write(base + EngineRegister.PROGRAM, step.imem_word)
                    yield from self._write(base + UnitRegister.START, 1)
                case Wait():
                    yield from self._wait(step.unit)
        self.state.value = HostState.DONE

    def _start_transfer(self, step: StartTransfer) -> Activity:
        transfer, base = step.transfer, self._units[step.unit].base
        memory_address = self._memory_base + transfer.memory_offset_bytes
        yield from self._write(base + ChannelRegister.MEMORY_ADDRESS, memory_address)
        yield from self._write(base + ChannelRegister.SRAM, transfer.sram_word | transfer.sram << 32)
        yield from self._write(base + ChannelRegister.ROWS, transfer.row_words | transfer.rows << 32)
        yield from self._write(
            base + ChannelRegister.STRIDES, transfer.memory_stride_bytes | transfer.sram_stride_words << 32
        )
        yield from self._write(base + UnitRegister.START, 1)

    def _wait(self, unit: Unit) -> Activity:
        self.waits_for.value, begins = unit, self.clock.now
        while unit not in self._raised:
            self.state.value = HostState.SLEEP
            self._wake = Event(self.clock.env)
            yield self._wake
        if self._raised[unit] == begins:  # whichever came first in this cycle: it has not slept
            self.state.value = HostState.RUN
        ready = self._raised.pop(unit) + self._interrupt_cycles
        if ready > self.clock.now:
            yield self.clock.cycles(ready - self.clock.now)
        self.state.value = HostState.RUN
        self.waits_for.value = None
        base = self._units[unit].base
        status = yield from self._read(base + UnitRegister.STATUS)
        if status & Status.ERROR:
            yield from self._report(unit)
        yield from self._write(base + UnitRegister.STATUS, status)

    def _report(self, unit: Unit) -> Activity:
        base = self._units[unit].base
        code = ErrorCode((yield from self._read(base + UnitRegister.ERROR_CODE)))
        address = yield from self._read(base + UnitRegister.ERROR_ADDRESS)
        cycle = yield from self._read(base + UnitRegister.ERROR_CYCLE)
        raise DriverError(
            f"{self._units[unit].path}: {ERROR_TEXT[code]} {address} (0x{address:x}) in cycle {cycle}; "
            "the driver stopped; check the program and the off-chip image"
        )

    def _interrupt(self, unit: Unit, payload: InterruptPayload) -> None:
        self._raised[unit] = self.clock.now
        payload.status = OK
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    def _write(self, address: int, value: int) -> Activity:
        yield from self._access(MemoryPayload(WRITE, address, value.to_bytes(REGISTER_BYTES, "little")))

    def _read(self, address: int) -> ActivityOf[int]:
        data = bytearray(REGISTER_BYTES)
        yield from self._access(MemoryPayload(READ, address, data))
        return int.from_bytes(data, "little")

    def _access(self, payload: MemoryPayload) -> Activity:
        yield self.clock.cycles(self._access_cycles)
        yield from self.bus.b_transport(payload)
        if payload.status is not OK:
            raise DriverError(
                f"{self.path}: {payload.describe()} was answered with {payload.status.value!r} "
                f"in cycle {self.clock.now}; no unit takes it there and then"
            )
