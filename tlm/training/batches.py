"""Training batches: their order and augmentation follow from seed, stage and step alone, so that nothing is lost when
training is interrupted.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor
from torch.nn import functional

from tlm.inputs.labelled import LabelledImages

_FARTHEST = 2
"""Most pixels by which an image is shifted in y and in x [A]."""


class Batches:
    """A training set in batches; a last incomplete batch of an epoch is left out.

    Args:
        images: the training set.
        size: images per batch.
        seed: of order and augmentation.
        stage: name of what is trained; each has an order of its own.
    """

    def __init__(self, images: LabelledImages, size: int, seed: int, stage: str) -> None:
        self.per_epoch = max(1, len(images) // size)
        self._size, self._seed = min(size, len(images)), seed * 1_000_003 + zlib.crc32(stage.encode())
        pixels = torch.from_numpy(images.activations)
        self._padded = functional.pad(pixels, (_FARTHEST,) * 4).permute(0, 2, 3, 1).contiguous()
        self._labels = torch.from_numpy(images.labels)
        self._sides = images.activations.shape[2:]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Activations (N, C, H, W), floats 0..15, and labels (N,) of a step, mirrored and shifted at random."""
        epoch, index = divmod(step, self.per_epoch)
        random = torch.Generator().manual_seed(self._seed + 1_000_000_007 * (epoch + 1))
        order = torch.randperm(len(self._labels), generator=random)
        chosen = order[index * self._size : (index + 1) * self._size]
        random = torch.Generator().manual_seed(self._seed + 7 * step + 3)
        count = len(chosen)
        offsets = torch.randint(0, 2 * _FARTHEST + 1, (2, count, 1), generator=random)
        mirrored = torch.randint(0, 2, (count, 1), generator=random).bool()
        rows = offsets[0] + torch.arange(self._sides[0])
        columns = offsets[1] + torch.arange(self._sides[1])
        columns = torch.where(mirrored, columns.flip(1), columns)
        pixels = self._padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        return pixels.permute(0, 3, 1, 2).float(), self._labels[chosen]

    def plain(self, count: int) -> Tensor:
        """The first images as they are, floats (N, C, H, W) 0..15."""
        inner = self._padded[:count, _FARTHEST:-_FARTHEST, _FARTHEST:-_FARTHEST]
        return inner.permute(0, 3, 1, 2).float()
