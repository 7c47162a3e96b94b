"""Requantisation that makes a layer's output use its whole 4-bit range.

Untrained weights give accumulators of arbitrary size; without calibration the activations of the next layers would
all saturate or all be zero, and a simulation with such values would prove little. All arithmetic is on integers.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.inputs.integer_arrays import Int8Array, IntArray
from tlm.network.golden import Int32Array
from tlm.network.layers import BIAS_BITS, MAX_SHIFT, MULTIPLIER_BITS, Conv2d

LEVELS = 15
"""Steps between the lowest and the highest 4-bit activation."""

_ZERO_SHARE = 30  # percent of an unsigned output's pixels at or below 0, as after a trained ReLU [A]
_TOP_SHARE = 99  # percent of the pixels at or below the highest level, so about 1 % saturate [A]
_LOW_SHARE = 1  # where there is no ReLU
_FEW_PIXELS = 16
_MANY_PIXELS = 1_024
_MULTIPLIER_BITS = MULTIPLIER_BITS - 1  # one bit of headroom below the 16 that the chip has
_RESIDUAL_NUMERATOR, _RESIDUAL_DENOMINATOR = 1, 2  # a residual's value counts half [A]


def calibrated(layer: Conv2d, accumulators: Int32Array, residual: Int8Array | None = None) -> Conv2d:
    """The layer with bias, multiplier and shift that fit what it accumulates.

    Per output channel, an unsigned output's 30th percentile becomes 0 and its 99th 15; a signed one's 1st and 99th
    become -8 and 7. With a residual, which counts half, the layer's own part is scaled so that the sum has that
    spread (the two parts taken as independent), and all shifts are equal. A constant channel keeps the layer's scale.

    Of a map of more than 1,024 pixels every n-th counts: the smallest odd n that leaves at most 1,024 (odd, so that
    it walks through all columns of an even map).

    Args:
        layer: any convolution; its own requantisation is ignored.
        accumulators: int32 (O, H', W'), its sums without bias (:func:`tlm.reference.accumulate`).
        residual: int8 (O, H', W') where the layer has a residual.
    """
    added = None if residual is None else _sampled(residual)
    return replace(layer, **fit(_sampled(accumulators), layer.signed_output, added))


def calibrated_average(layer: Conv2d, accumulators: Int32Array) -> Conv2d:
    """An averaging layer with one bias, multiplier and shift for all channels, whose ratios are what it tells.

    The 1st percentile of all channels together becomes the lowest level, the 99th the highest.

    Args:
        layer: a depth-wise convolution without residual.
        accumulators: int32 (O, H', W'), its sums without bias.
    """
    fitted = fit(_sampled(accumulators).reshape(1, -1), layer.signed_output, low_share=_LOW_SHARE)
    shared: dict[str, Any] = {key: int(fitted[key][0]) for key in ("bias", "multiplier", "shift")}
    return replace(layer, **shared)


def fit(
    accumulators: npt.NDArray[Any],
    signed: bool,
    residual: Int8Array | None = None,
    low_share: int | None = None,
) -> dict[str, Any]:
    """The requantisation for accumulators as arguments of :class:`tlm.Conv2d`, see :func:`calibrated`.

    Maps of fewer than 16 pixels have no distribution per channel worth the name: there the whole layer's is used.

    Args:
        accumulators: integers (O, pixels), 25 bits.
        signed: the output's range.
        residual: int8 (O, pixels).
        low_share: percentile that becomes the lowest level; by default the 1st of signed outputs, the 30th of others.
    """
    if low_share is None:
        low_share = _LOW_SHARE if signed else _ZERO_SHARE
    low, spread = _low_and_spread(accumulators, low_share)
    if residual is None:
        shift, residual_multiplier = _shifts_for(spread), 0
        multiplier = np.maximum((LEVELS << shift) // spread, 1)
        lowest = low * multiplier
    else:
        common = min(MULTIPLIER_BITS, int(_shifts_for(spread).min()))
        shift = np.full(len(spread), common, np.int64)
        residual_multiplier = (_RESIDUAL_NUMERATOR << common) // _RESIDUAL_DENOMINATOR
        _, spans = _low_and_spread(residual.astype(np.int32), low_share)  # sorts faster than 8 bits
        target = np.array([isqrt(4 * LEVELS**2 - min(int(span), LEVELS) ** 2) for span in spans], np.int64)
        multiplier = np.maximum((target << shift) // (2 * spread), 1)
        both = accumulators * multiplier[:, None] + residual.astype(np.int64) * residual_multiplier
        (lowest,) = _percentiles(both, low_share)
    floor = (-8 if signed else 0) << shift
    limit = 1 << (BIAS_BITS - 1)
    bias = np.clip((floor - lowest) // multiplier, -limit, limit - 1)
    return {"bias": bias, "multiplier": multiplier, "shift": shift, "residual_multiplier": residual_multiplier}


def _sampled(maps: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(O, pixels): at most 1,024 pixels of each map of (O, H, W)."""
    rows = maps.reshape(len(maps), -1)
    step = -(-rows.shape[1] // _MANY_PIXELS)
    return rows[:, :: step + (step + 1) % 2]


def _low_and_spread(values: npt.NDArray[Any], low_share: int) -> tuple[IntArray, IntArray]:
    """Per row the low percentile, and how far the top one is, at least 1; a constant row takes the whole layer's."""
    low, top = _percentiles(values, low_share, _TOP_SHARE)
    spread = top - low
    if not (spread > 0).all():
        whole_low, whole_top = _percentiles(values.reshape(1, -1), low_share, _TOP_SHARE)
        spread = np.maximum(np.where(spread > 0, spread, whole_top - whole_low), 1)
    return low, spread


def _percentiles(values: npt.NDArray[Any], *shares: int) -> list[IntArray]:
    """Percentiles of each row, (O,) each; those of all rows together where the rows are short."""
    rows, pixels = values.shape
    ordered = np.sort(values if pixels >= _FEW_PIXELS else values.reshape(1, -1), axis=1)
    picked = [ordered[:, (ordered.shape[1] - 1) * share // 100] for share in shares]
    return [np.broadcast_to(column, (rows,)).astype(np.int64) for column in picked]


def _shifts_for(spread: IntArray) -> IntArray:
    """For each spread the largest shift with ``LEVELS * 2^shift / spread`` below ``2^_MULTIPLIER_BITS``."""
    steps = LEVELS << np.arange(1, MAX_SHIFT + 1, dtype=np.int64)
    return np.searchsorted(steps, spread << _MULTIPLIER_BITS).astype(np.int64)
