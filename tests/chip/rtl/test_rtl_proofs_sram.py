"""Proofs of the arbiters: the highest priority wins, nobody else is disturbed, and what is granted is done."""

from __future__ import annotations

from typing import Any

import pytest
import z3
from formal import Unrolled, any_of, bits, broken

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.rtl.primitives import address_bits
from tlm.chip.rtl.sram import Sram, macro_models

ORDER = {
    SramName.AMEM: ("write_back", "residual", "dma_load", "dma_store"),
    SramName.WMEM: ("fetch", "dma_load", "dma_store"),
    SramName.IMEM: ("fetch", "dma_load", "dma_store"),
}
"""Ports that ask word by word, highest priority first (engine.md, Banks); before them comes AMem's aligner."""


class Arbiter:
    """An SRAM in two cycles, and what its arbiters owe to its ports."""

    def __init__(self, sram: SramName, banks: int, circuit: Any = Sram, cycles: int = 3) -> None:
        config = ChipConfig(
            lanes=8, columns=8, amem_words=8, wmem_words=8, imem_words=8, amem_banks=banks, wmem_banks=banks,
            imem_banks=banks,
        )  # fmt: skip
        self.order, self.banks, self.bank_bits = ORDER[sram], banks, banks.bit_length() - 1
        self.address_bits, self.words = address_bits(sram, config), sram_size(sram, config)[0]
        names = [f"{port}__{wire}" for port in self.order for wire in ("valid", "write", "address", "data", "grant")]
        names += [f"read__{bank}" for bank in range(banks)]
        self.has_aligner = sram is SramName.AMEM
        if self.has_aligner:
            names += [f"aligner_{wire}__{bank}" for wire in ("valid", "address") for bank in range(banks)]
        self.at = Unrolled(circuit(sram, config), cycles, names, macros=macro_models(config))

    def wire(self, port: str, name: str, cycle: int = 0) -> Any:
        return self.at(f"{port}__{name}", cycle)

    def asks(self, port: str, bank: int, cycle: int = 0) -> Any:
        """A port's request goes to a bank."""
        address = self.wire(port, "address", cycle)
        of_bank = bits(address, 0, self.bank_bits) == bank if self.bank_bits else z3.BoolVal(True)
        return z3.And(self.wire(port, "valid", cycle), of_bank)

    def aligner(self, bank: int, cycle: int = 0) -> Any:
        return self.at(f"aligner_valid__{bank}", cycle) if self.has_aligner else z3.BoolVal(False)

    def grants(self) -> Any:
        """In each bank the first in the order that asks is granted, and nobody else anywhere."""
        expected: dict[str, list[Any]] = {port: [] for port in self.order}
        for bank in range(self.banks):
            ahead = [self.aligner(bank)]
            for port in self.order:
                expected[port].append(z3.And(self.asks(port, bank), z3.Not(any_of(ahead))))
                ahead.append(self.asks(port, bank))
        return z3.And([self.wire(port, "grant") == any_of(expected[port]) for port in self.order])

    def one_each(self) -> list[Any]:
        """Grants of a bank never meet, and a bank that somebody asks serves somebody."""
        claims = []
        for bank in range(self.banks):
            served = [z3.And(self.asks(port, bank), self.wire(port, "grant")) for port in self.order]
            served.append(self.aligner(bank))
            claims += [z3.AtMost(*served, 1)]
            claims += [z3.Implies(any_of([self.asks(port, bank) for port in self.order]), any_of(served))]
        return claims

    def bank_of(self, address: Any, cycle: int) -> Any:
        """The output of the bank that holds an address."""
        value = self.at("read__0", cycle)
        for bank in range(1, self.banks):
            value = z3.If(bits(address, 0, self.bank_bits) == bank, self.at(f"read__{bank}", cycle), value)
        return value

    def keeps_words(self) -> Any:
        """A granted write is what the next cycle's granted read of that word finds, a cycle later."""
        claims = []
        for writer in self.order:
            for reader in self.order:
                address = self.wire(reader, "address", 1)
                found = z3.And(
                    self.wire(writer, "grant"), self.wire(writer, "write"), self.wire(reader, "grant", 1),
                    z3.Not(self.wire(reader, "write", 1)), self.wire(writer, "address") == address,
                )  # fmt: skip
                claims.append(z3.Implies(found, self.bank_of(address, 2) == self.wire(writer, "data")))
        return z3.And(claims)

    def serves_aligner(self) -> Any:
        """The aligner's word of each bank is that which a write left there in the cycle before."""
        claims = []
        for writer in self.order:
            for bank in range(self.banks):
                address = self.at(f"aligner_address__{bank}", 1)
                found = z3.And(
                    self.wire(writer, "grant"), self.wire(writer, "write"), self.aligner(bank, 1),
                    self.asks(writer, bank), self.wire(writer, "address") == address,
                )  # fmt: skip
                claims.append(z3.Implies(found, self.at(f"read__{bank}", 2) == self.wire(writer, "data")))
        return z3.And(claims)


@pytest.mark.parametrize("banks", [1, 2, 4, 8])
@pytest.mark.parametrize("sram", list(SramName))
def test_the_highest_is_granted_and_nobody_else(sram: SramName, banks: int) -> None:
    arbiter = Arbiter(sram, banks, cycles=1)
    assert arbiter.at.proves(arbiter.grants())
    assert arbiter.at.proves(z3.And(arbiter.one_each()))
    assert arbiter.at.allows(*(arbiter.wire(port, "valid") for port in arbiter.order))


@pytest.mark.parametrize("sram", list(SramName))
def test_what_is_granted_is_done(sram: SramName) -> None:
    arbiter = Arbiter(sram, 2)
    assert arbiter.at.proves(arbiter.keeps_words())
    if arbiter.has_aligner:
        assert arbiter.at.proves(arbiter.serves_aligner())
        assert arbiter.at.allows(arbiter.aligner(0, 1), arbiter.wire("write_back", "grant"))
    first, last = arbiter.order[0], arbiter.order[-1]
    assert arbiter.at.allows(arbiter.wire(first, "grant"), arbiter.wire(last, "grant"))


@pytest.mark.parametrize("module", broken("fixed priority decides who has a bank"))
def test_a_broken_order_is_found(module: Any) -> None:
    arbiter = Arbiter(SramName.AMEM, 2, module.Sram)
    assert not arbiter.at.proves(arbiter.grants())


@pytest.mark.parametrize("module", broken("a granted access is done"))
def test_a_broken_access_is_found(module: Any) -> None:
    arbiter = Arbiter(SramName.WMEM, 2, module.Sram)
    assert not arbiter.at.proves(arbiter.keeps_words())
