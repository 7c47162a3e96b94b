"""Which layers the trained networks have, written once for the FP32, the INT4 and the exported network. No torch here.

A layer of an architecture is a layer of the engine: the batch norm of a convolution is folded into it, and a
depth-wise kernel is one layer with the point-wise one behind it (chip.md, principle [P]).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tlm.core.errors import InputError
from tlm.network.layers import INPUT

Kind = Literal["conv", "fused", "shift", "maximum", "average", "classifier"]
"""conv: convolution. fused: depth-wise, then point-wise. shift: a learned spatial shift of each channel, then
point-wise. maximum, average: pooling. classifier: point-wise, with accumulator output."""


@dataclass(frozen=True)
class LayerSpec:
    """One layer of the engine; ``relu`` says unsigned output, 0..15, otherwise -8..7."""

    name: str
    kind: Kind
    in_channels: int
    out_channels: int
    input: str
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    residual: str | None = None
    relu: bool = True


@dataclass(frozen=True)
class Architecture:
    """A network's layers in the order of execution; the last one gives the class scores."""

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    layers: tuple[LayerSpec, ...]


@dataclass(frozen=True)
class Block:
    """Geometry of a residual block; an inverted bottleneck is inside ``expansion`` times as wide."""

    name: str
    out_channels: int
    stride: int = 1
    expansion: int = 1


BlockLayers = Callable[[Block, str, int], list[LayerSpec]]
"""The layers of a block, from the name of its input and that input's channels."""


def pw_dw_pw(block: Block, source: str, channels: int) -> list[LayerSpec]:
    """The block of model 2: point-wise, depth-wise, point-wise [P]."""
    name, outputs = block.name, block.out_channels
    shortcut, residual = _shortcut(block, source, channels)
    first = LayerSpec(f"{name}.pw1", "conv", channels, outputs, source)
    last = LayerSpec(f"{name}.dwpw2", "fused", outputs, outputs, first.name, 3, block.stride, 1, residual)
    return [*shortcut, first, last]


def standard(block: Block, source: str, channels: int) -> list[LayerSpec]:
    """Two 3x3 convolutions."""
    name, outputs = block.name, block.out_channels
    shortcut, residual = _shortcut(block, source, channels)
    first = LayerSpec(f"{name}.conv1", "conv", channels, outputs, source, 3, block.stride, 1)
    last = LayerSpec(f"{name}.conv2", "conv", outputs, outputs, first.name, 3, 1, 1, residual)
    return [*shortcut, first, last]


def inverted(block: Block, source: str, channels: int) -> list[LayerSpec]:
    """The inverted bottleneck of model 1: point-wise, shift, point-wise [P]."""
    name, outputs, inside = block.name, block.out_channels, channels * block.expansion
    residual = source if block.stride == 1 and channels == outputs else None
    expand = LayerSpec(f"{name}.expand", "conv", channels, inside, source)
    shift = LayerSpec(f"{name}.shift", "shift", inside, outputs, expand.name, 3, block.stride, 1, residual, relu=False)
    return [expand, shift]


def _shortcut(block: Block, source: str, channels: int) -> tuple[list[LayerSpec], str]:
    """The projection of a residual whose shape changes, if any, and the name of what the block adds."""
    if block.stride == 1 and channels == block.out_channels:
        return [], source
    name = f"{block.name}.shortcut"
    return [LayerSpec(name, "conv", channels, block.out_channels, source, stride=block.stride, relu=False)], name


def _assembled(
    name: str,
    layers_of: BlockLayers,
    stem: tuple[int, int, int],
    blocks: Sequence[Block],
    shape: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
    pooled: bool = False,
    head: int | None = None,
) -> Architecture:
    """Stem, blocks, average and classifier.

    Args:
        name: in a recipe.
        layers_of: what a block is made of.
        stem: channels, kernel and stride of the first convolution.
        blocks: in the order of execution.
        shape: (C, H, W) of the input.
        classes: how many.
        pooled: whether max pooling follows the stem.
        head: channels of a point-wise layer before the average, if there is one.
    """
    channels, kernel, stride = stem
    layers = [LayerSpec("conv1", "conv", shape[0], channels, INPUT, kernel, stride, kernel // 2)]
    side = -(-shape[1] // stride)
    if pooled:
        layers.append(LayerSpec("pool1", "maximum", channels, channels, "conv1", 3, 2, 1))
        side = -(-side // 2)
    for block in blocks:
        layers += layers_of(block, layers[-1].name, channels)
        channels, side = block.out_channels, -(-side // block.stride)
    if head is not None:
        layers.append(LayerSpec("head", "conv", channels, head, layers[-1].name))
        channels = head
    layers.append(LayerSpec("avgpool", "average", channels, channels, layers[-1].name, side, side))
    layers.append(LayerSpec("fc", "classifier", channels, classes, "avgpool", relu=False))
    return Architecture(name, shape, classes, tuple(layers))


def resnet18(classes: int = 1000, size: int = 224) -> Architecture:
    """Model 2 as published [P]: ResNet-18 of PW-DW-PW blocks for images of ``size`` pixels, a multiple of 32."""
    if size % 32 or size < 32:
        raise InputError(f"size: {size} is not allowed; give a multiple of 32, e.g. 224")
    blocks = [
        Block(f"conv{stage}_{number}", width, 2 if number == 1 and stage > 2 else 1)
        for stage, width in ((2, 64), (3, 128), (4, 256), (5, 512))
        for number in (1, 2)
    ]
    return _assembled("resnet18", pw_dw_pw, (64, 7, 2), blocks, (3, size, size), classes, pooled=True)


_SMALL = (
    Block("conv2_1", 32),
    Block("conv3_1", 64, 2),
    Block("conv3_2", 64),
    Block("conv4_1", 128, 2),
    Block("conv4_2", 128),
)
_BOTTLENECKS = (Block("ib1", 64, 2, 2), Block("ib2", 64, 1, 3), Block("ib3", 128, 2, 2), Block("ib4", 128, 1, 2))
_TINY_BOTTLENECKS = (Block("ib1", 8, 1, 2), Block("ib2", 16, 2, 2))

MODELS: dict[str, Callable[[], Architecture]] = {
    # model 2 at the size of Fashion-MNIST [A]: five blocks of 32 to 128 channels on 14x14 to 4x4 pixels
    "small_resnet": partial(_assembled, "small_resnet", pw_dw_pw, (32, 5, 2), _SMALL),
    # the same widths, for pruning by weight words [A]
    "standard_resnet": partial(_assembled, "standard_resnet", standard, (32, 5, 2), _SMALL),
    "resnet18": resnet18,
    # model 1 at that size [A]; its stem is 25 pairs of shift and point-wise layer (chip.md, principle [P])
    "ib_ssl": partial(_assembled, "ib_ssl", inverted, (32, 5, 2), _BOTTLENECKS, head=256),
    # two narrow blocks each, for tests
    "tiny_resnet": partial(_assembled, "tiny_resnet", pw_dw_pw, (8, 5, 4), (Block("b1", 8), Block("b2", 16, 2))),
    "tiny_standard_resnet": partial(
        _assembled, "tiny_standard_resnet", standard, (8, 5, 4), (Block("b1", 8), Block("b2", 40, 2))
    ),
    "tiny_ib_ssl": partial(_assembled, "tiny_ib_ssl", inverted, (8, 5, 4), _TINY_BOTTLENECKS, head=16),
}
"""Name in a recipe -> what makes it."""
