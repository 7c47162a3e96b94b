"""Checks for the Python side of every C kernel: array sizes, contents of buffers, integers in a range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.core.errors import SimulationError

if TYPE_CHECKING:
    from tlm._kernels import CData

Memory: TypeAlias = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
"""Bytes of a memory, word 0 first; read only, never copied."""

Buffer: TypeAlias = "CData"
"""Opaque: accumulators int32 [columns][lanes] or activations int8 [lanes]: see :func:`new_accumulators`."""

ARRAY_SIZES = (8, 16, 32, 64)
assert ARRAY_SIZES[-1] == lib.TLM_MAX_LANES == lib.TLM_MAX_COLUMNS  # what the kernels' own arrays hold


class KernelError(SimulationError):
    """A kernel was given something it cannot work on: a wrong size, address, field or pattern."""


def check_sizes(**sizes: int) -> None:
    """Check that these numbers of lanes or columns are supported.

    Raises:
        KernelError: one does not.
    """
    for key, value in sizes.items():
        if value not in ARRAY_SIZES:
            raise KernelError(f"{key} is {value}, but must be one of {ARRAY_SIZES}")


def bytes_of(memory: Memory, what: str) -> CData:
    """A view of a memory as C sees it, uint8_t[].

    Raises:
        KernelError: it is no contiguous buffer.
    """
    try:
        return ffi.from_buffer("uint8_t[]", memory)
    except (TypeError, ValueError, BufferError) as error:
        raise KernelError(f"{what}: {type(memory).__name__} is no contiguous buffer ({error})") from None


def integers(what: str, values: npt.NDArray[Any], count: int, low: int, high: int) -> CData:
    """Whole numbers as int32_t[].

    Raises:
        KernelError: not ``count`` whole numbers in ``low..high``, at least one.
    """
    array = np.asarray(values)
    if array.shape != (count,) or not count or array.dtype.kind not in "iu":
        raise KernelError(f"{what}: {array.dtype} {array.shape}, but {count} whole numbers are needed, at least one")
    if array.min() < low or array.max() > high:
        raise KernelError(f"{what}: {array.min()}..{array.max()}, but must be in {low}..{high}")
    return ffi.from_buffer("int32_t[]", np.ascontiguousarray(array, np.int32))


def in_range(what: str, value: int, low: int, high: int) -> int:
    """The number itself.

    Raises:
        KernelError: it is not in ``low..high``.
    """
    if not low <= value <= high:
        raise KernelError(f"{what} is {value}, but must be in {low}..{high}")
    return value


def new_activations(lanes: int) -> Buffer:
    """An activation vector of zeros."""
    check_sizes(lanes=lanes)
    return ffi.new("int8_t[]", lanes)


def new_accumulators(lanes: int, columns: int, start: int = 0) -> Buffer:
    """Accumulators int32 [columns][lanes] that begin at ``start``."""
    check_sizes(lanes=lanes, columns=columns)
    count = lanes * columns
    return ffi.new("int32_t[]", [start] * count if start else count)


def accumulators_array(acc: Buffer, lanes: int) -> npt.NDArray[np.int32]:
    """Accumulators as a numpy view (columns, lanes)."""
    check_sizes(lanes=lanes)
    return np.frombuffer(ffi.buffer(acc), np.int32).reshape(-1, lanes)


class MemoryView:
    """A memory as C sees it, looked up anew only for another memory.

    Only the plain address is kept, and the memory itself, which holds its bytes in place: cffi's own object would keep
    the memory's buffer exported, and a memoryview that is part of a cycle cannot be collected then.
    """

    def __init__(self, elements_per_word: int) -> None:
        self._elements_per_word = elements_per_word
        self._memory: Memory | None = None
        self._view: CData = ffi.NULL
        self.words = 0

    def of(self, memory: Memory) -> CData:
        """The memory's bytes; ``words`` is then their number of words."""
        if memory is not self._memory:
            view = bytes_of(memory, "memory")
            self._view = ffi.cast("uint8_t *", view)
            self.words = len(view) * 2 // self._elements_per_word
            self._memory = memory
        return self._view


def payloads_of(patterns: npt.NDArray[np.uint64], count: int) -> CData:
    """Payloads of pattern words as uint64_t[].

    Raises:
        KernelError: not ``count`` of them in a row.
    """
    if patterns.dtype != np.uint64 or patterns.size != count or not patterns.flags.c_contiguous:
        raise KernelError(
            f"patterns: {patterns.dtype} {patterns.shape}, but {count} contiguous uint64 payloads are needed"
        )
    return ffi.from_buffer("uint64_t[]", patterns)
