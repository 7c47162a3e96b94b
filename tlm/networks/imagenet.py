"""MobileNetV2 and ResNet-50 as torchvision builds them, with seeded weights.

Batch norms are part of the layers' scales. MobileNetV2 (Sandler et al. 2018, table 2): ReLU6 is the 4-bit range that
the calibration chooses; the last layer of a block is linear, so signed. ResNet-50 (He et al. 2016, table 1): the second
layer of a block has the stride, not the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from tlm.core.errors import InputError
from tlm.network.layers import AvgPool2d, Conv2d, MaxPool2d
from tlm.networks.builder import NetworkBuilder
from tlm.networks.seeded import SeededBits
from tlm.networks.weights import dense_weights

Model: TypeAlias = Literal["mobilenet_v2", "resnet50"]

_INVERTED = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Of MobileNetV2: expansion, output channels, blocks, stride of the first."""
_BOTTLENECKS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Of ResNet-50: channels within a block, blocks, stride of the first."""
_WIDER = 4
"""Output channels of a bottleneck, as a multiple of those within."""


class ImageNet(Struct, frozen=True):
    """What to build.

    Args:
        model: which network.
        seed: of the weights.
        size: side of the picture, a multiple of 32, pixels.
        classes: output channels of the classifier.
    """

    model: Model
    seed: int = 0
    size: int = 224
    classes: int = 1000

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the picture."""
        return 3, self.size, self.size


def add_imagenet(builder: NetworkBuilder, network: ImageNet) -> None:
    """Add a network to a builder that has no layers yet.

    Raises:
        InputError: activations of another shape than ``network.input_shape``.
    """
    if builder.input_shape != network.input_shape:
        raise InputError(
            f"activations: shape is {builder.input_shape}, but {network.model} takes {network.input_shape}"
        )
    seed = network.seed

    def conv(name: str, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, **keys: Any) -> None:
        channels = builder.output_shape(keys.get("input"))[0]
        weights = dense_weights(SeededBits(seed, name), (outputs, channels // groups, kernel, kernel))
        builder.add(Conv2d(name, weights, stride=stride, padding=kernel // 2, groups=groups, **keys))

    (_mobilenet_v2 if network.model == "mobilenet_v2" else _resnet50)(builder, conv)
    _, height, width = builder.output_shape()
    builder.add(AvgPool2d("avgpool", (height, width)))
    conv("fc", network.classes, accumulator_output=True)


def _mobilenet_v2(builder: NetworkBuilder, conv: Callable[..., None]) -> None:
    conv("conv1", 32, 3, 2)
    for stage, (expansion, outputs, blocks, stride) in enumerate(_INVERTED, 1):
        for number in range(1, blocks + 1):
            source, (channels, _, _), name = builder.last, builder.output_shape(), f"block{stage}_{number}"
            if expansion > 1:
                conv(f"{name}.pw1", expansion * channels)
            wide = expansion * channels
            conv(f"{name}.dw", wide, 3, stride if number == 1 else 1, wide)
            added = {"residual": source, "residual_multiplier": 1} if number > 1 else {}
            conv(f"{name}.pw2", outputs, signed_output=True, **added)
    conv("conv2", 1280)


def _resnet50(builder: NetworkBuilder, conv: Callable[..., None]) -> None:
    conv("conv1", 64, 7, 2)
    builder.add(MaxPool2d("pool1", (3, 3), stride=(2, 2), padding=(1, 1)))
    for stage, (channels, blocks, first_stride) in enumerate(_BOTTLENECKS, 2):
        for number in range(1, blocks + 1):
            source, residual = builder.last, builder.last
            name, stride = f"conv{stage}_{number}", first_stride if number == 1 else 1
            if number == 1:
                residual = f"{name}.shortcut"
                conv(residual, _WIDER * channels, 1, stride, signed_output=True)
            conv(f"{name}.conv1", channels, input=source)
            conv(f"{name}.conv2", channels, 3, stride)
            conv(f"{name}.conv3", _WIDER * channels, residual=residual, residual_multiplier=1)
