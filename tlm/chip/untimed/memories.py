"""The memories as arrays, which words of them were written, and the transfers between them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import Descriptor, check_descriptor, sram_size
from tlm.chip.format.driver import SramName, Transfer, Unit
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.core.errors import UnwrittenReadError

Scalar = TypeVar("Scalar", bound=np.generic)


class MemoryBytes(Struct, frozen=True, eq=False):
    """A memory, and which of its units (words of an SRAM, beats of the off-chip memory) were written.

    Attributes:
        path: how messages call it.
        unit: how messages call one unit.
        data: uint8 (bytes,).
        written: bool (units,).
    """

    path: str
    unit: str
    data: npt.NDArray[np.uint8]
    written: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, path: str, unit: str, units: int, unit_bytes: int) -> MemoryBytes:
        """An empty one; the system commits its pages when they are touched."""
        return cls(path, unit, np.zeros(units * unit_bytes, np.uint8), np.zeros(units, np.bool_))

    def check_written(self, first: int, end: int) -> None:
        """Nothing if units first .. end - 1 were written.

        Raises:
            UnwrittenReadError: naming the first that was not.
        """
        if not self.written[first:end].all():
            raise self.unwritten(first + int(np.argmin(self.written[first:end])))

    def unwritten(self, unit: int) -> UnwrittenReadError:
        """The complaint about a read of a unit that was never written."""
        return UnwrittenReadError(
            f"{self.path}: {self.unit} {unit} is read, but was never written; "
            "load it first, or check the addresses in the program"
        )


def new_srams(config: ChipConfig) -> dict[SramName, MemoryBytes]:
    """The chip's three SRAMs, empty."""
    return {name: MemoryBytes.of(f"engine.{name.name.lower()}", "word", *sram_size(name, config)) for name in SramName}


def new_off_chip_memory(config: ChipConfig) -> MemoryBytes:
    """The off-chip memory, empty."""
    return MemoryBytes.of("memory", "beat", -(-config.memory_bytes // config.bus_bytes), config.bus_bytes)


def rows_of(array: npt.NDArray[Scalar], first: int, rows: int, length: int, stride: int) -> npt.NDArray[Scalar]:
    """Rows ``array[first + i * stride :][:length]`` of a one-dimensional array as a view (rows, length).

    The caller has checked that they lie in the array.
    """
    size = array.itemsize
    return np.lib.stride_tricks.as_strided(array[first:], (rows, length), (stride * size, size))


class Copy(Struct, frozen=True, eq=False):
    """A transfer, ready to be done again and again; its rows are views of both memories.

    Attributes:
        pairs: (to, from); several only if rows overlap, so that their order decides.
        came_from: flags of the units that are read.
        written: flags of the units that are written.
        source: the memory that is read.
        first_units: the first unit of each row that is read, (rows, 1).
    """

    pairs: tuple[tuple[npt.NDArray[Any], npt.NDArray[Any]], ...]
    came_from: npt.NDArray[np.bool_]
    written: npt.NDArray[np.bool_]
    source: MemoryBytes
    first_units: npt.NDArray[np.int64]

    def run(self) -> None:
        """Move the bytes.

        Raises:
            UnwrittenReadError: something is read that was never written.
        """
        if not self.came_from.all():
            row, column = divmod(int(np.argmin(self.came_from)), self.came_from.shape[1])
            raise self.source.unwritten(int(self.first_units[row]) + column)
        for target, source in self.pairs:
            np.copyto(target, source)
        self.written[...] = True


def prepare_copy(
    transfer: Transfer, unit: Unit, config: ChipConfig, srams: dict[SramName, MemoryBytes], memory: MemoryBytes
) -> Copy:
    """A transfer of a driver program on these memories.

    Raises:
        UnitFaultError: the descriptor is one that the channel refuses, or it leaves the off-chip memory.
    """
    t = transfer
    check_descriptor(
        Descriptor(
            t.memory_offset_bytes, t.sram, t.sram_word, t.row_words, t.rows, t.memory_stride_bytes, t.sram_stride_words
        ),
        config,
    )
    sram, word_bytes = srams[t.sram], sram_size(t.sram, config)[1]
    row_bytes, bus = t.row_words * word_bytes, config.bus_bytes
    end = t.memory_offset_bytes + (t.rows - 1) * t.memory_stride_bytes + row_bytes
    if t.memory_offset_bytes < 0 or end > config.memory_bytes:
        raise UnitFaultError(ErrorCode.MEMORY_ADDRESS, min(t.memory_offset_bytes, end - 1))
    first_beat, beats, beat_stride = t.memory_offset_bytes // bus, -(-row_bytes // bus), t.memory_stride_bytes // bus
    on_chip = rows_of(sram.data, t.sram_word * word_bytes, t.rows, row_bytes, t.sram_stride_words * word_bytes)
    off_chip = rows_of(memory.data, t.memory_offset_bytes, t.rows, row_bytes, t.memory_stride_bytes)
    words = rows_of(sram.written, t.sram_word, t.rows, t.row_words, t.sram_stride_words)
    flags = rows_of(memory.written, first_beat, t.rows, beats, beat_stride)
    row = np.arange(t.rows)
    if unit is Unit.LOAD:
        pairs = _pairs(on_chip, off_chip, t.sram_stride_words < t.row_words)
        return Copy(pairs, flags, words, memory, first_beat + row * beat_stride)
    pairs = _pairs(off_chip, on_chip, t.memory_stride_bytes < row_bytes)
    return Copy(pairs, words, flags, sram, t.sram_word + row * t.sram_stride_words)


def _pairs(
    target: npt.NDArray[np.uint8], source: npt.NDArray[np.uint8], overlapping: bool
) -> tuple[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]], ...]:
    if overlapping and len(target) > 1:
        return tuple(zip(target, source, strict=True))
    return ((target, source),)
