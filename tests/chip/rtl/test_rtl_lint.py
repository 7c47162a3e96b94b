"""Verilator's lint, with a reason for each rule that is waived: no latch, no loop, no width that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from rtl_chip import CHIP

from tlm.chip.rtl import build
from tlm.core.errors import InputError


def test_the_engine_is_clean() -> None:
    build.Tools().lint(build.library(CHIP).with_name("engine.v"))


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("LATCH", "always @* if (a) y = b;"),
        ("UNOPTFLAT", "wire [1:0] loop = {loop[0] & a, loop[1] | b}; always @* y = loop[0];"),
    ],
)
def test_what_is_wrong_is_found(rule: str, body: str, tmp_path: Path) -> None:
    verilog = tmp_path / "engine.v"
    verilog.write_text(f"module engine(input a, input b, output reg y);\n{body}\nendmodule\n")
    with pytest.raises(InputError, match=rule):
        build.Tools().lint(verilog)
