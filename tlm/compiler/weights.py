"""The weight words (in WMem) and valid patterns (in IMem) of a layer's weights (engine.md, Layout)."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import PAYLOAD_BITS
from tlm.chip.format.packing import pack_nibbles
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import Conv2d, Layer, MaxPool2d

_APART_CYCLES = 32
"""Rough cost of one more layer, beside its parameters: header, emptying, the requantiser's depth."""


class LayerWeights(Struct, frozen=True, eq=False):
    """A layer's weights by group of output channels, in the order in which the array consumes them."""

    words: tuple[bytes, ...]
    """For each group the packed WMem words; only words with a non-zero weight. Pooling has none."""
    word_counts: tuple[int, ...]
    """How many words each group has."""
    step_counts: tuple[int, ...]
    """Steps of a pass of each group: its words, or the taps of its channels in pooling."""
    patterns: tuple[npt.NDArray[np.uint64], ...]
    """For each group the 60-bit payloads of its pattern words."""
    channels: tuple[tuple[int, int], ...] | None = None
    """First input channel and the one after the last that each group's patterns speak of, where every group runs as a
    layer of its own; None: all channels, and groups may run together."""

    @property
    def groups(self) -> int:
        """Groups of output channels."""
        return len(self.words)

    @property
    def word_count(self) -> int:
        """Stored weight words, all groups."""
        return sum(self.word_counts)

    def sequencer_cycles(self, group: int) -> int:
        """S of a pass of a group if every fetch takes one cycle: its steps, and one for each empty pattern word."""
        patterns = self.patterns[group]
        return self.step_counts[group] + len(patterns) - int(np.count_nonzero(patterns))


def pack_layer(layer: Layer, config: ChipConfig, tiles: int, input_words: int) -> LayerWeights:
    """Pack what a layer needs in WMem and IMem.

    The groups of a depth-wise or grouped convolution see only some input channels. Each can run as a layer of its own
    on these; that saves the cycle that each pattern word of other channels takes in every pass, and costs a header, and
    the emptying of pipeline and requantiser once more. It also makes small parts, if the input may not fit AMem whole,
    or the patterns of all its channels not IMem.

    Args:
        layer, config: what to pack for what.
        tiles: of the output.
        input_words: AMem words of the whole input.
    """
    if isinstance(layer, MaxPool2d):
        return _pooling(layer, config.columns)
    if layer.groups == 1:
        return pack_weights(layer, config.columns)
    apart = pack_weights(layer, config.columns, apart=True)
    taps = prod(layer.kernel)
    patterns = -(-layer.in_channels // max(PAYLOAD_BITS // taps, 1)) * -(-taps // PAYLOAD_BITS)
    if input_words * 4 > config.amem_words or patterns > config.imem_words:
        return apart
    together = pack_weights(layer, config.columns)
    saved = sum(together.sequencer_cycles(g) - apart.sequencer_cycles(g) for g in range(apart.groups))
    return apart if saved * tiles > apart.groups * (_APART_CYCLES + config.columns) else together


def pack_weights(layer: Conv2d, columns: int, apart: bool = False) -> LayerWeights:
    """Cut a layer's weights into words of ``columns`` output channels.

    Args:
        layer: whose weights.
        columns: of the array.
        apart: patterns speak only of the input channels that their group sees.
    """
    words, counts, spans, patterns = [], [], [], []
    for first in range(0, layer.out_channels, columns):
        block, channel = _block(layer, first, min(first + columns, layer.out_channels))
        own = block.reshape(len(block), -1)
        kept = np.bitwise_or.reduce(own, axis=0) != 0
        chosen = own if kept.all() else own[:, kept]
        if len(own) < columns:
            chosen = np.concatenate([chosen, np.zeros((columns - len(own), chosen.shape[1]), np.int8)])
        words.append(pack_nibbles(chosen.T))
        counts.append(chosen.shape[1])
        spans.append((channel, channel + block.shape[1]))
        seen = kept.reshape(block.shape[1], -1)
        if not apart and len(seen) < layer.in_channels:
            seen = np.pad(seen, ((channel, layer.in_channels - spans[-1][1]), (0, 0)))
        patterns.append(_patterns(seen))
    return LayerWeights(tuple(words), tuple(counts), tuple(counts), tuple(patterns), tuple(spans) if apart else None)


def _block(layer: Conv2d, first: int, end: int) -> tuple[Int8Array, int]:
    """Weights (n, C, kh, kw) of outputs first .. end - 1 for the input channels that they see, and its first."""
    if layer.groups == 1:
        return layer.weights[first:end], 0
    outputs, inputs = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    lowest, highest = first // outputs, (end - 1) // outputs
    block = np.zeros((end - first, (highest - lowest + 1) * inputs, *layer.kernel), np.int8)
    for output in range(first, end):
        channel = (output // outputs - lowest) * inputs
        block[output - first, channel : channel + inputs] = layer.weights[output]
    return block, lowest * inputs


def _pooling(layer: MaxPool2d, columns: int) -> LayerWeights:
    """All taps of each group's own channels; no weights."""
    taps, channels = prod(layer.kernel), layer.out_channels
    own = [min(columns, channels - first) for first in range(0, channels, columns)]
    patterns = tuple(_patterns(np.ones((count, taps), bool)) for count in own)
    return LayerWeights((b"",) * len(own), (0,) * len(own), tuple(count * taps for count in own), patterns)


def _patterns(valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Bit ``(c mod K) * taps + s`` of pattern word ``c // K`` where tap s of channel c is valid, (C, taps).

    More than 60 taps: bit ``s mod 60`` of word ``c * ceil(taps / 60) + s // 60``.
    """
    if valid.shape[1] > PAYLOAD_BITS:
        # the words of a channel are like channels of 60 taps each
        valid = np.pad(valid, ((0, 0), (0, -valid.shape[1] % PAYLOAD_BITS))).reshape(-1, PAYLOAD_BITS)
    channels, taps = valid.shape
    per_word = PAYLOAD_BITS // taps
    bits = np.zeros((-(-channels // per_word) * per_word, taps), np.uint64)
    bits[:channels] = valid
    bits = bits.reshape(-1, per_word * taps)
    bits <<= np.arange(per_word * taps, dtype=np.uint64)
    patterns: npt.NDArray[np.uint64] = np.bitwise_or.reduce(bits, axis=1)
    return patterns
