"""Integers from a seed, equal on any machine and with any numpy.

numpy guarantees the raw stream of a bit generator for ever, but not what its Generator makes of it, so the integers
are cut out of the raw 64-bit words here, with integer arithmetic only.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import numpy.typing as npt

from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import activation_range, check_values

INPUT_STREAM = "input"
"""Name of the stream that input activations are drawn from."""

_AT_ONCE = 1 << 15
"""Numbers drawn at a time where there are millions: their words (256 KiB) stay in the processor's cache."""

_EVERY_OTHER_FIELD = np.uint64(0x0000_FFFF_0000_FFFF)


class SeededBits:
    """A stream of random integers that belongs to a seed and a name.

    Each layer draws from a stream of its own name, so that adding a layer changes no other layer's weights.

    Args:
        seed: 0 or more.
        name: what is drawn, e.g. ``"conv3_2.pw1"``.
    """

    def __init__(self, seed: int, name: str) -> None:
        self._name = name
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))

    def raw(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint64]:
        """Uniform 64-bit words of a shape."""
        return np.asarray(self._bits.random_raw(self._count(shape)), np.uint64).reshape(shape)

    def below(self, bound: int, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """Integers 0 .. bound-1, bound at most 2^31 (multiply and shift; the bias is below 2^-32 * bound)."""
        return (((self.raw(shape) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    def signs(self, shape: tuple[int, ...]) -> Int8Array:
        """-1 or 1, from the top bit of a word each."""
        return 1 - 2 * (self.raw(shape).view(np.int64) < 0).view(np.int8)

    def bell(self, half_width: int, shape: tuple[int, ...]) -> Int8Array:
        """Integers -4*half_width .. 4*half_width, bell-shaped around 0: the sum of four uniform ones.

        The variance is 4 * half_width * (half_width + 1) / 3, so 2.8 is the standard deviation for half_width 2.

        Args:
            half_width: 0..31, so that the sums fit 8 bits.
        """
        total = np.empty(self._count(shape), np.int8)
        for first in range(0, total.size, _AT_ONCE):
            part = total[first : first + _AT_ONCE]
            words = self.raw(part.shape)
            # A uniform integer from each 16-bit field of a word: first of every other one, in 32 bits each.
            fields = (words & _EVERY_OTHER_FIELD, words >> np.uint64(16) & _EVERY_OTHER_FIELD)
            even, odd = (pair.view(np.uint32) * np.uint32(2 * half_width + 1) >> np.uint32(16) for pair in fields)
            sums = (even + odd).view(np.uint64)
            sums += sums >> np.uint64(32)
            part[:] = sums.astype(np.uint8)  # the upper half of a word has served
            part -= np.int8(4 * half_width)
        return total.reshape(shape)

    def _count(self, shape: tuple[int, ...]) -> int:
        """How many values a shape has; refused before memory is asked for that no machine has."""
        check_values(self._name, shape)
        return math.prod(shape)


def seeded_activations(shape: tuple[int, int, int], seed: int, signed: bool = False) -> Int8Array:
    """Input activations (C, H, W), int8, for a seed.

    Unsigned ones look like a ReLU's output (a bell around 4, cut off at 0 and 15: 20 % zeros), signed ones like a
    zero-mean signal that fills -8..7.
    """
    check_values("input", shape)
    draws = SeededBits(seed, INPUT_STREAM).bell(2 if signed else 3, shape)
    low, high = activation_range(signed)
    if not signed:
        draws += np.int8(4)
    return np.clip(draws, low, high, out=draws)
