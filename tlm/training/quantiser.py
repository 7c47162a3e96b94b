"""The learned-step quantiser that stands for the published "dynamic quantization" (DQ) [A].

The sources give no formula for DQ, only that it retrains in INT4 "adjusting the distribution of weights and activations
layer by layer" [P]. Here each range is a parameter that is trained with the weights (LSQ, Esser et al. 2020).
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor

SMALLEST_STEP = 1e-6
"""A step that training drives to zero or below stays here."""


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, low: int, high: int, scale: float) -> Tensor:
        relative = values / step
        clamped = relative.clamp(low, high)
        inside = clamped == relative
        rounded = clamped.add_(0.5).floor_()  # halves towards +infinity, as the requantiser rounds
        slope = torch.sub(rounded, relative.mul_(inside), out=relative)  # in place: memory is what bounds this
        ctx.save_for_backward(slope, inside)
        ctx.step_shape, ctx.scale = step.shape, scale
        return rounded * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        slope, inside = ctx.saved_tensors
        (gradient,) = gradients
        of_step = (gradient * slope).sum_to_size(ctx.step_shape) * ctx.scale
        return gradient * inside, of_step, None, None, None


def quantise(values: Tensor, step: Tensor, low: int, high: int, scale: float) -> Tensor:
    """The nearest multiples ``step * n`` with whole n in ``low..high``, with gradients for values and step.

    Gradients (LSQ, equations 3 and 5): of a value inside the range 1, outside 0 (straight-through); of the step
    ``n - value / step`` inside, ``low`` or ``high`` outside, summed, times ``scale``.

    Args:
        values: any shape.
        step: positive; a scalar, or a shape that broadcasts to that of the values.
        low, high: range of n.
        scale: of the step's gradient, see :func:`gradient_scale`.
    """
    quantised: Tensor = _LearnedStep.apply(values, step.clamp(min=SMALLEST_STEP), low, high, scale)  # type: ignore[no-untyped-call]
    return quantised


def integers_of(values: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """The whole numbers n of :func:`quantise`, as floats, without gradients."""
    with torch.no_grad():
        return torch.floor((values / step.clamp(min=SMALLEST_STEP)).clamp(low, high) + 0.5)


def gradient_scale(values_per_step: int, high: int) -> float:
    """``1 / sqrt(N * Qp)``: makes a step learn about as fast as the weights (LSQ, section 2.2)."""
    return 1.0 / sqrt(values_per_step * high)


_CANDIDATES = 40


def best_step(values: Tensor, low: int, high: int) -> Tensor:
    """Per row, the step with the least mean square error among 40 that cut off up to 80 % of the range.

    Args:
        values: (rows, n).
        low, high: range of the whole numbers.

    Returns:
        (rows,), positive.
    """
    reach = torch.maximum(values.amax(1) / high, -values.amin(1) / -low if low else values.amax(1) / high)
    reach = reach.clamp(min=SMALLEST_STEP)
    best, least = reach, torch.full_like(reach, float("inf"))
    for candidate in range(1, _CANDIDATES + 1):
        step = reach * (0.2 + 0.8 * candidate / _CANDIDATES)
        error = (integers_of(values, step[:, None], low, high) * step[:, None] - values).square().mean(1)
        better = error < least
        best, least = torch.where(better, step, best), torch.where(better, error, least)
    return best
