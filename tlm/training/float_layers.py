"""Layers of the FP32 network: what is trained first, and pruned."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tlm.training.architecture import LayerSpec
from tlm.training.pruning import kept_weights
from tlm.training.shifts import LearnedShift


class FloatLayer(nn.Module):
    """A convolution with batch norm, residual and ReLU; a classifier's has a bias instead, and neither of them.

    In front of a point-wise convolution may stand a depth-wise one, or a learned shift. Nothing is between the two, so
    that the engine can run both as one kernel.

    Args:
        spec: its geometry.
    """

    output = None

    def __init__(self, spec: LayerSpec) -> None:
        super().__init__()
        self.spec = spec
        inputs, outputs, window = spec.in_channels, spec.out_channels, (spec.kernel, spec.stride, spec.padding)
        classifies = spec.kind == "classifier"
        own = (1, 1, 0) if spec.kind in ("fused", "shift") else window
        self.conv = nn.Conv2d(inputs, outputs, *own, bias=classifies)
        self.norm = None if classifies else nn.BatchNorm2d(outputs)
        if not classifies:
            nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.depthwise = nn.Conv2d(inputs, inputs, *window, groups=inputs, bias=False) if spec.kind == "fused" else None
        self.shift = LearnedShift(inputs, spec.stride) if spec.kind == "shift" else None

    def forward(self, activations: Tensor, residual: Tensor | None, *steps: Tensor | None) -> Tensor:
        """(N, C, H, W) to (N, O, H', W'); real numbers have no steps."""
        before = self.depthwise or self.shift
        sums: Tensor = self.conv(activations if before is None else before(activations))
        if self.norm is not None:
            sums = self.norm(sums)
        if residual is not None:
            sums = sums + residual
        return functional.relu(sums) if self.spec.relu else sums

    def spatial(self) -> tuple[Tensor, Tensor] | None:
        """The kernel before the point-wise convolution and which of its taps are kept, (C, kh, kw) each.

        Taps that are exactly 0 count as dropped, whether the layer still has its mask or not.
        """
        if self.depthwise is not None:
            kernel = kept_weights(self.depthwise)[:, 0]
            return kernel, (kernel != 0).to(kernel.dtype)
        if self.shift is not None:
            kernel = self.shift.kernel().detach().round()
            return kernel, kernel
        return None

    def folded(self) -> tuple[Tensor, Tensor]:
        """(weights (O, C, kh, kw), bias (O,)) of the convolution with the batch norm folded in.

        ``w * g``, ``b - mean * g`` with ``g = gamma / sqrt(variance + eps)``, from the running statistics.
        """
        norm = self.norm
        if norm is None:
            assert self.conv.bias is not None
            return kept_weights(self.conv), self.conv.bias.detach()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        with torch.no_grad():
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            return kept_weights(self.conv) * gain[:, None, None, None], norm.bias - norm.running_mean * gain
