"""What a scenario file may say: one struct per section, every key with a default.

A section that comes in several kinds (``network``, ``input``) is a union of structs told apart by ``kind``. A new kind
is a new struct with the same methods, added to the union; nothing else needs to know it. Attribute docstrings become
the descriptions in the JSON Schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, field

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.observe.energy_table import EnergyConfig

if TYPE_CHECKING:
    from tlm.integer_arrays import Int8Array
    from tlm.network import Network

Shape: TypeAlias = tuple[int, int, int]

Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Size: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Stride: TypeAlias = Annotated[int, Meta(ge=1, le=255)]
Pad: TypeAlias = Annotated[int, Meta(ge=0, le=1023)]
KernelSize: TypeAlias = Annotated[int, Meta(ge=1, le=60)]
Dilation: TypeAlias = Annotated[int, Meta(ge=1, le=1023)]
Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
# Pairs are tuple[X, ...] of length 2: msgspec 0.22 crashes in the garbage collector on `bounded int | tuple[X, X]`.
_TWO = Meta(min_length=2, max_length=2)
Sides: TypeAlias = Pad | Annotated[tuple[Pad, ...], _TWO]
LayerName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")]

DEFAULT_KINDS = {"network": "pw_dw_pw_block", "input": "random"}
"""Section -> the kind that it has where none is given."""

DATACLASS_SECTIONS: dict[str, type[ChipConfig] | type[EnergyConfig]] = {"chip": ChipConfig, "energy": EnergyConfig}
"""Section -> the dataclass that checks its values."""

PATH_KEYS = (("input", "file"), ("network", "weights"))
"""Keys that hold a path, relative to the file in which they stand."""


class _Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all sections."""


# -- input ------------------------------------------------------------------------------------------------------


class RandomInput(_Section, frozen=True, tag="random"):
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


class NpyInput(_Section, frozen=True, tag="npy"):
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


# -- network ----------------------------------------------------------------------------------------------------


class BlockNetwork(_Section, frozen=True, tag="pw_dw_pw_block"):
    """The PW-DW-PW block of a ResNet-18 stage, its depth-wise kernels pruned to ``taps``."""

    stage: Literal["conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv4_1", "conv4_2", "conv5_1", "conv5_2"] = "conv3_2"
    """Which residual block; it gives the geometry that the keys below do not."""
    taps: Annotated[int, Meta(ge=1, le=49)] = 3
    """Valid taps that each depth-wise kernel keeps, 1 .. kernel * kernel."""
    seed: Seed = 0
    """Seed of the weights; with one seed, fewer taps are a subset of more."""
    residual: bool = True
    """Add the block's input (through a projection where the shape changes)."""
    channels: Size | None = None
    """Input channels; default the stage's."""
    height: Size | None = None
    """Rows of the input; default the stage's at 224x224."""
    width: Size | None = None
    """Columns of the input; default the stage's at 224x224."""
    mid_channels: Size | None = None
    """Channels between the two layers; default the output's."""
    out_channels: Size | None = None
    """Output channels; default the stage's, or ``channels`` if those are given."""
    stride: Stride | None = None
    """Stride of the depth-wise kernel; default the stage's, or 1 if ``channels`` are given."""
    kernel: Literal[1, 3, 5, 7] = 3
    """Side of the depth-wise kernel."""

    @property
    def input_shape(self) -> Shape | None:
        """(C, H, W) that the network takes."""
        block = self._block()
        return int(block.in_channels), int(block.height), int(block.width)

    def build(self, activations: Int8Array, signed: bool) -> Network:
        """The network, calibrated on its input.

        Raises:
            InputError: more taps than the kernel has.
        """
        from tlm.networks.blocks import build_block

        return build_block(self._block(), activations, self.seed, signed)

    def _block(self) -> Any:
        from tlm.networks.blocks import PwDwPw
        from tlm.networks.resnet18 import BLOCKS

        size = self.kernel * self.kernel
        if self.taps > size:
            raise InputError(
                f"network.taps: {self.taps} is more than the {size} taps of a kernel of {self.kernel}x{self.kernel}; "
                f"allowed: 1..{size}"
            )
        stage = BLOCKS[self.stage]
        own = self.channels is not None
        channels = self.channels or stage.in_channels
        out_channels = self.out_channels or (channels if own else stage.out_channels)
        return PwDwPw(
            name=self.stage,
            in_channels=channels,
            height=self.height or stage.height,
            width=self.width or stage.width,
            mid_channels=self.mid_channels or out_channels,
            out_channels=out_channels,
            stride=self.stride or (1 if own else stage.stride),
            kernel=self.kernel,
            taps=self.taps,
            residual=self.residual,
        )


class LayerSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One layer; its requantisation is calibrated on the input unless the weights file gives it."""

    name: LayerName | None = None
    """Unique; default layer1, layer2, ..."""
    out_channels: Size = 32
    """Output channels."""
    kernel: KernelSize | Annotated[tuple[KernelSize, ...], _TWO] = 1
    """Kernel size, or [y, x]; at most 60 taps."""
    stride: Stride | Annotated[tuple[Stride, ...], _TWO] = 1
    """One number, or [y, x]."""
    padding: Pad | Annotated[tuple[Sides, ...], _TWO] | None = None
    """One number, [y, x], or [[top, bottom], [left, right]]; default keeps the size of the map at stride 1."""
    dilation: Dilation | Annotated[tuple[Dilation, ...], _TWO] = 1
    """One number, or [y, x]."""
    groups: Size = 1
    """Groups of channels; equal to the channels for a depth-wise layer."""
    taps: Annotated[int, Meta(ge=0, le=60)] | None = None
    """Keep this many kernel taps per input channel, the same for all output channels."""
    density: Share | None = None
    """Keep this share of the single weights, at random (unstructured pruning)."""
    word_density: Share | None = None
    """Keep this share of the weight words (32 output channels x 1 input channel x 1 tap), at random."""
    signed_output: bool = False
    """Output -8..7 instead of 0..15 (which includes the ReLU)."""
    accumulator_output: bool = False
    """Write the 24-bit sums and leave the requantiser out; only as something that no layer reads."""
    input: str | None = None
    """Name of the layer that is read, or "input"; default the layer before."""
    residual: str | None = None
    """Name of a tensor of the output's shape that is added before requantisation."""


class LayersNetwork(_Section, frozen=True, tag="layers"):
    """Layers listed one by one in [[network.layers]] tables."""

    layers: tuple[LayerSection, ...] = (LayerSection(),)
    """In the order of execution."""
    seed: Seed = 0
    """Seed of all weights that the weights file does not give."""
    weights: str | None = None
    """Path of an .npz file, relative to this scenario file, with arrays "<layer>.weights" and, if the requantisation is
    not to be calibrated, "<layer>.bias", ".multiplier", ".shift", ".residual_multiplier"."""

    @property
    def input_shape(self) -> Shape | None:
        """None: the network takes what the input gives."""
        return None

    def build(self, activations: Int8Array, signed: bool) -> Network:
        """The network, calibrated on its input.

        Raises:
            InputError: layers that do not fit; an unreadable or unfitting weights file.
        """
        from tlm.networks.stack import build_stack
        from tlm.scenario.arrays import load_arrays

        specs = [self._spec(i) for i in range(len(self.layers))]
        if self.weights is None:
            return build_stack(specs, activations, self.seed, signed)
        arrays = load_arrays(self.weights)
        try:
            return build_stack(specs, activations, self.seed, signed, arrays)
        except InputError as error:
            raise InputError(f"{error} (arrays from network.weights: {Path(self.weights).name})") from None

    def _spec(self, index: int) -> Any:
        from tlm.networks.stack import StackLayer

        layer = self.layers[index]
        ways = [key for key in ("taps", "density", "word_density") if getattr(layer, key) is not None]
        if len(ways) > 1:
            raise InputError(f"network.layers[{index}].{ways[1]}: given beside {ways[0]}; prune in one way only")
        kernel, dilation = _pair(layer.kernel), _pair(layer.dilation)
        padding = layer.padding if layer.padding is not None else _same_padding(kernel, dilation)
        return StackLayer(
            name=layer.name or f"layer{index + 1}",
            out_channels=layer.out_channels,
            kernel=kernel,
            stride=layer.stride,
            padding=tuple(_pair(side) for side in _pair(padding)),
            dilation=dilation,
            groups=layer.groups,
            taps=layer.taps,
            density=layer.density,
            word_density=layer.word_density,
            signed_output=layer.signed_output,
            input=layer.input,
            residual=layer.residual,
            accumulator_output=layer.accumulator_output,
        )


NetworkSection: TypeAlias = BlockNetwork | LayersNetwork


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _same_padding(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    extra = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return ((extra[0] // 2, extra[0] - extra[0] // 2), (extra[1] // 2, extra[1] - extra[1] // 2))


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
