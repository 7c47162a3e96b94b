"""Layers that are cut in space and by channels: which loop is outside, and how near the predictions come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chip_cases import check_values
from driver_checks import Driver

import tlm


def simulated(channels: int, outputs: int, kernel: int, side: int, **chip: Any) -> tuple[tlm.Program, tlm.Result]:
    rng = np.random.default_rng(channels * outputs)
    weights = rng.integers(-8, 8, (outputs, channels, kernel, kernel))
    layer = tlm.Conv2d("c", weights, padding=kernel // 2, multiplier=20, shift=12)
    network = tlm.Network((channels, side, side), [layer])
    program = tlm.compile(network, tlm.ChipConfig(**chip))
    Driver(program).play()
    activations = rng.integers(0, 16, (channels, side, side))
    result = tlm.simulate(program, activations)
    check_values(network, activations, result)
    return program, result


WEIGHTS_OUTSIDE = (64, 256, 3, 16), {"amem_words": 400, "wmem_words": 640}
BANDS_OUTSIDE = (64, 512, 3, 20), {"amem_words": 800, "wmem_words": 1200}


def test_weights_stay_for_all_bands_where_that_loads_less() -> None:
    """Each part's weights once, the input once for each part: cheaper here than all weights for each band."""
    shape, chip = WEIGHTS_OUTSIDE
    program, result = simulated(*shape, **chip)
    assert program.segments[0].weights_outer
    layer = result.layers["c"]
    assert layer.bands > 1
    assert layer.weight_load_bytes == layer.weight_words * 16
    assert layer.activation_load_bytes > 2 * 64 * 16 * 16 // 2  # several times


def test_bands_stay_for_all_weights_where_that_loads_less() -> None:
    shape, chip = BANDS_OUTSIDE
    program, result = simulated(*shape, **chip)
    assert not program.segments[0].weights_outer
    layer = result.layers["c"]
    assert layer.bands > 1
    assert layer.weight_load_bytes > layer.weight_words * 16


@pytest.mark.parametrize(
    ("shape", "chip"),
    [
        WEIGHTS_OUTSIDE,
        BANDS_OUTSIDE,
        ((16, 128, 3, 40), {"amem_words": 1024, "wmem_words": 256}),
        ((16, 256, 3, 24), {"amem_words": 512, "wmem_words": 160}),
        ((8, 512, 1, 40), {"amem_words": 512, "wmem_words": 32}),
        ((64, 64, 3, 56), {}),
    ],
)
def test_predictions_are_exact(shape: tuple[int, int, int, int], chip: dict[str, int]) -> None:
    """Layers and whole programs, of which many are bound by transfers."""
    _, result = simulated(*shape, **chip)
    assert result.layers["c"].predicted_compute_cycles == result.compute_cycles
    assert result.predicted_cycles == result.cycles
