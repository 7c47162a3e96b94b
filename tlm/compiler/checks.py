"""The proof that no accumulator can overflow (engine.md, Values)."""

from __future__ import annotations

import numpy as np

from tlm.core.errors import CompileError
from tlm.integer_arrays import IntArray
from tlm.layers import ACCUMULATOR_BITS, Conv2d, activation_range

LOWEST, HIGHEST = -(1 << (ACCUMULATOR_BITS - 1)), (1 << (ACCUMULATOR_BITS - 1)) - 1


def check_accumulators(layer: Conv2d, signed_input: bool) -> None:
    """Prove that no partial sum, in whatever order, leaves 24 bits; with accumulator output also not the biased sum.

    The bounds come from the actual weights and the input's range: for each output channel the sum of the largest
    and of the smallest products (a product can be 0 too, because of padding).

    Raises:
        CompileError: naming the layer, the channel and the bound.
    """
    low, high = activation_range(signed_input)
    weights = layer.weights.reshape(layer.out_channels, -1)
    total = weights.sum(axis=1, dtype=np.int64)
    magnitude = np.abs(weights).sum(axis=1, dtype=np.int64)  # |-8| fits int8
    positive, negative = (magnitude + total) // 2, (total - magnitude) // 2
    largest = positive * high + negative * low
    smallest = negative * high + positive * low
    _check(layer, "a partial sum", smallest, largest)
    if layer.accumulator_output:
        _check(layer, "the sum with its bias", smallest + layer.bias, largest + layer.bias)


def _check(layer: Conv2d, what: str, smallest: IntArray, largest: IntArray) -> None:
    for bound, bad in ((smallest, smallest < LOWEST), (largest, largest > HIGHEST)):
        if bad.any():
            channel = int(np.argmax(bad))
            raise CompileError(
                f"layer {layer.name!r}: {what} of output channel {channel} can reach {int(bound[channel])}, "
                f"but the accumulator has {ACCUMULATOR_BITS} bits ({LOWEST}..{HIGHEST}); "
                "use smaller weights, fewer channels or taps, or a smaller bias"
            )
