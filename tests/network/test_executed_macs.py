"""What of the executed multiply-accumulates is useful, what bands repeat, and what falls on structural zeros."""

from __future__ import annotations

import numpy as np
import pytest

import tlm
from tlm.inputs.integer_arrays import Int8Array
from tlm.results.result import Result
from tlm.results.result_json import result_record


def counted(weights: Int8Array, groups: int, columns: int = 32) -> tuple[int, int]:
    """(useful, on structural zeros) for one output pixel, weight by weight: the definition, without any shortcut."""
    outputs, inputs = weights.shape[0], weights.shape[1] * groups
    of_group = outputs // groups
    useful = zeros = 0
    for first in range(0, outputs, columns):
        block = range(first, min(first + columns, outputs))
        for channel in range(inputs):
            sees = [o for o in block if o // of_group == channel // weights.shape[1]]
            for tap in np.ndindex(*weights.shape[2:]):
                if any(weights[(o, channel % weights.shape[1], *tap)] for o in sees):
                    useful += len(sees)
                    zeros += len(block) - len(sees)
    return useful, zeros


def checked(result: Result) -> Result:
    for one in (result, *result.layers.values()):
        assert one.macs == one.useful_macs + one.repeated_macs + one.structural_zero_macs
        assert 0 <= one.useful_macs <= one.dense_macs
    return result


@pytest.mark.parametrize("seed", range(12))
def test_every_multiply_accumulate_has_its_place(seed: int) -> None:
    """Random groups, sizes and pruning; AMem so small that some layers run in bands."""
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 2, 4, 8, 48]))
    inputs, outputs = (int(groups * rng.integers(1, max(2, 64 // groups))) for _ in range(2))
    kernel = int(rng.choice([1, 3]))
    weights = rng.integers(-8, 8, (outputs, inputs // groups, kernel, kernel)).astype(np.int8)
    weights *= rng.random((1, inputs // groups, kernel, kernel)) < rng.choice([0.4, 1.0])
    height, width = (int(size) for size in rng.integers(6, 24, 2))
    layer = tlm.Conv2d("c", weights, padding=kernel // 2, groups=groups, shift=8)
    network = tlm.Network((inputs, height, width), [layer])
    activations = rng.integers(0, 16, (inputs, height, width)).astype(np.int8)
    result = checked(tlm.simulate(network, activations, tlm.ChipConfig(amem_words=[512, 16_384][seed % 2])))
    useful, zeros = counted(weights, groups)
    pixels = height * width
    assert (result.useful_macs, result.structural_zero_macs) == (useful * pixels, zeros * pixels)


def test_bands_repeat_and_depthwise_words_are_mostly_zeros() -> None:
    rng = np.random.default_rng(3)
    first = rng.integers(1, 8, (64, 32, 3, 3)).astype(np.int8)
    second = rng.integers(1, 8, (64, 1, 3, 3)).astype(np.int8)
    layers = [tlm.Conv2d("a", first, padding=1, shift=9), tlm.Conv2d("b", second, padding=1, groups=64, shift=6)]
    network, activations = tlm.Network((32, 24, 24), layers), np.ones((32, 24, 24), np.int8)
    result = checked(tlm.simulate(network, activations, tlm.ChipConfig(amem_words=1280)))
    banded, depthwise = result.layers["a"], result.layers["b"]
    assert banded.bands > 1
    assert banded.repeated_macs > 0
    assert banded.steps > banded.unsplit_steps
    assert banded.useful_macs == banded.dense_macs < banded.macs  # nothing is pruned
    assert depthwise.structural_zero_macs == 31 * depthwise.useful_macs == 31 * depthwise.dense_macs
    whole = checked(tlm.simulate(network, activations))
    assert (whole.repeated_macs, whole.useful_macs) == (0, result.useful_macs)
    record = result_record(result)
    for key in ("macs", "useful_macs", "repeated_macs", "structural_zero_macs"):
        assert record[key] == getattr(result, key) == sum(layer[key] for layer in record["layers"])


def test_a_layer_without_weights_and_max_pooling_have_none() -> None:
    layers = [
        tlm.Conv2d("none", np.zeros((40, 4, 3, 3), np.int8), padding=1, shift=4),
        tlm.MaxPool2d("pool", kernel=2, stride=2),
    ]
    result = checked(tlm.simulate(tlm.Network((4, 8, 8), layers), np.ones((4, 8, 8), np.int8)))
    assert [layer.macs for layer in result.layers.values()] == [0, 0]
