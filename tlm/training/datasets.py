"""Data sets of labelled images from files, as the 4-bit activations that the network reads. No torch here.

Every sample is quantised to the nearest of the 16 levels 0, 17, ..., 255, as :mod:`tlm.inputs.images` does [A].
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.core.input_files import MAX_FILE_BYTES, read_file
from tlm.inputs.images import image_files, load_images, quantised
from tlm.inputs.labelled import LabelledImages

FASHION_MNIST_DIRECTORY = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package dataset-fashion-mnist (MIT licence) puts its files."""

Part = Literal["train", "test"]

_IDX_IMAGES, _IDX_LABELS = 0x0803, 0x0801  # unsigned bytes in 3 and in 1 dimensions (the idx format's magic numbers)
_CIFAR_RECORD = 2 + 3 * 32 * 32  # coarse label, fine label, red, green, blue planes


def load_fashion_mnist(directory: str | Path, part: Part) -> LabelledImages:
    """Fashion-MNIST (Xiao et al. 2017): 60,000 training and 10,000 test images of 28x28 pixels, 10 classes.

    Args:
        directory: holds ``train-images-idx3-ubyte.gz`` and so on, with or without ``.gz``.
        part: which images.

    Raises:
        InputError: a file is missing or not in idx format, images and labels do not fit together.
    """
    stem = "train" if part == "train" else "t10k"
    pixels = _read_idx(Path(directory), f"{stem}-images-idx3-ubyte", _IDX_IMAGES)
    labels = _read_idx(Path(directory), f"{stem}-labels-idx1-ubyte", _IDX_LABELS)
    if len(pixels) != len(labels):
        raise InputError(f"{directory}: {len(pixels)} images of part {part!r}, but {len(labels)} labels")
    return _labelled(pixels[:, None], labels, 10, directory)


def load_cifar100(directory: str | Path, part: Part) -> LabelledImages:
    """CIFAR-100 (Krizhevsky 2009), its binary version: 50,000 and 10,000 images of 32x32 pixels, 100 fine classes.

    Args:
        directory: holds ``train.bin`` and ``test.bin``: records of coarse label, fine label, 3072 bytes.
        part: which images.

    Raises:
        InputError: a file is missing or not made of whole records.
    """
    path = Path(directory) / f"{part}.bin"
    data = _read(path)
    if not data or len(data) % _CIFAR_RECORD:
        raise InputError(f"{path}: {len(data)} bytes, but a CIFAR-100 file has {_CIFAR_RECORD} for each image")
    records = np.frombuffer(data, np.uint8).reshape(-1, _CIFAR_RECORD)
    return _labelled(records[:, 2:].reshape(-1, 3, 32, 32), records[:, 1], 100, path)


def load_image_folder(directory: str | Path, size: int) -> LabelledImages:
    """A directory with one subdirectory of images per class, as ImageNet is unpacked; classes in the order of names.

    All images are decoded now: 3 * size * size bytes each.

    Args:
        directory: holds the classes' directories.
        size: rows and columns that every image is cut and resized to.

    Raises:
        InputError: no subdirectory, one without images, a file that cannot be read.
    """
    root = Path(directory)
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not folders:
        raise InputError(f"{root}: no directory of a class in it; give one that holds one subdirectory per class")
    files = [image_files(folder) for folder in folders]
    labels = np.repeat(np.arange(len(folders)), [len(group) for group in files])
    return LabelledImages(load_images([file for group in files for file in group], size, size), labels)


def _labelled(
    pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], classes: int, where: str | Path
) -> LabelledImages:
    if labels.max(initial=0) >= classes:
        raise InputError(f"{where}: label {labels.max()}, but there are only classes 0..{classes - 1}")
    return LabelledImages(quantised(pixels), labels.astype(np.int64))


def _read_idx(directory: Path, name: str, magic: int) -> npt.NDArray[np.uint8]:
    packed = directory / f"{name}.gz"
    path = packed if packed.exists() else directory / name
    data = _read(path)
    dimensions = magic & 0xFF
    header = 4 * (1 + dimensions)
    if len(data) < header:
        raise InputError(f"{path}: {len(data)} bytes are too few for an idx file")
    found, *shape = struct.unpack(f">{1 + dimensions}I", data[:header])
    if found != magic:
        raise InputError(f"{path}: begins with {found:#010x}, but must begin with {magic:#010x} (idx, unsigned bytes)")
    if len(data) - header != prod(shape):
        raise InputError(f"{path}: {len(data) - header} bytes follow the header, but shape {shape} needs {prod(shape)}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read(path: Path) -> bytes:
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: does not exist; Fashion-MNIST is Debian's package dataset-fashion-mnist "
            f"({FASHION_MNIST_DIRECTORY}), get other data sets yourself"
        ) from None
    if path.suffix != ".gz":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            data = packed.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be unpacked ({error}); fetch it anew") from None
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path}: holds more than {MAX_FILE_BYTES:,} bytes, unpacked")
    return data
