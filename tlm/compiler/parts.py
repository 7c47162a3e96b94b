"""Parts: what the engine runs as a layer of its own, with the places of its tensors, and its instruction words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.chip.format.isa import FIELDS, PAYLOAD_BITS, Opcode, encode_header
from tlm.chip.format.layer_header import BANDED_HEADER_WORDS, HEADER_WORDS, Band, LayerHeader
from tlm.chip.kernels.geometry import LayerKind
from tlm.compiler.operations import Buffer, Run
from tlm.compiler.places import Place
from tlm.compiler.workload import Workload
from tlm.network.layers import Conv2d, Layer, MaxPool2d


class Part(Struct, frozen=True):
    """Groups ``first_group`` .. and tiles ``first_tile`` .. of a layer."""

    layer_index: int
    part_index: int
    """Which one of its layer."""
    first_group: int
    groups: int
    first_channel: int
    channels: int
    first_in_channel: int
    in_channels: int
    """Input channels that it reads: all, or those that its output channels see (pooling, grouped convolutions)."""
    first_tile: int
    tiles: int
    weight_words: int
    instruction_words: int
    """Header, parameter and pattern words; END not counted."""
    banded: bool
    """The header says which tiles and which windows; else everything is whole."""
    source: Place
    output: Place
    residual: Place | None

    @property
    def header_words(self) -> int:
        """IMem words of its header."""
        return BANDED_HEADER_WORDS if self.banded else HEADER_WORDS


def make_part(work: Workload, run: Run, places: Mapping[Buffer, Place]) -> Part:
    """The part that a run is."""
    layer, groups = work.network.layers[run.layer_index], run.groups
    output, residual = places[run.output], None if run.residual is None else places[run.residual]
    words = {work.plane_words[layer.name], run.tiles.words, output.window.words}
    if residual is not None:
        words.add(residual.window.words)
    banded = len(words) > 1 or run.source.window.words != work.plane_words[work.network.inputs[layer.name]]
    return Part(
        layer_index=run.layer_index,
        part_index=run.part_index,
        first_group=groups.first,
        groups=groups.count,
        first_channel=groups.first_channel,
        channels=groups.channels,
        first_in_channel=groups.first_in_channel,
        in_channels=groups.in_channels,
        first_tile=run.tiles.first,
        tiles=run.tiles.words,
        weight_words=groups.weight_words,
        instruction_words=(BANDED_HEADER_WORDS if banded else HEADER_WORDS) + groups.instruction_words,
        banded=banded,
        source=places[run.source],
        output=output,
        residual=residual,
    )


def part_header(work: Workload, part: Part, tag: int = 0, weight_word: int = 0) -> LayerHeader:
    """The header of a part: the whole layer's geometry with only the part's channels and tiles."""
    layer = work.network.layers[part.layer_index]
    source, residual, raster = work.network.input_of(layer), work.network.residual_of(layer), work.rasters[layer.name]
    own, kept = part.source.window, part.residual
    band = Band(
        first_tile=part.first_tile,
        tile_count=part.tiles,
        output_plane_words=part.output.window.words,
        input_first_word=own.first_word,
        input_plane_words=own.words,
        residual_plane_words=0 if kept is None else kept.window.words,
    )
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
        height=raster.size[0],
        width=raster.size[1],
        kernel_h=raster.kernel[0],
        kernel_w=raster.kernel[1],
        stride_y=raster.stride[0],
        stride_x=raster.stride[1],
        pad_top=raster.pads.top,
        pad_bottom=raster.pads.bottom,
        pad_left=raster.pads.left,
        pad_right=raster.pads.right,
        dilation_y=raster.dilation[0],
        dilation_x=raster.dilation[1],
        input_base_word=part.source.address(part.first_in_channel, own.first_word),
        output_base_word=part.output.address(part.first_channel * work.per_channel[layer.name], part.first_tile),
        residual_base_word=0 if kept is None else kept.address(part.first_channel, part.first_tile),
        weight_base_word=weight_word,
        residual_multiplier=layer.residual_multiplier,
        band=band if part.banded else None,
    )


def header_instructions(work: Workload, part: Part, tag: int, weight_word: int) -> list[int]:
    """The header words of a part."""
    return encode_header(part_header(work, part, tag, weight_word))


def group_instructions(work: Workload, part: Part) -> npt.NDArray[np.uint64]:
    """What follows the header: for each group its parameters and patterns."""
    layer, columns = work.network.layers[part.layer_index], work.config.columns
    parameters = _parameters(layer, part.first_channel, part.first_channel + part.channels)
    patterns = work.weights[part.layer_index].patterns[part.first_group : part.first_group + part.groups]
    pieces = list[npt.NDArray[np.uint64]]()
    for first, own in zip(range(0, part.channels, columns), patterns, strict=True):
        pieces += parameters[first : first + columns], np.uint64(Opcode.PATTERN << PAYLOAD_BITS) | own
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
