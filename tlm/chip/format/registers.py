"""A unit's registers, status and interrupt: how the host talks to a DMA channel or to the engine.

Every register has 64 bits. A unit has registers that the host writes (its operands), START, and four that tell
how the work ended. The layout of a block is the same for every unit [A].
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from tlm.chip.payloads import InterruptPayload
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, READ, WRITE, MemoryPayload, Response
from tlm.core.sockets import InitiatorSocket, TargetSocket

REGISTER_BYTES = 8


class UnitRegister(enum.IntEnum):
    """Offsets in bytes that every unit has; a unit's operands lie below START."""

    START = 0x40
    """Writing anything starts the unit; refused while it is busy."""
    STATUS = 0x48
    """Bit 0 done, bit 1 error, bit 2 busy; writing clears the bits written as 1."""
    ERROR_CODE = 0x50
    ERROR_ADDRESS = 0x58
    ERROR_CYCLE = 0x60


class ChannelRegister(enum.IntEnum):
    """Operands of a DMA channel: one 2-D descriptor."""

    MEMORY_ADDRESS = 0x00
    """Byte address in the off-chip memory."""
    SRAM = 0x08
    """Bits 0..31 word address, bits 32.. which SRAM."""
    ROWS = 0x10
    """Bits 0..31 words of a row, bits 32.. rows."""
    STRIDES = 0x18
    """Bits 0..31 off-chip bytes from row to row, bits 32.. SRAM words from row to row."""


class EngineRegister(enum.IntEnum):
    """Operands of the engine."""

    PROGRAM = 0x00
    """IMem word where the program starts."""


class Status(enum.IntEnum):
    """Bits of the STATUS register; combined they are a plain int, since Python 3.11 is slow to combine flags."""

    DONE = 1
    ERROR = 2
    BUSY = 4


class ErrorCode(enum.IntEnum):
    """Why a unit stopped; what ERROR_ADDRESS counts stands in the text."""

    NONE = 0
    MEMORY_ADDRESS = 1
    SRAM_ADDRESS = 2
    MISALIGNED = 3
    OVERSIZED = 4
    NO_SUCH_SRAM = 5
    ILLEGAL_INSTRUCTION = 6
    PROGRAM_ADDRESS = 7
    WEIGHT_ADDRESS = 8


ERROR_TEXT = {
    ErrorCode.NONE: "no error",
    ErrorCode.MEMORY_ADDRESS: "off-chip address outside the memory",
    ErrorCode.SRAM_ADDRESS: "SRAM word address outside the memory",
    ErrorCode.MISALIGNED: "off-chip address or row stride that is no multiple of the bus width",
    ErrorCode.OVERSIZED: "transfer of no words, or of more words than the SRAM has",
    ErrorCode.NO_SUCH_SRAM: "descriptor that names no SRAM",
    ErrorCode.ILLEGAL_INSTRUCTION: "illegal instruction at IMem word",
    ErrorCode.PROGRAM_ADDRESS: "instruction fetch outside IMem at word",
    ErrorCode.WEIGHT_ADDRESS: "weight fetch outside WMem at word",
}


class UnitFaultError(Exception):
    """Raised inside a unit when its work cannot go on; the unit turns it into its error status."""

    def __init__(self, code: ErrorCode, address: int) -> None:
        super().__init__(code, address)
        self.code = code
        self.address = address


class UnitRegisters:
    """The register block of one unit, with its target socket ``registers`` and initiator socket ``interrupt``.

    Args:
        owner: the unit.
        operands: offsets that the host may write and read.
        on_start: called in the cycle in which START is written.
    """

    def __init__(self, owner: Module, operands: type[enum.IntEnum], on_start: Callable[[], None]) -> None:
        self.target = TargetSocket(owner, "registers", MemoryPayload, self._access, self._debug)
        self.interrupt: InitiatorSocket[InterruptPayload] = InitiatorSocket(owner, "interrupt", InterruptPayload)
        self._clock = owner.clock
        self._operands = frozenset(int(offset) for offset in operands)
        self._values: dict[int, int] = dict.fromkeys(self._operands | {int(offset) for offset in UnitRegister}, 0)
        self._on_start = on_start

    def operand(self, offset: enum.IntEnum) -> tuple[int, int]:
        """An operand register as its halves (bits 0..31, bits 32..63)."""
        value = self._values[offset]
        return value & 0xFFFF_FFFF, value >> 32

    def finish(self, fault: UnitFaultError | None = None) -> Activity:
        """End of the work: set the status and raise the interrupt, in this cycle."""
        status = int(Status.DONE)
        if fault is not None:
            status |= Status.ERROR
            self._values[UnitRegister.ERROR_CODE] = fault.code
            self._values[UnitRegister.ERROR_ADDRESS] = fault.address
            self._values[UnitRegister.ERROR_CYCLE] = self._clock.now
        self._values[UnitRegister.STATUS] = status
        yield from self.interrupt.b_transport(InterruptPayload())

    def _access(self, payload: MemoryPayload) -> None:
        payload.status = self._answer(payload)

    def _answer(self, payload: MemoryPayload) -> Response:
        offset = payload.address
        if len(payload.data) != REGISTER_BYTES or offset % REGISTER_BYTES:
            return Response.BURST_ERROR
        if offset not in self._values:
            return Response.ADDRESS_ERROR
        if payload.command is READ:
            assert not isinstance(payload.data, bytes)
            payload.data[:] = self._values[offset].to_bytes(REGISTER_BYTES, "little")
            return OK
        return self._write(offset, int.from_bytes(payload.data, "little"))

    def _write(self, offset: int, value: int) -> Response:
        if offset == UnitRegister.STATUS:
            self._values[offset] &= ~value | Status.BUSY
        elif offset == UnitRegister.START:
            if self._values[UnitRegister.STATUS] & Status.BUSY:
                return Response.COMMAND_ERROR
            self._values[UnitRegister.STATUS] = Status.BUSY
            self._on_start()
        elif offset in self._operands:
            self._values[offset] = value
        else:
            return Response.COMMAND_ERROR
        return OK

    def _debug(self, payload: MemoryPayload) -> int:
        if payload.command is WRITE:
            return 0
        payload.status = self._answer(payload)
        return len(payload.data) if payload.status is OK else 0
