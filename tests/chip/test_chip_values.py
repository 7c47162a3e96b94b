"""The whole chip's values: golden model and onnxruntime's sums on generated networks, alone and in small memories."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from chip_cases import (
    MEMORIES,
    NetworkCase,
    check_values,
    chips,
    circuits,
    compiled,
    networks,
    pass_first,
)
from hypothesis import given, settings

import tlm
from tlm.chip.config import ChipConfig
from tlm.network.layers import INPUT, Conv2d
from tlm.network.network import Network


def run_case(fidelity: str, case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    result = tlm.simulate(compiled(case, chip, memories), case.activations, fidelity=fidelity)
    check_values(case.network, case.activations, result)


ARGUMENTS = (networks(), chips(), MEMORIES)


@pass_first
@settings(max_examples=15)
@given(*ARGUMENTS)
def test_generated_networks(fidelity: str, case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    run_case(fidelity, case, chip, memories)


@pytest.mark.slow
@settings(max_examples=200)
@given(*ARGUMENTS)
def test_many_generated_networks(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    """In fidelity "pass"; test_fidelities.py carries it over to "cycle", outputs included."""
    run_case("pass", case, chip, memories)


@pytest.mark.slow
@settings(max_examples=100)
@given(networks(), circuits())
def test_many_generated_networks_in_the_circuit(case: NetworkCase, chip: ChipConfig) -> None:
    run_case("rtl", case, chip, {})


def random_layer(name: str, shape: tuple[int, ...], seed: int, **keys: Any) -> Conv2d:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-8, 8, shape).astype(np.int8)
    return Conv2d(name, weights, **{"multiplier": 300, "shift": 14, **keys})


def block(signed: bool) -> Network:
    """A residual block whose sum overlays its input, a branch, and class scores of a 1x1 map."""
    return Network(
        (24, 6, 7),
        [
            random_layer("expand", (40, 24, 1, 1), 1, signed_output=signed),
            random_layer("shift", (40, 1, 3, 3), 2, groups=40, padding=1, multiplier=2000),
            random_layer("add", (24, 40, 1, 1), 3, residual=INPUT, residual_multiplier=9000, signed_output=signed),
            random_layer("pool", (24, 1, 6, 7), 4, groups=24, multiplier=1000, input="add"),
            random_layer("scores", (37, 24, 1, 1), 5, accumulator_output=True, bias=-70_000),
        ],
        signed_input=signed,
    )


SIDES = ((8, 64), (64, 8), (16, 32), (32, 32))


def with_slow_models(cases: Iterable[tuple[Any, ...]], circuits: Container[tuple[Any, ...]]) -> list[Any]:
    """(fidelity, *case); "rtl" for some cases alone, since each size is a circuit of its own to build."""
    return [
        pytest.param(fidelity, *case, marks=[pytest.mark.slow] * (fidelity != "pass"))
        for case in cases
        for fidelity in ("pass", "cycle", "rtl")
        if fidelity != "rtl" or case in circuits
    ]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("fidelity", "lanes", "columns"), with_slow_models(SIDES, {(8, 64), (64, 8), (32, 32)}))
def test_residual_block_to_class_scores(fidelity: str, signed: bool, lanes: int, columns: int) -> None:
    network = block(signed)
    low, high = (-8, 8) if signed else (0, 16)
    activations = np.random.default_rng(6).integers(low, high, network.input_shape)
    check_values(
        network,
        activations,
        tlm.simulate(network, activations, chip=ChipConfig(lanes=lanes, columns=columns), fidelity=fidelity),
    )


@pytest.mark.parametrize(
    ("fidelity", "key", "size"),
    with_slow_models(
        itertools.product(("lanes", "columns"), (8, 16, 32, 64)), set(itertools.product(("lanes", "columns"), (8, 64)))
    ),
)
def test_one_pixel_and_channel_more_than_the_array(fidelity: str, key: str, size: int) -> None:
    """The last tile holds one pixel, the last group one channel."""
    layer = random_layer("c", (size + 1, 3, 1, 1), size)
    network, chip = Network((3, 1, size + 1), [layer]), ChipConfig(**{"lanes": 8, "columns": 8, key: size})
    activations = np.random.default_rng(size).integers(0, 16, network.input_shape)
    check_values(network, activations, tlm.simulate(network, activations, chip, fidelity=fidelity))
