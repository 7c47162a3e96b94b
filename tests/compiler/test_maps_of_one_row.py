"""A map of one row is compiled as the column that it is: bands hold what their windows see, not the whole row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from examples import quick_of
from oracles import conv_integer
from strategies import random_activations, random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.network.layers import Conv2d, MaxPool2d
from tlm.network.network import Network

CHIP = ChipConfig(lanes=8, columns=8, amem_words=256, wmem_words=512, imem_words=512)
PIXELS = 2500
"""Of each channel: 313 AMem words, more than there are."""


def turned(pairs: Any) -> Any:
    return pairs[::-1] if isinstance(pairs, tuple) else pairs


LAYERS: dict[str, tuple[tuple[int, int, int], int, dict[str, Any]]] = {
    "point-wise": ((12, 5, 1), 1, {}),
    "point-wise with a stride": ((9, 3, 1), 1, {"stride": (1, 3)}),
    "a long filter": ((9, 2, 61), 1, {"stride": (1, 2), "padding": ((0, 0), (30, 7))}),
    "depth-wise": ((4, 1, 5), 4, {"dilation": (1, 3)}),
}


@pytest.mark.parametrize("name", quick_of(LAYERS, "point-wise with a stride", "depth-wise"))
def test_a_row_runs_as_its_column_does(name: str) -> None:
    (outputs, inputs, width), groups, keys = LAYERS[name]
    rng = np.random.default_rng(width)
    weights = random_weights(rng, (outputs, inputs, 1, width), 0.5, by_tap=False)
    activations = random_activations(rng, (inputs * groups, 1, PIXELS), signed=False)
    row = Conv2d("c", weights, groups=groups, accumulator_output=True, **keys)
    upright = {key: turned(value) for key, value in keys.items()}
    column = Conv2d("c", weights.swapaxes(2, 3), groups=groups, accumulator_output=True, **upright)
    result = tlm.simulate(Network(activations.shape, [row]), activations, chip=CHIP)
    np.testing.assert_array_equal(result.outputs, conv_integer(row, activations, signed=False))
    stood = activations.swapaxes(1, 2)
    assert result.cycles == tlm.simulate(Network(stood.shape, [column]), stood, chip=CHIP).cycles


def test_pooling_along_a_row() -> None:
    activations = random_activations(np.random.default_rng(1), (10, 1, PIXELS), signed=True)
    network = Network(activations.shape, [MaxPool2d("p", (1, 4), padding=((0, 0), (2, 1)))], signed_input=True)
    padded = np.pad(activations, ((0, 0), (0, 0), (2, 1)), constant_values=-8)
    expected = padded[..., : padded.shape[2] // 4 * 4].reshape(10, 1, -1, 4).max(axis=3)
    np.testing.assert_array_equal(tlm.simulate(network, activations, chip=CHIP).outputs, expected)


def test_a_second_row_under_a_window_keeps_the_row() -> None:
    """The pixels above and below are padding, and a kernel of three rows reads one of them."""
    rng = np.random.default_rng(2)
    activations = random_activations(rng, (3, 1, 150), signed=False)
    layer = Conv2d("c", random_weights(rng, (9, 3, 3, 3), 1.0, by_tap=False), padding=1, accumulator_output=True)
    result = tlm.simulate(Network(activations.shape, [layer]), activations, chip=CHIP)
    np.testing.assert_array_equal(result.outputs, conv_integer(layer, activations, signed=False))
