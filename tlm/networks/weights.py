"""Seeded 4-bit weights, shaped like trained ones, dense or pruned.

Every weight that pruning keeps is non-zero, so the number of weight words that the chip stores is known beforehand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import WEIGHT_MAX, WEIGHT_MIN, Conv2d, check_values
from tlm.network.network import Network
from tlm.networks.seeded import SeededBits

WORD_CHANNELS = 32
"""Output channels of a weight word of the published chip [P]; ``keep_words`` prunes in this unit on any chip."""

_FUSED_SCALE = 3  # (bell of deviation 2.8)^2 / 3 keeps products inside 4 bits with few at the ends


def dense_weights(bits: SeededBits, shape: tuple[int, ...]) -> Int8Array:
    """Bell-shaped weights in -8..7, none of them zero."""
    check_values("weights", shape)
    draws = bits.bell(2, shape)
    return _nonzero(bits, np.clip(draws, WEIGHT_MIN, WEIGHT_MAX, out=draws))


def fused_weights(
    bits: SeededBits,
    out_channels: int,
    in_channels: int,
    kernel: tuple[int, int],
    taps: int | npt.NDArray[np.bool_],
) -> Int8Array:
    """A pruned depth-wise kernel fused with the point-wise layer after it: (O, C, kh, kw), int8.

    Each input channel keeps its ``taps`` largest depth-wise taps [P: the smallest weights of each channel are dropped
    first], for every output channel; with one seed, fewer taps are a subset of more taps. A kept weight is the product
    of both layers' weights, requantised to 4 bits, and never zero.

    Args:
        taps: how many each channel keeps, or which: bool (C, kh, kw).
    """
    size = kernel[0] * kernel[1]
    check_values("weights", (out_channels, in_channels, size))
    depthwise = _nonzero(bits, bits.bell(2, (in_channels, size)))
    pointwise = _nonzero(bits, bits.bell(2, (out_channels, in_channels)))
    kept = keep_taps(depthwise, taps) if isinstance(taps, int) else taps.reshape(in_channels, size)
    channels, _ = np.nonzero(kept)
    product = pointwise[:, channels] * depthwise[kept]  # at most 8 * 8: 8 bits are enough
    magnitude = np.clip((np.abs(product) + np.int8(_FUSED_SCALE // 2)) // np.int8(_FUSED_SCALE), 1, WEIGHT_MAX)
    fused = np.zeros((out_channels, in_channels * size), np.int8)
    fused[:, np.flatnonzero(kept)] = np.sign(product) * magnitude
    return fused.reshape(out_channels, in_channels, *kernel)


def keep_taps(depthwise: npt.NDArray[Any], taps: int) -> npt.NDArray[np.bool_]:
    """Mask (C, kh * kw) of each channel's ``taps`` largest magnitudes; of equal ones the first."""
    order = np.argsort(-np.abs(depthwise), axis=1, kind="stable")
    mask = np.zeros(depthwise.shape, bool)
    np.put_along_axis(mask, order[:, :taps], True, axis=1)
    return mask


def prune_taps(weights: Int8Array, taps: int) -> Int8Array:
    """Keep, per input channel, the ``taps`` kernel taps whose weights are largest in sum over the output channels."""
    in_channels, kh, kw = weights.shape[1:]
    strength = np.abs(weights.astype(np.int64)).sum(axis=0).reshape(in_channels, kh * kw)
    return np.where(keep_taps(strength, taps).reshape(in_channels, kh, kw)[None], weights, 0).astype(np.int8)


def prune_weights(bits: SeededBits, weights: Int8Array, density: float) -> Int8Array:
    """Unstructured: keep a random share ``density`` of the single weights, rounded to a whole number of them."""
    return np.where(_keep_random(bits, weights.shape, density), weights, 0).astype(np.int8)


def prune_words(bits: SeededBits, weights: Int8Array, density: float) -> Int8Array:
    """Structured: keep a random share of the weight words (32 output channels x 1 input channel x 1 tap)."""
    groups = -(-weights.shape[0] // WORD_CHANNELS)
    kept = _keep_random(bits, (groups, *weights.shape[1:]), density)
    return np.where(np.repeat(kept, WORD_CHANNELS, axis=0)[: weights.shape[0]], weights, 0).astype(np.int8)


def _keep_random(bits: SeededBits, shape: tuple[int, ...], density: float) -> npt.NDArray[np.bool_]:
    keys = bits.raw(shape).ravel()
    count = round(density * keys.size)
    if count == keys.size:
        return np.ones(shape, bool)
    bound = np.partition(keys, count)[count]
    mask: npt.NDArray[np.bool_] = keys < bound
    mask[np.flatnonzero(keys == bound)[: count - np.count_nonzero(mask)]] = True  # of equal keys the first
    return mask.reshape(shape)


def _nonzero(bits: SeededBits, values: Int8Array) -> Int8Array:
    """The same array with -1 or 1 where it was 0."""
    values += bits.signs(values.shape) * (values == 0)
    return values


def stored_weights(network: Network) -> dict[str, int]:
    """Weights that are not zero, and weights in words that are not all zero (what WMem must hold)."""
    layers = [layer for layer in network.layers if isinstance(layer, Conv2d) and layer.groups == 1]
    words = [layer.weights[first : first + WORD_CHANNELS]
             for layer in layers for first in range(0, layer.out_channels, WORD_CHANNELS)]  # fmt: skip
    return {
        "nonzero": int(sum(np.count_nonzero(layer.weights) for layer in layers)),
        "stored": int(sum(np.any(word != 0, axis=0).sum() * len(word) for word in words)),
        "dense": int(sum(layer.weights.size for layer in layers)),
    }
