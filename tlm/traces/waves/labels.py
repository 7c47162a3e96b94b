"""Names of states: what the codes of state signals mean, and in which colour GTKWave shows them.

One table serves all signals, so one translation file does: a word has the same code wherever it appears.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

STATE_BITS = 8


class Role(enum.Enum):
    """What a state means for whoever looks for lost time; the value is GTKWave's colour."""

    REST = "gray25"
    """Nothing to do."""
    WORK = "DarkGreen"
    """The array gets a step, or a result is written."""
    MOVE = "RoyalBlue4"
    """Data are moved."""
    CONTROL = "DarkGoldenrod4"
    """Instructions, registers, what a pass costs by its nature."""
    STALL = "red3"
    """Somebody waits for somebody else."""


_TABLE: tuple[tuple[str, Role], ...] = (
    ("-", Role.REST),
    ("idle", Role.REST),
    ("done", Role.REST),
    # host
    ("run", Role.CONTROL),
    ("sleep", Role.REST),
    # units and SRAMs
    ("load", Role.MOVE),
    ("store", Role.MOVE),
    ("engine", Role.WORK),
    ("amem", Role.MOVE),
    ("wmem", Role.MOVE),
    ("imem", Role.MOVE),
    # engine
    ("header", Role.CONTROL),
    ("parameters", Role.CONTROL),
    ("steps", Role.WORK),
    ("drain", Role.CONTROL),
    ("gap", Role.CONTROL),
    ("compute", Role.WORK),
    ("hold", Role.STALL),
    ("frozen", Role.STALL),
    ("writes", Role.WORK),
    # causes of the account (docs/account.md)
    ("computing", Role.WORK),
    ("pipeline", Role.CONTROL),
    ("bank_conflict", Role.STALL),
    ("instruction", Role.STALL),
    ("write_back", Role.STALL),
    ("weights", Role.STALL),
    ("activations", Role.STALL),
    ("instructions", Role.STALL),
    ("host", Role.STALL),
    # whether a waveform shows the chip
    ("recording", Role.REST),
    ("outside_window", Role.CONTROL),
    ("cut", Role.STALL),
)
_CODES = {text: code for code, (text, _) in enumerate(_TABLE)}


def code(text: str) -> int:
    """The code of a state's name."""
    return _CODES[text]


def name(code: int) -> str:
    """The name behind a code."""
    return _TABLE[code][0]


def filter_lines() -> Iterator[str]:
    """GTKWave's translation file: code in hexadecimal, colour, name."""
    for value, (text, role) in enumerate(_TABLE):
        yield f"{value:02x} ?{role.value}?{text}"


def legend() -> str:
    """One line for the head of a dump."""
    return "states: " + ", ".join(f"{value:02x} {text}" for value, (text, _) in enumerate(_TABLE))


def short_label(label: str) -> str:
    """What a transfer moves, as short as a box: which SRAM it is for shows in another row."""
    for start in ("instructions of ", "weights of "):
        label = label.removeprefix(start)
    return label.replace(" from channel ", " c").replace(" words ", " w")
