"""The golden model: what every layer's output must be, in plain numpy.

Written from engine.md, "Values", and independent of the chip and its kernels: a convolution is a product of
the weights' matrix with the pixels that each kernel tap sees. It runs in floating point, where BLAS is fast, and is
exact: no sum can reach the bound up to which the type holds every integer.
"""

from __future__ import annotations

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
    groups, (kh, kw) = layer.groups, layer.kernel
    size = layer.output_size(*activations.shape[1:])
    source = activations.reshape(groups, -1, *activations.shape[1:])
    weights = layer.weights.reshape(groups, -1, source.shape[1], kh * kw)
    used = np.bitwise_or.reduce(weights, axis=(0, 1)) != 0
    taps, channels = np.nonzero(used.T)
    exact = _exact_float(len(taps), weights, activations)
    acc = np.zeros((groups, weights.shape[1], size[0] * size[1]), exact)
    pairs_at_once = max(1, _PIXELS_AT_ONCE // (groups * size[0] * size[1]))
    for first in range(0, len(taps), pairs_at_once):
        pairs = slice(first, first + pairs_at_once)
        seen = _seen_by(layer, source, channels[pairs], taps[pairs], size, exact)
        acc += weights[:, :, channels[pairs], taps[pairs]].astype(exact) @ seen
    return acc.reshape(layer.out_channels, *size).astype(np.int32)


def _seen_by(
    layer: Conv2d,
    source: npt.NDArray[Any],
    channels: npt.NDArray[np.intp],
    taps: npt.NDArray[np.intp],
    size: tuple[int, int],
    exact: type[np.floating[Any]],
) -> npt.NDArray[Any]:
    """The pixels that each pair of channel and tap sees: (groups, pairs, H' * W'), 0 outside the input.

    Args:
        source: (groups, C // groups, H, W).
        channels, taps: the pairs, those of a tap together.
    """
    groups, height, width = source.shape[0], *source.shape[2:]
    if layer.kernel == layer.stride == (1, 1) and size == (height, width):
        return _of(source, channels).reshape(groups, len(channels), -1).astype(exact)
    seen = np.zeros((groups, len(taps), *size), exact)
    for tap in np.unique(taps).tolist():
        ky, kx = divmod(tap, layer.kernel[1])
        rows = _inside(size[0], height, layer.stride[0], ky * layer.dilation[0] - layer.pads.top)
        columns = _inside(size[1], width, layer.stride[1], kx * layer.dilation[1] - layer.pads.left)
        if rows is not None and columns is not None:
            pairs = slice(*np.searchsorted(taps, (tap, tap + 1)))
            seen[:, pairs, rows[0], columns[0]] = _of(source[:, :, rows[1], columns[1]], channels[pairs])
    return seen.reshape(groups, len(taps), -1)


def largest(layer: MaxPool2d, activations: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Max pooling, int8 (C, H', W'): the largest pixel of each window, those outside the input ignored.

    Args:
        activations: 4-bit integers (C, H, W).
    """
    channels, height, width = activations.shape
    size = layer.output_size(height, width)
    pooled = np.full((channels, *size), layer.output_range[0], np.int8)
    for ky, kx in np.ndindex(*layer.kernel):
        rows = _inside(size[0], height, layer.stride[0], ky * layer.dilation[0] - layer.pads.top)
        columns = _inside(size[1], width, layer.stride[1], kx * layer.dilation[1] - layer.pads.left)
        if rows is not None and columns is not None:
            window = pooled[:, rows[0], columns[0]]
            np.maximum(window, activations[:, rows[1], columns[1]], out=window)
    return pooled


def requantise(layer: Conv2d, acc: Int32Array, residual: npt.NDArray[Any] | None) -> npt.NDArray[np.int8]:
    """``clamp(((acc + bias) * multiplier + residual * residual_multiplier + round) >> shift, low, high)``.

    All in 64 bits, of which 43 are used; ``>>`` rounds down, so halves go towards +infinity.
    """
    bias, multiplier, shift = (row[:, None, None] for row in (layer.bias, layer.multiplier, layer.shift))
    scaled = acc + bias  # int64, and from here on in place: these are the largest arrays of a run
    scaled *= multiplier
    if residual is not None:
        scaled += residual.astype(np.int32) * np.int32(layer.residual_multiplier)  # below 2**20
    scaled += np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    scaled >>= shift
    np.clip(scaled, *layer.output_range, out=scaled)
    narrow: npt.NDArray[np.int8] = scaled.astype(np.int8)
    return narrow


def wrap(sums: Int32Array) -> Int32Array:
    """The accumulator's two's complement of 24 bits; changes nothing in a layer that the compiler accepts."""
    half = 1 << (ACCUMULATOR_BITS - 1)
    return ((sums + half) & (2 * half - 1)) - half


def _of(source: npt.NDArray[Any], channels: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Some channels (ascending, none twice) of (groups, channels, H, W); a view where they are all."""
    return source if len(channels) == source.shape[1] else source[:, channels]


def _exact_float(
    terms: int, weights: npt.NDArray[Any], activations: npt.NDArray[Any]
) -> type[np.float32] | type[np.float64]:
    """The smaller float type in which no partial sum of that many products, in whatever order, is rounded."""
    largest = [max(int(array.max(initial=0)), -int(array.min(initial=0))) for array in (weights, activations)]
    return np.float32 if terms * largest[0] * largest[1] < _EXACT_FLOAT32 else np.float64


def _inside(outputs: int, inputs: int, stride: int, offset: int) -> tuple[slice, slice] | None:
    """Outputs whose source ``output * stride + offset`` lies inside the input, and those sources; None if none do."""
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (inputs - 1 - offset) // stride)
    if first > last:
        return None
    return slice(first, last + 1), slice(first * stride + offset, last * stride + offset + 1, stride)
