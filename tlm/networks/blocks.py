"""The PW-DW-PW block: point-wise, then a pruned depth-wise kernel fused with the second point-wise layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.layers import INPUT, Conv2d
from tlm.network import Network
from tlm.networks.builder import NetworkBuilder
from tlm.networks.resnet18 import BLOCKS
from tlm.networks.seeded import SeededBits
from tlm.networks.weights import dense_weights, fused_weights


@dataclass(frozen=True)
class PwDwPw:
    """What to build.

    Layers: ``<name>.pw1`` (1x1, C -> mid), ``<name>.dwpw2`` (kernel x kernel with ``taps`` valid taps per input
    channel, mid -> O, stride, padding kernel // 2) and, where the residual does not have the output's shape, a
    projection ``<name>.shortcut`` (1x1, C -> O, stride, signed) before them.
    """

    name: str
    in_channels: int
    height: int
    width: int
    mid_channels: int
    out_channels: int
    stride: int = 1
    kernel: int = 3
    taps: int = 9
    residual: bool = True

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.in_channels, self.height, self.width

    @property
    def projects(self) -> bool:
        """Whether the residual goes through a projection shortcut."""
        return self.residual and (self.stride != 1 or self.in_channels != self.out_channels)


def resnet18_block(stage: str, taps: int = 9) -> PwDwPw:
    """A block of ResNet-18 at 224x224; mid channels = output channels, first PW at the block's input resolution.

    Raises:
        InputError: no such stage.
    """
    if stage not in BLOCKS:
        raise InputError(f"stage {stage!r} is not one of {', '.join(BLOCKS)}")
    shape = BLOCKS[stage]
    outputs = shape.out_channels
    return PwDwPw(stage, shape.in_channels, shape.height, shape.width, outputs, outputs, shape.stride, taps=taps)


def build_block(block: PwDwPw, activations: npt.ArrayLike, seed: int = 0, signed_input: bool = False) -> Network:
    """The block with seeded weights, calibrated on its input.

    Args:
        block: the geometry.
        activations: int8 (C, H, W), what the requantisation is calibrated on.
        seed: of the weights; with one seed, a block with fewer taps has a subset of the taps of one with more.
        signed_input: range of ``activations``.

    Raises:
        InputError: a geometry that the network refuses.
    """
    builder = NetworkBuilder(np.asarray(activations, np.int8), signed_input)
    residual = INPUT if block.residual else None
    if block.projects:
        residual = f"{block.name}.shortcut"
        builder.add(_pointwise(residual, seed, block.in_channels, block.out_channels, block.stride, signed_output=True))
    builder.add(_pointwise(f"{block.name}.pw1", seed, block.in_channels, block.mid_channels))
    builder.add(_fused(f"{block.name}.dwpw2", seed, block, residual))
    return builder.network()


def _fused(name: str, seed: int, block: PwDwPw, residual: str | None) -> Conv2d:
    kernel = (block.kernel, block.kernel)
    weights = fused_weights(SeededBits(seed, name), block.out_channels, block.mid_channels, kernel, block.taps)
    return Conv2d(
        name,
        weights,
        stride=(block.stride, block.stride),
        padding=(block.kernel // 2, block.kernel // 2),
        residual=residual,
        residual_multiplier=0 if residual is None else 1,
    )


def _pointwise(name: str, seed: int, inputs: int, outputs: int, stride: int = 1, signed_output: bool = False) -> Conv2d:
    weights = dense_weights(SeededBits(seed, name), (outputs, inputs, 1, 1))
    return Conv2d(name, weights, stride=(stride, stride), input=INPUT, signed_output=signed_output)
