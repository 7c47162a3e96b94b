"""Steps on the array: from the shapes alone [D], and as simulated with the published AMem and with a large one."""

from __future__ import annotations

from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.core.errors import SimulationError
from tlm.networks.resnet18 import STEM_CHANNELS, Resnet18
from tlm.reproduction.figures import percent
from tlm.results.result import Result

LARGE_AMEM_WORDS = 1 << 18
"""Holds every tensor of ResNet-18 whole, so that no layer is cut into bands."""

MOST_EXCESS = 0.03
"""Of steps computed twice with the published AMem: the bound that docs/reproduction.md keeps."""

_APART = ("max-pool", "average-pool", "linear")


@dataclass(frozen=True)
class StepCount:
    """Steps of a network's layers but pooling and classifier.

    Raises:
        SimulationError: steps without bands are not the derived ones, or too many are computed twice.
    """

    network: str
    derived: int
    """From the shapes."""
    unsplit: int
    """What the program would run if no layer were split."""
    large: int
    """Executed with LARGE_AMEM_WORDS."""
    published: int
    """Executed with the published AMem."""

    def __post_init__(self) -> None:
        if not self.derived == self.unsplit == self.large:
            raise SimulationError(
                f"reproduction: {self.network}: {self.large} steps with an AMem of {LARGE_AMEM_WORDS} words and "
                f"{self.unsplit} unsplit ones, but the shapes give {self.derived}"
            )
        if not 0 <= self.excess < MOST_EXCESS:
            raise SimulationError(
                f"reproduction: {self.network}: {self.published} steps with the published AMem exceed "
                f"{self.unsplit} by {percent(self.excess, 2)}, which must stay under {percent(MOST_EXCESS, 0)}"
            )

    @property
    def excess(self) -> float:
        """Share of steps that run twice, since bands share rows."""
        return self.published / self.unsplit - 1


def derived_steps(network: Resnet18, chip: ChipConfig) -> int:
    """Tiles x groups x input channels x valid taps, summed over stem, projections and blocks (docs/chip.md, Derived).

    One step is ``lanes`` output pixels of one input channel and tap, for ``columns`` output channels.
    """

    def steps(pixels: int, inputs: int, outputs: int, taps: int) -> int:
        return -(-pixels // chip.lanes) * -(-outputs // chip.columns) * inputs * taps

    stem = network.size // 2
    total = steps(stem * stem, network.input_shape[0], STEM_CHANNELS // network.divisor, 7 * 7)
    for name, shape in network.blocks():
        pixels, outputs = shape.height * shape.width, shape.out_channels
        left = pixels // shape.stride**2
        if (shape.stride, shape.in_channels) != (1, outputs):
            total += steps(left, shape.in_channels, outputs, 1)
        if network.variant == "base":
            total += steps(left, shape.in_channels, outputs, 9) + steps(left, outputs, outputs, 9)
        else:
            total += steps(pixels, shape.in_channels, outputs, 1)
            total += steps(left, outputs, outputs, network.block_taps[name])
    return total


def executed_steps(result: Result) -> tuple[int, int]:
    """(executed, if no layer were split) of all layers but pooling and classifier."""
    layers = [layer for layer in result.layers.values() if layer.kind not in _APART]
    return sum(layer.steps for layer in layers), sum(layer.unsplit_steps for layer in layers)
