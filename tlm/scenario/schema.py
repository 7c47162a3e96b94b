"""What a scenario file may say: one struct per section, every key with a default.

A section that comes in several kinds (``network``, ``input``) is a union of structs told apart by ``kind``. A new kind
is a new struct with the same methods, added to the union; nothing else needs to know it. Attribute docstrings become
the descriptions in the JSON Schema. The kinds of network have a file of their own, ``networks``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct, field

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.observe.energy_table import EnergyConfig
from tlm.scenario.networks import BlockNetwork, NetworkSection
from tlm.scenario.sections import Section, Seed, Shape, Size

if TYPE_CHECKING:
    from tlm.integer_arrays import Int8Array

DEFAULT_KINDS = {"network": "pw_dw_pw_block", "input": "random"}
"""Section -> the kind that it has where none is given."""

DATACLASS_SECTIONS: dict[str, type[ChipConfig] | type[EnergyConfig]] = {"chip": ChipConfig, "energy": EnergyConfig}
"""Section -> the dataclass that checks its values."""

PATH_KEYS = (("input", "file"), ("network", "weights"), ("network", "patterns"))
"""Keys that hold a path, relative to the file in which they stand."""


# -- input ------------------------------------------------------------------------------------------------------


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


class ImageInput(_Section, frozen=True, tag="image"):
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


# -- the rest ---------------------------------------------------------------------------------------------------


class TraceSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to record while it runs."""

    vcd: str | None = None
    """Value change dump to write: a path, relative to the output directory (-o), or to the current one without -o."""


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario file."""

    description: str = ""
    """One line for `tlm list` and the head of the report."""
    fidelity: Literal["beat", "burst"] | None = None
    """Which model of the chip runs: "burst" has one transaction per pass and transfer, "beat" one per SRAM access, step
    and bus beat, with the same cycles; by default "burst", or "beat" where a waveform is asked for."""
    chip: ChipConfig = field(default_factory=ChipConfig)
    """The chip and what surrounds it; the default is the published chip at 1.1 V."""
    network: NetworkSection = field(default_factory=BlockNetwork)
    """What it computes."""
    input: InputSection = field(default_factory=RandomInput)
    """What the network reads."""
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    """What events cost; the default is calibrated to the published power."""
    trace: TraceSection = field(default_factory=TraceSection)
    """What is recorded."""
