"""The C kernels behind a typed, checked edge: values of the aligner, MAC array and requantiser.

Everything that a kernel reads or writes is a buffer whose size is checked here, so that no call can leave it.
Shapes: an activation vector is int8 [lanes]; accumulators are int32 [columns][lanes], 24-bit two's complement;
an AMem word is lanes / 2 bytes, a WMem word columns / 2 bytes (lane or column 0 in the low nibble of byte 0,
engine.md "Layout" [A]). Functions that are called once a simulated cycle take and return cffi buffers, opaque to
the caller. The C functions release the GIL while they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.geometry import Geometry, KernelError
from tlm.chip.packing import ACCUMULATOR_PLANES, plane_words

if TYPE_CHECKING:
    from tlm._kernels import CData

__all__ = [
    "Buffer", "Geometry", "KernelError", "Memory", "Select", "accumulator_layer", "accumulator_plane",
    "accumulators_array", "align", "isa", "mac_layer", "mac_pass", "mac_step", "new_accumulators", "new_activations",
    "requantise_layer", "requantise_word", "select_lanes", "tap_words",
]  # fmt: skip

Memory: TypeAlias = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
"""Bytes of a memory, word 0 first; read only, never copied."""

Buffer: TypeAlias = "CData"
"""Opaque: accumulators int32 [columns][lanes] or activations int8 [lanes], made by this module's functions."""

_ERROR_AMEM, _ERROR_WMEM, _ERROR_PATTERN = -1, -2, -3


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


def new_accumulators(lanes: int, columns: int) -> Buffer:
    """Accumulators of zeros, int32 [columns][lanes]."""
    return ffi.new("int32_t[]", lanes * columns)


def accumulators_array(acc: Buffer, lanes: int) -> npt.NDArray[np.int32]:
    """Accumulators as a numpy view (columns, lanes)."""
    return np.frombuffer(ffi.buffer(acc), np.int32).reshape(-1, lanes)


def select_lanes(select: Select, lanes: int) -> list[int]:
    """For each lane ``index into the fetched words * lanes + source lane``, or -1 where its pixel is padding."""
    return list(select._pointer[0:lanes])


def tap_words(geometry: Geometry, tile: int, tap: int) -> tuple[list[int], Select]:
    """What a step fetches: AMem words relative to the channel's plane, ascending, and the aligner's selection.

    Add ``input_base_word + channel * P`` to the words. An empty list: all source pixels are padding.

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
    word_bytes: bytes | bytearray, select: Select, lanes: int, is_signed: bool, activations: Buffer | None = None
) -> Buffer:
    """The aligned vector int8 [lanes] of one step from the bytes of its fetched words, in tap_words' order.

    Args:
        activations: a vector to overwrite and return; a new one by default.

    Raises:
        KernelError: word_bytes does not hold the selection's words, or another number of lanes.
    """
    if activations is None:
        activations = ffi.new("int8_t[]", lanes)
    if len(word_bytes) != select._bytes or lanes != select._lanes or len(activations) != lanes:
        raise KernelError(
            f"align: {len(word_bytes)} bytes into {len(activations)} of {lanes} lanes, "
            f"but the selection needs {select._bytes} bytes and {select._lanes} lanes"
        )
    lib.tlm_align(bytes(word_bytes), select._pointer, lanes, is_signed, activations)
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
        patterns: 60-bit payloads of the group's pattern words, (patterns_per_group,).

    Raises:
        KernelError: an address outside amem or wmem, a pattern bit beyond the last channel or tap, wrong sizes.
    """
    _check_tile(geometry, tile)
    if len(acc) != geometry.lanes * geometry.columns:
        raise KernelError(f"mac_pass: {len(acc)} accumulators, but {geometry.lanes} x {geometry.columns} are needed")
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
    """Every pass of a layer: accumulators (out_channels, tiles * lanes) and the weight words consumed.

    Args:
        patterns: 60-bit payloads, (groups, patterns_per_group); the groups' weight words follow each other.

    Raises:
        KernelError: as :func:`mac_pass`.
    """
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


def _memories(geometry: Geometry, amem: Memory, wmem: Memory) -> tuple[tuple[CData, CData], tuple[int, int]]:
    views = ffi.from_buffer("uint8_t[]", amem), ffi.from_buffer("uint8_t[]", wmem)
    return views, (len(views[0]) * 2 // geometry.lanes, len(views[1]) * 2 // geometry.columns)


def _patterns(patterns: npt.NDArray[np.uint64], count: int) -> CData:
    if patterns.dtype != np.uint64 or patterns.size != count or not patterns.flags.c_contiguous:
        raise KernelError(
            f"patterns: {patterns.dtype} {patterns.shape}, but {count} contiguous uint64 payloads are needed"
        )
    return ffi.from_buffer("uint64_t[]", patterns)


def _check_tile(geometry: Geometry, tile: int) -> None:
    if not 0 <= tile < geometry.tiles:
        raise KernelError(f"tile {tile}: the output has tiles 0..{geometry.tiles - 1}")


def _raise(code: int, geometry: Geometry, sizes: tuple[int, int], first_weight_word: int) -> NoReturn:
    if code == _ERROR_AMEM:
        last = geometry.input_base_word + geometry.channels * plane_words(
            geometry.height, geometry.width, geometry.lanes
        )
        raise KernelError(
            f"AMem: the input occupies words {geometry.input_base_word}..{last - 1}, but there are {sizes[0]} words"
        )
    if code == _ERROR_WMEM:
        raise KernelError(f"WMem: the weight words from {first_weight_word} on run beyond the last of {sizes[1]} words")
    assert code == _ERROR_PATTERN, code
    raise KernelError(
        f"illegal pattern word: a bit is set beyond channel {geometry.channels - 1} or tap {geometry.taps - 1}"
    )


def requantise_word(
    acc: Buffer,
    column: int,
    residual_word: bytes | bytearray | memoryview | None,
    residual_signed: bool,
    bias: int,
    multiplier: int,
    shift: int,
    residual_multiplier: int,
    low: int,
    high: int,
    lanes: int,
    valid_lanes: int,
) -> bytes:
    """One AMem word of the channel in a column (engine.md, Values [A]); lanes from valid_lanes on are 0.

    Raises:
        KernelError: a column, lane count, parameter or residual word out of range.
    """
    _check_row(acc, column, lanes, valid_lanes)
    _check_parameters(multiplier, shift, residual_multiplier, low, high)
    residual: Any = ffi.NULL
    if residual_word is not None:
        residual = bytes(residual_word)
        if 2 * len(residual) != lanes:
            raise KernelError(f"residual word of {len(residual)} bytes, but {lanes} lanes take {lanes // 2}")
    out = ffi.new("uint8_t[]", lanes // 2)
    lib.tlm_requantise_word(
        *(acc + column * lanes, residual, residual_signed, bias, multiplier, shift, residual_multiplier),
        *(low, high, lanes, valid_lanes, out),
    )
    return bytes(ffi.buffer(out))


def accumulator_plane(acc: Buffer, column: int, bias: int, plane: int, lanes: int, valid_lanes: int) -> bytes:
    """One AMem word of accumulator output: nibble plane 0..5 (lowest first) of the 24-bit ``acc + bias``.

    Raises:
        KernelError: a column, plane or lane count out of range.
    """
    _check_row(acc, column, lanes, valid_lanes)
    if not 0 <= plane < ACCUMULATOR_PLANES:
        raise KernelError(f"accumulator plane {plane}: there are planes 0..{ACCUMULATOR_PLANES - 1}")
    out = ffi.new("uint8_t[]", lanes // 2)
    lib.tlm_accumulator_plane(acc + column * lanes, bias, plane, lanes, valid_lanes, out)
    return bytes(ffi.buffer(out))


def _check_row(acc: Buffer, column: int, lanes: int, valid_lanes: int) -> None:
    if not 0 <= column < len(acc) // lanes or not 0 <= valid_lanes <= lanes <= 64:
        raise KernelError(
            f"column {column}, {valid_lanes} valid of {lanes} lanes: outside the array of {len(acc)} accumulators"
        )


def _check_parameters(multiplier: int, shift: int, residual_multiplier: int, low: int, high: int) -> None:
    if not (0 <= shift <= 40 and 0 <= multiplier <= 65_535 and 0 <= residual_multiplier <= 65_535):
        raise KernelError(
            f"requantiser: shift {shift} (0..40), multiplier {multiplier}, residual multiplier {residual_multiplier} "
            "(0..65535)"
        )
    if not -8 <= low <= high <= 15:
        raise KernelError(f"requantiser: range {low}..{high} is not one of 4 bits")


def requantise_layer(
    acc: npt.NDArray[np.int32],
    *,
    bias: npt.NDArray[Any],
    multiplier: npt.NDArray[Any],
    shift: npt.NDArray[Any],
    low: int,
    high: int,
    lanes: int,
    pixels: int,
    residual_words: Memory | None = None,
    residual_signed: bool = False,
    residual_multiplier: int = 0,
) -> bytes:
    """The AMem image (channels, tiles words) of a layer, or of one pass with tiles = 1.

    Args:
        acc: (channels, tiles * lanes) with tiles = ceil(pixels / lanes), as :func:`mac_layer` gives it.
        bias, multiplier, shift: (channels,).
        pixels: output pixels; the lanes after the last one are written as 0.
        residual_words: the image of the residual tensor, as large as the result.

    Raises:
        KernelError: sizes or parameters out of range.
    """
    channels, size = _check_layer(acc, lanes, pixels)
    _check_parameters(int(np.max(multiplier)), int(np.max(shift)), residual_multiplier, low, high)
    _check_parameters(int(np.min(multiplier)), int(np.min(shift)), residual_multiplier, low, high)
    residual = ffi.NULL if residual_words is None else ffi.from_buffer("uint8_t[]", residual_words)
    if residual_words is not None and len(residual) != size:
        raise KernelError(f"residual image of {len(residual)} bytes, but the output has {size}")
    parameters = [_int32(values, channels) for values in (bias, multiplier, shift)]
    out = bytearray(size)
    lib.tlm_requantise_layer(
        ffi.from_buffer("int32_t[]", acc),
        residual,
        residual_signed,
        *parameters,
        *(residual_multiplier, low, high, lanes, channels, pixels),
        ffi.from_buffer("uint8_t[]", out, require_writable=True),
    )
    return bytes(out)


def accumulator_layer(acc: npt.NDArray[np.int32], *, bias: npt.NDArray[Any], lanes: int, pixels: int) -> bytes:
    """The AMem image (channels, 6 planes, tiles words) of a layer with accumulator output.

    Raises:
        KernelError: sizes that do not belong together.
    """
    channels, size = _check_layer(acc, lanes, pixels)
    out = bytearray(ACCUMULATOR_PLANES * size)
    lib.tlm_accumulator_layer(
        ffi.from_buffer("int32_t[]", acc),
        _int32(bias, channels),
        *(lanes, channels, pixels),
        ffi.from_buffer("uint8_t[]", out, require_writable=True),
    )
    return bytes(out)


def _check_layer(acc: npt.NDArray[np.int32], lanes: int, pixels: int) -> tuple[int, int]:
    tiles = plane_words(pixels, 1, lanes)
    if acc.dtype != np.int32 or not acc.flags.c_contiguous or acc.ndim != 2 or acc.shape[1] != tiles * lanes:
        raise KernelError(
            f"accumulators: {acc.dtype} {acc.shape}, but {pixels} pixels need contiguous int32 (O, {tiles * lanes})"
        )
    return acc.shape[0], acc.shape[0] * tiles * lanes // 2


def _int32(values: npt.NDArray[Any], channels: int) -> CData:
    array = np.ascontiguousarray(values, np.int32)
    if array.shape != (channels,):
        raise KernelError(f"requantiser parameters of shape {array.shape}, but there are {channels} channels")
    return ffi.from_buffer("int32_t[]", array)
