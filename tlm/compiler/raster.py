"""A layer's rows and columns as its header words have them."""

from __future__ import annotations

from msgspec import Struct

from tlm.network.layers import Layer
from tlm.network.layers.base import Padding
from tlm.network.network import Network


class Raster(Struct, frozen=True):
    """A layer's geometry: (rows, columns) each, and the padding."""

    size: tuple[int, int]
    out_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: Padding


def raster_of(network: Network, layer: Layer) -> Raster:
    """The rows and columns of a layer.

    A map of one row is a column where no window has a second row: its pixels lie in the same words, and a band then
    holds those that its windows see, instead of the whole row.
    """
    _, height, width = network.input_of(layer).shape
    _, out_height, out_width = network.tensors[layer.name].shape
    size, out_size, pads = (height, width), (out_height, out_width), layer.pads
    if height > 1 or width == 1 or layer.kernel[0] > 1 or pads.top or pads.bottom:
        return Raster(size, out_size, layer.kernel, layer.stride, layer.dilation, pads)
    column = Padding(pads.left, pads.right, 0, 0)
    return Raster(size[::-1], out_size[::-1], layer.kernel[::-1], layer.stride[::-1], layer.dilation[::-1], column)
