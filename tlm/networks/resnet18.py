"""ResNet-18 (He et al. 2016, table 1), whole or one stage of it, as the chip runs it and as it was published.

The chip's network [P] has PW-DW-PW blocks, whose depth-wise kernels are pruned to some of their 9 taps; the base
network has blocks of two standard 3x3 convolutions. Around the blocks both have the same layers: ``conv1`` (7x7,
stride 2), ``pool1`` (3x3 max pooling, stride 2), ``avgpool`` (over the whole map) and ``fc`` (class scores as 24-bit
sums).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.network.layers import AvgPool2d, Conv2d, MaxPool2d
from tlm.network.network import Network
from tlm.networks.blocks import PwDwPw, add_block, add_standard_block
from tlm.networks.builder import NetworkBuilder
from tlm.networks.seeded import SeededBits
from tlm.networks.weights import dense_weights

Variant: TypeAlias = Literal["pw_dw_pw", "base"]
Patterns: TypeAlias = Mapping[str, npt.NDArray[np.bool_]]

PICTURE = 224
"""Side of the input, pixels, that the network is made for."""

STEM_CHANNELS = 64


def _blocks() -> dict[str, PwDwPw]:
    blocks, channels, size = {}, STEM_CHANNELS, PICTURE // 4
    for stage, outputs in zip((2, 3, 4, 5), (64, 128, 256, 512), strict=True):
        for number in (1, 2):
            stride = 2 if stage > 2 and number == 1 else 1
            name = f"conv{stage}_{number}"
            blocks[name] = PwDwPw(name, channels, size, size, outputs, outputs, stride)
            channels, size = outputs, size // stride
    return blocks


BLOCKS = _blocks()
"""conv2_1 .. conv5_2 for a 224x224 picture: two blocks a stage; the first of stages 3 to 5 halves the map and doubles
the channels."""


def resnet18_block(stage: str, taps: int = 9) -> PwDwPw:
    """A block of ResNet-18 at 224x224; mid channels = output channels, first PW at the block's input resolution.

    Raises:
        InputError: no such stage.
    """
    if stage not in BLOCKS:
        raise InputError(f"stage {stage!r} is not one of {', '.join(BLOCKS)}")
    return replace(BLOCKS[stage], taps=taps)


@dataclass(frozen=True, eq=False)
class Resnet18:
    """What to build; a scenario's keys (:mod:`tlm.scenario.networks`) are checked before they come here.

    Args:
        variant: ``"pw_dw_pw"``, the chip's network, or ``"base"``, the published one.
        taps: of the chip's network, valid taps of each depth-wise kernel: one number 1..9 for all blocks, or eight,
            conv2_1 .. conv5_2.
        patterns: instead of ``taps`` which taps they are: bool (mid channels, 3, 3) for each block of the network, mid
            channels being the block's output channels. A channel may have none.
        density: of the base network, the share of single weights that each convolution of the residual blocks keeps, at
            random (unstructured pruning); default all.
        seed: of the weights.
        size: side of the picture, a multiple of 32 in 32..224 pixels.
        classes: 1..65535.
        stage: ``"conv2_x"`` .. ``"conv5_x"`` for the two blocks of one stage alone; default the whole network.
        divisor: of all channel counts but the input's and the classes': 1, 2, 4 or 8, for small networks in tests.

    Raises:
        InputError: patterns that do not fit the network.
    """

    variant: Variant = "pw_dw_pw"
    taps: int | Sequence[int] = 3
    patterns: Patterns | None = None
    density: float | None = None
    seed: int = 0
    size: int = PICTURE
    classes: int = 1000
    stage: str | None = None
    divisor: int = 1

    def __post_init__(self) -> None:
        if self.patterns is not None:
            self._check_patterns(self.patterns)

    @property
    def block_taps(self) -> dict[str, int]:
        """Valid taps by block."""
        given = (self.taps,) * len(BLOCKS) if isinstance(self.taps, int) else self.taps
        return dict(zip(BLOCKS, given, strict=True))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the picture, or of the stage's input."""
        if self.stage is None:
            return 3, self.size, self.size
        return next(self.blocks())[1].input_shape

    def blocks(self) -> Iterator[tuple[str, PwDwPw]]:
        """The network's blocks by name, in the order of execution, for its size and divisor."""
        for name, block in BLOCKS.items():
            if self.stage is None or self.stage == f"{name[:-1]}x":
                outputs = block.out_channels // self.divisor
                yield (
                    name,
                    replace(
                        block,
                        in_channels=block.in_channels // self.divisor,
                        height=block.height * self.size // PICTURE,
                        width=block.width * self.size // PICTURE,
                        mid_channels=outputs,
                        out_channels=outputs,
                        taps=self.block_taps[name],
                        pattern=None if self.patterns is None else self.patterns.get(name),
                    ),
                )

    def _check_patterns(self, patterns: Patterns) -> None:
        if self.variant != "pw_dw_pw":
            raise InputError("patterns: only for the pw_dw_pw network; the base network has no depth-wise kernels")
        for block in patterns:
            if block not in BLOCKS:
                raise InputError(f"patterns: {block!r} is no block; the blocks are {', '.join(BLOCKS)}")
        for block, shape in self.blocks():
            if block not in patterns:
                raise InputError(f"patterns: block {block} is missing; give a pattern for every block of the network")
            wanted, found = (shape.out_channels, 3, 3), patterns[block]
            if not isinstance(found, np.ndarray) or found.dtype != np.bool_ or found.shape != wanted:
                kind = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
                raise InputError(f"patterns: block {block} has {kind}, but must be bool {wanted}: (mid channels, 3, 3)")


def build_resnet18(activations: npt.ArrayLike, network: Resnet18 | None = None, signed_input: bool = False) -> Network:
    """ResNet-18 with seeded weights, calibrated on its input.

    Args:
        activations: int8 (3, size, size), or the stage's input.
        network: what to build; by default the chip's network with 3 of 9 taps.
        signed_input: range of ``activations``.

    Raises:
        InputError: activations of another shape than ``network.input_shape``.
    """
    builder = NetworkBuilder(np.asarray(activations, np.int8), signed_input)
    add_resnet18(builder, network or Resnet18())
    return builder.network()


def add_resnet18(builder: NetworkBuilder, network: Resnet18) -> None:
    """Add it to a builder that has no layers yet; arguments and errors as of :func:`build_resnet18`."""
    if builder.input_shape != network.input_shape:
        raise InputError(
            f"activations: shape is {builder.input_shape}, but ResNet-18 "
            f"{f'stage {network.stage} ' if network.stage else ''}takes {network.input_shape}"
        )
    stem, seed = STEM_CHANNELS // network.divisor, network.seed
    if network.stage is None:
        weights = dense_weights(SeededBits(seed, "conv1"), (stem, 3, 7, 7))
        builder.add(Conv2d("conv1", weights, stride=(2, 2), padding=(3, 3)))
        builder.add(MaxPool2d("pool1", (3, 3), stride=(2, 2), padding=(1, 1)))
    for name, block in network.blocks():
        if network.variant == "base":
            add_standard_block(builder, name, block.out_channels, block.stride, network.density, seed)
        else:
            add_block(builder, block, seed)
    if network.stage is None:
        channels, height, width = builder.output_shape()
        builder.add(AvgPool2d("avgpool", (height, width)))
        weights = dense_weights(SeededBits(seed, "fc"), (network.classes, channels, 1, 1))
        builder.add(Conv2d("fc", weights, accumulator_output=True))
