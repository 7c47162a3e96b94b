"""The weight words (in WMem) and valid patterns (in IMem) of a layer's weights (engine.md, Layout)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlm.chip.format.isa import PAYLOAD_BITS
from tlm.chip.format.packing import pack_nibbles
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import Conv2d, Layer, MaxPool2d


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """A layer's weights by group of output channels, in the order in which the array consumes them."""

    words: tuple[bytes, ...]
    """For each group the packed WMem words; only words with a non-zero weight. Pooling has none."""
    word_counts: tuple[int, ...]
    """How many words each group has."""
    step_counts: tuple[int, ...]
    """Steps of a pass of each group: its words, or the taps of its channels in pooling."""
    patterns: npt.NDArray[np.uint64]
    """60-bit payloads of the pattern words, (groups, patterns per group); behind a group's last one 0."""
    pattern_counts: tuple[int, ...]
    """How many pattern words each group has."""
    channels: tuple[tuple[int, int], ...] | None = None
    """First input channel and the one behind the last that each group's patterns speak of, where every group runs as a
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
        patterns = self.patterns[group, : self.pattern_counts[group]]
        return self.step_counts[group] + len(patterns) - int(np.count_nonzero(patterns))


def pack_layer(layer: Layer, columns: int, tiles: int, large: bool) -> LayerWeights:
    """Pack what a layer needs in WMem and IMem on an array of so many columns.

    The groups of a depth-wise or grouped convolution see only some input channels. Each can run as a layer of its own
    on these; that saves the cycle that each pattern word of other channels takes in every pass, and costs a header, and
    the emptying of pipeline and requantiser once more.

    Args:
        tiles: of the output.
        large: the input may not fit AMem whole, or the patterns of all its channels not IMem, so that parts had better
            need only some of them.
    """
    if isinstance(layer, MaxPool2d):
        return _pooling(layer, columns)
    if layer.groups > 1:
        apart = pack_weights(layer, columns, apart=True)
        if large:
            return apart
        together = pack_weights(layer, columns)
        saved = sum(together.sequencer_cycles(g) - apart.sequencer_cycles(g) for g in range(apart.groups))
        return apart if saved * tiles > apart.groups * (_APART_CYCLES + columns) else together
    return pack_weights(layer, columns)


def pack_weights(layer: Conv2d, columns: int, apart: bool = False) -> LayerWeights:
    """Cut a layer's weights into words of ``columns`` output channels.

    Args:
        apart: patterns speak only of the input channels that their group sees.
    """
    taps = layer.kernel[0] * layer.kernel[1]
    words, counts, spans, valid = [], [], [], []
    for first in range(0, layer.out_channels, columns):
        block, channel = _block(layer, first, min(first + columns, layer.out_channels))
        own = block.reshape(len(block), -1)
        kept = np.bitwise_or.reduce(own, axis=0) != 0
        chosen = own if kept.all() else own[:, kept]
        if len(own) < columns:
            chosen = np.concatenate([chosen, np.zeros((columns - len(own), chosen.shape[1]), np.int8)])
        words.append(pack_nibbles(np.ascontiguousarray(chosen.T)))
        counts.append(int(kept.sum()))
        spans.append((channel, channel + block.shape[1]))
        valid.append(kept.reshape(-1, taps))
    width = max(len(seen) for seen in valid) if apart else layer.in_channels
    patterns = []
    for seen, (channel, _) in zip(valid, spans, strict=True):  # one by one: together their bits would take gigabytes
        first = 0 if apart else channel
        placed = np.zeros((1, width, taps), bool)
        placed[0, first : first + len(seen)] = seen
        patterns.append(_patterns(placed))
    per_word = PAYLOAD_BITS // taps
    pattern_counts = tuple(-(-(len(seen) if apart else width) // per_word) for seen in valid)
    return LayerWeights(
        tuple(words),
        tuple(counts),
        tuple(counts),
        np.concatenate(patterns),
        pattern_counts,
        tuple(spans) if apart else None,
    )


_APART_CYCLES = 32
"""Rough cost of one more layer, beside its parameters: header, emptying, the requantiser's depth."""


def _block(layer: Conv2d, first: int, end: int) -> tuple[Int8Array, int]:
    """Weights (n, C, kh, kw) of outputs first .. end - 1 for the input channels that they see, and its first."""
    if layer.groups == 1:
        return layer.weights[first:end], 0
    outputs, inputs = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    lowest, highest = first // outputs, (end - 1) // outputs
    block = np.zeros((end - first, (highest - lowest + 1) * inputs, *layer.kernel), np.int8)
    for group in range(lowest, highest + 1):
        rows = slice(max(first, group * outputs), min(end, (group + 1) * outputs))
        channels = slice((group - lowest) * inputs, (group - lowest + 1) * inputs)
        block[rows.start - first : rows.stop - first, channels] = layer.weights[rows]
    return block, lowest * inputs


def _pooling(layer: MaxPool2d, columns: int) -> LayerWeights:
    """All taps of each group's own channels; no weights."""
    taps, channels = layer.kernel[0] * layer.kernel[1], layer.out_channels
    groups, per_word = -(-channels // columns), PAYLOAD_BITS // taps
    own = [min(columns, channels - group * columns) for group in range(groups)]
    valid = np.arange(own[0])[None, :, None] < np.array(own)[:, None, None]
    return LayerWeights(
        words=(b"",) * groups,
        word_counts=(0,) * groups,
        step_counts=tuple(count * taps for count in own),
        patterns=_patterns(np.repeat(valid, taps, axis=2)),
        pattern_counts=tuple(-(-count // per_word) for count in own),
    )


def _patterns(valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Bit ``(c mod K) * taps + s`` of pattern word ``c // K``."""
    groups, channels, taps = valid.shape
    per_word = PAYLOAD_BITS // taps
    words = -(-channels // per_word)
    bits = np.zeros((groups, words * per_word, taps), np.uint64)
    bits[:, :channels] = valid
    position = np.arange(per_word * taps, dtype=np.uint64).reshape(per_word, taps)
    shifted = np.left_shift(bits.reshape(groups, words, per_word, taps), position)
    patterns: npt.NDArray[np.uint64] = np.bitwise_or.reduce(shifted.reshape(groups, words, -1), axis=2)
    return patterns
