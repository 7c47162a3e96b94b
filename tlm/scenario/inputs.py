"""The kinds of input that a scenario file may give a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tlm.core.errors import InputError
from tlm.scenario.sections import MAX_SEED, Section, Seed, Shape, Size
from tlm.scenario.trained import SampleInput

if TYPE_CHECKING:
    from tlm.inputs.integer_arrays import Int8Array
    from tlm.scenario.batch_inputs import BatchInputs


class RandomInput(Section, frozen=True, tag="random"):
    """Activations drawn from a seed; equal on every machine."""

    seed: Seed = 0
    """Seed of the activations."""
    signed: bool = False
    """Activations are -8..7 instead of 0..15."""
    shape: tuple[Size, Size, Size] | None = None
    """[C, H, W]; by default what the network asks for, or [32, 16, 16] if it takes any."""

    def activations(self, wanted: Shape | None) -> Int8Array:
        """int8 (C, H, W), of the shape that the network wants, if it wants one.

        Raises:
            InputError: ``shape`` differs from it.
        """
        from tlm.networks.seeded import seeded_activations

        _check_shape(self.shape, wanted, "input.shape")
        return seeded_activations(wanted or self.shape or (32, 16, 16), self.seed, self.signed)

    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """``own`` and more of them, from the seeds that follow.

        Raises:
            InputError: the last seed comes too soon.
        """
        from tlm.networks.seeded import seeded_activations
        from tlm.scenario.batch_inputs import BatchInputs

        if self.seed + count - 1 > MAX_SEED:
            raise InputError(f"{count} inputs from input.seed {self.seed} on pass the last seed, {MAX_SEED}; give less")
        channels, height, width = own.shape
        shape, names = (channels, height, width), tuple(f"seed {self.seed + index}" for index in range(count))
        return BatchInputs(names, lambda index: seeded_activations(shape, self.seed + index, self.signed))


class NpyInput(Section, frozen=True, tag="npy"):
    """Activations from a .npy file: an integer array (C, H, W)."""

    file: str
    """Path of the .npy file, relative to this scenario file."""
    signed: bool = False
    """Activations are -8..7 instead of 0..15."""

    def activations(self, wanted: Shape | None) -> Int8Array:
        """The file's array, checked.

        Raises:
            InputError: no such file, not an integer array of three dimensions, wrong shape, values outside 4 bits.
        """
        from tlm.scenario.arrays import load_activations

        array = load_activations(self.file, self.signed)
        channels, height, width = array.shape
        _check_shape((channels, height, width), wanted, "input.file")
        return array

    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """``own`` alone.

        Raises:
            InputError: more than one input.
        """
        from tlm.scenario.batch_inputs import BatchInputs

        name = Path(self.file).name
        if count > 1:
            raise InputError(
                f"{count} inputs, but {name} holds one; from Python, tlm.evaluate takes any array (N, C, H, W)"
            )
        return BatchInputs((name,), lambda _: own)


class ImageInput(Section, frozen=True, tag="image"):
    """Activations from an image file, for a network with three input channels."""

    file: str
    """Path of the image file, relative to this scenario file; cut to the aspect ratio, resized, quantised to 0..15."""
    height: Size | None = None
    """Rows; by default what the network asks for, or 224 if it takes any."""
    width: Size | None = None
    """Columns; by default what the network asks for, or 224 if it takes any."""

    @property
    def signed(self) -> bool:
        """Activations from images are 0..15."""
        return False

    def activations(self, wanted: Shape | None) -> Int8Array:
        """int8 (3, H, W), 0..15: red, green and blue.

        Raises:
            InputError: a network with another number of channels, another height or width than the network's, a file
                that is no image that can be read.
        """
        from tlm.inputs.images import load_image
        from tlm.network.layers import check_values

        channels, height, width = wanted or (3, self.height or 224, self.width or 224)
        if channels != 3:
            raise InputError(
                f"input.kind: an image has 3 channels, but the network takes {[channels, height, width]}; "
                'give a network with 3 input channels, or another kind, e.g. "random"'
            )
        _check_shape((3, self.height or height, width), wanted, "input.height")
        _check_shape((3, height, self.width or width), wanted, "input.width")
        check_values("input", (3, height, width))
        try:
            return load_image(self.file, height, width)
        except InputError as error:
            raise InputError(f"input.file: {error}") from None

    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """``own`` and variants of it (:func:`tlm.scenario.batch_inputs.image_variant`).

        Raises:
            InputError: there are not so many.
        """
        from tlm.scenario.batch_inputs import BatchInputs, image_variant, variants_of

        name, most = Path(self.file).name, variants_of(own)
        if count > most:
            raise InputError(
                f"{count} inputs, but an image of {own.shape[1]}x{own.shape[2]} has {most:,} variants; "
                "give less, or image files (tlm eval --images)"
            )
        names = (name, *(f"{name} variant {index}" for index in range(1, count)))
        return BatchInputs(names, lambda index: image_variant(own, index))


InputSection: TypeAlias = RandomInput | NpyInput | ImageInput | SampleInput


def _check_shape(given: Shape | None, wanted: Shape | None, key: str) -> None:
    if given is not None and wanted is not None and tuple(given) != tuple(wanted):
        raise InputError(f"{key}: shape {list(given)} does not fit the network, which takes {list(wanted)}")
