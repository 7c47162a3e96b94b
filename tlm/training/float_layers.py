"""Layers of the FP32 network: what is trained first, and pruned."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tlm.training.architecture import LayerPlan
from tlm.training.pruning import kept_weights
from tlm.training.shifts import REACH, LearnedShift


class FloatLayer(nn.Module):
    """A convolution with batch norm, residual and ReLU; kinds differ in what stands before the last convolution.

    Args:
        plan: its geometry.
    """

    def __init__(self, plan: LayerPlan) -> None:
        super().__init__()
        self.plan = plan
        kernel, stride, padding = (
            (1, 1, 0) if plan.kind in ("fused", "shift") else (plan.kernel, plan.stride, plan.padding)
        )
        self.conv = nn.Conv2d(plan.in_channels, plan.out_channels, kernel, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(plan.out_channels)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, activations: Tensor, residual: Tensor | None) -> Tensor:
        """(N, C, H, W) to (N, O, H', W')."""
        sums = self.norm(self.conv(self.before(activations)))
        if residual is not None:
            sums = sums + residual
        return functional.relu(sums) if self.plan.relu else sums

    def before(self, activations: Tensor) -> Tensor:
        """What the last convolution reads."""
        return activations

    def spatial(self) -> Tensor | None:
        """The depth-wise kernel (C, kh, kw) and its mask in one, or None: what INT4 training starts from."""
        return None

    def spatial_mask(self) -> Tensor | None:
        """Which of its taps are kept, 0 or 1, (C, kh, kw)."""
        return None

    def folded(self) -> tuple[Tensor, Tensor]:
        """(weights (O, C, kh, kw), bias (O,)) of the last convolution with the batch norm folded in.

        ``w * g``, ``b - mean * g`` with ``g = gamma / sqrt(variance + eps)``, from the running statistics.
        """
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        with torch.no_grad():
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            return kept_weights(self.conv) * gain[:, None, None, None], norm.bias - norm.running_mean * gain


class FloatFused(FloatLayer):
    """Depth-wise, then point-wise; nothing between them, so that the engine can run both as one kernel."""

    def __init__(self, plan: LayerPlan) -> None:
        super().__init__(plan)
        channels = plan.in_channels
        self.depthwise = nn.Conv2d(
            channels, channels, plan.kernel, plan.stride, plan.padding, groups=channels, bias=False
        )

    def before(self, activations: Tensor) -> Tensor:
        """The depth-wise layer's output."""
        filtered: Tensor = self.depthwise(activations)
        return filtered

    def spatial(self) -> Tensor:
        """(C, kh, kw)."""
        return kept_weights(self.depthwise)[:, 0]

    def spatial_mask(self) -> Tensor:
        """(C, kh, kw): taps that are exactly 0 count as dropped, whether the layer still has its mask or not."""
        return (self.spatial() != 0).to(self.depthwise.weight.dtype)


class FloatShift(FloatLayer):
    """A learned shift of each channel, then point-wise."""

    def __init__(self, plan: LayerPlan) -> None:
        super().__init__(plan)
        assert plan.kernel == 2 * REACH + 1
        self.shift = LearnedShift(plan.in_channels, plan.stride)

    def before(self, activations: Tensor) -> Tensor:
        """The shifted channels."""
        shifted: Tensor = self.shift(activations)
        return shifted

    def spatial(self) -> Tensor:
        """(C, 3, 3), one tap of 1 each."""
        return self.shift.kernel().detach().round()

    def spatial_mask(self) -> Tensor:
        """(C, 3, 3)."""
        return self.spatial()


class FloatClassifier(nn.Module):
    """Point-wise with bias; class scores."""

    def __init__(self, plan: LayerPlan) -> None:
        super().__init__()
        self.plan = plan
        self.conv = nn.Conv2d(plan.in_channels, plan.out_channels, 1)

    def forward(self, activations: Tensor, residual: Tensor | None) -> Tensor:
        """(N, C, 1, 1) to (N, O, 1, 1)."""
        scores: Tensor = self.conv(activations)
        return scores


class Pooling(nn.Module):
    """Maximum or mean of a window."""

    def __init__(self, plan: LayerPlan) -> None:
        super().__init__()
        self.plan = plan

    def forward(self, activations: Tensor, residual: Tensor | None) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        plan = self.plan
        if plan.kind == "maximum":
            return functional.max_pool2d(activations, plan.kernel, plan.stride, plan.padding)
        return functional.avg_pool2d(activations, plan.kernel, plan.stride, plan.padding)


_KINDS: dict[str, type[nn.Module]] = {
    "conv": FloatLayer,
    "fused": FloatFused,
    "shift": FloatShift,
    "classifier": FloatClassifier,
    "maximum": Pooling,
    "average": Pooling,
}


def float_layer(plan: LayerPlan) -> nn.Module:
    """The FP32 layer of a plan."""
    return _KINDS[plan.kind](plan)
