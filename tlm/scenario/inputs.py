"""The kinds of input that a scenario file may give a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
from msgspec import Meta

from tlm.core.errors import InputError
from tlm.inputs.array_files import read_arrays
from tlm.inputs.images import load_image
from tlm.inputs.integer_arrays import Int8Array
from tlm.inputs.labelled import LabelledImages, load_sample
from tlm.network.layers import activation_range, check_values
from tlm.networks.seeded import seeded_activations
from tlm.scenario.batch_inputs import BatchInputs, image_variant, labelled_inputs, variants_of
from tlm.scenario.blame import blaming
from tlm.scenario.catalog import shipped
from tlm.scenario.sections import MAX_SEED, InputKind, Seed, Shape, Size

DEFAULT_SAMPLE = "fashion_mnist_test"
"""Images that come with the package."""


class RandomInput(InputKind, frozen=True, tag="random"):
    """Activations drawn from a seed; equal on every machine."""

    seed: Seed = 0
    """Seed of the activations."""
    signed: bool = False
    """Activations are -8..7 instead of 0..15."""
    shape: tuple[Size, Size, Size] | None = None
    """[C, H, W]; by default what the network asks for, or [32, 16, 16] if it takes any."""

    def activations(self, wanted: Shape | None) -> Int8Array:
        """int8 (C, H, W), of the shape that the network wants, if it wants one."""
        if self.shape is not None:
            _check_shape(self.shape, wanted, "input.shape")
        return seeded_activations(wanted or self.shape or (32, 16, 16), self.seed, self.signed)

    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """``own`` and more of them, from the seeds that follow."""
        if self.seed + count - 1 > MAX_SEED:
            raise InputError(f"{count} inputs from input.seed {self.seed} on pass the last seed, {MAX_SEED}; give less")
        channels, height, width = own.shape
        shape, names = (channels, height, width), tuple(f"seed {self.seed + index}" for index in range(count))
        return BatchInputs(names, lambda index: seeded_activations(shape, self.seed + index, self.signed))


class NpyInput(InputKind, frozen=True, tag="npy"):
    """Activations from a .npy file: an integer array (C, H, W)."""

    file: str
    """Path of the .npy file, relative to this scenario file."""
    signed: bool = False
    """Activations are -8..7 instead of 0..15."""

    def activations(self, wanted: Shape | None) -> Int8Array:
        """The file's array, checked."""
        with blaming("input.file"):
            array = read_arrays(Path(self.file))
            if isinstance(array, dict):
                raise InputError(f"{self.file} holds several arrays; save one with numpy.save")
            if array.dtype.kind not in "iu" or array.ndim != 3 or 0 in array.shape:
                raise InputError(
                    f"{self.file} holds {array.dtype} of shape {array.shape}; "
                    "allowed: an integer array (C, H, W), no side of it zero"
                )
            low, high = activation_range(self.signed)
            if array.min() < low or array.max() > high:
                raise InputError(
                    f"{self.file} holds {array.min()}..{array.max()}; allowed: {low}..{high} "
                    f"({'' if self.signed else 'un'}signed 4-bit; see input.signed)"
                )
        _check_shape(array.shape, wanted, "input.file")
        return array.astype(np.int8)

    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """``own`` alone."""
        name = Path(self.file).name
        if count > 1:
            raise InputError(
                f"{count} inputs, but {name} holds one; from Python, tlm.evaluate takes any array (N, C, H, W)"
            )
        return BatchInputs((name,), lambda _: own)


class ImageInput(InputKind, frozen=True, tag="image"):
    """Activations from an image file, for a network with three input channels."""

    signed: ClassVar[bool] = False

    file: str
    """Path of the image file, relative to this scenario file; cut to the aspect ratio, resized, quantised to 0..15."""
    height: Size | None = None
    """Rows; by default what the network asks for, or 224 if it takes any."""
    width: Size | None = None
    """Columns; by default what the network asks for, or 224 if it takes any."""

    def activations(self, wanted: Shape | None) -> Int8Array:
        """int8 (3, H, W), 0..15: red, green and blue."""
        channels, height, width = wanted or (3, self.height or 224, self.width or 224)
        if channels != 3:
            raise InputError(
                f"input.kind: an image has 3 channels, but the network takes {[channels, height, width]}; "
                'give a network with 3 input channels, or another kind, e.g. "random"'
            )
        _check_shape((3, self.height or height, width), wanted, "input.height")
        _check_shape((3, height, self.width or width), wanted, "input.width")
        check_values("input", (3, height, width))
        with blaming("input.file"):
            return load_image(self.file, height, width)

    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """``own`` and variants of it (:func:`tlm.scenario.batch_inputs.image_variant`)."""
        name, most = Path(self.file).name, variants_of(own)
        if count > most:
            raise InputError(
                f"{count} inputs, but an image of {own.shape[1]}x{own.shape[2]} has {most:,} variants; "
                "give less, or image files (tlm eval --images)"
            )
        names = (name, *(f"{name} variant {index}" for index in range(1, count)))
        return BatchInputs(names, lambda index: image_variant(own, index))


class SampleInput(InputKind, frozen=True, tag="sample"):
    """Real labelled images from one file; those that follow are the further inputs of a batch."""

    signed: ClassVar[bool] = False

    sample: str = DEFAULT_SAMPLE
    """Name of a file that comes with the package."""
    file: str | None = None
    """Instead of sample: path of an .npz file with pixels, uint8 (N, C, H, W), and labels (N,), relative to this
    scenario file."""
    index: Annotated[int, Meta(ge=0)] = 0
    """Which image is the first."""

    def activations(self, wanted: Shape | None) -> Int8Array:
        """int8 (C, H, W), 0..15: the image at ``index``."""
        images = self._loaded()
        if self.index >= len(images):
            raise InputError(f"input.index: {self.index} is not allowed; the file has images 0..{len(images) - 1}")
        image: Int8Array = images.activations[self.index]
        if wanted is not None and image.shape != tuple(wanted):
            raise InputError(
                f"input.kind: images of shape {list(image.shape)} do not fit the network, which takes {list(wanted)}"
            )
        return image

    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """The images from ``index`` on, with their labels."""
        images = self._loaded()
        left = len(images) - self.index
        if count > left:
            raise InputError(f"{count} inputs, but from input.index {self.index} on there are {left}; give less")
        return labelled_inputs(images, "image", self.index, count)

    def _loaded(self) -> LabelledImages:
        if self.file is None:
            return load_sample(shipped("samples", self.sample, "input.sample"))
        if self.sample != DEFAULT_SAMPLE:
            raise InputError("input.sample: given beside input.file; give one of them")
        with blaming("input.file"):
            return load_sample(self.file)


InputSection: TypeAlias = RandomInput | NpyInput | ImageInput | SampleInput


def _check_shape(given: tuple[int, ...], wanted: Shape | None, key: str) -> None:
    if wanted is not None and tuple(given) != tuple(wanted):
        raise InputError(f"{key}: shape {list(given)} does not fit the network, which takes {list(wanted)}")
