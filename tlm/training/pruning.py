"""Magnitude pruning, as methods of torch.nn.utils.prune: a mask is multiplied in before every use of the weights.

Three granularities: taps of a depth-wise kernel per channel [P], weight words of the engine (an input channel, a tap
and 32 output channels), and single weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from tlm.core.errors import InputError

WORD_CHANNELS = 32
"""Output channels of a weight word of the published chip [P]."""


class KeepTaps(prune.BasePruningMethod):
    """Keep the largest ``taps`` weights of each channel; what an earlier mask has dropped stays dropped."""

    PRUNING_TYPE = "global"  # looks at the whole tensor with its mask, not at slices of it

    def __init__(self, taps: int) -> None:
        self.taps = taps

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for weights (C, 1, kh, kw); of equal magnitudes the first is kept."""
        flat = (t.abs() + 1.0).flatten(1) * default_mask.flatten(1)  # what was dropped ranks below any zero
        order = flat.argsort(dim=1, descending=True, stable=True)
        mask = torch.zeros_like(flat).scatter_(1, order[:, : self.taps], 1.0)
        return (mask * default_mask.flatten(1)).reshape(t.shape)


class KeepWords(prune.BasePruningMethod):
    """Keep a share of the weight words: those with the largest mean magnitude, of (O, C, kh, kw)."""

    PRUNING_TYPE = "global"

    def __init__(self, share: float) -> None:
        self.share = share

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask; a last group of fewer than 32 output channels counts by its mean as well."""
        groups = [part.abs().mean(0) for part in torch.split(t * default_mask, WORD_CHANNELS)]
        live = [part.amax(0) > 0 for part in torch.split(default_mask, WORD_CHANNELS)]
        strength = torch.where(torch.stack(live), torch.stack(groups), -1.0).flatten()  # what was dropped ranks last
        keep = strength.argsort(descending=True, stable=True)[: round(self.share * strength.numel())]
        words = torch.zeros_like(strength).scatter_(0, keep, 1.0).reshape(len(groups), *t.shape[1:])
        return words.repeat_interleave(WORD_CHANNELS, 0)[: len(t)] * default_mask


class KeepWeights(prune.BasePruningMethod):
    """Keep a share of the single weights, those of the largest magnitude (torch's own needs one layout of memory)."""

    PRUNING_TYPE = "global"

    def __init__(self, share: float) -> None:
        self.share = share

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask, of any shape; what was dropped ranks last."""
        strength = torch.where(default_mask > 0, t.abs(), -1.0).flatten()
        keep = strength.argsort(descending=True, stable=True)[: round(self.share * strength.numel())]
        return torch.zeros_like(strength).scatter_(0, keep, 1.0).reshape(t.shape) * default_mask


def prune_taps(layer: nn.Conv2d, taps: int) -> None:
    """Prune a depth-wise layer's kernels (C, 1, kh, kw) to ``taps`` each.

    Raises:
        InputError: fewer than 1 tap or more than the kernel has.
    """
    size = layer.weight[0, 0].numel()
    if not 1 <= taps <= size:
        raise InputError(f"taps: {taps} is not allowed for a kernel of {size}; give 1..{size}")
    _apply(KeepTaps(taps), layer)


def prune_words(layer: nn.Conv2d, share: float) -> None:
    """Prune a standard convolution to a share of its weight words.

    Raises:
        InputError: a share outside 0..1.
    """
    _check_share(share)
    _apply(KeepWords(share), layer)


def prune_weights(layer: nn.Conv2d, share: float) -> None:
    """Prune a convolution to a share of its single weights, the largest (unstructured).

    Raises:
        InputError: a share outside 0..1.
    """
    _check_share(share)
    _apply(KeepWeights(share), layer)


def mask_of(layer: nn.Conv2d) -> Tensor:
    """1 where a weight is kept, of the weights' shape."""
    mask = getattr(layer, "weight_mask", None)
    return torch.ones_like(layer.weight) if mask is None else mask


def live_words(layer: nn.Conv2d) -> tuple[int, int]:
    """(weight words that are kept, weight words of the layer)."""
    words = torch.stack([part.amax(0) for part in torch.split(mask_of(layer), WORD_CHANNELS)])
    return int(words.sum()), words.numel()


def kept_weights(layer: nn.Conv2d) -> Tensor:
    """The weights as they are now, dropped ones exactly 0 (``layer.weight`` is that of the last forward pass)."""
    original: Tensor = getattr(layer, "weight_orig", layer.weight)
    return original.detach() * mask_of(layer)


def _apply(method: prune.BasePruningMethod, layer: nn.Conv2d) -> None:
    old = mask_of(layer)
    mask = method.compute_mask(kept_weights(layer), old)  # type: ignore[no-untyped-call]
    if hasattr(layer, "weight_mask"):
        old.copy_(mask)
    else:
        prune.custom_from_mask(layer, "weight", mask)  # type: ignore[no-untyped-call]


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise InputError(f"share: {share} is not allowed; give 0.0 .. 1.0")
