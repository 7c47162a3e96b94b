"""The C kernels behind a typed, checked edge: values of the aligner, MAC array and requantiser.

Everything that a kernel reads or writes is a buffer whose size is checked here, so that no call can leave it.
Shapes: an activation vector is int8 [lanes]; accumulators are int32 [columns][lanes], 24-bit two's complement;
an AMem word is lanes / 2 bytes, a WMem word columns / 2 bytes (lane or column 0 in the low nibble of byte 0,
engine.md "Layout" [A]). Functions that are called once a simulated cycle take and return cffi buffers, opaque to
the caller. The C functions release the GIL while they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.geometry import Geometry, KernelError, LayerKind
from tlm.chip.requantise_kernels import (
    Buffer,
    Memory,
    accumulator_layer,
    accumulator_plane,
    requantise_layer,
    requantise_word,
)

if TYPE_CHECKING:
    from tlm._kernels import CData

__all__ = [
    "Buffer", "Geometry", "KernelError", "Memory", "Select", "accumulator_layer", "accumulator_plane",
    "accumulators_array", "align", "isa", "mac_layer", "mac_pass", "mac_step", "new_accumulators", "new_activations",
    "pool_layer", "pool_pass", "pool_step", "requantise_layer", "requantise_word", "select_lanes", "tap_words",
]  # fmt: skip

_ERROR_AMEM, _ERROR_WMEM, _ERROR_PATTERN, _ERROR_WINDOW = -1, -2, -3, -4


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
    return ffi.new("int8_t[]", lanes)


def new_accumulators(lanes: int, columns: int, start: int = 0) -> Buffer:
    """Accumulators int32 [columns][lanes] that begin at ``start``."""
    count = lanes * columns
    return ffi.new("int32_t[]", [start] * count if start else count)


def accumulators_array(acc: Buffer, lanes: int) -> npt.NDArray[np.int32]:
    """Accumulators as a numpy view (columns, lanes)."""
    return np.frombuffer(ffi.buffer(acc), np.int32).reshape(-1, lanes)


def select_lanes(select: Select, lanes: int) -> list[int]:
    """For each lane ``index into the fetched words * lanes + source lane``, or -1 where its pixel is padding."""
    return list(select._pointer[0:lanes])


def tap_words(geometry: Geometry, tile: int, tap: int) -> tuple[list[int], Select]:
    """What a step fetches: AMem words relative to the channel's first, ascending, and the aligner's selection.

    Add ``input_base_word + channel * plane_words`` to the words. An empty list: all source pixels are padding.

    Raises:
        KernelError: no such tile or tap.
    """
    _check_tile(geometry, tile)
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
    if not -8 <= fill <= 15:
        raise KernelError(f"align: fill is {fill}, but must be in -8..15")
    if activations is None:
        activations = ffi.new("int8_t[]", lanes)
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
    if len(acc) != lanes * columns or len(activations) != lanes or 2 * len(weight_word) != columns:
        raise KernelError(
            f"mac_step: {len(activations)} activations, a weight word of {len(weight_word)} bytes and "
            f"{len(acc)} accumulators do not fit an array of {lanes} lanes x {columns} columns"
        )
    lib.tlm_mac_step(acc, activations, bytes(weight_word), lanes, columns)


def mac_pass(
    geometry: Geometry,
    amem: Memory,
    wmem: Memory,
    first_weight_word: int,
    patterns: npt.NDArray[np.uint64],
    tile: int,
    acc: Buffer,
) -> int:
    """Every step of one tile for one group: overwrites acc, returns the number of weight words consumed.

    Args:
        tile: counted from the geometry's first_tile.
        patterns: 60-bit payloads of the group's pattern words, (patterns_per_group,).

    Raises:
        KernelError: an address outside amem or wmem, a pattern bit beyond the last channel or tap, wrong sizes.
    """
    _check_tile(geometry, tile)
    _check_accumulators(geometry, acc)
    _check_kind(geometry, LayerKind.CONVOLUTION)
    views, sizes = _memories(geometry, amem, wmem)
    payloads = _patterns(patterns, geometry.patterns_per_group)
    consumed: int = lib.tlm_mac_pass(
        geometry.pointer, views[0], sizes[0], views[1], sizes[1], first_weight_word, payloads, len(payloads), tile, acc
    )
    if consumed < 0:
        _raise(consumed, geometry, sizes, first_weight_word)
    return consumed


def mac_layer(
    geometry: Geometry, amem: Memory, wmem: Memory, first_weight_word: int, patterns: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int32], int]:
    """Every pass of a layer or band: accumulators (out_channels, tiles * lanes) and the weight words consumed.

    Args:
        patterns: 60-bit payloads, (groups, patterns_per_group); the groups' weight words follow each other.

    Raises:
        KernelError: as :func:`mac_pass`.
    """
    _check_kind(geometry, LayerKind.CONVOLUTION)
    views, sizes = _memories(geometry, amem, wmem)
    payloads = _patterns(patterns, geometry.groups * geometry.patterns_per_group)
    acc = np.empty((geometry.out_channels, geometry.tiles * geometry.lanes), np.int32)
    consumed: int = lib.tlm_mac_layer(
        geometry.pointer,
        *(views[0], sizes[0], views[1], sizes[1]),
        first_weight_word,
        payloads,
        geometry.patterns_per_group,
        ffi.from_buffer("int32_t[]", acc, require_writable=True),
    )
    if consumed < 0:
        _raise(consumed, geometry, sizes, first_weight_word)
    return acc, consumed


def pool_step(acc: Buffer, activations: Buffer, row: int, lanes: int) -> None:
    """One step of max pooling: ``acc[row, lane]`` becomes ``activations[lane]`` where that is larger.

    Raises:
        KernelError: sizes that do not belong together, no such row.
    """
    if len(activations) != lanes or not 0 <= row < len(acc) // lanes:
        raise KernelError(
            f"pool_step: {len(activations)} activations do not fit row {row} of {len(acc)} accumulators "
            f"in {lanes} lanes"
        )
    lib.tlm_pool_step(acc, activations, row, lanes)


def pool_pass(
    geometry: Geometry, amem: Memory, patterns: npt.NDArray[np.uint64], group: int, tile: int, acc: Buffer
) -> int:
    """Every step of max pooling of one tile for one group: overwrites acc, returns the number of steps.

    Rows beyond the group's channels, lanes beyond the last pixel and windows without a pixel hold the lowest
    activation.

    Args:
        patterns: 60-bit payloads of the group's pattern words, zeros behind them up to (patterns_per_group,).
        tile: counted from the geometry's first_tile.

    Raises:
        KernelError: an address outside amem, a pattern bit beyond the group's last channel or tap, wrong sizes or kind.
    """
    _check_tile(geometry, tile)
    _check_accumulators(geometry, acc)
    if not 0 <= group < geometry.groups:
        raise KernelError(f"group {group}: the output has groups 0..{geometry.groups - 1}")
    _check_kind(geometry, LayerKind.MAX_POOLING)
    payloads = _patterns(patterns, geometry.patterns_per_group)
    view = ffi.from_buffer("uint8_t[]", amem)
    words = len(view) * 2 // geometry.lanes
    steps: int = lib.tlm_pool_pass(geometry.pointer, view, words, payloads, len(payloads), group, tile, acc)
    if steps < 0:
        _raise(steps, geometry, (words, 0), 0)
    return steps


def pool_layer(geometry: Geometry, amem: Memory, patterns: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Every pass of max pooling of a layer or band: maxima int32 (channels, tiles * lanes).

    Args:
        patterns: 60-bit payloads, (groups, patterns_per_group), zeros behind the last group's words.

    Raises:
        KernelError: as :func:`pool_pass`.
    """
    _check_kind(geometry, LayerKind.MAX_POOLING)
    payloads = _patterns(patterns, geometry.groups * geometry.patterns_per_group)
    view = ffi.from_buffer("uint8_t[]", amem)
    words = len(view) * 2 // geometry.lanes
    acc = np.empty((geometry.out_channels, geometry.tiles * geometry.lanes), np.int32)
    out = ffi.from_buffer("int32_t[]", acc, require_writable=True)
    status = lib.tlm_pool_layer(geometry.pointer, view, words, payloads, geometry.patterns_per_group, out)
    if status < 0:
        _raise(status, geometry, (words, 0), 0)
    return acc


def _memories(geometry: Geometry, amem: Memory, wmem: Memory) -> tuple[tuple[CData, CData], tuple[int, int]]:
    views = ffi.from_buffer("uint8_t[]", amem), ffi.from_buffer("uint8_t[]", wmem)
    return views, (len(views[0]) * 2 // geometry.lanes, len(views[1]) * 2 // geometry.columns)


def _patterns(patterns: npt.NDArray[np.uint64], count: int) -> CData:
    if patterns.dtype != np.uint64 or patterns.size != count or not patterns.flags.c_contiguous:
        raise KernelError(
            f"patterns: {patterns.dtype} {patterns.shape}, but {count} contiguous uint64 payloads are needed"
        )
    return ffi.from_buffer("uint64_t[]", patterns)


def _check_kind(geometry: Geometry, kind: LayerKind) -> None:
    if geometry.kind is not kind:
        raise KernelError(f"a layer of kind {geometry.kind.name} cannot be computed as {kind.name}")


def _check_tile(geometry: Geometry, tile: int) -> None:
    if not 0 <= tile < geometry.tiles:
        raise KernelError(f"tile {tile}: the output has tiles 0..{geometry.tiles - 1}")


def _check_accumulators(geometry: Geometry, acc: Buffer) -> None:
    if len(acc) != geometry.lanes * geometry.columns:
        raise KernelError(f"pass: {len(acc)} accumulators, but {geometry.lanes} x {geometry.columns} are needed")


def _raise(code: int, geometry: Geometry, sizes: tuple[int, int], first_weight_word: int) -> NoReturn:
    if code == _ERROR_AMEM:
        last = geometry.input_base_word + geometry.channels * geometry.plane_words
        raise KernelError(
            f"AMem: the input occupies words {geometry.input_base_word}..{last - 1}, but there are {sizes[0]} words"
        )
    if code == _ERROR_WMEM:
        raise KernelError(f"WMem: the weight words from {first_weight_word} on run beyond the last of {sizes[1]} words")
    if code == _ERROR_WINDOW:
        end = geometry.input_first_word + geometry.plane_words
        raise KernelError(
            f"AMem holds words {geometry.input_first_word}..{end - 1} of each input channel, but the tiles see others"
        )
    assert code == _ERROR_PATTERN, code
    raise KernelError(
        f"illegal pattern word: a bit is set beyond channel {geometry.channels - 1} or tap {geometry.taps - 1}"
    )
