"""Weight words and valid patterns: what a layer's weights become in WMem and IMem (engine.md, Layout)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlm.chip.isa import PAYLOAD_BITS
from tlm.chip.packing import pack_nibbles
from tlm.layers import Conv2d


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """A layer's weights by group of output channels, in the order in which the array consumes them."""

    words: tuple[bytes, ...]
    """For each group the packed WMem words; only words with a non-zero weight."""
    word_counts: tuple[int, ...]
    """How many words each group has."""
    patterns: npt.NDArray[np.uint64]
    """60-bit payloads of the pattern words, (groups, patterns per group)."""

    @property
    def word_count(self) -> int:
        """Stored weight words, all groups."""
        return sum(self.word_counts)


def pack_weights(layer: Conv2d, columns: int) -> LayerWeights:
    """Cut a layer's weights into words of ``columns`` output channels."""
    weights = layer.full_weights()
    out_channels, channels = weights.shape[:2]
    taps = weights.shape[2] * weights.shape[3]
    groups = -(-out_channels // columns)
    padded = np.zeros((groups * columns, channels, taps), np.int8)
    padded[:out_channels] = weights.reshape(out_channels, channels, taps)
    by_group = padded.reshape(groups, columns, channels, taps).transpose(0, 2, 3, 1)
    valid = (by_group != 0).any(axis=3)
    words = tuple(pack_nibbles(by_group[g][valid[g]]) for g in range(groups))
    return LayerWeights(words, tuple(int(n) for n in valid.sum(axis=(1, 2))), _patterns(valid))


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
