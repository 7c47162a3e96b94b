"""Labelled images, as a network reads them, and a few of them in one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from msgspec import Struct

from tlm.core.errors import InputError
from tlm.inputs.array_files import read_arrays
from tlm.inputs.images import quantised
from tlm.inputs.integer_arrays import Int8Array, IntArray


class LabelledImages(Struct, frozen=True, eq=False):
    """Images and their classes.

    Args:
        activations: int8 (N, C, H, W), 0..15.
        labels: int64 (N,).
    """

    activations: Int8Array
    labels: IntArray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> LabelledImages:
        """The first ``count`` of them, or all if there are fewer, or with None."""
        return LabelledImages(self.activations[:count], self.labels[:count])


def load_sample(path: str | Path) -> LabelledImages:
    """Images from an .npz file with ``pixels``, uint8 (N, C, H, W), and ``labels``, whole numbers (N,).

    Samples are quantised to the nearest of 16 levels, as :mod:`tlm.inputs.images` does.

    Raises:
        InputError: no such file, other arrays in it, or of another kind or shape.
    """
    try:
        arrays = read_arrays(Path(path))
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    if isinstance(arrays, np.ndarray) or not {"pixels", "labels"} <= arrays.keys():
        raise InputError(f"{path}: is no .npz file with pixels and labels")
    pixels, labels = arrays["pixels"], arrays["labels"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or 0 in pixels.shape:
        raise InputError(f"{path}: pixels are {pixels.dtype} {pixels.shape}, but must be uint8 (N, C, H, W)")
    if labels.dtype.kind not in "iu" or labels.shape != pixels.shape[:1]:
        raise InputError(
            f"{path}: labels are {labels.dtype} {labels.shape}, but must be whole numbers ({len(pixels)},)"
        )
    return LabelledImages(quantised(pixels), labels.astype(np.int64))
