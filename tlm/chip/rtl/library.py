"""The compiled circuit: the functions of its C library (coupling.h)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cffi  # type: ignore[import-untyped]

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.rtl import build
from tlm.chip.rtl.interface import Answer
from tlm.core.clock import Clock


class ClockedDma(Protocol):
    """A DMA that is advanced with the clock (:mod:`tlm.chip.rtl.dma`)."""

    @property
    def busy(self) -> bool:
        """Whether a transfer is under way."""

    def connect(self, access: int, circuit: int, started: Callable[[], None]) -> tuple[int, int]:
        """Ask a circuit for every access."""

    def completed(self, channels: int) -> None:
        """These channels make their last accesses in this cycle."""


class Circuit:
    """The library's functions for one circuit.

    Args:
        config: of the chip; the library is built if it is not in the cache.
        traced: whether it can write the circuit's signals to a file.
    """

    def __init__(self, config: ChipConfig, traced: bool) -> None:
        self._ffi = cffi.FFI()
        library = build.library(config, traced=traced)
        self._ffi.cdef(_declarations())
        self._lib: Any = self._ffi.dlopen(str(library))
        self._rtl = self._ffi.gc(self._lib.rtl_new(), self._lib.rtl_delete)
        self._word = self._ffi.new("uint64_t *")
        self.report: Any = self._ffi.new("RtlReport *")

    def register(self, write: bool, offset: int, data: int) -> tuple[Answer, int]:
        """A register access in the present cycle: its answer, and what was read."""
        self._word[0] = data
        answer = Answer(self._lib.rtl_register(self._rtl, write, offset, self._word))
        return answer, int(self._word[0])

    def load(self, sram: SramName, address: int, data: bytes | bytearray | memoryview) -> bool:
        """The load channel asks to write a word in the present cycle; whether that was granted."""
        return bool(self._lib.rtl_load(self._rtl, sram, address, self._ffi.from_buffer(data)))

    def store(self, sram: SramName, address: int, data: bytearray | memoryview) -> bool:
        """The store channel asks to read a word in the present cycle; whether that was granted."""
        return bool(self._lib.rtl_store(self._rtl, sram, address, self._ffi.from_buffer(data)))

    def peek(self, sram: SramName, address: int, size_bytes: int) -> bytes:
        """A word, as it is."""
        data = self._ffi.new("uint8_t[]", size_bytes)
        self._lib.rtl_peek(self._rtl, sram, address, data)
        return bytes(data)

    def poke(self, sram: SramName, address: int, data: bytes) -> None:
        """Change a word."""
        self._lib.rtl_poke(self._rtl, sram, address, data)

    def written(self, sram: SramName, address: int) -> bool:
        """Whether a word was ever written."""
        return bool(self._lib.rtl_written(self._rtl, sram, address))

    def connect(self, dma: ClockedDma, started: Callable[[], None]) -> None:
        """Advance a DMA with the clock; ``started`` is called when it has begun a transfer."""
        access, circuit = (int(self._ffi.cast("intptr_t", one)) for one in (self._lib.rtl_access, self._rtl))
        advance, state = dma.connect(access, circuit, started)
        function = self._ffi.cast("int32_t (*)(void *, int64_t)", advance)
        self._lib.rtl_connect(self._rtl, function, self._ffi.cast("void *", state))

    def advance(self, cycle: int, most_cycles: int, dma_busy: bool) -> None:
        """Clock until something happened, or as often as given; ``report`` then says what and how far."""
        self._lib.rtl_advance(self._rtl, cycle, most_cycles, dma_busy, self.report)

    def open_waves(self, path: Path, clock_khz: int) -> bool:
        """Begin a value change dump of every signal; whether the file could be opened."""
        return bool(self._lib.rtl_waves_open(self._rtl, bytes(path), clock_khz))

    def show_waves(self, first: int, end: int) -> None:
        """Write cycles ``first`` .. ``end - 1`` when they are clocked, and no others."""
        self._lib.rtl_waves_show(self._rtl, first, end)

    def close_waves(self, cycle: int) -> bool:
        """Write the present cycle, if it is one of those, and close the file; whether it took everything."""
        return bool(self._lib.rtl_waves_close(self._rtl, cycle))


def _declarations() -> str:
    text = (build.HERE / "coupling.h").read_text()
    return "\n".join(line for line in text.splitlines() if not line.startswith("//"))


class Waves(Protocol):
    """Decides which cycles of the circuit are written to a waveform."""

    shown: bool
    """Whether the present cycle is."""

    def before(self, cycle: int, cycles: int) -> int:
        """Called before the circuit is clocked from ``cycle`` on; answers for how many of the ``cycles`` at most."""


class TracedEngine(Protocol):
    """What a waveform needs of the engine."""

    circuit: Circuit
    waves: Waves | None
    clock: Clock

    def wake(self) -> None:
        """Have the circuit clocked."""
