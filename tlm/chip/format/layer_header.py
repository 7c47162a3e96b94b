"""What a layer's header words say, and the numbers that follow from it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct

from tlm.chip.kernels.geometry import Geometry, LayerKind

PAYLOAD_BITS = 60
"""Bits of an IMem word after its opcode."""

HEADER_WORDS, BANDED_HEADER_WORDS = 5, 7


class Band(Struct, frozen=True):
    """Which tiles of the whole layer are computed, and where the tensors' planes lie in AMem (engine.md, Bands [A]).

    Tile t of the whole layer is output pixels ``t * lanes ..`` in raster order. Word w of an input channel's plane,
    ``w = (y * W + x) // lanes``, lies ``w - input_first_word`` behind where AMem's part of that plane begins; the parts
    follow each other input_plane_words apart. Output and residual words of a tile lie ``t - first_tile`` behind where
    their slot's plane begins.
    """

    first_tile: int
    tile_count: int
    output_plane_words: int
    input_first_word: int
    input_plane_words: int
    residual_plane_words: int
    """0 in a layer without a residual."""


class LayerHeader(Struct, frozen=True):
    """What a layer's header words say; all plain integers, words are AMem or WMem words.

    Sizes, stride, padding and dilation are those of the whole layer, even if only a band of it is computed.
    """

    kind: LayerKind
    input_signed: bool
    output_signed: bool
    accumulator_output: bool
    has_residual: bool
    residual_signed: bool
    tag: int
    channels: int
    out_channels: int
    height: int
    width: int
    kernel_h: int
    kernel_w: int
    stride_y: int
    stride_x: int
    pad_top: int
    pad_bottom: int
    pad_left: int
    pad_right: int
    dilation_y: int
    dilation_x: int
    input_base_word: int
    output_base_word: int
    residual_base_word: int
    weight_base_word: int
    residual_multiplier: int
    band: Band | None = None
    """None: all tiles, and whole planes."""

    @property
    def banded(self) -> bool:
        """Whether the header has a band."""
        return self.band is not None

    @property
    def header_words(self) -> int:
        """IMem words of the header: 5, or 7 with a band."""
        return BANDED_HEADER_WORDS if self.banded else HEADER_WORDS

    @property
    def pooling(self) -> bool:
        """Max pooling: no WMem word is read."""
        return self.kind is LayerKind.MAX_POOLING

    @property
    def taps(self) -> int:
        """kh * kw."""
        return self.kernel_h * self.kernel_w

    @property
    def channels_per_pattern(self) -> int:
        """K: consecutive input channels whose valid patterns share a word; 1 where a channel takes several."""
        return max(PAYLOAD_BITS // self.taps, 1)

    @property
    def patterns_per_channel(self) -> int:
        """Pattern words of a channel: more than 1 in a kernel of more than 60 taps, in order of taps."""
        return -(-self.taps // PAYLOAD_BITS)

    @property
    def input_range(self) -> tuple[int, int]:
        """Lowest and highest activation of the input."""
        return (-8, 7) if self.input_signed else (0, 15)

    @property
    def out_height(self) -> int:
        """H' (engine.md, Values); may be below 1 in an illegal header."""
        span = self.height + self.pad_top + self.pad_bottom - self.dilation_y * (self.kernel_h - 1) - 1
        return span // self.stride_y + 1

    @property
    def out_width(self) -> int:
        """W'."""
        span = self.width + self.pad_left + self.pad_right - self.dilation_x * (self.kernel_w - 1) - 1
        return span // self.stride_x + 1

    @property
    def out_pixels(self) -> int:
        """H' * W'."""
        return self.out_height * self.out_width

    @property
    def slots_per_channel(self) -> int:
        """Entry slots of the requantiser and AMem words per channel and tile: 6 nibble planes, or 1."""
        return 6 if self.accumulator_output else 1

    @property
    def output_range(self) -> tuple[int, int]:
        """(lo, hi) of the requantiser."""
        return (-8, 7) if self.output_signed else (0, 15)

    def all_tiles(self, lanes: int) -> int:
        """Tiles of ``lanes`` output pixels of the whole layer: also P of the output."""
        return -(-self.out_pixels // lanes)

    def tiles(self, lanes: int) -> int:
        """Tiles that are computed."""
        return self.all_tiles(lanes) if self.band is None else self.band.tile_count

    def tile_pixels(self, tile: int, lanes: int) -> int:
        """Real output pixels of a tile, counted from the first that is computed: fewer than ``lanes`` in the last."""
        first = 0 if self.band is None else self.band.first_tile
        return min(lanes, self.out_pixels - (first + tile) * lanes)

    def pixels_of_tiles(self, lanes: int) -> list[int]:
        """:meth:`tile_pixels` of every tile that is computed."""
        tiles = self.tiles(lanes)
        return [lanes] * (tiles - 1) + [self.tile_pixels(tiles - 1, lanes)]

    def groups(self, columns: int) -> int:
        """Groups of ``columns`` output channels."""
        return -(-self.out_channels // columns)

    def group_channels(self, group: int, columns: int) -> int:
        """Real output channels of a group: fewer than ``columns`` in the last."""
        return min(columns, self.out_channels - group * columns)

    def pattern_words(self, group: int, columns: int) -> int:
        """PATTERN words of a group: ceil(C / K) * ceil(taps / 60); in max pooling its n channels count as C."""
        channels = self.group_channels(group, columns) if self.pooling else self.channels
        return -(-channels // self.channels_per_pattern) * self.patterns_per_channel

    def pattern_channels(self, group: int, index: int, columns: int) -> range:
        """The input channels of which pattern word ``index`` of a group speaks."""
        first, end = 0, self.channels
        if self.pooling:
            first = group * columns
            end = first + self.group_channels(group, columns)
        first += index // self.patterns_per_channel * self.channels_per_pattern
        return range(first, min(first + self.channels_per_pattern, end))

    def pattern_taps(self, index: int) -> range:
        """The taps of which pattern word ``index`` of a group speaks, in each of its channels."""
        first = index % self.patterns_per_channel * PAYLOAD_BITS
        return range(first, min(first + PAYLOAD_BITS, self.taps))

    def input_plane_words(self, lanes: int) -> int:
        """From one input channel's words in AMem to the next one's: P of the input without a band."""
        return -(-self.height * self.width // lanes) if self.band is None else self.band.input_plane_words

    def output_plane_words(self, lanes: int) -> int:
        """From one entry slot's output words to the next one's: P of the output without a band."""
        return self.all_tiles(lanes) if self.band is None else self.band.output_plane_words

    def residual_plane_words(self, lanes: int) -> int:
        """From one channel's residual words to the next one's: P of the output without a band."""
        return self.all_tiles(lanes) if self.band is None else self.band.residual_plane_words

    def geometry(self, lanes: int, columns: int) -> Geometry:
        """What the kernels need of this header."""
        band, of_band = self.band, tuple[int, ...]()
        if band is not None:
            of_band = band.first_tile, band.tile_count, band.input_first_word, band.input_plane_words
        return _geometry(
            lanes, columns, self.channels, self.height, self.width, self.out_channels, self.out_height, self.out_width,
            self.kernel_h, self.kernel_w, self.stride_y, self.stride_x, self.pad_top, self.pad_left, self.dilation_y,
            self.dilation_x, self.input_signed, self.input_base_word, self.kind, *of_band,
        )  # fmt: skip


@lru_cache(maxsize=1_024)  # compiler, sequencer and MAC array ask for the same one
def _geometry(*fields: Any) -> Geometry:
    """In the order of its fields."""
    return Geometry(*fields)
