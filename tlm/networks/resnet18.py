"""The residual blocks of ResNet-18 (He et al. 2016, table 1) as the chip runs them: PW-DW-PW blocks [P]."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BlockShape:
    """Geometry of one residual block; a 224x224 picture is assumed for height and width."""

    in_channels: int
    height: int
    """Of the block's input, pixels."""
    width: int
    out_channels: int
    stride: int
    """Of the fused depth-wise kernel."""


def _stages() -> dict[str, BlockShape]:
    shapes, channels, size = {}, 64, 56
    for number, out_channels in zip((2, 3, 4, 5), (64, 128, 256, 512), strict=True):
        stride = 1 if number == 2 else 2
        shapes[f"conv{number}_1"] = BlockShape(channels, size, size, out_channels, stride)
        channels, size = out_channels, size // stride
        shapes[f"conv{number}_2"] = BlockShape(channels, size, size, out_channels, 1)
    return shapes


BLOCKS = _stages()
"""conv2_1 .. conv5_2: two blocks a stage; the first of stages 3 to 5 halves the map and doubles the channels."""
