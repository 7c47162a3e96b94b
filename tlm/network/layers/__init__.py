"""Layers of 4-bit integers as the engine executes them: convolution and pooling.

Nothing here knows the chip. Arrays are checked once, when a layer is made, and are read-only afterwards.
"""

from typing import TypeAlias

from tlm.network.layers.base import ACCUMULATOR_BITS as ACCUMULATOR_BITS
from tlm.network.layers.base import BIAS_BITS as BIAS_BITS
from tlm.network.layers.base import INPUT as INPUT
from tlm.network.layers.base import MAX_LAYERS as MAX_LAYERS
from tlm.network.layers.base import MAX_SHIFT as MAX_SHIFT
from tlm.network.layers.base import MULTIPLIER_BITS as MULTIPLIER_BITS
from tlm.network.layers.base import SIZE_LIMIT as SIZE_LIMIT
from tlm.network.layers.base import WEIGHT_MAX as WEIGHT_MAX
from tlm.network.layers.base import WEIGHT_MIN as WEIGHT_MIN
from tlm.network.layers.base import Padding as Padding
from tlm.network.layers.base import activation_range as activation_range
from tlm.network.layers.base import check_values as check_values
from tlm.network.layers.convolution import Conv2d as Conv2d
from tlm.network.layers.pooling import AvgPool2d as AvgPool2d
from tlm.network.layers.pooling import MaxPool2d as MaxPool2d

Layer: TypeAlias = Conv2d | MaxPool2d
"""What a network consists of once it is made."""
