"""What all layers share: limits of engine.md's number formats, names, padding, checks, the size of an output."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from tlm.core.arguments import shown
from tlm.core.errors import InputError

Pair: TypeAlias = int | tuple[int, int]
"""(y, x), or one number for both."""

Sides: TypeAlias = Pair | tuple[tuple[int, int], tuple[int, int]]
"""The same, or ((top, bottom), (left, right))."""

INPUT = "input"
"""Name by which a layer refers to the network's own input tensor."""

WEIGHT_MIN, WEIGHT_MAX = -8, 7
KERNEL_LIMIT = 63
"""Rows, or columns, of a kernel: 6 bits each in a layer's header."""

BIAS_BITS, MULTIPLIER_BITS, MAX_SHIFT = 24, 16, 40
ACCUMULATOR_BITS = 24

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
SIZE_LIMIT = 65_535
STRIDE_LIMIT = 255
PADDING_LIMIT = 1_023
DILATION_LIMIT = 1_023
MAX_LAYERS = 2_000
"""Of a network: more would take minutes to compile."""

MAX_VALUES = 1 << 27
"""Of one tensor, or of one layer's weights: more would take gigabytes here, and fit no memory there."""


def activation_range(signed: bool) -> tuple[int, int]:
    """Smallest and largest 4-bit activation: ``(-8, 7)`` or ``(0, 15)``."""
    return (-8, 7) if signed else (0, 15)


def check_values(what: str, shape: Sequence[int]) -> None:
    """Nothing if a tensor or weights of a shape may be made.

    Raises:
        InputError: there are too many values; headed by ``what``.
    """
    count = math.prod(shape)
    if count > MAX_VALUES:
        raise InputError(f"{what}: shape {tuple(shape)} has {count:,} values; allowed: at most {MAX_VALUES:,}")


class Padding(Struct, frozen=True):
    """Zero pixels added on each side of the input; sides may differ and may exceed the kernel."""

    top: int
    bottom: int
    left: int
    right: int


class Checks:
    """Checks of a layer's arguments; every complaint names the layer, the argument, its value and what is allowed."""

    def __init__(self, name: object) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(f"layer name {shown(name)}: use letters, digits, '_', '.', '-', at least one character")
        if name == INPUT:
            raise InputError(f"layer name {INPUT!r} is the name of the network's own input; choose another one")
        self._name = name

    def error(self, key: str, value: object, allowed: str) -> InputError:
        """What to raise."""
        return InputError(f"layer {self._name!r}: {key} is {shown(value)}, but must be {allowed}")

    def integer(self, key: str, value: object, low: int, high: int) -> int:
        """An integer in a range."""
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise self.error(key, value, f"an integer in {low}..{high}")
        return int(value)

    def flag(self, key: str, value: object) -> bool:
        """True or False."""
        if not isinstance(value, (bool, np.bool_)):
            raise self.error(key, value, "True or False")
        return bool(value)

    def pair(self, key: str, value: object, low: int, high: int) -> tuple[int, int]:
        """(y, x), from a pair or from one number for both."""
        if isinstance(value, (int, np.integer)):
            value = (value, value)
        if not isinstance(value, Sequence) or len(value) != 2:
            raise self.error(key, value, "one integer or a pair (y, x)")
        return self.integer(key, value[0], low, high), self.integer(key, value[1], low, high)

    def padding(self, value: object) -> Padding:
        """From one number, (y, x), or ((top, bottom), (left, right))."""
        if isinstance(value, Sequence) and len(value) == 2 and all(isinstance(v, Sequence) for v in value):
            top, bottom = self.pair("padding", value[0], 0, PADDING_LIMIT)
            left, right = self.pair("padding", value[1], 0, PADDING_LIMIT)
            return Padding(top, bottom, left, right)
        y, x = self.pair("padding", value, 0, PADDING_LIMIT)
        return Padding(y, y, x, x)

    def tensor(self, key: str, value: object) -> None:
        """The name of a tensor, or None."""
        if value is not None and not isinstance(value, str):
            raise self.error(key, value, "the name of a layer, or None")

    def kernel(self, value: object) -> tuple[int, int]:
        """(kh, kw) of a window without weights."""
        return self.pair("kernel", value, 1, KERNEL_LIMIT)


def output_size(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: Padding,
    dilation: tuple[int, int],
) -> tuple[int, int]:
    """(H', W') of a window that moves over an input of (H, W) pixels; may be below 1 if nothing fits.

    ``floor((H + pad_top + pad_bottom - dilation * (kh - 1) - 1) / stride) + 1``, likewise in x (engine.md, Values).
    """
    rows = size[0] + pads.top + pads.bottom - dilation[0] * (kernel[0] - 1) - 1
    columns = size[1] + pads.left + pads.right - dilation[1] * (kernel[1] - 1) - 1
    return rows // stride[0] + 1, columns // stride[1] + 1
