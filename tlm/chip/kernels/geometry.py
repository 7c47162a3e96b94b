"""kernels/geometry.c: a layer as the engine's header words describe it, and what its steps fetch."""

from __future__ import annotations

import enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct
from msgspec.structs import astuple

from tlm._kernels import ffi, lib
from tlm.chip.kernels.buffers import KernelError, check_sizes, in_range

if TYPE_CHECKING:
    from tlm._kernels import CData

_PATTERN_BITS: int = lib.TLM_PATTERN_BITS
_MAX_KERNEL: int = lib.TLM_MAX_KERNEL
_EXTENT_LIMIT = 65_535
_PIXEL_LIMIT = (1 << 31) - 1


class LayerKind(enum.IntEnum):
    """What the array does in a layer (engine.md, Values)."""

    CONVOLUTION = 0
    MAX_POOLING = 1


class Geometry(Struct, frozen=True, dict=True):
    """One layer as the engine's header words describe it; fields as in kernels/geometry.h, all int32.

    Sizes are those of the whole layer; what a band of it computes and finds in AMem say the last four fields
    (engine.md, Bands).

    Attributes:
        lanes, columns: 8, 16, 32 or 64.
        channels, height, width: the input, pixels.
        out_channels, out_height, out_width: the output, pixels.
        pad_top, pad_left: zero pixels before the first row and column (below 0: pixels left out).
        input_signed: activations are -8..7 instead of 0..15.
        input_base_word: AMem word of channel 0, its word input_first_word.
        kind: convolution or max pooling.
        first_tile, tile_count: the tiles that are computed; None: all from first_tile on.
        input_first_word, input_plane_words: which words of each input channel AMem holds, one channel behind the
            other; None: all from input_first_word on.

    Raises:
        KernelError: a field outside what the array and its memories can have.
    """

    lanes: int
    columns: int
    channels: int
    height: int
    width: int
    out_channels: int
    out_height: int
    out_width: int
    kernel_h: int = 1
    kernel_w: int = 1
    stride_y: int = 1
    stride_x: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_y: int = 1
    dilation_x: int = 1
    input_signed: bool = False
    input_base_word: int = 0
    kind: LayerKind = LayerKind.CONVOLUTION
    first_tile: int = 0
    tile_count: int | None = None
    input_first_word: int = 0
    input_plane_words: int | None = None

    def __post_init__(self) -> None:
        check_sizes(lanes=self.lanes, columns=self.columns)
        for name, low, value in zip(_EXTENTS, _LOWEST, astuple(self)[_FIRST_EXTENT:], strict=False):
            if not low <= value <= _EXTENT_LIMIT:
                raise KernelError(f"geometry: {name} is {value}, but must be in {low}..{_EXTENT_LIMIT}")
        if max(self.kernel_h, self.kernel_w) > _MAX_KERNEL:
            raise KernelError(
                f"geometry: a kernel of {self.kernel_h}x{self.kernel_w}, but at most {_MAX_KERNEL} rows and columns "
                "are possible"
            )
        for what, pixels in (("input", self.height * self.width), ("output", self.out_pixels)):
            if pixels > _PIXEL_LIMIT:
                raise KernelError(f"geometry: {what} of {pixels} pixels, but at most {_PIXEL_LIMIT} are possible")
        if not 0 <= self.input_base_word <= _PIXEL_LIMIT:
            raise KernelError(f"geometry: input_base_word is {self.input_base_word}, but must be in 0..{_PIXEL_LIMIT}")
        if self.kind is LayerKind.MAX_POOLING and self.channels != self.out_channels:
            raise KernelError(f"geometry: pooling of {self.channels} channels to {self.out_channels}, must be equal")
        self._check_part("tile", self.first_tile, self.tiles, -(-self.out_pixels // self.lanes))
        self._check_part("word", self.input_first_word, self.plane_words, -(-self.height * self.width // self.lanes))

    @staticmethod
    def _check_part(what: str, first: int, count: int, whole: int) -> None:
        if first < 0 or count < 1 or first + count > whole:
            raise KernelError(f"geometry: {count} {what}s from {what} {first} on, but there are {whole}")

    @property
    def taps(self) -> int:
        """kernel_h * kernel_w."""
        return self.kernel_h * self.kernel_w

    @property
    def out_pixels(self) -> int:
        """out_height * out_width."""
        return self.out_height * self.out_width

    @cached_property
    def tiles(self) -> int:
        """Tiles of lanes output pixels that are computed; the layer's last may be partial."""
        whole = -(-self.out_pixels // self.lanes)
        return whole - self.first_tile if self.tile_count is None else self.tile_count

    @cached_property
    def plane_words(self) -> int:
        """Words of each input channel that AMem holds."""
        whole = -(-self.height * self.width // self.lanes)
        return whole - self.input_first_word if self.input_plane_words is None else self.input_plane_words

    @property
    def groups(self) -> int:
        """Groups of columns output channels; the last may be partial."""
        return -(-self.out_channels // self.columns)

    @property
    def channels_per_pattern(self) -> int:
        """K = 60 // taps; 1 where a channel takes several words."""
        return max(_PATTERN_BITS // self.taps, 1)

    @property
    def patterns_per_group(self) -> int:
        """ceil(channels / K), for each of the ceil(taps / 60) words of a channel.

        In max pooling the channels of a full group; the last group may have fewer words.
        """
        pooling = self.kind is LayerKind.MAX_POOLING
        channels = min(self.columns, self.channels) if pooling else self.channels
        return -(-channels // self.channels_per_pattern) * -(-self.taps // _PATTERN_BITS)

    @cached_property
    def pointer(self) -> CData:
        """The C struct, made once."""
        given = astuple(self)[:-4]
        part = self.first_tile, self.tiles, self.input_first_word, self.plane_words
        return ffi.new("tlm_geometry *", (*given, *part))

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}


_NAMES = Geometry.__struct_fields__
_FIRST_EXTENT = _NAMES.index("channels")
_EXTENTS = _NAMES[_FIRST_EXTENT : _NAMES.index("input_signed")]
_LOWEST = tuple(-_EXTENT_LIMIT if name.startswith("pad") else 1 for name in _EXTENTS)
"""Sizes, strides and padding, and the least that each can be."""


class Select:
    """Which lane of which fetched word each lane of a tile takes; opaque, read only, reusable for every channel."""

    __slots__ = ("lanes", "pointer")

    def __init__(self, pointer: CData, lanes: int) -> None:
        self.pointer, self.lanes = pointer, lanes


def check_tile(geometry: Geometry, tile: int) -> None:
    """Nothing if there is such a tile.

    Raises:
        KernelError: there is not.
    """
    if not 0 <= tile < geometry.tiles:
        raise KernelError(f"tile {tile}: the output has tiles 0..{geometry.tiles - 1}")


def tap_words(geometry: Geometry, tile: int, tap: int) -> tuple[list[int], Select]:
    """What a step fetches: AMem words relative to the channel's first, ascending, and the aligner's selection.

    Add ``input_base_word + channel * plane_words`` to the words. An empty list: all source pixels are padding.

    Raises:
        KernelError: no such tile or tap.
    """
    check_tile(geometry, tile)
    if not 0 <= tap < geometry.taps:
        raise KernelError(f"tap {tap}: the kernel has taps 0..{geometry.taps - 1}")
    lanes = geometry.lanes
    words, select = ffi.new("int32_t[]", lanes), ffi.new("int32_t[]", lanes)
    count = lib.tlm_tap_words(geometry.pointer, tile, tap, words, select)
    return list(words[0:count]), Select(select, lanes)


def select_lanes(select: Select, lanes: int) -> list[int]:
    """For each lane ``index into the fetched words * lanes + source lane``, or -1 where its pixel is padding."""
    in_range("select_lanes: lanes", lanes, select.lanes, select.lanes)
    return list(select.pointer[0:lanes])


_ERROR_AMEM, _ERROR_WMEM, _ERROR_PATTERN, _ERROR_WINDOW, _ERROR_TAPS, _ERROR_SIMD = -1, -2, -3, -4, -5, -6


def refuse(code: int, geometry: Geometry, amem_words: int, wmem_words: int = 0, first_weight_word: int = 0) -> NoReturn:
    """What a status of the kernels for whole passes says.

    Raises:
        KernelError: always.
    """
    if code == _ERROR_AMEM:
        last = geometry.input_base_word + geometry.channels * geometry.plane_words
        raise KernelError(
            f"AMem: the input occupies words {geometry.input_base_word}..{last - 1}, but there are {amem_words} words"
        )
    if code == _ERROR_WMEM:
        raise KernelError(
            f"WMem: the weight words from {first_weight_word} on run beyond the last of {wmem_words} words"
        )
    if code == _ERROR_WINDOW:
        end = geometry.input_first_word + geometry.plane_words
        raise KernelError(
            f"AMem holds words {geometry.input_first_word}..{end - 1} of each input channel, but the tiles see others"
        )
    if code == _ERROR_TAPS:
        raise KernelError(f"no memory for {geometry.taps} taps")
    if code == _ERROR_SIMD:
        raise KernelError("the host's processor has not got this instruction set; see host_simds()")
    assert code == _ERROR_PATTERN, code
    raise KernelError(
        f"illegal pattern word: a bit is set beyond channel {geometry.channels - 1} or tap {geometry.taps - 1}"
    )
