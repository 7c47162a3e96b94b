"""Trained networks and labelled images, from files or from those that come with the package."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

import tlm
from tlm.core.errors import InputError
from tlm.scenario.sections import Section, Shape

if TYPE_CHECKING:
    from tlm.inputs.integer_arrays import Int8Array
    from tlm.inputs.labelled import LabelledImages
    from tlm.networks.builder import NetworkBuilder
    from tlm.networks.stored import StoredNetwork
    from tlm.scenario.batch_inputs import BatchInputs

DEFAULT_SAMPLE = "fashion_mnist_test"
"""Images that come with the package."""


def shipped(directory: str, name: str, key: str) -> Path:
    """A file of the package's data.

    Args:
        directory: "networks" or "samples".
        name: without its suffix.
        key: the scenario's key that gave the name, for messages.

    Raises:
        InputError: there is none of that name; with the nearest.
    """
    files = {path.stem: path for path in shipped_files(directory)}
    if name not in files:
        near = get_close_matches(name, files, 1)
        hint = f"did you mean {near[0]}?" if near else f"those that there are: {', '.join(sorted(files)) or 'none'}"
        raise InputError(f"{key}: {name!r} does not come with the package; {hint}")
    return files[name]


def shipped_files(directory: str) -> list[Path]:
    """The package's files of a kind, "networks" or "samples", by name."""
    return sorted(path for root in tlm.__path__ for path in (Path(root) / "data" / directory).glob("*.npz"))


class TrainedNetwork(Section, frozen=True, tag="trained"):
    """A trained network, as `tlm train` writes it: weights, biases, multipliers and shifts are used as they are."""

    model: str | None = None
    """Name of a network that comes with the package; docs/training.md lists them."""
    file: str | None = None
    """Instead of model: path of an .npz file that `tlm train` wrote, relative to this scenario file."""

    @property
    def input_shape(self) -> Shape | None:
        """(C, H, W) that the network takes."""
        return self._stored().network.input_shape

    def add_to(self, builder: NetworkBuilder) -> None:
        """Add the stored layers.

        Raises:
            InputError: an unreadable file, an input of another shape or range.
        """
        network = self._stored().network
        if builder.input_shape != network.input_shape or builder.signed_input != network.signed_input:
            kind = "signed" if network.signed_input else "unsigned"
            raise InputError(
                f"network: takes {kind} input of shape {list(network.input_shape)}, but the input section gives "
                f"{'signed' if builder.signed_input else 'unsigned'} {list(builder.input_shape)}"
            )
        for layer in network.layers:
            builder.add(layer, calibrate=False)

    def _stored(self) -> StoredNetwork:
        from tlm.networks.stored import load_network

        if (self.model is None) == (self.file is None):
            raise InputError("network: give either model, the name of a network of the package, or file")
        if self.file is not None:
            try:
                return load_network(self.file)
            except InputError as error:
                raise InputError(f"network.file: {error}") from None
        return load_network(shipped("networks", str(self.model), "network.model"))


class SampleInput(Section, frozen=True, tag="sample"):
    """Real labelled images from one file; those that follow are the further inputs of a batch."""

    sample: str = DEFAULT_SAMPLE
    """Name of a file that comes with the package."""
    file: str | None = None
    """Instead of sample: path of an .npz file with pixels, uint8 (N, C, H, W), and labels (N,), relative to this
    scenario file."""
    index: Annotated[int, Meta(ge=0)] = 0
    """Which image is the first."""

    @property
    def signed(self) -> bool:
        """Activations from images are 0..15."""
        return False

    def activations(self, wanted: Shape | None) -> Int8Array:
        """int8 (C, H, W), 0..15: the image at ``index``.

        Raises:
            InputError: an unreadable file, too few images, another shape than the network's.
        """
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
        """The images from ``index`` on, with their labels.

        Raises:
            InputError: there are not so many.
        """
        from tlm.scenario.batch_inputs import BatchInputs

        images = self._loaded()
        left = len(images) - self.index
        if count > left:
            raise InputError(f"{count} inputs, but from input.index {self.index} on there are {left}; give less")
        labels = tuple(int(label) for label in images.labels[self.index : self.index + count])
        names = tuple(f"image {self.index + number}" for number in range(count))
        return BatchInputs(names, lambda number: images.activations[self.index + number], labels)

    def _loaded(self) -> LabelledImages:
        from tlm.inputs.labelled import load_sample

        if self.file is not None and self.sample != DEFAULT_SAMPLE:
            raise InputError("input.sample: given beside input.file; give one of them")
        path = shipped("samples", self.sample, "input.sample") if self.file is None else Path(self.file)
        try:
            return load_sample(path)
        except InputError as error:
            raise InputError(f"input.file: {error}") from None
