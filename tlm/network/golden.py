"""The golden model: what every layer's output must be, in plain numpy.

Written from engine.md, "Values", and independent of the chip and its kernels: a convolution is a product of
the weights' matrix with the pixels that each kernel tap sees. It runs in floating point, where BLAS is fast, and is
exact: no sum can reach the bound up to which the type holds every integer.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.arguments import expect
from tlm.network.layers import ACCUMULATOR_BITS, INPUT, Conv2d, Layer, MaxPool2d
from tlm.network.network import Network

Int32Array = npt.NDArray[np.int32]
OutputArray = npt.NDArray[Any]

_EXACT_FLOAT32 = 1 << 24
"""float32 holds every integer up to 2**24 in magnitude, float64 up to 2**53 (IEEE 754)."""

_PIXELS_AT_ONCE = 1 << 21
"""Bounds the memory of one matrix product's right side (8 MB in float32)."""


def run(network: Network, activations: npt.ArrayLike) -> dict[str, OutputArray]:
    """Every layer's output by name: int8 (O, H', W'), or int32 for accumulator output.

    Args:
        activations: integers (C, H, W) in the range of the network's input.

    Raises:
        InputError: no network; activations of another shape or kind, or out of range.
    """
    expect("network", network, Network)
    tensors: dict[str, OutputArray] = {INPUT: network.check_activations(activations)}
    for layer in network.layers:
        residual = network.residual_of(layer)
        tensors[layer.name] = output(
            layer, tensors[network.input_of(layer).name], None if residual is None else tensors[residual.name]
        )
    del tensors[INPUT]
    return tensors


def output(layer: Layer, activations: npt.NDArray[Any], residual: npt.NDArray[Any] | None = None) -> OutputArray:
    """One layer's output: int8 (O, H', W'), or int32 for accumulator output.

    Args:
        activations: 4-bit integers (C, H, W).
        residual: 4-bit integers (O, H', W'), where the layer has one.
    """
    if isinstance(layer, MaxPool2d):
        return largest(layer, activations)
    return finished(layer, accumulate(layer, activations), residual)


def finished(layer: Conv2d, sums: Int32Array, residual: npt.NDArray[Any] | None = None) -> OutputArray:
    """What the engine makes of a convolution's sums: int8 (O, H', W'), or int32 for accumulator output."""
    acc = wrap(sums)
    if layer.accumulator_output:
        return wrap(acc + layer.bias.astype(np.int32)[:, None, None])
    return requantise(layer, acc, residual)


def accumulate(layer: Conv2d, activations: npt.NDArray[Any]) -> Int32Array:
    """The convolution's sums without the bias, int32 (O, H', W'), unbounded by the accumulator's width.

    Only the pairs of an input channel (of a group) and a tap that some weight uses are looked at, so a kernel pruned to
    k of its taps costs k of them.

    Args:
        activations: 4-bit integers (C, H, W).
    """
    groups = layer.groups
    weights = layer.weights.reshape(groups, -1, *layer.weights.shape[1:])
    channels, rows, columns = np.nonzero(np.any(weights, axis=(0, 1)))
    exact = _exact_float(len(channels), weights, activations)
    windows = _windows(layer, activations, exact, 0)
    windows = windows.reshape(groups, -1, *windows.shape[1:])
    size = windows.shape[2:4]
    acc = np.zeros((groups, weights.shape[1], size[0] * size[1]), exact)
    pairs_at_once = max(1, _PIXELS_AT_ONCE // (groups * size[0] * size[1]))
    for first in range(0, len(channels), pairs_at_once):
        c, y, x = (one[first : first + pairs_at_once] for one in (channels, rows, columns))
        seen: npt.NDArray[Any] = windows[:, c, :, :, y, x].transpose(1, 0, 2, 3)
        used: npt.NDArray[Any] = weights[:, :, c, y, x].astype(exact)
        acc += used @ seen.reshape(groups, len(c), -1)
    return acc.reshape(layer.out_channels, *size).astype(np.int32)


def largest(layer: MaxPool2d, activations: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Max pooling, int8 (C, H', W'): the largest pixel of each window, those outside the input ignored.

    Args:
        activations: 4-bit integers (C, H, W).
    """
    windows = _windows(layer, activations, np.int8, layer.output_range[0])
    return reduce(np.maximum, (windows[..., y, x] for y, x in np.ndindex(*layer.kernel)))


def _windows(layer: Layer, activations: npt.NDArray[Any], kind: type[np.number[Any]], outside: int) -> npt.NDArray[Any]:
    """What each output sees of each channel, a view of (C, H', W', kh, kw) of such numbers."""
    pads, (sy, sx), (dy, dx), (kh, kw) = layer.pads, layer.stride, layer.dilation, layer.kernel
    channels, height, width = activations.shape
    padded = np.full((channels, pads.top + height + pads.bottom, pads.left + width + pads.right), outside, kind)
    padded[:, pads.top : pads.top + height, pads.left : pads.left + width] = activations
    reach = (dy * (kh - 1) + 1, dx * (kw - 1) + 1)
    return np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))[:, ::sy, ::sx, ::dy, ::dx]


def requantise(layer: Conv2d, acc: Int32Array, residual: npt.NDArray[Any] | None) -> npt.NDArray[np.int8]:
    """``clamp(((acc + bias) * multiplier + residual * residual_multiplier + round) >> shift, low, high)``.

    All in float64, which holds the 43 bits that are used; ``floor`` rounds down as ``>>`` does, so halves go towards
    +infinity.
    """
    bias, multiplier, shift = (row[:, None, None] for row in (layer.bias, layer.multiplier, layer.shift))
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    scaled = acc.astype(np.float64)  # and from here on in place: these are the largest arrays of a run
    scaled *= multiplier.astype(np.float64)
    scaled += (bias * multiplier + half).astype(np.float64)
    if residual is not None:
        scaled += residual.astype(np.int32) * np.int32(layer.residual_multiplier)  # below 2**20
    scaled *= 1 / (np.int64(1) << shift)
    np.floor(scaled, out=scaled)
    np.clip(scaled, *layer.output_range, out=scaled)
    narrow: npt.NDArray[np.int8] = scaled.astype(np.int8)
    return narrow


def wrap(sums: Int32Array) -> Int32Array:
    """The accumulator's two's complement of 24 bits; changes nothing in a layer that the compiler accepts."""
    spare_bits = 32 - ACCUMULATOR_BITS
    wrapped = sums << spare_bits
    wrapped >>= spare_bits
    return wrapped


def _exact_float(
    terms: int, weights: npt.NDArray[Any], activations: npt.NDArray[Any]
) -> type[np.float32] | type[np.float64]:
    """The smaller float type in which no partial sum of that many products, in whatever order, is rounded."""
    largest = [max(int(array.max(initial=0)), -int(array.min(initial=0))) for array in (weights, activations)]
    return np.float32 if terms * largest[0] * largest[1] < _EXACT_FLOAT32 else np.float64
