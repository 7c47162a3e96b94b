"""Dense layers in the steady state: what one more pass costs, as the difference of two runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.networks.seeded import SeededBits, seeded_activations
from tlm.networks.weights import dense_weights
from tlm.observe.energy_table import AJ_PER_PJ, CALIBRATION_STEPS, EnergyConfig
from tlm.results.result import LayerResult
from tlm.runs.values_once import ValuesOnce

_TILES = (5, 13)
"""Rows of one tile each in the shorter and the longer run. Odd, so that planes do not all begin in the same bank."""

_SHIFT = 12


@dataclass(frozen=True)
class DenseLayer:
    """A layer of one group whose passes all have channels x kernel^2 steps, r = 1."""

    channels: int
    kernel: int

    @property
    def steps(self) -> int:
        """Of a pass."""
        return self.channels * self.kernel**2

    @property
    def name(self) -> str:
        """Such as "3x3, 64 channels"."""
        return f"{self.kernel}x{self.kernel}, {self.channels} channels"

    @property
    def is_calibrated(self) -> bool:
        """Whether the table of energies was scaled to the published power for passes of this layer."""
        return (self.steps, self.kernel) == (CALIBRATION_STEPS, 1)


BENCHMARKS = tuple(
    DenseLayer(channels, kernel)
    for channels, kernel in ((64, 1), (128, 1), (256, 1), (512, 1), (64, 3), (1024, 1), (128, 3))
)
"""By the length of their passes: 64 .. 1,152 steps."""


@dataclass(frozen=True)
class SteadyState:
    """What one more pass costs at one operating point."""

    layer: DenseLayer
    voltage_v: float
    frequency_mhz: float
    steps: Fraction
    """Of a pass, counted in the runs."""
    cycles: Fraction
    """From pass to pass."""
    macs: Fraction
    """Of a pass."""
    energy_aj: Fraction
    """Of a pass, attojoules, within layers."""

    @property
    def overhead_cycles(self) -> Fraction:
        """Cycles of a pass that start no step."""
        return self.cycles - self.steps

    @property
    def peak_tops(self) -> float:
        """Operations of a step at one step a cycle, 10^12 a second."""
        return float(2 * self.macs / self.steps) * self.frequency_mhz / 1e6

    @property
    def tops(self) -> float:
        """Sustained, 10^12 operations a second."""
        return float(2 * self.macs / self.cycles) * self.frequency_mhz / 1e6

    @property
    def share_of_peak(self) -> float:
        """0..1."""
        return float(self.steps / self.cycles)

    @property
    def power_mw(self) -> float:
        """Of the core, mW: aJ a cycle times MHz is 10^-12 W."""
        return float(self.energy_aj / self.cycles) * self.frequency_mhz * 1e-9

    @property
    def tops_per_w(self) -> float:
        """Operations per pJ."""
        return float(2 * self.macs * AJ_PER_PJ / self.energy_aj)


def steady_states(
    layer: DenseLayer, chips: tuple[ChipConfig, ...], energy: EnergyConfig | None = None
) -> Iterator[SteadyState]:
    """Run a layer with few and with more tiles on each chip, and take the difference.

    Args:
        chips: they differ in operating point only; the program is compiled for the first of them.
        energy: what events cost; by default the calibrated table.
    """
    few, many = (_results(layer, tiles, chips, energy) for tiles in _TILES)
    for chip, short, long in zip(chips, few, many, strict=True):
        passes = long.passes - short.passes
        assert chip.frequency_mhz is not None  # set when a ChipConfig is made
        yield SteadyState(
            layer=layer,
            voltage_v=chip.voltage_v,
            frequency_mhz=chip.frequency_mhz,
            steps=Fraction(long.steps - short.steps, passes),
            cycles=Fraction(long.compute_cycles - short.compute_cycles, passes),
            macs=Fraction(long.macs - short.macs, passes),
            energy_aj=Fraction(long.energy.compute.total - short.energy.compute.total, passes),
        )


def _results(
    layer: DenseLayer, tiles: int, chips: tuple[ChipConfig, ...], energy: EnergyConfig | None
) -> list[LayerResult]:
    first = chips[0]
    shape = (first.columns, layer.channels, layer.kernel, layer.kernel)
    weights = dense_weights(SeededBits(0, layer.name), shape)
    convolution = Conv2d("dense", weights, padding=layer.kernel // 2, shift=np.full(first.columns, _SHIFT))
    before = Conv2d("before", np.ones((layer.channels, 1, 1, 1), np.int8))
    after = Conv2d("after", np.ones((1, first.columns, 1, 1), np.int8), shift=np.full(1, _SHIFT))
    # A single channel is loaded and stored, so the layer is not cut into bands to hide that.
    network = Network((1, tiles, first.lanes), [before, convolution, after])
    program, activations = compile_network(network, first), seeded_activations(network.input_shape, 0)
    values = ValuesOnce()
    return [values.simulate(program, activations, chip, energy=energy).layers["dense"] for chip in chips]
