"""The kinds of network that a scenario file may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, structs

from tlm.core.errors import InputError
from tlm.inputs.array_files import Arrays, read_arrays
from tlm.networks.blocks import PwDwPw, add_block
from tlm.networks.builder import NetworkBuilder
from tlm.networks.imagenet import ImageNet, Model, add_imagenet
from tlm.networks.resnet18 import BLOCKS, Resnet18, add_resnet18
from tlm.networks.stack import StackLayer, add_stack
from tlm.networks.stored import StoredNetwork, load_network
from tlm.scenario.blame import blaming
from tlm.scenario.catalog import shipped
from tlm.scenario.network_files import read_network
from tlm.scenario.sections import TWO, NetworkKind, Seed, Shape, Share, Size

Stride: TypeAlias = Annotated[int, Meta(ge=1, le=255)]
Pad: TypeAlias = Annotated[int, Meta(ge=0, le=1023)]
KernelSize: TypeAlias = Annotated[int, Meta(ge=1, le=63)]
Dilation: TypeAlias = Annotated[int, Meta(ge=1, le=1023)]
Sides: TypeAlias = Pad | Annotated[tuple[Pad, ...], TWO]
Taps: TypeAlias = Annotated[int, Meta(ge=1, le=9)]
_BLOCKS = Meta(min_length=8, max_length=8)
PictureSize: TypeAlias = Literal[32, 64, 96, 128, 160, 192, 224]
LayerName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$")]


class BlockNetwork(NetworkKind, frozen=True, tag="pw_dw_pw_block"):
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
        return self._block().input_shape

    def add_to(self, builder: NetworkBuilder) -> None:
        """Build the network, calibrated on the builder's input."""
        add_block(builder, self._block(), self.seed)

    def _block(self) -> PwDwPw:
        _check_taps("network.taps", self.taps, 1, (self.kernel, self.kernel))
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
    """Kernel size, or [y, x]."""
    stride: Stride | Annotated[tuple[Stride, ...], TWO] = 1
    """Stride: one number, or [y, x]."""
    padding: Pad | Annotated[tuple[Sides, ...], TWO] | None = None
    """Padding: one number, [y, x], or [[top, bottom], [left, right]]; default keeps the size of the map at stride 1."""
    dilation: Dilation | Annotated[tuple[Dilation, ...], TWO] = 1
    """Dilation: one number, or [y, x]."""
    groups: Size = 1
    """Groups of channels; equal to the channels for a depth-wise layer."""
    taps: Annotated[int, Meta(ge=0, le=3969)] | None = None
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


class LayersNetwork(NetworkKind, frozen=True, tag="layers"):
    """Layers listed one by one in [[network.layers]] tables."""

    layers: tuple[LayerSection, ...] = (LayerSection(),)
    """The layers in the order of execution; default one layer, all of whose keys have their defaults."""
    seed: Seed = 0
    """Seed of all weights that the weights file does not give."""
    weights: str | None = None
    """Path of an .npz file, relative to this scenario file, with arrays "<layer>.weights" and, if the requantisation is
    not to be calibrated, "<layer>.bias", ".multiplier", ".shift", ".residual_multiplier"."""

    def add_to(self, builder: NetworkBuilder) -> None:
        """Build the network, calibrated on the builder's input."""
        layers = [self._layer(index) for index in range(len(self.layers))]
        if self.weights is None:
            add_stack(builder, layers, self.seed)
            return
        arrays = _load_arrays(self.weights, "network.weights")
        try:
            add_stack(builder, layers, self.seed, arrays)
        except InputError as error:
            raise InputError(f"{error} (arrays from network.weights: {Path(self.weights).name})") from None

    def _layer(self, index: int) -> StackLayer:
        layer, key = self.layers[index], f"network.layers[{index}]"
        ways = [way for way in ("taps", "density", "word_density") if getattr(layer, way) is not None]
        if len(ways) > 1:
            raise InputError(f"{key}.{ways[1]}: given beside {ways[0]}; prune in one way only")
        kernel, dilation = _pair(layer.kernel), _pair(layer.dilation)
        if layer.taps is not None:
            _check_taps(f"{key}.taps", layer.taps, 0, kernel)
        padding = layer.padding if layer.padding is not None else _same_padding(kernel, dilation)
        changed = {
            "name": layer.name or f"layer{index + 1}",
            "kernel": kernel,
            "dilation": dilation,
            "padding": tuple(_pair(side) for side in _pair(padding)),
        }
        return StackLayer(**{**structs.asdict(layer), **changed})


class Resnet18Network(NetworkKind, frozen=True, tag="resnet18"):
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
    size: PictureSize = 224
    """Side of the picture, pixels."""
    classes: Size = 1000
    """Output channels of the classifier."""
    stage: Literal["conv2_x", "conv3_x", "conv4_x", "conv5_x"] | None = None
    """Only the two residual blocks of this stage; default the whole network."""

    @property
    def input_shape(self) -> Shape | None:
        """(C, H, W) that the network takes."""
        return Resnet18(size=self.size, stage=self.stage).input_shape

    def add_to(self, builder: NetworkBuilder) -> None:
        """Build the network, calibrated on the builder's input."""
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
        if self.stage is not None and self.classes != Resnet18.classes:
            raise InputError(f"network.classes: {self.classes}, but {self.stage} alone has no classifier; leave it out")
        changed = {
            "taps": 3 if self.taps is None else self.taps,
            "patterns": None if self.patterns is None else _load_arrays(self.patterns, "network.patterns"),
        }
        try:
            network = Resnet18(**{**structs.asdict(self), **changed})
        except InputError as error:
            raise InputError(f"network.{error}") from None
        add_resnet18(builder, network)


class ImageNetNetwork(NetworkKind, frozen=True, tag="imagenet"):
    """MobileNetV2 or ResNet-50 as published, whole, with seeded weights."""

    model: Model = "mobilenet_v2"
    """Which network."""
    seed: Seed = 0
    """Seed of the weights."""
    size: PictureSize = 224
    """Side of the picture, pixels."""
    classes: Size = 1000
    """Output channels of the classifier."""

    @property
    def input_shape(self) -> Shape | None:
        """(C, H, W) that the network takes."""
        return self._spec().input_shape

    def add_to(self, builder: NetworkBuilder) -> None:
        """Build the network, calibrated on the builder's input."""
        add_imagenet(builder, self._spec())

    def _spec(self) -> ImageNet:
        return ImageNet(**structs.asdict(self))


class TrainedNetwork(NetworkKind, frozen=True, tag="trained"):
    """A trained network, as `tlm train` writes it: weights, biases, multipliers and shifts are used as they are."""

    model: str | None = None
    """Name of a network that comes with the package; docs/training.md lists them."""
    file: str | None = None
    """Instead of model: path of an .npz file that `tlm train` or `tlm import` wrote, or of a quantised .onnx file,
    relative to this scenario file."""

    @property
    def input_shape(self) -> Shape | None:
        """(C, H, W) that the network takes."""
        return self._stored().network.input_shape

    def add_to(self, builder: NetworkBuilder) -> None:
        """Add the stored layers."""
        network = self._stored().network
        if builder.input_shape != network.input_shape or builder.signed_input != network.signed_input:
            kind, remedy = "signed" if network.signed_input else "unsigned", ""
            if builder.signed_input != network.signed_input:
                wanted = str(network.signed_input).lower()
                remedy = f"; give an array (.npy) or seeded input with input.signed = {wanted}"
            raise InputError(
                f"network: takes {kind} input of shape {list(network.input_shape)}, but the input section gives "
                f"{'signed' if builder.signed_input else 'unsigned'} {list(builder.input_shape)}{remedy}"
            )
        for layer in network.layers:
            builder.add(layer, calibrate=False)

    def _stored(self) -> StoredNetwork:
        if (self.model is None) == (self.file is None):
            raise InputError("network: give either model, the name of a network of the package, or file")
        if self.file is None:
            return load_network(shipped("networks", str(self.model), "network.model"))
        with blaming("network.file"):
            return read_network(self.file)


NetworkSection: TypeAlias = BlockNetwork | ImageNetNetwork | LayersNetwork | Resnet18Network | TrainedNetwork


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _same_padding(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    extra = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return ((extra[0] // 2, extra[0] - extra[0] // 2), (extra[1] // 2, extra[1] - extra[1] // 2))


def _check_taps(key: str, taps: int, least: int, kernel: tuple[int, int]) -> None:
    most = kernel[0] * kernel[1]
    if taps > most:
        raise InputError(
            f"{key}: {taps} is more than the {most} taps of a kernel of {kernel[0]}x{kernel[1]}; "
            f"allowed: {least}..{most}"
        )


def _load_arrays(file: str, key: str) -> Arrays:
    with blaming(key):
        arrays = read_arrays(Path(file))
        if isinstance(arrays, dict):
            return arrays
        raise InputError(f"{file} holds a single array; save named ones with numpy.savez")
