"""Layers of 4-bit integers as the engine executes them: convolution and pooling.

Nothing here knows the chip. Arrays are checked once, when a layer is made, and are read-only afterwards.
"""

from typing import TypeAlias

from tlm.network.layers.base import (
    ACCUMULATOR_BITS,
    BIAS_BITS,
    INPUT,
    MAX_LAYERS,
    MAX_SHIFT,
    MULTIPLIER_BITS,
    SIZE_LIMIT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Padding,
    activation_range,
    check_values,
)
from tlm.network.layers.convolution import Conv2d
from tlm.network.layers.pooling import AvgPool2d, MaxPool2d

Layer: TypeAlias = Conv2d | MaxPool2d
"""What a network consists of once it is made."""

__all__ = [
    "ACCUMULATOR_BITS",
    "BIAS_BITS",
    "INPUT",
    "MAX_LAYERS",
    "MAX_SHIFT",
    "MULTIPLIER_BITS",
    "SIZE_LIMIT",
    "WEIGHT_MAX",
    "WEIGHT_MIN",
    "AvgPool2d",
    "Conv2d",
    "Layer",
    "MaxPool2d",
    "Padding",
    "activation_range",
    "check_values",
]
