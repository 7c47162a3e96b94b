"""The engine's register block: operand, START, status and error registers, and the interrupt.

Timing: an access is answered in its own cycle, and what it writes is there in the next. The sequencer is told of START
in the cycle in which it is written. The interrupt is a wire: it is up in the cycle in which the work ends.
Constraints: the layout is that of :mod:`tlm.chip.format.registers`.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.format.registers import REGISTER_BYTES, EngineRegister, Status, UnitRegister
from tlm.chip.rtl.interface import OFFSET_BITS, Answer

ADDRESS_BITS = 32
"""Bits of PROGRAM that count, and of ERROR_ADDRESS."""


class Registers(Component):
    """The registers that the host reads and writes."""

    def __init__(self) -> None:
        super().__init__(
            {
                # from the host
                "valid": In(1),
                "write": In(1),
                "offset": In(OFFSET_BITS),
                "data": In(64),
                "read": Out(64),
                "answer": Out(2),
                "irq": Out(1),
                # to and from the sequencer
                "start": Out(1),
                "program": Out(ADDRESS_BITS),
                "finish": In(1),
                "fault": In(1),
                "error_code": In(4),
                "error_address": In(ADDRESS_BITS),
                # the system's time base
                "cycle": In(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Decoder and registers."""
        m = Module()
        program, status = Signal(64), Signal(3)
        code, address, cycle = Signal(4), Signal(ADDRESS_BITS), Signal(64)
        busy = status[Status.BUSY.bit_length() - 1]
        m.d.comb += [self.program.eq(program), self.irq.eq(self.finish), self.answer.eq(Answer.OK)]
        with m.If(self.offset % REGISTER_BYTES != 0):
            m.d.comb += self.answer.eq(Answer.BURST_ERROR)
        with m.Else(), m.Switch(self.offset):
            with m.Case(EngineRegister.PROGRAM):
                m.d.comb += self.read.eq(program)
                with m.If(self.valid & self.write):
                    m.d.sync += program.eq(self.data)
            with m.Case(UnitRegister.START):
                with m.If(self.write & busy):
                    m.d.comb += self.answer.eq(Answer.COMMAND_ERROR)
                with m.Elif(self.valid & self.write):
                    m.d.comb += self.start.eq(1)
                    m.d.sync += status.eq(Status.BUSY)
            with m.Case(UnitRegister.STATUS):
                m.d.comb += self.read.eq(status)
                with m.If(self.valid & self.write):
                    m.d.sync += status.eq(status & (~self.data[:3] | Status.BUSY))
            for offset, register in (
                (UnitRegister.ERROR_CODE, code),
                (UnitRegister.ERROR_ADDRESS, address),
                (UnitRegister.ERROR_CYCLE, cycle),
            ):
                with m.Case(offset):
                    m.d.comb += self.read.eq(register)
                    with m.If(self.write):
                        m.d.comb += self.answer.eq(Answer.COMMAND_ERROR)
            with m.Default():
                m.d.comb += self.answer.eq(Answer.ADDRESS_ERROR)
        with m.If(self.finish):
            m.d.sync += status.eq(Cat(1, self.fault, 0))
            with m.If(self.fault):
                m.d.sync += [code.eq(self.error_code), address.eq(self.error_address), cycle.eq(self.cycle)]
        return m
