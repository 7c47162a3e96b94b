"""A banked SRAM: single-ported macros behind arbiters of fixed priority, one for each bank.

Request flow: a port asks for one word and gets its grant in the same cycle. The data of a granted read are at the
bank's output in the next cycle. The aligner does not ask word by word: it names a word for each bank, and always wins.
Timing: engine.md, Banks.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, ClockSignal, Const, Instance, Module, Mux, Signal
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


def macro_name(sram: SramName, config: ChipConfig) -> str:
    """The module of a bank: a single-ported macro that somebody else provides."""
    words, bits = _bank_size(sram, config)
    return f"sram_{words}x{bits}"


def macro_models(config: ChipConfig) -> str:
    """Behavioural Verilog of the macros, each size once."""
    return "".join(_model(*size) for size in sorted({_bank_size(sram, config) for sram in SramName}))


def _bank_size(sram: SramName, config: ChipConfig) -> tuple[int, int]:
    """Words and bits of a word."""
    words, word_bytes = sram_size(sram, config)
    return words // sram_banks(sram, config), 8 * word_bytes


def _model(words: int, bits: int) -> str:
    # a macro of one word has no address
    pin = f"\n  input [{(words - 1).bit_length() - 1}:0] address," if words > 1 else ""
    word = "words[address]" if words > 1 else "words[0]"
    return f"""
module sram_{words}x{bits} (
  input clk,
  input enable,
  input write,{pin}
  input [{bits - 1}:0] write_data,
  output reg [{bits - 1}:0] read_data
);
  reg [{bits - 1}:0] words [0:{words - 1}];

  always @(posedge clk)
    if (enable && write)
      {word} <= write_data;
    else if (enable)
      read_data <= {word};
endmodule
"""


class Sram(Component):
    """Banks and arbiters of AMem, WMem or IMem."""

    def __init__(self, sram: SramName, config: ChipConfig) -> None:
        self.sram, self._config = sram, config
        _, word_bytes = sram_size(sram, config)
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
            of_bank_address = address[self.bank_bits :]
            m.submodules[f"bank_{index}"] = Instance(
                macro_name(self.sram, self._config),
                i_clk=ClockSignal(),
                i_enable=taken,
                i_write=write,
                **({"i_address": of_bank_address} if len(of_bank_address) else {}),
                i_write_data=data,
                o_read_data=self.read[index],
            )
            m.d.comb += [
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
