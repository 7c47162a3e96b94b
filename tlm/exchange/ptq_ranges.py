"""Ranges of 4-bit tensors: of activations from what a network computed on calibration data, of weights from themselves.

A range is a step: what one level is worth. The least squared error is looked for among steps up to the one that cuts
nothing off; errors are those of a histogram.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.exchange.onnx_constants import Array, FloatArray
from tlm.network.layers import WEIGHT_MAX, activation_range

_SAMPLE = 1 << 20
"""Values that are kept of a tensor, over all images."""
_BINS, _STEPS, _WEIGHT_STEPS, _AT_ONCE = 2048, 60, 16, 1 << 22


@dataclass
class Samples:
    """Pixels of one tensor, the same ones whatever computed it.

    Args:
        images: how many will be added.
    """

    images: int
    parts: list[npt.NDArray[np.float32]] = field(default_factory=list)

    def add(self, values: Array) -> None:
        """Keep a part of a tensor (N, C, ...), every n-th pixel; n is odd, so that it walks through all columns."""
        rows = values.reshape(*values.shape[:2], -1).swapaxes(0, 1).reshape(values.shape[1], -1)
        most = max(1, _SAMPLE // (self.images * len(rows)))
        step = -(-rows.shape[1] // most)
        self.parts.append(np.array(rows[:, :: step + (step + 1) % 2], np.float32))

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """(C, pixels)."""
        return np.concatenate(self.parts, axis=1)


def activation_step(values: Array, signed: bool, percentile: float | None) -> float:
    """What one level should be worth.

    Args:
        values: a sample.
        signed: the levels are -8..7 instead of 0..15.
        percentile: share of the values in percent that stay uncut; None for the least squared error.
    """
    low, high = activation_range(signed)
    if percentile is not None:
        ends = np.percentile(values, [100.0 - percentile, percentile])
        return float(max(ends[1] / high, ends[0] / low if low else 0.0)) or 1.0
    if not np.any(values):
        return 1.0
    counts, edges = np.histogram(values, _BINS)
    middles, filled = (edges[1:] + edges[:-1]) / 2, counts > 0
    middles, counts = middles[filled], counts[filled]
    largest = max(edges[-1] / high, edges[0] / low if low else 0.0)
    steps = largest * np.arange(1, _STEPS + 1) / _STEPS
    cut = np.clip(np.rint(middles / steps[:, None]), low, high) * steps[:, None]
    return float(steps[np.argmin((counts * (cut - middles) ** 2).sum(axis=1))])


def quantised_weights(weights: Array, one: bool = False) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Whole numbers -7..7 of weights (O, ...), and what each output channel's unit is worth, (O,).

    Args:
        weights: float, the output channel first.
        one: all channels have the same unit.
    """
    rows = weights.reshape(1 if one else len(weights), -1)
    whole, scale = np.empty(rows.shape, np.int8), np.empty(len(rows))
    count = max(1, _AT_ONCE // rows.shape[1])
    for first in range(0, len(rows), count):
        part = slice(first, first + count)
        scale[part] = _weight_steps(rows[part])
        whole[part] = np.clip(np.rint(rows[part] / scale[part, None]), -WEIGHT_MAX, WEIGHT_MAX)
    return whole.reshape(weights.shape), np.broadcast_to(scale, len(weights)).copy()


def _weight_steps(rows: Array) -> FloatArray:
    largest = np.abs(rows).max(axis=1) / WEIGHT_MAX
    largest = np.where(largest > 0, largest, 1.0)
    steps = largest * np.linspace(0.4, 1.0, _WEIGHT_STEPS)[:, None]
    errors: list[Any] = []
    for step in steps[:, :, None].astype(rows.dtype):
        cut = np.rint(rows / step)
        np.clip(cut, -WEIGHT_MAX, WEIGHT_MAX, out=cut)
        cut *= step
        cut -= rows
        errors.append(np.einsum("ij,ij->i", cut, cut))
    best: FloatArray = steps[np.argmin(errors, axis=0), np.arange(len(rows))]
    return best
