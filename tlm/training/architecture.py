"""Which layers the trained networks have, written once for the FP32, the INT4 and the exported network. No torch here.

A layer of a plan is a layer of the engine: the batch norm of a convolution is folded into it, and a depth-wise kernel
is one layer with the point-wise one behind it (chip.md, principle [P]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tlm.core.errors import InputError
from tlm.network.layers import INPUT

Kind = Literal["conv", "fused", "shift", "maximum", "average", "classifier"]
"""conv: convolution. fused: depth-wise, then point-wise. shift: a learned spatial shift of each channel, then
point-wise. maximum, average: pooling. classifier: point-wise, with accumulator output."""


@dataclass(frozen=True)
class LayerPlan:
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
    layers: tuple[LayerPlan, ...]


@dataclass(frozen=True)
class Block:
    """A residual block: PW-DW-PW, two standard convolutions, or an inverted bottleneck ``expansion`` times as wide."""

    name: str
    out_channels: int
    stride: int = 1
    expansion: int = 1


_SMALL_STEM = (32, 5, 2, False)
_SMALL_BLOCKS = (
    Block("conv2_1", 32),
    Block("conv3_1", 64, 2),
    Block("conv3_2", 64),
    Block("conv4_1", 128, 2),
    Block("conv4_2", 128),
)


def small_resnet() -> Architecture:
    """Model 2 at the size of Fashion-MNIST [A]: five PW-DW-PW blocks of 32 to 128 channels on 14x14 to 4x4 pixels."""
    return _residual("small_resnet", (1, 28, 28), 10, _SMALL_STEM, _SMALL_BLOCKS)


def standard_resnet() -> Architecture:
    """The same widths with two standard 3x3 convolutions a block, for pruning by weight words [A]."""
    return _residual("standard_resnet", (1, 28, 28), 10, _SMALL_STEM, _SMALL_BLOCKS, standard=True)


def resnet18(classes: int = 1000, size: int = 224) -> Architecture:
    """Model 2 as published [P]: ResNet-18 of PW-DW-PW blocks for images of ``size`` pixels, a multiple of 32."""
    if size % 32 or size < 32:
        raise InputError(f"size: {size} is not allowed; give a multiple of 32, e.g. 224")
    widths = (64, 128, 256, 512)
    blocks = tuple(
        Block(f"conv{stage + 2}_{number}", width, 2 if number == 1 and stage else 1)
        for stage, width in enumerate(widths)
        for number in (1, 2)
    )
    return _residual("resnet18", (3, size, size), classes, (64, 7, 2, True), blocks)


def tiny_resnet() -> Architecture:
    """Two narrow PW-DW-PW blocks, for tests."""
    return _residual("tiny_resnet", (1, 28, 28), 10, (8, 5, 4, False), (Block("b1", 8), Block("b2", 16, 2)))


def tiny_standard_resnet() -> Architecture:
    """Two narrow blocks of standard convolutions, for tests."""
    blocks = (Block("b1", 8), Block("b2", 40, 2))
    return _residual("tiny_standard_resnet", (1, 28, 28), 10, (8, 5, 4, False), blocks, standard=True)


def ib_ssl() -> Architecture:
    """Model 1 at the size of Fashion-MNIST [A]: inverted bottlenecks of point-wise layers and learned shifts [P].

    The stem is a 5x5 convolution, which is 25 pairs of shift and point-wise layer (chip.md, principle [P]).
    """
    blocks = (
        Block("ib1", 64, 2, 2),
        Block("ib2", 64, 1, 3),
        Block("ib3", 128, 2, 2),
        Block("ib4", 128, 1, 2),
    )
    return _inverted("ib_ssl", (1, 28, 28), 10, 32, blocks, 256)


def tiny_ib_ssl() -> Architecture:
    """Two narrow inverted bottlenecks, for tests."""
    return _inverted("tiny_ib_ssl", (1, 28, 28), 10, 8, (Block("ib1", 8, 1, 2), Block("ib2", 16, 2, 2)), 16, stride=4)


MODELS = {
    "small_resnet": small_resnet,
    "standard_resnet": standard_resnet,
    "resnet18": resnet18,
    "ib_ssl": ib_ssl,
    "tiny_resnet": tiny_resnet,
    "tiny_standard_resnet": tiny_standard_resnet,
    "tiny_ib_ssl": tiny_ib_ssl,
}
"""Name in a recipe -> what makes it."""


def _residual(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    stem: tuple[int, int, int, bool],
    blocks: Sequence[Block],
    standard: bool = False,
) -> Architecture:
    """``stem``: channels, kernel, stride, whether max pooling follows; ``standard``: 3x3, 3x3 instead of PW-DW-PW."""
    channels, kernel, stride, pooled = stem
    layers = [LayerPlan("conv1", "conv", shape[0], channels, INPUT, kernel, stride, kernel // 2)]
    side = -(-shape[1] // stride)
    if pooled:
        layers.append(LayerPlan("pool1", "maximum", channels, channels, "conv1", 3, 2, 1))
        side = -(-side // 2)
    for block in blocks:
        source, outputs = layers[-1].name, block.out_channels
        residual = source
        if block.stride != 1 or channels != outputs:
            residual = f"{block.name}.shortcut"
            layers.append(LayerPlan(residual, "conv", channels, outputs, source, stride=block.stride, relu=False))
        if standard:
            first = LayerPlan(f"{block.name}.conv1", "conv", channels, outputs, source, 3, block.stride, 1)
            last = LayerPlan(f"{block.name}.conv2", "conv", outputs, outputs, first.name, 3, 1, 1, residual)
        else:
            first = LayerPlan(f"{block.name}.pw1", "conv", channels, outputs, source)
            last = LayerPlan(f"{block.name}.dwpw2", "fused", outputs, outputs, first.name, 3, block.stride, 1, residual)
        layers += [first, last]
        channels, side = outputs, -(-side // block.stride)
    return Architecture(name, shape, classes, (*layers, *_head(layers[-1].name, channels, side, classes)))


def _inverted(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    stem: int,
    blocks: Sequence[Block],
    head: int,
    stride: int = 2,
) -> Architecture:
    layers = [LayerPlan("conv1", "conv", shape[0], stem, INPUT, 5, stride, 2)]
    channels, side = stem, -(-shape[1] // stride)
    for block in blocks:
        source, inside = layers[-1].name, channels * block.expansion
        residual = source if block.stride == 1 and channels == block.out_channels else None
        layers.append(LayerPlan(f"{block.name}.expand", "conv", channels, inside, source))
        layers.append(
            LayerPlan(
                f"{block.name}.shift", "shift", inside, block.out_channels, layers[-1].name, 3, block.stride, 1,
                residual, relu=False,
            )
        )  # fmt: skip
        channels, side = block.out_channels, -(-side // block.stride)
    layers.append(LayerPlan("head", "conv", channels, head, layers[-1].name))
    return Architecture(name, shape, classes, (*layers, *_head("head", head, side, classes)))


def _head(source: str, channels: int, side: int, classes: int) -> tuple[LayerPlan, LayerPlan]:
    average = LayerPlan("avgpool", "average", channels, channels, source, side, side)
    return average, LayerPlan("fc", "classifier", channels, classes, "avgpool", relu=False)
