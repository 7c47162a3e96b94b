"""Magnitude pruning with the masks of torch.nn.utils.prune, which are multiplied in before every use of the weights.

Three granularities: taps of a depth-wise kernel per channel [P], weight words of the engine (an input channel, a tap
and 32 output channels), and single weights. What an earlier mask has dropped stays dropped: it ranks below any zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from tlm.networks.weights import WORD_CHANNELS


def prune_taps(layer: nn.Conv2d, taps: int) -> None:
    """Keep the ``taps`` largest weights of each channel of a depth-wise layer, (C, 1, kh, kw)."""
    strength = (kept_weights(layer).abs() + 1.0) * mask_of(layer)
    _narrow(layer, _largest(strength.flatten(1), taps).reshape(strength.shape))


def prune_words(layer: nn.Conv2d, share: float) -> None:
    """Keep a share of a convolution's weight words: those with the largest mean magnitude."""
    weights = kept_weights(layer)
    means = torch.stack([part.abs().mean(0) for part in torch.split(weights, WORD_CHANNELS)])
    strength = torch.where(_words(layer) > 0, means, -1.0)
    kept = _largest(strength.flatten(), round(share * strength.numel())).reshape(strength.shape)
    _narrow(layer, kept.repeat_interleave(WORD_CHANNELS, 0)[: len(weights)])


def prune_weights(layer: nn.Conv2d, share: float) -> None:
    """Keep a share of a convolution's single weights, those of the largest magnitude (unstructured)."""
    strength = torch.where(mask_of(layer) > 0, kept_weights(layer).abs(), -1.0)
    _narrow(layer, _largest(strength.flatten(), round(share * strength.numel())).reshape(strength.shape))


def mask_of(layer: nn.Conv2d) -> Tensor:
    """1 where a weight is kept, of the weights' shape."""
    mask = getattr(layer, "weight_mask", None)
    return torch.ones_like(layer.weight) if mask is None else mask


def live_words(layer: nn.Conv2d) -> tuple[int, int]:
    """(weight words that are kept, weight words of the layer)."""
    words = _words(layer)
    return int(words.sum()), words.numel()


def kept_weights(layer: nn.Conv2d) -> Tensor:
    """The weights as they are now, dropped ones exactly 0 (``layer.weight`` is that of the last forward pass)."""
    original: Tensor = getattr(layer, "weight_orig", layer.weight)
    return original.detach() * mask_of(layer)


def _words(layer: nn.Conv2d) -> Tensor:
    """1 where a weight word is kept, (groups of output channels, C, kh, kw)."""
    return torch.stack([part.amax(0) for part in torch.split(mask_of(layer), WORD_CHANNELS)])


def _largest(strength: Tensor, count: int) -> Tensor:
    """1 at the largest of each row, and 0 elsewhere; of equal ones the first count."""
    order = strength.argsort(dim=-1, descending=True, stable=True)
    return torch.zeros_like(strength).scatter_(-1, order[..., :count], 1.0)


def _narrow(layer: nn.Conv2d, mask: Tensor) -> None:
    old = mask_of(layer)
    if hasattr(layer, "weight_mask"):
        old.copy_(mask * old)
    else:
        prune.custom_from_mask(layer, "weight", mask * old)  # type: ignore[no-untyped-call]
