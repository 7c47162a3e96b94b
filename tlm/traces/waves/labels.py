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


_BY_ROLE: tuple[tuple[Role, str], ...] = (
    (Role.REST, "- idle done"),
    # host
    (Role.CONTROL, "run"),
    (Role.REST, "sleep"),
    # units and SRAMs
    (Role.MOVE, "load store"),
    (Role.WORK, "engine"),
    (Role.MOVE, "amem wmem imem"),
    # engine
    (Role.CONTROL, "header parameters"),
    (Role.WORK, "steps"),
    (Role.CONTROL, "drain gap"),
    (Role.WORK, "compute"),
    (Role.STALL, "hold frozen"),
    (Role.WORK, "writes"),
    # causes of the account (docs/account.md)
    (Role.WORK, "computing"),
    (Role.CONTROL, "pipeline"),
    (Role.STALL, "bank_conflict instruction write_back weights activations instructions host"),
    # whether a waveform shows the chip
    (Role.REST, "recording"),
    (Role.CONTROL, "outside_window"),
    (Role.STALL, "cut"),
    # banks of DRAM
    (Role.CONTROL, "activating precharging"),
    (Role.MOVE, "active"),
    (Role.STALL, "refreshing"),
    # waits for them
    (Role.STALL, "refresh row"),
)
_TABLE = [(name, role) for role, names in _BY_ROLE for name in names.split()]
_CODES = {text: code for code, (text, _) in enumerate(_TABLE)}


def code(text: str) -> int:
    """The code of a state's name."""
    return _CODES[text]


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
