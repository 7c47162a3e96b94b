"""The C kernels behind a typed, checked edge: values of the aligner, MAC array and requantiser.

Everything that a kernel reads or writes is a buffer whose size is checked here, so that no call can leave it.
Shapes: an activation vector is int8 [lanes]; accumulators are int32 [columns][lanes], 24-bit two's complement;
an AMem word is lanes / 2 bytes, a WMem word columns / 2 bytes (lane or column 0 in the low nibble of byte 0,
engine.md "Layout" [A]). Functions that are called once a simulated cycle take and return cffi buffers, opaque to
the caller. The C functions release the GIL while they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.format.geometry import Geometry
from tlm.chip.kernels.buffers import Buffer, KernelError, Memory, check_sizes, in_range
from tlm.chip.kernels.passes import PassKernel, check_tile, mac_layer, mac_pass, pool_layer, pool_pass
from tlm.chip.kernels.requantise import (
    PassRequantiser,
    accumulator_layer,
    accumulator_plane,
    requantise_layer,
    requantise_word,
)

if TYPE_CHECKING:
    from tlm._kernels import CData

__all__ = [
    "Buffer", "Geometry", "KernelError", "Memory", "PassKernel", "PassRequantiser", "Select", "accumulator_layer",
    "accumulator_plane", "accumulators_array", "align", "isa", "mac_layer", "mac_pass", "mac_step",
    "new_accumulators", "new_activations", "pool_layer", "pool_pass", "pool_step", "requantise_layer",
    "requantise_word", "select_lanes", "tap_words",
]  # fmt: skip


class Select:
    """Which lane of which fetched word each lane of a tile takes; opaque, read only, reusable for every channel."""

    __slots__ = ("_bytes", "_lanes", "_pointer")

    def __init__(self, pointer: CData, lanes: int, word_count: int) -> None:
        self._pointer, self._lanes, self._bytes = pointer, lanes, word_count * lanes // 2


def isa() -> str:
    """The instruction set chosen at run time: "x86-64-v4", "x86-64-v3" or "default"."""
    return ffi.string(lib.tlm_isa()).decode()


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


def select_lanes(select: Select, lanes: int) -> list[int]:
    """For each lane ``index into the fetched words * lanes + source lane``, or -1 where its pixel is padding."""
    in_range("select_lanes: lanes", lanes, select._lanes, select._lanes)
    return list(select._pointer[0:lanes])


def tap_words(geometry: Geometry, tile: int, tap: int) -> tuple[list[int], Select]:
    """What a step fetches: AMem words relative to the channel's first, ascending, and the aligner's selection.

    Add ``input_base_word + channel * plane_words`` to the words. An empty list: all source pixels are padding.

    Raises:
        KernelError: no such tile or tap.
    """
    check_tile(geometry, tile)
    if not 0 <= tap < geometry.taps:
        raise KernelError(f"tap {tap}: the kernel has taps 0..{geometry.taps - 1}")
    lanes = geometry.lanes
    words, select = ffi.new("int32_t[]", lanes), ffi.new("int32_t[]", lanes)
    count = lib.tlm_tap_words(geometry.pointer, tile, tap, words, select)
    return list(words[0:count]), Select(select, lanes, count)


def align(
    word_bytes: bytes | bytearray,
    select: Select,
    lanes: int,
    is_signed: bool,
    activations: Buffer | None = None,
    fill: int = 0,
) -> Buffer:
    """The aligned vector int8 [lanes] of one step from the bytes of its fetched words, in tap_words' order.

    Args:
        activations: a vector to overwrite and return; a new one by default.
        fill: what padding and lanes beyond the last pixel give, -8..15: 0, or in max pooling the lowest activation.

    Raises:
        KernelError: word_bytes does not hold the selection's words, another number of lanes, or no such fill value.
    """
    in_range("align: fill", fill, -8, 15)
    if activations is None:
        activations = new_activations(lanes)
    if len(word_bytes) != select._bytes or lanes != select._lanes or len(activations) != lanes:
        raise KernelError(
            f"align: {len(word_bytes)} bytes into {len(activations)} of {lanes} lanes, "
            f"but the selection needs {select._bytes} bytes and {select._lanes} lanes"
        )
    lib.tlm_align(bytes(word_bytes), select._pointer, lanes, is_signed, fill, activations)
    return activations


def mac_step(acc: Buffer, activations: Buffer, weight_word: bytes | bytearray, lanes: int, columns: int) -> None:
    """One step: ``acc[column, lane] += activations[lane] * weight[column]``.

    Raises:
        KernelError: sizes that do not belong together.
    """
    check_sizes(lanes=lanes, columns=columns)
    if len(acc) != lanes * columns or len(activations) != lanes or 2 * len(weight_word) != columns:
        raise KernelError(
            f"mac_step: {len(activations)} activations, a weight word of {len(weight_word)} bytes and "
            f"{len(acc)} accumulators do not fit an array of {lanes} lanes x {columns} columns"
        )
    lib.tlm_mac_step(acc, activations, bytes(weight_word), lanes, columns)


def pool_step(acc: Buffer, activations: Buffer, row: int, lanes: int) -> None:
    """One step of max pooling: ``acc[row, lane]`` becomes ``activations[lane]`` where that is larger.

    Raises:
        KernelError: sizes that do not belong together, no such row.
    """
    check_sizes(lanes=lanes)
    if len(activations) != lanes or not 0 <= row < len(acc) // lanes:
        raise KernelError(
            f"pool_step: {len(activations)} activations do not fit row {row} of {len(acc)} accumulators "
            f"in {lanes} lanes"
        )
    lib.tlm_pool_step(acc, activations, row, lanes)
