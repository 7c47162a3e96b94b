"""Checks of a decoded header: whether the engine can run the layer to its end."""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.chip.format.band import input_words
from tlm.chip.format.layer_header import Band, LayerHeader

_MAX_EXTENT = 65_535
"""Rows or columns that the array's counters can hold, padding included in the output's [A]."""

_MAX_PLANE_WORDS = 1 << 20
"""Words of a whole plane, and tiles of a whole layer, that the counters of a band can hold [A]."""


class IllegalInstructionError(ValueError):
    """A word that the sequencer cannot act on; caught there and reported through its status register."""


def check_header(h: LayerHeader, config: ChipConfig) -> None:
    """Check that the header describes a layer that this chip can run.

    Raises:
        IllegalInstructionError: sizes that make no layer, a band outside it, or tensors that leave AMem.
    """
    sizes = (h.channels, h.out_channels, h.height, h.width, h.kernel_h, h.kernel_w, h.stride_y, h.stride_x)
    if 0 in sizes or 0 in (h.dilation_y, h.dilation_x):
        raise IllegalInstructionError("a size, stride or dilation is 0")
    if h.out_height < 1 or h.out_width < 1:
        raise IllegalInstructionError("the kernel does not fit into the padded input")
    if max(h.out_height, h.out_width) > _MAX_EXTENT:
        raise IllegalInstructionError(f"an output of {h.out_height} x {h.out_width} pixels")
    if not h.has_residual and (h.residual_signed or h.residual_base_word or h.residual_multiplier):
        raise IllegalInstructionError("residual fields are set in a layer without a residual")
    if h.has_residual and h.accumulator_output:
        raise IllegalInstructionError("a residual in a layer with accumulator output")
    if h.pooling and (h.has_residual or h.accumulator_output):
        raise IllegalInstructionError("pooling with a residual or accumulator output")
    if h.pooling and h.channels != h.out_channels:
        raise IllegalInstructionError(f"pooling of {h.channels} channels to {h.out_channels}")
    if h.band is not None:
        _check_band(h, h.band, config.lanes)
    _check_memory(h, config)


def _check_band(h: LayerHeader, band: Band, lanes: int) -> None:
    tiles, plane = h.all_tiles(lanes), -(-h.height * h.width // lanes)
    if max(tiles, plane) > _MAX_PLANE_WORDS:
        raise IllegalInstructionError(f"a band of a layer with planes of {max(tiles, plane)} words")
    end_tile, end_word = band.first_tile + band.tile_count, band.input_first_word + band.input_plane_words
    if not band.tile_count or end_tile > tiles:
        raise IllegalInstructionError(f"a band of tiles {band.first_tile} to {end_tile} of {tiles}")
    if band.output_plane_words < band.tile_count:
        raise IllegalInstructionError(f"output planes of {band.output_plane_words} words for {band.tile_count} tiles")
    if h.has_residual and band.residual_plane_words < band.tile_count:
        raise IllegalInstructionError(
            f"residual planes of {band.residual_plane_words} words for {band.tile_count} tiles"
        )
    if not h.has_residual and band.residual_plane_words:
        raise IllegalInstructionError("residual fields are set in a layer without a residual")
    if not band.input_plane_words or end_word > plane:
        raise IllegalInstructionError(f"an input of words {band.input_first_word} to {end_word} of {plane}")
    first, end = input_words(
        height=h.height, width=h.width, out_width=h.out_width, out_pixels=h.out_pixels, stride_y=h.stride_y,
        pad_top=h.pad_top, dilation_y=h.dilation_y, kernel_h=h.kernel_h, first_tile=band.first_tile,
        tile_count=band.tile_count, lanes=lanes,
    )  # fmt: skip
    if first < end and not band.input_first_word <= first < end <= end_word:
        raise IllegalInstructionError(
            f"an input of words {band.input_first_word} to {end_word} for a band that sees {first} to {end}"
        )


def _check_memory(h: LayerHeader, config: ChipConfig) -> None:
    """Every word that the layer can read or write lies in AMem."""
    lanes = config.lanes
    tiles, slots = h.tiles(lanes), h.out_channels * h.slots_per_channel
    tensors = [
        ("input", h.input_base_word, h.channels * h.input_plane_words(lanes)),
        ("output", h.output_base_word, (slots - 1) * h.output_plane_words(lanes) + tiles),
    ]
    if h.has_residual:
        words = (h.out_channels - 1) * h.residual_plane_words(lanes) + tiles
        tensors.append(("residual", h.residual_base_word, words))
    for name, base, size in tensors:
        if base + size > config.amem_words:
            raise IllegalInstructionError(f"the {name} at {base} of {size} words leaves AMem")
