"""Memory images built word by word from engine.md's "Layout", sharing no code with the chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from strategies import Case

from tlm.chip import kernels
from tlm.chip.kernels.geometry import Geometry
from tlm.network.layers import Conv2d


def word(values: list[int]) -> bytes:
    """Element 0 in the low nibble of byte 0."""
    return bytes((values[i] & 15) | ((values[i + 1] & 15) << 4) for i in range(0, len(values), 2))


def nibbles(data: bytes, signed: bool) -> list[int]:
    """The opposite of :func:`word`."""
    raw = [nibble for byte in data for nibble in (byte & 15, byte >> 4)]
    return [value - 16 if signed and value > 7 else value for value in raw]


def aligned(fetched: bytes, select: kernels.Select, signed: bool, fill: int = 0) -> kernels.Buffer:
    """What the aligner makes of a step's words, in tap_words' order, gathered without a network."""
    found = nibbles(fetched, False)
    pixels = [0 if source < 0 else found[source] for source in kernels.select_lanes(select, select.lanes)]
    return kernels.mask(word(pixels), select, signed, fill)


def amem_image(tensor: npt.NDArray[Any], lanes: int, base: int, rng: np.random.Generator) -> bytes:
    """A tensor (C, H, W) at ``base``; the words before it and the lanes beyond its pixels hold rubbish."""
    image = bytearray(rng.bytes(base * lanes // 2))
    for plane in tensor.reshape(tensor.shape[0], -1).tolist():
        for first in range(0, len(plane), lanes):
            pixels = plane[first : first + lanes]
            image += word(pixels + rng.integers(0, 16, lanes - len(pixels)).tolist())
    return bytes(image)


def pattern_place(channel: int, tap: int, taps: int) -> tuple[int, int]:
    """Pattern word of a group, and bit in it, of a channel's tap (engine.md, Layout)."""
    if taps > 60:
        return channel * -(-taps // 60) + tap // 60, tap % 60
    per_word = 60 // taps
    return channel // per_word, channel % per_word * taps + tap


def pattern_word_count(channels: int, taps: int) -> int:
    """Pattern words of so many channels."""
    return pattern_place(channels - 1, taps - 1, taps)[0] + 1


def weight_image(layer: Conv2d, columns: int) -> tuple[bytes, npt.NDArray[np.uint64]]:
    """The stored weight words of all groups in the order of use, and pattern payloads (groups, words a group)."""
    weights = layer.full_weights()
    taps = layer.kernel[0] * layer.kernel[1]
    image = bytearray()
    patterns = []
    for first in range(0, layer.out_channels, columns):
        row = [0] * pattern_word_count(layer.in_channels, taps)
        for channel in range(layer.in_channels):
            for tap in range(taps):
                values = weights[
                    first : first + columns, channel, tap // layer.kernel[1], tap % layer.kernel[1]
                ].tolist()
                if any(values):
                    image += word(values + [0] * (columns - len(values)))
                    index, bit = pattern_place(channel, tap, taps)
                    row[index] |= 1 << bit
        patterns.append(row)
    return bytes(image), np.array(patterns, np.uint64)


class Images:
    """A case as the engine would find it in its memories."""

    def __init__(self, case: Case, base: int = 3) -> None:
        rng = np.random.default_rng(case.activations.size)
        self.geometry = geometry_of(case, base)
        self.amem = amem_image(case.activations, case.lanes, base, rng)
        self.wmem, self.patterns = weight_image(case.layer, case.columns)
        self.weight_words = len(self.wmem) * 2 // case.columns


def geometry_of(case: Case, base: int) -> Geometry:
    layer, (channels, height, width) = case.layer, case.network.input_shape
    out_height, out_width = layer.output_size(height, width)
    return Geometry(
        lanes=case.lanes,
        columns=case.columns,
        channels=channels,
        height=height,
        width=width,
        out_channels=layer.out_channels,
        out_height=out_height,
        out_width=out_width,
        kernel_h=layer.kernel[0],
        kernel_w=layer.kernel[1],
        stride_y=layer.stride[0],
        stride_x=layer.stride[1],
        pad_top=layer.pads.top,
        pad_left=layer.pads.left,
        dilation_y=layer.dilation[0],
        dilation_x=layer.dilation[1],
        input_signed=case.network.signed_input,
        input_base_word=base,
    )
