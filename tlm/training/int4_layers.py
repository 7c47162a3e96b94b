"""Layers of the INT4 network: each is exactly one layer of the engine, quantised while it is trained.

Activations are carried as real numbers ``n * step`` with whole n, so sums are those of the engine times a scale. Biases
and multipliers are rounded as the engine stores them, so that only the rounding of float32 is left between the two.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from tlm.network.layers import WEIGHT_MAX, WEIGHT_MIN, activation_range
from tlm.networks.fixed_point import fixed_points, shared_shift
from tlm.training.architecture import LayerSpec
from tlm.training.float_layers import FloatLayer
from tlm.training.pruning import mask_of
from tlm.training.quantiser import SMALLEST_STEP, best_step, gradient_scale, quantise

_NUDGE = 2.0**-18
"""Part of a level that is added before rounding. A multiplier may be such that many sums lie half-way between levels
(49,152 is 0.75 of a power of two); the engine rounds these up, and float32 must not bring them to either side."""

_SAMPLE = 1 << 17
"""So many of a tensor's values are enough to choose its first step."""


class OutputStep(nn.Module):
    """The quantiser of a tensor of activations: one learned step for all of it.

    ``dynamic`` takes the range at run time instead: the step is that of the batch's largest magnitude. The engine
    cannot run this; it is here to measure what the press release's "during inference" would change.
    """

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.low, self.high = activation_range(signed)
        self.step = nn.Parameter(torch.zeros(()))
        self.dynamic = False
        self.used = torch.zeros(())

    def forward(self, values: Tensor) -> Tensor:
        """Quantised, of the same shape; :attr:`used` is then what one level is worth."""
        if not self.chosen:
            flat = values.detach().flatten()
            with torch.no_grad():
                self.step.copy_(best_step(flat[:: max(1, len(flat) // _SAMPLE)][None], self.low, self.high)[0])
        step: Tensor = self.step
        if self.dynamic:
            step = (values.detach().amax() / self.high).clamp(min=SMALLEST_STEP)
        self.used = step.detach()
        values = values + self.used * _NUDGE
        return quantise(values, step, self.low, self.high, gradient_scale(values[0].numel(), self.high))

    @property
    def chosen(self) -> bool:
        """Whether there is a step; the first values that come choose it, with the least error for them."""
        return float(self.step.detach()) != 0.0

    def rounding(self, units: Tensor, shared: bool = False) -> Tensor:
        """By what factors rounding the multipliers, as the engine stores them, changes scales: (n,).

        That matters in a layer with a residual, which decides the one shift, so that the multipliers of the sums have
        few bits. It also does where a value is the same for every empty pixel and near an edge between two levels.

        Args:
            units: what a unit of what is multiplied is worth, (n,), float64.
            shared: all have one shift.
        """
        if not self.chosen:
            return torch.ones(len(units))
        exact = (units / float(self.step.detach())).numpy()
        multipliers, shifts = shared_shift(exact) if shared else fixed_points(exact)
        rounded = multipliers / np.exp2(shifts)
        return torch.from_numpy(np.divide(rounded, exact, out=np.ones_like(exact), where=exact > 0)).float()


class Int4Layer(nn.Module):
    """A convolution, fused or not, with residual and requantisation.

    Weights are ``W[o, c, tap] = pointwise[o, c] * spatial[c, tap]`` where there is a spatial kernel; the product is
    what is quantised, as WMem holds it. Each output channel has its step, which becomes its multiplier; without a
    requantiser (class scores) the layer has one step, since scores of all channels are compared.
    """

    def __init__(self, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec
        outputs, inputs = spec.out_channels, spec.in_channels
        self.has_spatial = spec.kind in ("fused", "shift")
        kernel = 1 if self.has_spatial else spec.kernel
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        scores = spec.kind == "classifier"
        self.weight_step = nn.Parameter(torch.ones(1 if scores else outputs))
        self.output = None if scores else OutputStep(signed=not spec.relu)
        taps = torch.zeros(inputs, spec.kernel, spec.kernel)
        self.spatial = nn.Parameter(taps, requires_grad=spec.kind == "fused")
        self.register_buffer("mask", torch.ones_like(taps))
        self.mask: Tensor
        self.register_buffer("kept", None)
        self.kept: Tensor | None
        """Which weights a density left, 0 or 1, of their shape; None: all of them."""

    def start_from(self, trained: FloatLayer) -> None:
        """Take over a trained FP32 layer, batch norm folded, and choose each channel's first step."""
        with torch.no_grad():
            weight, bias = trained.folded()
            self.weight.copy_(weight)
            self.bias.copy_(bias)
            if prune.is_pruned(trained.conv):
                self.kept = mask_of(trained.conv).clone()
            if (spatial := trained.spatial()) is not None:
                self.spatial.copy_(spatial[0])
                self.mask.copy_(spatial[1])
            rows = self.real_weights().reshape(len(self.weight_step), -1)
            self.weight_step.copy_(best_step(rows, WEIGHT_MIN, WEIGHT_MAX))

    def real_weights(self) -> Tensor:
        """(O, C, kh, kw) before quantisation; weights that are pruned are exactly 0."""
        weight: Tensor = self.weight if self.kept is None else self.weight * self.kept
        return weight * (self.spatial * self.mask) if self.has_spatial else weight

    def weights(self) -> Tensor:
        """(O, C, kh, kw), quantised: whole numbers times :attr:`weight_step`."""
        real, step = self.real_weights(), self.weight_step[:, None, None, None]
        live = self.live_weights() // len(self.weight_step)
        return quantise(real, step, WEIGHT_MIN, WEIGHT_MAX, gradient_scale(max(1, live), WEIGHT_MAX))

    def live_weights(self) -> int:
        """Weights of the factored or plain kernel that no mask drops, counted as the engine stores them."""
        if self.kept is None:
            return len(self.weight) * int(self.mask.sum()) if self.has_spatial else self.weight.numel()
        return int(torch.count_nonzero(self.kept * self.mask if self.has_spatial else self.kept))

    def forward(
        self, activations: Tensor, residual: Tensor | None, input_step: Tensor, residual_step: Tensor | None
    ) -> Tensor:
        """(N, C, H, W) to (N, O, H', W').

        Args:
            activations: whole multiples of ``input_step``.
            residual: whole multiples of ``residual_step``, of the output's shape, or None.
            input_step: what one level of the input is worth.
            residual_step: the same of the residual.
        """
        sums = self._convolve(activations, self.weights()) + self._whole_bias(input_step)[:, None, None]
        if self.output is None:
            return sums
        units = self.weight_step.detach().double() * input_step.double()
        if residual is None or residual_step is None:
            sums = sums * self.output.rounding(units)[:, None, None]
        else:
            units = torch.cat([units, residual_step.double().reshape(1)])
            changes = self.output.rounding(units, shared=True)
            sums = sums * changes[:-1, None, None] + residual * changes[-1]
        quantised: Tensor = self.output(sums)
        return quantised

    def _whole_bias(self, input_step: Tensor) -> Tensor:
        """The bias (O,) rounded to whole units of the sums, as the engine stores it; gradients go straight through."""
        unit = (self.weight_step * input_step).detach()
        return self.bias + (torch.round(self.bias / unit) * unit - self.bias).detach()

    def _convolve(self, activations: Tensor, weights: Tensor) -> Tensor:
        spec = self.spec
        if not self.has_spatial or int(self.mask.sum((1, 2)).max()) > 1:
            return functional.conv2d(activations, weights, None, spec.stride, spec.padding)
        # one tap a channel: shifting first costs a ninth of the work, and the sums are the same
        shifted = functional.conv2d(
            activations, self.mask[:, None], None, spec.stride, spec.padding, groups=spec.in_channels
        )
        return functional.conv2d(shifted, weights.sum((2, 3), keepdim=True))


class Pooling(nn.Module):
    """Maximum or mean of a window; max pooling changes no value's scale.

    Args:
        spec: its geometry.
        quantised: a mean has a requantiser of its own.
    """

    def __init__(self, spec: LayerSpec, quantised: bool) -> None:
        super().__init__()
        self.spec = spec
        self.output = OutputStep(signed=False) if quantised and spec.kind == "average" else None

    def forward(self, activations: Tensor, residual: None, input_step: Tensor, residual_step: None) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        spec = self.spec
        if spec.kind == "maximum":
            return functional.max_pool2d(activations, spec.kernel, spec.stride, spec.padding)
        mean = functional.avg_pool2d(activations, spec.kernel, spec.stride, spec.padding)
        if self.output is None:
            return mean
        unit = input_step.double().reshape(1) / (spec.kernel * spec.kernel)
        quantised: Tensor = self.output(mean * self.output.rounding(unit))
        return quantised
