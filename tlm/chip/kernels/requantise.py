"""kernels/requantise.c: a word, a pass or a layer of accumulators to AMem words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.format.packing import ACCUMULATOR_PLANES, plane_words
from tlm.chip.kernels.buffers import Buffer, KernelError, Memory, bytes_of, check_sizes, in_range, integers

_BIAS = -(1 << 23), (1 << 23) - 1
_MULTIPLIER = 0, (1 << 16) - 1
_SHIFT = 0, 40
"""Lowest and highest value (engine.md, Values)."""


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
    in_range("requantiser: residual multiplier", residual_multiplier, *_MULTIPLIER)
    _check_output_range(low, high)
    in_range("requantiser: bias", bias, *_BIAS)
    in_range("requantiser: multiplier", multiplier, *_MULTIPLIER)
    in_range("requantiser: shift", shift, *_SHIFT)
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
    in_range("requantiser: bias", bias, *_BIAS)
    in_range("requantiser: accumulator plane", plane, 0, ACCUMULATOR_PLANES - 1)
    out = ffi.new("uint8_t[]", lanes // 2)
    lib.tlm_accumulator_plane(acc + column * lanes, bias, plane, lanes, valid_lanes, out)
    return bytes(ffi.buffer(out))


def _check_row(acc: Buffer, column: int, lanes: int, valid_lanes: int) -> None:
    check_sizes(lanes=lanes)
    if not 0 <= column < len(acc) // lanes or not 0 <= valid_lanes <= lanes:
        raise KernelError(
            f"column {column}, {valid_lanes} valid of {lanes} lanes: outside the array of {len(acc)} accumulators"
        )


def _check_output_range(low: int, high: int) -> None:
    if not -8 <= low <= high <= 15:
        raise KernelError(f"requantiser: range {low}..{high} is not one of 4 bits")


class RequantiseKernel:
    """AMem words of channels whose parameters are checked and converted once, for pass after pass or for a layer.

    Args:
        bias, multiplier, shift: (channels,).
        low, high: the range of the output.
        lanes: of the array.
        residual_signed, residual_multiplier: how a residual is added.

    Raises:
        KernelError: a parameter out of range.
    """

    def __init__(
        self,
        *,
        bias: npt.NDArray[Any],
        multiplier: npt.NDArray[Any],
        shift: npt.NDArray[Any],
        low: int,
        high: int,
        lanes: int,
        residual_signed: bool = False,
        residual_multiplier: int = 0,
    ) -> None:
        check_sizes(lanes=lanes)
        in_range("requantiser: residual multiplier", residual_multiplier, *_MULTIPLIER)
        _check_output_range(low, high)
        self._channels, self._lanes = len(bias), lanes
        self._parameters = (
            integers("requantiser: bias", bias, self._channels, *_BIAS),
            integers("requantiser: multiplier", multiplier, self._channels, *_MULTIPLIER),
            integers("requantiser: shift", shift, self._channels, *_SHIFT),
        )
        self._residual_signed, self._scalars = residual_signed, (residual_multiplier, low, high, lanes, self._channels)

    def words(self, acc: npt.NDArray[np.int32], pixels: int, residual_words: Memory | None = None) -> bytearray:
        """The image of all words of a pass or a layer, one channel's tiles after the other's.

        Args:
            acc: (channels, tiles * lanes) with tiles = ceil(pixels / lanes), as ``mac_layer`` gives it; a pass has one.
            pixels: of the output or the tile; the lanes after the last are written as 0.
            residual_words: the image of the residual tensor, as large as the result.

        Raises:
            KernelError: sizes that do not belong together.
        """
        channels, size_bytes = _check_layer(acc, self._lanes, pixels)
        if channels != self._channels:
            raise KernelError(f"requantiser: accumulators of {channels} channels, but parameters of {self._channels}")
        residual = ffi.NULL if residual_words is None else bytes_of(residual_words, "residual words")
        if residual_words is not None and len(residual) != size_bytes:
            raise KernelError(f"residual words of {len(residual)} bytes, but the output has {size_bytes}")
        out = bytearray(size_bytes)
        sums, room = ffi.from_buffer("int32_t[]", acc), ffi.from_buffer("uint8_t[]", out)
        lib.tlm_requantise_layer(sums, residual, self._residual_signed, *self._parameters, *self._scalars, pixels, room)
        return out


def accumulator_layer(acc: npt.NDArray[np.int32], *, bias: npt.NDArray[Any], lanes: int, pixels: int) -> bytes:
    """The AMem image (channels, 6 planes, tiles words) of a layer with accumulator output.

    Raises:
        KernelError: sizes that do not belong together.
    """
    channels, size = _check_layer(acc, lanes, pixels)
    out = bytearray(ACCUMULATOR_PLANES * size)
    lib.tlm_accumulator_layer(
        ffi.from_buffer("int32_t[]", acc),
        integers("requantiser: bias", bias, channels, *_BIAS),
        *(lanes, channels, pixels),
        ffi.from_buffer("uint8_t[]", out, require_writable=True),
    )
    return bytes(out)


def _check_layer(acc: npt.NDArray[np.int32], lanes: int, pixels: int) -> tuple[int, int]:
    check_sizes(lanes=lanes)
    tiles = plane_words(in_range("pixels", pixels, 1, acc.size), 1, lanes)
    if acc.dtype != np.int32 or not acc.flags.c_contiguous or acc.ndim != 2 or acc.shape[1] != tiles * lanes:
        raise KernelError(
            f"accumulators: {acc.dtype} {acc.shape}, but {pixels} pixels need contiguous int32 (O, {tiles * lanes})"
        )
    return acc.shape[0], acc.shape[0] * tiles * lanes // 2
