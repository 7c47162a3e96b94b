"""Calibration data: pictures or arrays, as a network's input takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.inputs.array_files import read_arrays
from tlm.inputs.images import image_files, load_pixels
from tlm.inputs.integer_arrays import IntArray

MOST = 64
"""Samples that are used; all tensors of a layer are held for all of them."""
_HELD_OUT = 5
"""Of as many samples, one is held out."""


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """Samples and, where they are known, their classes.

    Args:
        images: float32, the batch first.
        labels: int64 (N,), or None.
    """

    images: npt.NDArray[np.float32]
    labels: IntArray | None = None

    @property
    def held_out(self) -> npt.NDArray[np.bool_]:
        """Which samples are not calibrated on: every fifth."""
        held_out: npt.NDArray[np.bool_] = np.arange(len(self.images)) % _HELD_OUT == _HELD_OUT - 1
        return held_out


def read_calibration(
    path: Path, shape: Sequence[int], channels_last: bool, mean: Sequence[float], std: Sequence[float]
) -> CalibrationData:
    """Samples from a directory of pictures, a .npy file of images, or an .npz file of ``images`` and ``labels``.

    Args:
        path: of these.
        shape: of one image, as the network takes it.
        channels_last: where it takes the channels of pictures.
        mean: of each channel of pictures, taken away from samples of 0..1.
        std: of each channel, what the rest is divided by.

    Raises:
        InputError: nothing to be read, or of another shape; headed by the path.
    """
    if path.is_dir():
        channels, height, width = (shape[2], *shape[:2]) if channels_last else (*shape, 0, 0)[:3]
        if len(shape) != 3 or channels != 3:
            raise InputError(f"{path}: pictures have 3 channels, but the network takes {[*shape]}; give arrays (.npz)")
        pixels = np.stack([load_pixels(file, height, width) for file in image_files(path)[:MOST]])
        real = (pixels.astype(np.float32) / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
        return CalibrationData((real.transpose(0, 2, 3, 1) if channels_last else real).astype(np.float32))
    try:
        found = read_arrays(path)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; give a directory of pictures, a .npy or an .npz file") from None
    arrays = {"images": found} if isinstance(found, np.ndarray) else found
    images: Any = arrays.get("images", np.zeros(0))
    if images.dtype.kind not in "fiu" or images.shape[1:] != tuple(shape) or not len(images):
        raise InputError(
            f"{path}: its images are {images.dtype} {images.shape}, but must be numbers (N, {str([*shape])[1:-1]})"
        )
    if not np.isfinite(images).all():
        raise InputError(f"{path}: its images hold a number that is not finite")
    labels = arrays.get("labels")
    if labels is not None and (labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]):
        raise InputError(
            f"{path}: its labels are {labels.dtype} {labels.shape}, but must be whole numbers ({len(images)},)"
        )
    return CalibrationData(images[:MOST].astype(np.float32), None if labels is None else labels[:MOST].astype(np.int64))


def read_labels(path: Path, count: int) -> IntArray:
    """The class of each sample, a whole number a line, in the order of the samples.

    Raises:
        InputError: no such file, fewer lines than samples, or anything else in it.
    """
    try:
        lines = read_file(path).decode().split()
        labels = np.array([int(line) for line in lines], np.int64)
    except FileNotFoundError:
        raise InputError(f"--labels: {path} does not exist") from None
    except (ValueError, OverflowError):
        raise InputError(f"--labels: {path} must hold a whole number a line, the class of each sample") from None
    if len(labels) < count:
        raise InputError(f"--labels: {path} holds {len(labels)} classes, but there are {count} samples")
    return labels[:count]


def noise(shape: Sequence[int], count: int = 4) -> CalibrationData:
    """Seeded samples of a normal distribution, where no data are given."""
    return CalibrationData(np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32))
