"""One convolution as the engine's header words describe it, in the form that the C kernels take."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tlm._kernels import ffi
from tlm.core.errors import SimulationError

if TYPE_CHECKING:
    from tlm._kernels import CData

_SIZES = (8, 16, 32, 64)
_MAX_TAPS = 60
_EXTENT_LIMIT = 65_535
_PIXEL_LIMIT = (1 << 31) - 1


class KernelError(SimulationError):
    """A kernel was given something it cannot work on: a wrong size, address, field or pattern."""


@dataclass(frozen=True)
class Geometry:
    """One convolution as the engine's header words describe it; fields as in kernels/geometry.h, all int32.

    Attributes:
        lanes, columns: 8, 16, 32 or 64.
        channels, height, width: the input, pixels.
        out_channels, out_height, out_width: the output, pixels.
        pad_top, pad_left: zero pixels before the first row and column (below 0: pixels left out).
        input_signed: activations are -8..7 instead of 0..15.
        input_base_word: AMem word of channel 0, pixel 0.

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

    def __post_init__(self) -> None:
        for key in ("lanes", "columns"):
            if getattr(self, key) not in _SIZES:
                raise KernelError(f"geometry: {key} is {getattr(self, key)}, but must be one of {_SIZES}")
        for item in fields(self)[2:16]:
            value, low = getattr(self, item.name), -_EXTENT_LIMIT if item.name.startswith("pad") else 1
            if not low <= value <= _EXTENT_LIMIT:
                raise KernelError(f"geometry: {item.name} is {value}, but must be in {low}..{_EXTENT_LIMIT}")
        if self.taps > _MAX_TAPS:
            raise KernelError(
                f"geometry: {self.kernel_h}x{self.kernel_w} taps, but a pattern word has {_MAX_TAPS} bits"
            )
        for what, pixels in (("input", self.height * self.width), ("output", self.out_pixels)):
            if pixels > _PIXEL_LIMIT:
                raise KernelError(f"geometry: {what} of {pixels} pixels, but at most {_PIXEL_LIMIT} are possible")
        if not 0 <= self.input_base_word <= _PIXEL_LIMIT:
            raise KernelError(f"geometry: input_base_word is {self.input_base_word}, but must be in 0..{_PIXEL_LIMIT}")

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
        """Tiles of lanes output pixels; the last may be partial."""
        return -(-self.out_pixels // self.lanes)

    @property
    def groups(self) -> int:
        """Groups of columns output channels; the last may be partial."""
        return -(-self.out_channels // self.columns)

    @property
    def channels_per_pattern(self) -> int:
        """K = 60 // taps."""
        return _MAX_TAPS // self.taps

    @property
    def patterns_per_group(self) -> int:
        """ceil(channels / K)."""
        return -(-self.channels // self.channels_per_pattern)

    @cached_property
    def pointer(self) -> CData:
        """The C struct, made once."""
        return ffi.new("tlm_geometry *", [int(getattr(self, item.name)) for item in fields(self)])

    def __getstate__(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}
