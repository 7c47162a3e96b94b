"""A banked SRAM: single-ported macros behind arbiters of fixed priority, one for each bank.

Request flow: a port asks for one word and gets its grant in the same cycle. The data of a granted read are at the
bank's output in the next cycle. The aligner does not ask word by word: it names a word for each bank, and always wins.
Timing: engine.md, Banks.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import memory
from amaranth.lib.wiring import Component, In, Out, Signature

from tlm.chip.config import ChipConfig
from tlm.chip.contract import PORTS, Port
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.rtl.primitives import address_bits, bank_bits

PORT_BITS = 3
"""Bits of a port's number in the order of its SRAM's priorities."""


def port_signature(sram: SramName, config: ChipConfig) -> Signature:
    """A port's wires, as its initiator sees them; the grant comes in the cycle of the request."""
    return Signature(
        {
            "valid": Out(1),
            "write": Out(1),
            "address": Out(address_bits(sram, config)),
            "data": Out(8 * sram_size(sram, config)[1]),
            "grant": In(1),
        }
    )


def trace_signature(sram: SramName, config: ChipConfig) -> Signature:
    """Which access each bank serves, for observers."""
    return Signature(
        {
            "valid": Out(1),
            "write": Out(1),
            "port": Out(PORT_BITS),
            "address": Out(address_bits(sram, config)),
        }
    )


class Bank(Component):
    """One single-ported macro: an access in each cycle; read data in the next, held until the next read."""

    def __init__(self, words: int, width: int) -> None:
        self.words, self.width = words, width
        super().__init__(
            {
                "enable": In(1),
                "write": In(1),
                "address": In(range(words)),
                "data": In(width),
                "read": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The behaviour of the macro."""
        m = Module()
        m.submodules.words = words = memory.Memory(shape=self.width, depth=self.words, init=[])
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            read.en.eq(self.enable & ~self.write),
            read.addr.eq(self.address),
            self.read.eq(read.data),
            write.en.eq(self.enable & self.write),
            write.addr.eq(self.address),
            write.data.eq(self.data),
        ]
        return m


class Sram(Component):
    """Banks and arbiters of AMem, WMem or IMem."""

    def __init__(self, sram: SramName, config: ChipConfig) -> None:
        self.sram = sram
        self.words, word_bytes = sram_size(sram, config)
        self.width, self.banks, self.bank_bits = 8 * word_bytes, sram_banks(sram, config), bank_bits(sram, config)
        members = {str(port): In(port_signature(sram, config)) for port in PORTS[sram] if port is not Port.ALIGNER}
        members["read"] = Out(self.width).array(self.banks)
        members["trace"] = Out(trace_signature(sram, config)).array(self.banks)
        if sram is SramName.AMEM:
            members["aligner_valid"] = In(1).array(self.banks)
            members["aligner_address"] = In(address_bits(sram, config)).array(self.banks)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Per bank: the macro, and a chain of ports from the highest priority to the lowest."""
        m = Module()
        grants: dict[Port, list[Signal]] = {port: [] for port in PORTS[self.sram] if port is not Port.ALIGNER}
        for index in range(self.banks):
            m.submodules[f"bank_{index}"] = bank = Bank(self.words // self.banks, self.width)
            taken, write, by = Const(0), Const(0), Const(0, PORT_BITS)
            address, data = Const(0, len(self.trace[index].address)), Const(0, self.width)
            for number, port in enumerate(PORTS[self.sram]):
                served = Signal(name=f"bank_{index}_serves_{port}")
                if port is Port.ALIGNER:
                    m.d.comb += served.eq(self.aligner_valid[index])
                    address = self.aligner_address[index]
                else:
                    wires = getattr(self, port)
                    of_bank = wires.address[: self.bank_bits] == index if self.bank_bits else Const(1)
                    m.d.comb += served.eq(wires.valid & of_bank & ~taken)
                    grants[port].append(served)
                    address, data = Mux(served, wires.address, address), Mux(served, wires.data, data)
                    write = Mux(served, wires.write, write)
                by = Mux(served, number, by)
                taken = taken | served
            m.d.comb += [
                bank.enable.eq(taken),
                bank.write.eq(write),
                bank.address.eq(address[self.bank_bits :]),
                bank.data.eq(data),
                self.read[index].eq(bank.read),
                self.trace[index].valid.eq(taken),
                self.trace[index].write.eq(write),
                self.trace[index].port.eq(by),
                self.trace[index].address.eq(address),
            ]
        for port, served_by in grants.items():
            m.d.comb += getattr(self, port).grant.eq(Cat(served_by).any())
        return m

    def word_of(self, m: Module, address: Signal, name: str) -> Signal:
        """The data of the read that was granted to ``address`` in the cycle before."""
        word = Signal(self.width, name=name)
        bank = Signal(max(1, self.bank_bits), name=f"{name}_bank")
        m.d.sync += bank.eq(address[: self.bank_bits])
        m.d.comb += word.eq(Array(self.read)[bank])
        return word
