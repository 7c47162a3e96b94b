"""Pruning of whole networks by magnitude, without retraining: what it would buy, not what it would cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from msgspec import Struct

from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import Conv2d, Layer
from tlm.network.network import Network
from tlm.networks.weights import WORD_CHANNELS, keep_taps


class Pruned(Struct, frozen=True):
    """A network and what of it was pruned."""

    network: Network
    by_taps: int
    """Depth-wise layers that lost taps."""
    by_words: int
    """Other layers that lost weight words."""


def pruned(network: Network, taps: int | None = None, word_density: float | None = None) -> Pruned:
    """Keep the largest weights.

    Layers whose weights are nothing but 0 and 1 (means, copies, joined channels) stay whole.

    Args:
        network: any.
        taps: of each channel of a depth-wise kernel; None for all.
        word_density: share of each other layer's weight words (32 output channels x 1 input channel x 1 tap), those
            with the largest mean magnitude, 0..1; None for all.
    """
    layers: list[Layer] = []
    counts = [0, 0]
    for layer in network.layers:
        if isinstance(layer, Conv2d) and not np.isin(layer.weights, (0, 1)).all():
            depthwise = layer.weights.shape[1] == 1 and layer.groups == layer.out_channels
            weights = layer.weights
            if depthwise and taps is not None:
                weights = _with_taps(weights, taps)
            elif not depthwise and layer.groups == 1 and word_density is not None:
                weights = _with_words(weights, word_density)
            if weights is not layer.weights:
                counts[0 if depthwise else 1] += 1
                layer = replace(layer, weights=weights)
        layers.append(layer)
    return Pruned(Network(network.input_shape, layers, network.signed_input), *counts)


def _with_taps(weights: Int8Array, taps: int) -> Int8Array:
    rows = weights.reshape(len(weights), -1)
    return np.where(keep_taps(rows.astype(np.int64), taps), rows, 0).astype(np.int8).reshape(weights.shape)


def _with_words(weights: Int8Array, density: float) -> Int8Array:
    first = range(0, len(weights), WORD_CHANNELS)
    strength = np.stack([np.abs(weights[i : i + WORD_CHANNELS].astype(np.float32)).mean(axis=0) for i in first])
    kept = np.zeros(strength.size, bool)
    kept[np.argsort(-strength, axis=None, kind="stable")[: round(density * strength.size)]] = True
    mask = np.repeat(kept.reshape(strength.shape), WORD_CHANNELS, axis=0)[: len(weights)]
    return np.where(mask, weights, 0).astype(np.int8)
