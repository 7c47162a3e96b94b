"""Residual blocks: the chip's own PW-DW-PW block, and the block of standard 3x3 convolutions that it replaces.

In a PW-DW-PW block a point-wise layer is followed by a pruned depth-wise kernel that is fused with the second
point-wise layer. Where the input does not have the output's shape, the residual of either block goes through a
projection (1x1, stride, signed), which comes before the other layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.networks.builder import NetworkBuilder
from tlm.networks.seeded import SeededBits
from tlm.networks.weights import dense_weights, fused_weights, prune_weights


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
    pattern: npt.NDArray[np.bool_] | None = field(default=None, compare=False)
    """Which taps are valid, (mid, kernel, kernel); then ``taps`` counts no more."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.in_channels, self.height, self.width

    @property
    def projects(self) -> bool:
        """Whether the residual goes through a projection shortcut."""
        return self.residual and (self.stride != 1 or self.in_channels != self.out_channels)


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
    add_block(builder, block, seed)
    return builder.network()


def add_block(builder: NetworkBuilder, block: PwDwPw, seed: int = 0) -> None:
    """Add a PW-DW-PW block to a network, after its last layer.

    Raises:
        InputError: a block that does not fit there.
    """
    source = builder.last
    residual = source if block.residual else None
    if block.projects:
        residual = _add_projection(builder, block.name, block.out_channels, block.stride, seed)
    name = f"{block.name}.pw1"
    weights = dense_weights(SeededBits(seed, name), (block.mid_channels, block.in_channels, 1, 1))
    builder.add(Conv2d(name, weights, input=source))
    name = f"{block.name}.dwpw2"
    taps = block.taps if block.pattern is None else block.pattern
    kernel = (block.kernel, block.kernel)
    builder.add(
        Conv2d(
            name,
            fused_weights(SeededBits(seed, name), block.out_channels, block.mid_channels, kernel, taps),
            stride=(block.stride, block.stride),
            padding=(block.kernel // 2, block.kernel // 2),
            residual=residual,
            residual_multiplier=0 if residual is None else 1,
        )
    )


def add_standard_block(
    builder: NetworkBuilder,
    name: str,
    out_channels: int,
    stride: int = 1,
    density: float | None = None,
    seed: int = 0,
) -> None:
    """Add the residual block of ResNet-18 as published (He et al. 2016), two 3x3 convolutions, after the last layer.

    Layers: ``<name>.conv1`` (C -> O, stride), ``<name>.conv2`` (O -> O) and, where the shape changes, a projection
    ``<name>.shortcut`` before them. Each keeps a random share ``density`` of its weights (all of them by default).

    Raises:
        InputError: a block that does not fit there.
    """
    source, channels = builder.last, builder.output_shape()[0]
    residual = source
    if stride != 1 or channels != out_channels:
        residual = _add_projection(builder, name, out_channels, stride, seed, density)
    first, last = f"{name}.conv1", f"{name}.conv2"
    weights = _pruned(first, seed, (out_channels, channels, 3, 3), density)
    builder.add(Conv2d(first, weights, stride=(stride, stride), padding=(1, 1), input=source))
    weights = _pruned(last, seed, (out_channels, out_channels, 3, 3), density)
    builder.add(Conv2d(last, weights, padding=(1, 1), residual=residual, residual_multiplier=1))


def _add_projection(
    builder: NetworkBuilder, block: str, out_channels: int, stride: int, seed: int, density: float | None = None
) -> str:
    name, channels = f"{block}.shortcut", builder.output_shape()[0]
    weights = _pruned(name, seed, (out_channels, channels, 1, 1), density)
    builder.add(Conv2d(name, weights, stride=(stride, stride), input=builder.last, signed_output=True))
    return name


def _pruned(name: str, seed: int, shape: tuple[int, int, int, int], density: float | None) -> npt.NDArray[np.int8]:
    bits = SeededBits(seed, name)
    weights = dense_weights(bits, shape)
    return weights if density is None else prune_weights(bits, weights, density)
