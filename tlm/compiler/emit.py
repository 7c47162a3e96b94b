"""The instructions of a job: headers, parameters and patterns of its parts, and END."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlm.chip.config import ChipConfig
from tlm.chip.isa import END_WORD, LayerHeader, LayerKind, Parameter, encode_header, encode_parameter, encode_pattern
from tlm.compiler.layout import TensorPlace
from tlm.compiler.tiling import Part
from tlm.compiler.weights import LayerWeights
from tlm.network import Network


def part_header(
    network: Network, part: Part, tag: int, places: Mapping[str, TensorPlace], weight_word: int, lanes: int
) -> LayerHeader:
    """The header of a part: a layer with only the part's output channels."""
    layer = network.layers[part.layer_index]
    source, output, residual = network.input_of(layer), network.tensors[layer.name], network.residual_of(layer)
    plane = places[layer.name].words // output.shape[0]
    residual_word = 0
    if residual is not None:
        residual_word = places[residual.name].base_word + part.first_channel * plane
    (kernel_h, kernel_w), pads = layer.kernel, layer.pads
    return LayerHeader(
        kind=LayerKind.CONVOLUTION,
        input_signed=source.signed,
        output_signed=layer.signed_output,
        accumulator_output=layer.accumulator_output,
        has_residual=residual is not None,
        residual_signed=residual is not None and residual.signed,
        tag=tag,
        channels=source.shape[0],
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
        input_base_word=places[source.name].base_word,
        output_base_word=places[layer.name].base_word + part.first_channel * plane,
        residual_base_word=residual_word,
        weight_base_word=weight_word,
        residual_multiplier=layer.residual_multiplier,
    )


def part_instructions(
    network: Network, part: Part, header: LayerHeader, weights: LayerWeights, config: ChipConfig
) -> list[int]:
    """Header words, then for each group its parameters and patterns."""
    layer = network.layers[part.layer_index]
    words = encode_header(header)
    for group in range(part.first_group, part.first_group + part.groups):
        first = group * config.columns
        for channel in range(first, min(first + config.columns, layer.out_channels)):
            bias, multiplier, shift = layer.bias[channel], layer.multiplier[channel], layer.shift[channel]
            words.append(encode_parameter(Parameter(int(bias), int(multiplier), int(shift))))
        words.extend(encode_pattern(int(pattern)) for pattern in weights.patterns[group])
    return words


def job_instructions(parts: Sequence[list[int]]) -> tuple[int, ...]:
    """The parts' words one after another, and END."""
    return (*(word for part in parts for word in part), END_WORD)
