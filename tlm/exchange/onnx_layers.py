"""Sums become layers of the engine, one at a time: names, scales, and what takes more than one layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import Array
from tlm.exchange.onnx_values import Quantised, Sum, Tensor
from tlm.exchange.onnx_windows import NO_PADS, UNIT, Geometry, Pads, with_pads
from tlm.network.layers import BIAS_BITS, INPUT, WEIGHT_MAX, WEIGHT_MIN, Conv2d, Layer, MaxPool2d, activation_range
from tlm.network.layers.base import KERNEL_LIMIT
from tlm.network.network import Network
from tlm.networks.fixed_point import requantisation

_NAME_CHARACTERS = 80
_LINEAR_SIZE = 1 << 22
"""Weights of a layer that is made linear."""
WHOLE = 1e-2
"""How near to a whole number of levels a constant must be; scales in float16 have three digits."""


class LayerList:
    """Layers so far.

    Args:
        input_shape: (C, H, W).
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self.input_shape = input_shape
        self.signed_input = False
        """To be known before the first layer is made."""
        self.network: Network | None = None
        """None as long as there is no layer."""
        self.tensors: dict[str, Tensor] = {}
        """Layer -> tensor of the graph; not for what one node needs beside its last layer."""
        self.coarser: dict[str, int] = {}
        """Layer -> channels whose biases needed coarser units than the graph's, where there are any."""

    def shape(self, name: str) -> tuple[int, int, int]:
        """(C, H, W) of a tensor of the engine."""
        return self.input_shape if self.network is None else self.network.tensors[name].shape

    # -- values ---------------------------------------------------------------------------------------------------

    def mean(self, node: str, source: Quantised, kernel: tuple[int, int], geometry: Geometry) -> Sum:
        """Means of windows: a depth-wise layer of ones."""
        channels = self.shape(source.name)[0]
        ones = np.ones((channels, 1, *kernel), np.int64)
        scale = np.full(channels, source.scale / (kernel[0] * kernel[1]))
        geometry = {**with_pads(geometry, source.pads), "groups": channels}
        return Sum(node, source, ones, scale, np.zeros(channels), geometry)

    def as_sums(self, node: str, source: Quantised) -> Sum:
        """A tensor as sums, so that it can be requantised or added to; takes in what Pad nodes added to it."""
        return replace(self.mean(node, source, (1, 1), UNIT), shape=source.shape, order=source.order)

    def placed(self, node: str, source: Quantised, level: int = 0, pads: Pads | None = None) -> Quantised:
        """The tensor with what surrounds it as pixels of its own, where anything does.

        Args:
            node: what for.
            source: with zeros around it.
            level: of what ``pads`` adds, instead of zeros.
            pads: further ones.
        """
        if pads is None:
            if source.pads == NO_PADS:
                return source
            pads, source = source.pads, replace(source, pads=NO_PADS)
        channels = self.shape(source.name)[0]
        around: dict[str, Any] = {"groups": channels, "signed_output": source.signed, "padding": pads}
        if level:  # nothing but zeros surrounds an input: make a map of ones, and with it one of the border
            no, one = (np.full((channels, 1, 1, 1), n, np.int8) for n in (0, 1))
            sign = 1 if level > 0 else -1
            ones = self._conv(f"{node}_ones", no, source, groups=channels, bias=1)
            ones_map = replace(source, name=ones)
            border = self._conv(f"{node}_border", -sign * one, ones_map, bias=sign, multiplier=abs(level), **around)
            around.update(residual=border, residual_multiplier=1)
        name = self._conv(node, np.ones((channels, 1, 1, 1), np.int8), source, **around)
        return replace(source, name=name)

    def joined(self, node: str, sources: Sequence[Quantised], chosen: Sequence[Array] | None = None) -> str:
        """Channels of tensors, one tensor behind the other: point-wise layers of ones, each added to the one before.

        Args:
            node: what for.
            sources: of equal height, width and sign.
            chosen: channels of each, in their order; by default all.
        """
        if chosen is None:
            chosen = [np.arange(self.shape(one.name)[0]) for one in sources]
        end, name, total = sum(map(len, chosen)), None, sum(map(len, chosen))
        for source, channels in zip(reversed(sources), reversed(chosen), strict=True):
            begin = end - len(channels)
            ones = np.zeros((total, self.shape(source.name)[0], 1, 1), np.int8)
            ones[np.arange(begin, end), channels] = 1
            before: dict[str, Any] = {} if name is None else {"residual": name, "residual_multiplier": 1}
            name, end = self._conv(node, ones, source, signed_output=source.signed, **before), begin
        return str(name)

    def clamped(self, node: str, source: Quantised, low: int, high: int) -> str:
        """A tensor cut to fewer levels than 4 bits have: moved to the end of the range, where it is cut, and back."""
        least, most = activation_range(source.signed)
        up, down = most - high, low - least
        ones = np.ones((self.shape(source.name)[0], 1, 1, 1), np.int8)
        keys: dict[str, Any] = {"groups": len(ones), "signed_output": source.signed}
        for steps in (up, -up - down, down):
            if steps:
                name = self._conv(f"{node}_clamp", ones, source, bias=np.full(len(ones), steps, np.int64), **keys)
                source = replace(source, name=name)
        return source.name

    def as_linear(self, of: Sum) -> Sum | None:
        """Sums of a small map with an output channel, and so a bias, for each pixel; None if that is impossible.

        The engine holds them as (O * H' * W', 1, 1) from then on, so only what reads them as a list can follow.
        """
        (channels, height, width), pixels = self.shape(of.source.name), prod(of.shape[2:])
        size = len(of.bias) * pixels * channels * height * width
        too_large = max(height, width) > KERNEL_LIMIT or size > _LINEAR_SIZE
        if not of.plain or of.order is not None or pixels == 1 or too_large:
            return None
        layer = Conv2d("linear", of.weights.astype(np.int8), **of.geometry)
        rows, columns = np.indices(of.shape[2:]).reshape(2, -1)
        dense = np.zeros((*of.shape[1:], channels, height, width), np.int64)
        for ky, kx in np.ndindex(*layer.kernel):
            y = rows * layer.stride[0] + ky * layer.dilation[0] - layer.pads.top
            x = columns * layer.stride[1] + kx * layer.dilation[1] - layer.pads.left
            seen = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            dense[:, rows[seen], columns[seen], :, y[seen], x[seen]] = layer.full_weights()[:, :, ky, kx]
        weights = dense.reshape(-1, channels, height, width)
        scale, bias = (np.repeat(one, pixels) for one in (of.scale, of.bias))
        return replace(of, weights=weights, scale=scale, bias=bias, geometry=UNIT)

    # -- layers ---------------------------------------------------------------------------------------------------

    def requantised(self, of: Sum, scale: float, low: int, high: int) -> str:
        """The name of the layer that gives sums as whole numbers of 4 bits, in ``low..high``."""
        signed = low < 0
        if of.is_copy(scale, signed):
            return self.clamped(of.node, of.source, low, high)
        of, coarser = of.with_finer_units().with_fitting_biases()
        low, high = max(low, round(max(of.lowest / scale, -8))), min(high, round(min(of.highest / scale, 15)))
        offset = np.zeros(len(of.bias)) if of.offset is None else of.offset
        if not signed:  # max(max(s, 0) + c, 0) is max(s + c, 0) for c below 0
            of, offset = replace(of, bias=of.bias + np.minimum(offset, 0.0)), np.maximum(offset, 0.0)
        steps = np.rint(offset / scale)
        if np.abs(offset / scale - steps).max() > WHOLE or (of.clipped and offset.any()):
            shown = offset[np.abs(offset / scale - steps).argmax()]
            raise InputError(
                f"node {of.node}: {shown:g} is added after its ReLU, which is {shown / scale:.4g} levels of {scale:g} "
                "each; the engine adds whole levels there, so add it before the ReLU"
            )
        again = of.relu and (signed or bool(steps.any()))
        units = of.scale if of.residual is None else np.append(of.scale, of.residual.scale)
        scaling = requantisation(units / scale, None if of.residual is None else of.residual.name)
        name = self.convolution(of, signed_output=signed and not of.relu, **scaling)
        if coarser:
            self.coarser[name] = coarser
        if again:  # its ReLU cuts to 0..15, so what comes after it is a layer of its own
            channels = len(of.bias)
            before = Quantised(name, scale, signed=False)
            keep = np.ones((channels, 1, 1, 1), np.int8)
            name = self._conv(
                f"{of.node}_behind", keep, before, groups=channels, bias=steps.astype(np.int64), signed_output=signed
            )
        return self.clamped(of.node, Quantised(name, scale, signed), low, high)

    def convolution(self, of: Sum, **keys: Any) -> str:
        """A layer for sums; the other arguments are Conv2d's."""
        bias, largest = np.rint(of.bias / of.scale), float(1 << (BIAS_BITS - 1)) - 1
        if not (np.abs(bias) <= largest).all():
            raise InputError(
                f"node {of.node}: a bias is {np.abs(bias).max():g} units of its sums, but must be at most {largest:g}"
            )
        return self._conv(of.node, of.weights, of.source, **of.geometry, bias=bias.astype(np.int64), **keys)

    def _conv(self, node: str, weights: Any, source: Quantised, **keys: Any) -> str:
        least, most = int(weights.min()), int(weights.max())
        if least < WEIGHT_MIN or most > WEIGHT_MAX:  # a negative factor of a BatchNormalization turns -8 into 8
            raise InputError(f"node {node}: its weights are {least}..{most}, but must be {WEIGHT_MIN}..{WEIGHT_MAX}")
        return self._append(Conv2d(self._name(node), weights.astype(np.int8), input=source.name, **keys))

    def max_pool(self, node: str, kernel: tuple[int, int], source: Quantised, geometry: Geometry) -> str:
        """A layer of maxima."""
        return self._append(MaxPool2d(self._name(node), kernel, input=source.name, **geometry))

    def _append(self, layer: Layer) -> str:
        if self.network is None:
            self.network = Network(self.input_shape, [layer], self.signed_input)
        else:
            self.network = self.network.with_layer(layer)
        return layer.name

    def _name(self, node: str) -> str:
        """A name for a node's layer: the node's, as far as the engine's names allow, or its operator's."""
        operator, _, given = node.partition(" ")
        text = given
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", given):
            text = re.sub(r"[^A-Za-z0-9_.\-]+", "_", given).strip("_-.")
            if not re.search("[A-Za-z]", text):
                text = operator.lower()
        text = text[:_NAME_CHARACTERS]
        name, number = text, 2
        taken = {INPUT} if self.network is None else self.network.tensors
        while name in taken:
            name, number = f"{text}_{number}", number + 1
        return name
