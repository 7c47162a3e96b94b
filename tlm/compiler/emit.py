"""The instructions of a part: header, and for each group its parameters and patterns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import FIELDS, PAYLOAD_BITS, Opcode, encode_header
from tlm.chip.format.layer_header import Band, LayerHeader
from tlm.chip.kernels.geometry import LayerKind
from tlm.compiler.parts import Part
from tlm.compiler.places import planes_per_channel
from tlm.compiler.weights import LayerWeights
from tlm.network.layers import Conv2d, Layer, MaxPool2d
from tlm.network.network import Network


def part_header(network: Network, part: Part, tag: int, weight_word: int, lanes: int) -> LayerHeader:
    """The header of a part: the whole layer's geometry with only the part's channels and tiles."""
    layer = network.layers[part.layer_index]
    source, output, residual = network.input_of(layer), network.tensors[layer.name], network.residual_of(layer)
    (kernel_h, kernel_w), pads = layer.kernel, layer.pads
    first_plane = part.first_channel * planes_per_channel(output)
    residual_word = 0
    if part.residual is not None:
        residual_word = part.residual.address(part.first_channel, part.first_tile)
    return LayerHeader(
        kind=LayerKind.MAX_POOLING if isinstance(layer, MaxPool2d) else LayerKind.CONVOLUTION,
        input_signed=source.signed,
        output_signed=layer.signed_output,
        accumulator_output=layer.accumulator_output,
        has_residual=residual is not None,
        residual_signed=residual is not None and residual.signed,
        tag=tag,
        channels=part.in_channels,
        out_channels=part.channels,
        height=source.shape[1],
        width=source.shape[2],
        kernel_h=kernel_h,
        kernel_w=kernel_w,
        stride_y=layer.stride[0],
        stride_x=layer.stride[1],
        pad_top=pads.top,
        pad_bottom=pads.bottom,
        pad_left=pads.left,
        pad_right=pads.right,
        dilation_y=layer.dilation[0],
        dilation_x=layer.dilation[1],
        input_base_word=part.source.address(part.first_in_channel, part.source.window.first_word),
        output_base_word=part.output.address(first_plane, part.first_tile),
        residual_base_word=residual_word,
        weight_base_word=weight_word,
        residual_multiplier=layer.residual_multiplier,
        band=_band(network, part, lanes) if part.banded else None,
    )


def _band(network: Network, part: Part, lanes: int) -> Band:
    return Band(
        first_tile=part.first_tile,
        tile_count=part.tiles,
        output_plane_words=part.output.window.words,
        input_first_word=part.source.window.first_word,
        input_plane_words=part.source.window.words,
        residual_plane_words=0 if part.residual is None else part.residual.window.words,
    )


def part_instructions(
    network: Network, part: Part, tag: int, weight_word: int, weights: LayerWeights, config: ChipConfig
) -> npt.NDArray[np.uint64]:
    """Header words, then for each group its parameters and patterns."""
    layer = network.layers[part.layer_index]
    header = part_header(network, part, tag, weight_word, config.lanes)
    pieces = [np.array(encode_header(header), np.uint64)]
    for group in range(part.first_group, part.first_group + part.groups):
        first = group * config.columns
        patterns = weights.patterns[group, : weights.pattern_counts[group]]
        pieces.append(_parameters(layer, first, min(first + config.columns, layer.out_channels)))
        pieces.append(np.uint64(Opcode.PATTERN << PAYLOAD_BITS) | patterns)
    return np.concatenate(pieces)


def _parameters(layer: Layer, first: int, end: int) -> npt.NDArray[np.uint64]:
    """The PARAMETER words of channels first .. end - 1; pooling passes its maxima on as they are."""
    if isinstance(layer, Conv2d):
        own = slice(first, end)
        values = {
            "bias": layer.bias[own] & 0xFFFFFF, "multiplier": layer.multiplier[own], "shift": layer.shift[own]
        }  # fmt: skip
    else:
        ones = np.ones(end - first, np.int64)
        values = {"bias": 0 * ones, "multiplier": ones, "shift": 0 * ones}
    words = np.full(end - first, Opcode.PARAMETER << PAYLOAD_BITS, np.uint64)
    position = 0
    for name, bits in FIELDS[Opcode.PARAMETER]:
        words |= values[name].astype(np.uint64) << np.uint64(position)
        position += bits
    return words
