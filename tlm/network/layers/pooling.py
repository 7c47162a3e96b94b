"""Pooling: of the largest pixel as a layer of its own kind, of the mean as the depth-wise convolution that it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tlm.network.layers.base import (
    BIAS_BITS,
    DILATION_LIMIT,
    MAX_SHIFT,
    MULTIPLIER_BITS,
    SIZE_LIMIT,
    STRIDE_LIMIT,
    Checks,
    Padding,
    Pair,
    Sides,
    activation_range,
    output_size,
)
from tlm.network.layers.convolution import Conv2d


@dataclass(frozen=True, eq=False)
class MaxPool2d:
    """Max pooling: each output is the largest pixel of its window; pixels outside the input are ignored.

    Args:
        name: as of :class:`Conv2d`.
        kernel: (y, x) or one number, 1..63.
        stride: (y, x) or one number, 1..255; default the kernel.
        padding: (y, x), one number, or ((top, bottom), (left, right)).
        dilation: (y, x) or one number, 1..1023.
        input: name of the layer that is read; default the layer before, or the network's input.
        channels: of input and output; the network fills it in.
        signed_output: the input's range, which the output keeps; the network fills it in.

    Raises:
        InputError: with layer, argument, value, what is allowed and the remedy.
    """

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int] = None  # type: ignore[assignment]
    padding: Any = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    input: str | None = None
    channels: int = None  # type: ignore[assignment]
    signed_output: bool = None  # type: ignore[assignment]
    pads: Padding = field(init=False)

    if TYPE_CHECKING:  # see Conv2d

        def __init__(
            self,
            name: str,
            kernel: Pair,
            stride: Pair | None = ...,
            padding: Sides = ...,
            dilation: Pair = ...,
            input: str | None = ...,
            channels: int | None = ...,
            signed_output: bool | None = ...,
        ) -> None: ...

    residual: ClassVar[None] = None
    residual_multiplier: ClassVar[int] = 0
    accumulator_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check = Checks(self.name)
        check.tensor("input", self.input)
        object.__setattr__(self, "kernel", check.kernel(self.kernel))
        stride = self.kernel if self.stride is None else self.stride
        object.__setattr__(self, "stride", check.pair("stride", stride, 1, STRIDE_LIMIT))
        object.__setattr__(self, "dilation", check.pair("dilation", self.dilation, 1, DILATION_LIMIT))
        object.__setattr__(self, "pads", check.padding(self.padding))
        if self.channels is not None:
            check.integer("channels", self.channels, 1, SIZE_LIMIT)
        if self.signed_output is not None:
            check.flag("signed_output", self.signed_output)

    @property
    def out_channels(self) -> int:
        """O = C; known once the layer is part of a network."""
        return self.channels

    @property
    def in_channels(self) -> int:
        """C; known once the layer is part of a network."""
        return self.channels

    @property
    def output_range(self) -> tuple[int, int]:
        """Smallest and largest value of input and output."""
        return activation_range(self.signed_output)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(H', W') for an input of height x width pixels; may be below 1 if nothing fits."""
        return output_size((height, width), self.kernel, self.stride, self.pads, self.dilation)

    def resolved(self, channels: int, signed: bool) -> MaxPool2d:
        """The layer for an input of these channels and that range.

        Raises:
            InputError: it was made for another input.
        """
        for key, given, found in (("channels", self.channels, channels), ("signed_output", self.signed_output, signed)):
            if given is not None and given != found:
                raise Checks(self.name).error(key, given, f"{found}, as its input has; leave it out")
        return replace(self, channels=channels, signed_output=signed)


@dataclass(frozen=True, eq=False)
class AvgPool2d:
    """Average pooling; a network runs it as the depth-wise convolution of ones that it is.

    By default the result is the window's mean, rounded to the nearest integer; a half goes up where the number of taps
    is a power of two, else away from zero. Padding counts as zeros. With ``multiplier`` and ``shift`` the mean has
    another scale: ``clamp((sum + bias) * multiplier >> shift)``, so that small means can use the whole 4-bit range.

    Args:
        name: as of :class:`Conv2d`.
        kernel: (y, x) or one number, 1..63.
        stride: (y, x) or one number, 1..255; default the kernel.
        padding: (y, x), one number, or ((top, bottom), (left, right)).
        bias: one number for all channels.
        multiplier: likewise; given together with ``shift``.
        shift: likewise.
        input: name of the layer that is read; default the layer before, or the network's input.

    Raises:
        InputError: with layer, argument, value, what is allowed and the remedy.
    """

    name: str
    kernel: tuple[int, int]
    stride: tuple[int, int] = None  # type: ignore[assignment]
    padding: Any = (0, 0)
    bias: int = 0
    multiplier: int = None  # type: ignore[assignment]
    shift: int = None  # type: ignore[assignment]
    input: str | None = None

    if TYPE_CHECKING:  # see Conv2d

        def __init__(
            self,
            name: str,
            kernel: Pair,
            stride: Pair | None = ...,
            padding: Sides = ...,
            bias: int = ...,
            multiplier: int | None = ...,
            shift: int | None = ...,
            input: str | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        check = Checks(self.name)
        check.tensor("input", self.input)
        object.__setattr__(self, "kernel", check.kernel(self.kernel))
        check.integer("bias", self.bias, -(1 << (BIAS_BITS - 1)), (1 << (BIAS_BITS - 1)) - 1)
        given = [key for key in ("multiplier", "shift") if getattr(self, key) is not None]
        if len(given) == 1:
            raise check.error(given[0], getattr(self, given[0]), "given together with the other of multiplier, shift")
        if not given:
            multiplier, shift = _reciprocal(self.kernel[0] * self.kernel[1])
            object.__setattr__(self, "multiplier", multiplier)
            object.__setattr__(self, "shift", shift)

    def resolved(self, channels: int, signed: bool) -> Conv2d:
        """The depth-wise convolution for an input of these channels and that range."""
        return Conv2d(
            self.name,
            np.ones((channels, 1, *self.kernel), np.int8),
            stride=self.kernel if self.stride is None else self.stride,
            padding=self.padding,
            groups=channels,
            bias=self.bias,
            multiplier=self.multiplier,
            shift=self.shift,
            signed_output=signed,
            input=self.input,
        )


def _reciprocal(taps: int) -> tuple[int, int]:
    """(multiplier, shift) with multiplier / 2^shift the smallest such fraction not below 1 / taps."""
    shift = 0
    while -(-(1 << (shift + 1)) // taps) < 1 << MULTIPLIER_BITS and shift < MAX_SHIFT:
        shift += 1
    return -(-(1 << shift) // taps), shift
