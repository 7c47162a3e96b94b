"""The steps of a driver program: the host starts units and waits for them, in a fixed sequence.

The compiler fixes the sequence. It never depends on when something ends, so a slower memory can only delay a
program, never reorder it.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

from msgspec import Struct


class Unit(enum.Enum):
    """What the host can start and wait for."""

    __hash__ = object.__hash__  # members are single, and the compiler looks them up for every step

    LOAD = "load"
    STORE = "store"
    ENGINE = "engine"


class SramName(enum.IntEnum):
    """The number of an SRAM in a descriptor."""

    AMEM = 0
    WMEM = 1
    IMEM = 2


class Transfer(Struct, frozen=True):
    """A 2-D DMA descriptor: ``rows`` rows of ``row_words`` SRAM words.

    Off-chip rows start ``memory_stride_bytes`` apart, SRAM rows ``sram_stride_words`` apart.
    """

    sram: SramName
    sram_word: int
    memory_offset_bytes: int
    """From the start of the off-chip memory; a multiple of the bus width."""
    row_words: int
    rows: int = 1
    memory_stride_bytes: int = 0
    sram_stride_words: int = 0
    label: str = ""
    """What is moved, for reports and traces."""


class StartTransfer(Struct, frozen=True):
    """Program a DMA channel (LOAD or STORE) and start it."""

    unit: Unit
    transfer: Transfer


class StartEngine(Struct, frozen=True):
    """Start the engine at an IMem word."""

    imem_word: int


class Wait(Struct, frozen=True):
    """Sleep until a unit's interrupt, read its status and clear it; an error stops the driver."""

    unit: Unit


DriverStep: TypeAlias = StartTransfer | StartEngine | Wait
