"""The kinds of input that a scenario file may give a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tlm.core.errors import InputError
from tlm.scenario.sections import Section, Seed, Shape, Size

if TYPE_CHECKING:
    from tlm.integer_arrays import Int8Array


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
        from tlm.images import load_image

        channels, height, width = wanted or (3, self.height or 224, self.width or 224)
        if channels != 3:
            raise InputError(
                f"input.kind: an image has 3 channels, but the network takes {[channels, height, width]}; "
                'give a network with 3 input channels, or another kind, e.g. "random"'
            )
        _check_shape((3, self.height or height, width), wanted, "input.height")
        _check_shape((3, height, self.width or width), wanted, "input.width")
        try:
            return load_image(self.file, height, width)
        except InputError as error:
            raise InputError(f"input.file: {error}") from None


InputSection: TypeAlias = RandomInput | NpyInput | ImageInput


def _check_shape(given: Shape | None, wanted: Shape | None, key: str) -> None:
    if given is not None and wanted is not None and tuple(given) != tuple(wanted):
        raise InputError(f"{key}: shape {list(given)} does not fit the network, which takes {list(wanted)}")
