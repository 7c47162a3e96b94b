"""What the dividers that the circuit has cost, mapped alone: the figures of docs/rtl.md."""

from __future__ import annotations

import re

import pytest
from amaranth.hdl import Const, Module
from amaranth.lib.wiring import Component, In, Out
from command import REPOSITORY

from tlm.chip.rtl import build
from tlm.chip.rtl.header import EXTENT_BITS
from tlm.chip.rtl.primitives import divided
from tlm.hardware.liberty import DEBIAN_FILE, read_library
from tlm.hardware.synthesis import Synthesis, mapped
from tlm.hardware.verilog import shared_modules

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEBIAN_FILE.exists(), reason="needs Debian's qflow-tech-osu018"),
]


class Divider(Component):
    """Dividend (or what it always is), divisor and quotient of so many bits."""

    def __init__(self, dividend_bits: int, divisor_bits: int, quotient_bits: int, constant: int | None = None) -> None:
        self.quotient_bits, self.constant = quotient_bits, constant
        super().__init__(
            {
                "dividend": In(dividend_bits),
                "divisor": In(divisor_bits),
                "quotient": Out(quotient_bits),
                "rest": Out(divisor_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dividend = self.dividend if self.constant is None else Const(self.constant, len(self.dividend))
        quotient, rest = divided(m, dividend, self.divisor, self.quotient_bits, "row")
        m.d.comb += [self.quotient.eq(quotient), self.rest.eq(rest)]
        return m


def cost(*bits: int) -> Synthesis:
    return mapped(shared_modules(build.rtlil(Divider(*bits), "top")), DEBIAN_FILE, read_library(DEBIAN_FILE))


def test_the_figures_of_the_documentation() -> None:
    size, row, step_or_tap = cost(EXTENT_BITS + 8, 8, EXTENT_BITS), cost(32, 16, 16), cost(12, 6, 6)
    header = 2 * size.gates + 2 * row.gates + cost(12, 12, 6, 60).gates
    text = " ".join((REPOSITORY / "docs" / "rtl.md").read_text().split())
    found = re.search(r"header's take (\S+) k gates, .* the other two (\S+) k \[S\]\. .* path: (\d+) delays", text)
    assert found is not None
    assert found.groups() == (f"{header / 1000:.1f}", f"{2 * step_or_tap.gates / 1000:.1f}", f"{row.path.delay:.0f}")
