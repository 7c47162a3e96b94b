"""What the circuit and its coupling agree on; of plain Python, so that a built circuit runs without Amaranth."""

from __future__ import annotations

import enum

from tlm.chip.format.isa import BAND_OPCODES, HEADER_OPCODES

WORDS = HEADER_OPCODES + BAND_OPCODES
"""The header's words in order; the last two only if the layer is banded."""

EVENTS = ("program_ended", "layer_started", "layer_ended", "pass_started", "pass_fetched", "handed_over", "written")
"""What a cycle may bring to those who listen to the engine's contract."""

OFFSET_BITS = 16
"""Of a register's address."""


class Answer(enum.IntEnum):
    """How a register access is answered."""

    OK = 0
    ADDRESS_ERROR = 1
    COMMAND_ERROR = 2
    BURST_ERROR = 3
