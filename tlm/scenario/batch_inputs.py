"""The inputs of a batch: image files, labelled images, or variants of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from tlm.core.errors import InputError
from tlm.inputs.images import image_files, load_images
from tlm.inputs.integer_arrays import Int8Array
from tlm.inputs.labelled import LabelledImages
from tlm.network.network import Network
from tlm.scenario.blame import blaming
from tlm.training.datasets import load_fashion_mnist

_SHIFT_PARTS = 8
"""A variant of an image is shifted by at most this part of its height and width."""


class BatchInputs(Struct, frozen=True, eq=False):
    """Inputs by number, made when they are asked for."""

    names: tuple[str, ...]
    """How reports call them."""
    make: Callable[[int], Int8Array]
    """index -> int8 (C, H, W)."""
    labels: tuple[int, ...] | None = None
    """The class that each belongs to, where that is known."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Int8Array:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.make(index)


def image_inputs(network: Network, paths: Sequence[str | Path], count: int | None) -> BatchInputs:
    """Image files at the size of the network's input, all decoded now, so that a bad one is found before the work.

    Args:
        network: what reads them.
        paths: files and directories, see :func:`tlm.inputs.images.image_files`.
        count: only so many of them; None: all.

    Raises:
        InputError: a network that takes no images, a file that cannot be read, fewer files than ``count``.
    """
    shape = network.input_shape
    if shape[0] != 3 or network.signed_input:
        kind = "signed" if network.signed_input else "unsigned"
        raise InputError(
            f"--images: an image has 3 channels of 0..15, but the network takes {list(shape)}, {kind}; "
            "leave --images out, or take a scenario with 3 unsigned input channels"
        )
    with blaming("--images"):
        files = image_files(paths)
    files = files[: _checked_count(count, len(files))]
    with blaming("--images"):
        images = load_images(files, *shape[1:])
    return BatchInputs(tuple(file.name for file in files), lambda index: images[index])


def fashion_mnist_inputs(network: Network, directory: Path, count: int | None) -> BatchInputs:
    """The test images of Fashion-MNIST, with their labels.

    Args:
        network: what reads them.
        directory: where the files of the data set are.
        count: only so many of them; None: all.

    Raises:
        InputError: files that cannot be read, another network, fewer images than ``count``.
    """
    images = load_fashion_mnist(directory, "test")
    count = _checked_count(count, len(images))
    wanted, found = network.input_shape, images.activations.shape[1:]
    if wanted != found or network.signed_input:
        raise InputError(f"--fashion-mnist: images are {list(found)}, unsigned, but the network takes {list(wanted)}")
    return labelled_inputs(images, "test image", 0, count)


def labelled_inputs(images: LabelledImages, name: str, first: int, count: int) -> BatchInputs:
    """So many labelled images from the ``first`` on; each is called by the ``name`` and its number."""
    numbers = range(first, first + count)
    labels = tuple(int(images.labels[number]) for number in numbers)
    names = tuple(f"{name} {number}" for number in numbers)
    return BatchInputs(names, lambda index: images.activations[numbers[index]], labels)


def image_variant(activations: Int8Array, index: int) -> Int8Array:
    """A deterministic variant of an image, for batches without more images [A].

    Odd variants are mirrored left to right. Variants 2k and 2k + 1 are shifted by the k-th offset (rows, columns) in
    the order of its length, then of its rows, then of its columns, with at most an eighth of the height and width;
    what comes in at an edge repeats the edge. Variant 0 is the image itself.

    Args:
        activations: int8 (C, H, W).
        index: 0 .. :func:`variants_of` - 1.
    """
    rows, columns = _offsets(activations)[index // 2]
    picture = activations[:, :, ::-1] if index % 2 else activations
    _, height, width = picture.shape
    from_row = np.clip(np.arange(height) - rows, 0, height - 1)
    from_column = np.clip(np.arange(width) - columns, 0, width - 1)
    return np.ascontiguousarray(picture[:, from_row[:, None], from_column])


def variants_of(activations: Int8Array) -> int:
    """How many variants an image (C, H, W) has."""
    return 2 * len(_offsets(activations))


def _offsets(activations: Int8Array) -> list[tuple[int, int]]:
    most = [side // _SHIFT_PARTS for side in activations.shape[1:]]
    every = [(y, x) for y in range(-most[0], most[0] + 1) for x in range(-most[1], most[1] + 1)]
    return sorted(every, key=lambda offset: (offset[0] ** 2 + offset[1] ** 2, offset))


def _checked_count(count: int | None, there_are: int) -> int:
    if count is None:
        return there_are
    if not 1 <= count <= there_are:
        raise InputError(f"--count: {count} is not allowed beside {there_are:,} images; give 1..{there_are}")
    return count
