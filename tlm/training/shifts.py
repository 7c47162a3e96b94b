"""Learned spatial shifts (Chen et al. 2019, "All you need is a few shifts", whom model 1 follows [P]).

Each channel has a displacement (y, x) of real numbers. What runs is the nearest whole shift, a kernel with one tap;
what trains is the bilinear kernel around the displacement, whose gradient is passed straight through.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 1
"""Longest shift, pixels: the kernel is 3x3 [A]."""


class LearnedShift(nn.Module):
    """Shifts each of its channels, with a stride.

    Args:
        channels: how many.
        stride: of the pixels that are kept.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.displacement = nn.Parameter(torch.empty(channels, 2).uniform_(-REACH, REACH))
        self.register_buffer("first", self.displacement.detach().round())
        self.register_buffer("moves", torch.ones(channels, 1))
        self.first: Tensor
        self.moves: Tensor

    def forward(self, activations: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W'); pixels from outside are 0."""
        kernel = self.kernel()[:, None]
        return functional.conv2d(activations, kernel, None, self.stride, REACH, groups=len(kernel))

    def kernel(self) -> Tensor:
        """(C, 3, 3): one tap of 1, with the gradient of the bilinear kernel."""
        wanted = self.displacement.clamp(-REACH, REACH) * self.moves
        soft = _bilinear(wanted)
        return soft + (_bilinear(self.whole()) - soft).detach()

    def whole(self) -> Tensor:
        """The whole shifts (C, 2) that run."""
        with torch.no_grad():
            return (self.displacement.clamp(-REACH, REACH) * self.moves).round()

    def penalty(self) -> Tensor:
        """Sum of all displacements' magnitudes; training against it leaves fewer shifts (their section 3.3)."""
        return (self.displacement * self.moves).abs().sum()

    def keep(self, share: float) -> None:
        """Prune: only this share of the channels, those with the longest displacements, may still shift."""
        length = self.displacement.detach().abs().sum(1) * self.moves[:, 0]
        kept = length.argsort(descending=True, stable=True)[: round(share * len(length))]
        self.moves.zero_()
        self.moves[kept] = 1.0

    def counts(self) -> dict[str, int]:
        """Channels in all, that shift, and whose whole shift is not the first one any more."""
        now = self.whole()
        return {
            "channels": len(now),
            "shifted": int((now != 0).any(1).sum()),
            "moved": int((now != self.first).any(1).sum()),
        }


def _bilinear(displacement: Tensor) -> Tensor:
    """The kernel (C, 3, 3) that moves by (y, x): weight ``(1 - |y - ky|) (1 - |x - kx|)`` where both are positive."""
    taps = torch.arange(-REACH, REACH + 1, dtype=displacement.dtype)
    weights = (1.0 - (displacement[:, :, None] - taps).abs()).clamp(min=0.0)
    return weights[:, 0, :, None] * weights[:, 1, None, :]
