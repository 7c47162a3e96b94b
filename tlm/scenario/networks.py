"""The kinds of network that a scenario file may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from tlm.core.errors import InputError
from tlm.scenario.sections import TWO, Section, Seed, Shape, Share, Size
from tlm.scenario.trained import TrainedNetwork

if TYPE_CHECKING:
    from tlm.networks.builder import NetworkBuilder
    from tlm.networks.resnet18 import Resnet18

Stride: TypeAlias = Annotated[int, Meta(ge=1, le=255)]
Pad: TypeAlias = Annotated[int, Meta(ge=0, le=1023)]
KernelSize: TypeAlias = Annotated[int, Meta(ge=1, le=60)]
Dilation: TypeAlias = Annotated[int, Meta(ge=1, le=1023)]
Sides: TypeAlias = Pad | Annotated[tuple[Pad, ...], TWO]
Taps: TypeAlias = Annotated[int, Meta(ge=1, le=9)]
_BLOCKS = Meta(min_length=8, max_length=8)
LayerName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")]


class BlockNetwork(Section, frozen=True, tag="pw_dw_pw_block"):
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

    def add_to(self, builder: NetworkBuilder) -> None:
        """Build the network, calibrated on the builder's input.

        Raises:
            InputError: more taps than the kernel has.
        """
        from tlm.networks.blocks import add_block

        add_block(builder, self._block(), self.seed)

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
    """Name of the layer, unique; default layer1, layer2, ..."""
    out_channels: Size = 32
    """Output channels."""
    kernel: KernelSize | Annotated[tuple[KernelSize, ...], TWO] = 1
    """Kernel size, or [y, x]; at most 60 taps."""
    stride: Stride | Annotated[tuple[Stride, ...], TWO] = 1
    """Stride: one number, or [y, x]."""
    padding: Pad | Annotated[tuple[Sides, ...], TWO] | None = None
    """Padding: one number, [y, x], or [[top, bottom], [left, right]]; default keeps the size of the map at stride 1."""
    dilation: Dilation | Annotated[tuple[Dilation, ...], TWO] = 1
    """Dilation: one number, or [y, x]."""
    groups: Size = 1
    """Groups of channels; equal to the channels for a depth-wise layer."""
    taps: Annotated[int, Meta(ge=0, le=60)] | None = None
    """Keep this many kernel taps per input channel, the same for all output channels; default all."""
    density: Share | None = None
    """Keep this share of the single weights, at random (unstructured pruning); default all."""
    word_density: Share | None = None
    """Keep this share of the weight words (32 output channels x 1 input channel x 1 tap), at random; default all."""
    signed_output: bool = False
    """Output -8..7 instead of 0..15 (which includes the ReLU)."""
    accumulator_output: bool = False
    """Write the 24-bit sums and leave the requantiser out; only as something that no layer reads."""
    input: str | None = None
    """Name of the layer that is read, or "input"; default the layer before."""
    residual: str | None = None
    """Name of a tensor of the output's shape that is added before requantisation."""


class LayersNetwork(Section, frozen=True, tag="layers"):
    """Layers listed one by one in [[network.layers]] tables."""

    layers: tuple[LayerSection, ...] = (LayerSection(),)
    """The layers in the order of execution; default one layer, all of whose keys have their defaults."""
    seed: Seed = 0
    """Seed of all weights that the weights file does not give."""
    weights: str | None = None
    """Path of an .npz file, relative to this scenario file, with arrays "<layer>.weights" and, if the requantisation is
    not to be calibrated, "<layer>.bias", ".multiplier", ".shift", ".residual_multiplier"."""

    @property
    def input_shape(self) -> Shape | None:
        """None: the network takes what the input gives."""
        return None

    def add_to(self, builder: NetworkBuilder) -> None:
        """Build the network, calibrated on the builder's input.

        Raises:
            InputError: layers that do not fit; an unreadable or unfitting weights file.
        """
        from tlm.networks.stack import add_stack
        from tlm.scenario.arrays import load_arrays

        specs = [self._spec(i) for i in range(len(self.layers))]
        if self.weights is None:
            add_stack(builder, specs, self.seed)
            return
        arrays = load_arrays(self.weights, "network.weights")
        try:
            add_stack(builder, specs, self.seed, arrays)
        except InputError as error:
            raise InputError(f"{error} (arrays from network.weights: {Path(self.weights).name})") from None

    def _spec(self, index: int) -> Any:
        from tlm.networks.stack import StackLayer

        layer = self.layers[index]
        ways = [key for key in ("taps", "density", "word_density") if getattr(layer, key) is not None]
        if len(ways) > 1:
            raise InputError(f"network.layers[{index}].{ways[1]}: given beside {ways[0]}; prune in one way only")
        kernel, dilation = _pair(layer.kernel), _pair(layer.dilation)
        if layer.taps is not None and layer.taps > kernel[0] * kernel[1]:
            raise InputError(
                f"network.layers[{index}].taps: {layer.taps} is more than the {kernel[0] * kernel[1]} taps of a kernel "
                f"of {kernel[0]}x{kernel[1]}; allowed: 0..{kernel[0] * kernel[1]}"
            )
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


class Resnet18Network(Section, frozen=True, tag="resnet18"):
    """ResNet-18, whole or one stage of it, with seeded weights."""

    variant: Literal["pw_dw_pw", "base"] = "pw_dw_pw"
    """"pw_dw_pw": the chip's network, a PW-DW-PW block for each residual block; "base": the published one, two standard
    3x3 convolutions a block."""
    taps: Taps | Annotated[tuple[Taps, ...], _BLOCKS] | None = None
    """Of the chip's network, valid taps that each depth-wise kernel keeps: one number for all blocks, or eight,
    conv2_1 .. conv5_2; default 3."""
    patterns: str | None = None
    """Instead of taps, which ones they are: path of an .npz file, relative to this scenario file, with an array bool
    (channels, 3, 3) for each block, "conv2_1" .. "conv5_2"."""
    density: Share | None = None
    """Of the base network, the share of single weights that each convolution of the residual blocks keeps, at random
    (unstructured pruning); default all."""
    seed: Seed = 0
    """Seed of the weights; with one seed, fewer taps are a subset of more."""
    size: Literal[32, 64, 96, 128, 160, 192, 224] = 224
    """Side of the picture, pixels."""
    classes: Size = 1000
    """Output channels of the classifier."""
    stage: Literal["conv2_x", "conv3_x", "conv4_x", "conv5_x"] | None = None
    """Only the two residual blocks of this stage; default the whole network."""

    @property
    def input_shape(self) -> Shape | None:
        """(C, H, W) that the network takes."""
        from tlm.networks.resnet18 import Resnet18

        return Resnet18(size=self.size, stage=self.stage).input_shape

    def add_to(self, builder: NetworkBuilder) -> None:
        """Build the network, calibrated on the builder's input.

        Raises:
            InputError: keys of the other variant; an unreadable or unfitting file of patterns.
        """
        from tlm.networks.resnet18 import add_resnet18

        add_resnet18(builder, self._network())

    def _network(self) -> Resnet18:
        from tlm.networks.resnet18 import Resnet18
        from tlm.scenario.arrays import load_arrays

        foreign = ("taps", "patterns") if self.variant == "base" else ("density",)
        for key in foreign:
            if getattr(self, key) is not None:
                other = "pw_dw_pw" if self.variant == "base" else "base"
                raise InputError(
                    f'network.{key}: belongs to variant = "{other}", but this network has variant = "{self.variant}"; '
                    "change variant or remove the key"
                )
        if self.taps is not None and self.patterns is not None:
            raise InputError("network.patterns: given beside taps, which the patterns decide; give one of them")
        if self.stage is not None and self.classes != Resnet18().classes:
            raise InputError(f"network.classes: {self.classes}, but {self.stage} alone has no classifier; leave it out")
        patterns = None if self.patterns is None else load_arrays(self.patterns, "network.patterns")
        try:
            return Resnet18(
                variant=self.variant,
                taps=3 if self.taps is None else self.taps,
                patterns=patterns,
                density=self.density,
                seed=self.seed,
                size=self.size,
                classes=self.classes,
                stage=self.stage,
            )
        except InputError as error:
            raise InputError(f"network.{error}") from None


NetworkSection: TypeAlias = BlockNetwork | LayersNetwork | Resnet18Network | TrainedNetwork


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _same_padding(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    extra = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return ((extra[0] // 2, extra[0] - extra[0] // 2), (extra[1] // 2, extra[1] - extra[1] // 2))
