"""Tensors and weights as the nibbles that the memories hold (engine.md, "Layout" [A]).

A nibble is 4 bits; element 0 of a word is the low nibble of byte 0. Signed values are two's complement.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ACCUMULATOR_PLANES = 6
"""Nibbles of a 24-bit accumulator [A]."""

Int8Array: TypeAlias = npt.NDArray[np.int8]
Image: TypeAlias = bytes | bytearray | memoryview | npt.NDArray[np.uint8]


def plane_words(height: int, width: int, lanes: int) -> int:
    """AMem words of one channel: ``P = ceil(height * width / lanes)``."""
    return -(-height * width // lanes)


def pack_nibbles(values: npt.NDArray[Any]) -> bytes:
    """The low 4 bits of each value, two to a byte, in C order; the last dimension is even."""
    pairs = np.asarray(values).astype(np.uint8, order="C").view("<u2")  # of negative ones the low bits stay
    return (pairs & 15 | pairs >> 4 & 0xF0).astype(np.uint8).tobytes()


def unpack_nibbles(data: Image, signed: bool) -> Int8Array:
    """Values int8 (2 * bytes,): 0..15, or -8..7 if signed."""
    packed = np.frombuffer(data, np.uint8).astype("<u2")
    spread = ((packed | packed << 4) & 0x0F0F).astype("<u2", copy=False)  # arithmetic gives the machine's byte order
    values: Int8Array = spread.view(np.int8)
    return (values ^ 8) - np.int8(8) if signed else values


def pack_tensor(tensor: npt.NDArray[Any], lanes: int) -> bytes:
    """AMem image of a tensor (C, H, W) of 4-bit values: C * P words of lanes / 2 bytes, unused lanes 0."""
    channels, height, width = tensor.shape
    words = np.zeros((channels, plane_words(height, width, lanes) * lanes), np.int8)
    words[:, : height * width] = tensor.reshape(channels, -1)
    return pack_nibbles(words)


def unpack_tensor(data: Image, shape: tuple[int, int, int], lanes: int, signed: bool) -> Int8Array:
    """Tensor int8 (C, H, W) from its AMem image.

    Raises:
        ValueError: the image has another size than C * P words.
    """
    channels, height, width = shape
    _check_size(data, channels * plane_words(height, width, lanes), lanes)
    pixels = unpack_nibbles(data, signed).reshape(channels, -1)[:, : height * width]
    return np.ascontiguousarray(pixels).reshape(shape)


def unpack_accumulators(data: Image, shape: tuple[int, int, int], lanes: int) -> npt.NDArray[np.int32]:
    """Accumulators int32 (O, H, W) from six nibble planes a channel, lowest first.

    Raises:
        ValueError: the image has another size than O * 6 * P words.
    """
    channels, height, width = shape
    _check_size(data, channels * ACCUMULATOR_PLANES * plane_words(height, width, lanes), lanes)
    planes = unpack_nibbles(data, signed=False).reshape(channels, ACCUMULATOR_PLANES, -1)[:, :, : height * width]
    total = np.zeros((channels, height * width), np.int32)
    for index in range(ACCUMULATOR_PLANES):
        total |= planes[:, index].astype(np.int32) << (4 * index)
    wrapped: npt.NDArray[np.int32] = (total ^ 0x800000) - np.int32(0x800000)
    return wrapped.reshape(shape)


def _check_size(data: Image, words: int, lanes: int) -> None:
    size = np.frombuffer(data, np.uint8).size
    if size != words * lanes // 2:
        raise ValueError(f"image of {size} bytes, but {words} words of {lanes} lanes take {words * lanes // 2}")
