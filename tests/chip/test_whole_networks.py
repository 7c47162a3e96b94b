"""Whole networks on small memories: values, sums and traffic, down to where a network just fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from chip_cases import NetworkCase, check_values, chips, room_for
from command import REPOSITORY
from deep_networks import MEMORIES, SHARES, deep_networks, program_between
from driver_checks import Driver, packed
from examples import quick_of
from fidelities import assert_equal, both
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import Unit
from tlm.compiler.parts import Part
from tlm.compiler.program import Program
from tlm.network.layers import INPUT, Conv2d, MaxPool2d
from tlm.networks.resnet18 import Resnet18, build_resnet18
from tlm.networks.seeded import seeded_activations
from tlm.results.result import Result
from tlm.scenario.loading import load_scenario


def check(case: NetworkCase, chip: ChipConfig, share: float) -> tuple[Program, Result]:
    large, small = program_between(case, chip, share)
    Driver(small).play()
    result = tlm.simulate(small, case.activations)
    check_values(case.network, case.activations, result)
    assert result.outputs_sha256 == tlm.simulate(large, case.activations).outputs_sha256
    check_sums(result)
    check_traffic(small, result)
    return small, result


def check_sums(result: Result) -> None:
    """Layers, and host and transfers between and behind them, are all cycles."""
    layers = sum(layer.compute_cycles + layer.waits.total for layer in result.layers.values())
    assert layers + result.account.waits_at_end.total == result.cycles
    assert result.account.array.total == result.compute_cycles
    for overlap, channel in zip(result.overlap.values(), result.account.dma.values(), strict=True):
        assert overlap.hidden_cycles + overlap.exposed_cycles == channel.total - channel.idle
    for layer in result.layers.values():
        assert layer.account.total == layer.compute_cycles == layer.predicted_compute_cycles
        assert layer.steps >= layer.unsplit_steps
        assert 0 <= layer.utilization <= 1


def check_traffic(program: Program, result: Result) -> None:
    """What the descriptors say, layer by layer in sum, and never less than each distinct thing once."""
    moved = {unit: program.moved_bytes(unit) for unit in (Unit.LOAD, Unit.STORE)}
    assert result.traffic.load_bytes == moved[Unit.LOAD]
    assert result.traffic.store_bytes == moved[Unit.STORE]
    layers = result.layers.values()
    assert sum(layer.load_bytes for layer in layers) == moved[Unit.LOAD]
    assert sum(layer.store_bytes for layer in layers) == moved[Unit.STORE]
    for layer in layers:
        parts = layer.weight_load_bytes + layer.instruction_load_bytes + layer.activation_load_bytes
        assert layer.load_bytes == parts
    weights = {b"".join(packed(program.network, part, program.config.columns)) for part in convolutions(program)}
    assert sum(layer.weight_load_bytes for layer in layers) >= sum(map(len, weights))
    word_bytes = program.config.amem_word_bytes
    seen = {name for layer in program.network.layers for name in (program.network.inputs[layer.name], layer.residual)}
    if INPUT in seen:
        assert program.moved_bytes(Unit.LOAD, INPUT) >= words_seen(program) * word_bytes
    output = program.network.output
    assert program.moved_bytes(Unit.STORE, output.name) == program.tensors[output.name].planes * word_bytes * -(
        -output.shape[1] * output.shape[2] // program.config.lanes
    )


def convolutions(program: Program) -> list[Part]:
    return [part for part in program.parts if not isinstance(program.network.layers[part.layer_index], MaxPool2d)]


def words_seen(program: Program) -> int:
    """Words of the input that some part has in its window."""
    words = set()
    for part in program.parts:
        for place in (part.source, part.residual):
            if place is not None and place.window.tensor == INPUT:
                window = place.window
                planes = range(window.first_plane, window.first_plane + window.planes)
                words |= {(plane, word) for plane in planes for word in range(window.first_word, window.end_word)}
    return len(words)


@given(case=deep_networks(), chip=chips(**MEMORIES), share=SHARES)
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
def test_small_memories_change_no_value(case: NetworkCase, chip: ChipConfig, share: float) -> None:
    check(case, chip, share)


@pytest.mark.slow
@given(case=deep_networks(max_side=40), chip=chips(**MEMORIES), share=SHARES)
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_many_small_memories_change_no_value(case: NetworkCase, chip: ChipConfig, share: float) -> None:
    check(case, chip, share)


FEW_GROUPS = st.sampled_from(({"wmem": 1}, {"wmem": 2}, {"wmem": 3}, {"imem": 1}, {"imem": 2}, {"wmem": 2, "imem": 2}))
"""How many of the largest group of output channels a memory holds; several layers' do not lie there together."""


def with_room_for(groups: Mapping[str, int], network: tlm.Network, chip: ChipConfig) -> ChipConfig:
    sizes = {f"{name}_words": room_for(network, chip.columns, count)[f"{name}_words"] for name, count in groups.items()}
    return replace(chip, **sizes)


@given(case=deep_networks(max_side=12), chip=chips(**MEMORIES), groups=FEW_GROUPS, share=SHARES)
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
def test_small_memories_for_weights_and_instructions_change_no_value(
    case: NetworkCase, chip: ChipConfig, groups: Mapping[str, int], share: float
) -> None:
    check(case, with_room_for(groups, case.network, chip), share)


@pytest.mark.slow
@given(case=deep_networks(), chip=chips(**MEMORIES), groups=FEW_GROUPS, share=SHARES)
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_many_small_memories_for_weights_and_instructions_change_no_value(
    case: NetworkCase, chip: ChipConfig, groups: Mapping[str, int], share: float
) -> None:
    check(case, with_room_for(groups, case.network, chip), share)


@given(case=deep_networks(max_side=12), chip=chips(**MEMORIES), share=SHARES)
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
def test_both_models_agree_on_whole_networks(case: NetworkCase, chip: ChipConfig, share: float) -> None:
    _, program = program_between(case, chip, share)
    assert_equal(*both(program, case.activations))


@pytest.mark.slow
@given(case=deep_networks(max_side=16), chip=chips(**MEMORIES), share=SHARES)
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_both_models_agree_on_many_whole_networks(case: NetworkCase, chip: ChipConfig, share: float) -> None:
    _, program = program_between(case, chip, share)
    assert_equal(*both(program, case.activations))


THIRD_OF_ALL_PIXELS = ["network.size=128", "chip.amem_words=4096"]
SMALL = Resnet18(size=64, divisor=8, classes=10)


@pytest.mark.parametrize("amem_words", quick_of([16_384, 256, 128], 128))
def test_a_small_resnet_in_both_models(amem_words: int) -> None:
    activations = seeded_activations((3, 64, 64), 0)
    network = build_resnet18(activations, SMALL)
    program = tlm.compile(network, ChipConfig(amem_words=amem_words))
    Driver(program).play()
    burst, beat = both(program, activations)
    assert_equal(burst, beat)
    check_values(network, activations, burst)
    check_sums(burst)
    check_traffic(program, burst)
    assert any(layer.bands > 1 for layer in burst.layers.values())


def test_rows_that_nobody_sees_are_computed_all_the_same() -> None:
    """A stride of 3 behind a layer that is cut: every word of its output is there, as without bands."""
    rng = np.random.default_rng(3)
    layers = [
        Conv2d("a", rng.integers(-8, 8, (40, 3, 1, 1)), multiplier=900, shift=14),
        Conv2d("b", rng.integers(-8, 8, (8, 40, 1, 1)), stride=3, multiplier=300, shift=14),
    ]
    network = tlm.Network((3, 41, 94), layers)  # a tile is a row of 32 outputs: no two bands see the same rows
    program = tlm.compile(network, ChipConfig(amem_words=1536))
    assert [(segment.first, segment.last) for segment in program.segments] == [(0, 1)]
    activations = rng.integers(0, 16, (3, 41, 94))
    result = tlm.simulate(program, activations)
    assert result.layers["a"].bands > 1
    check_values(network, activations, result)


@pytest.mark.slow
def test_the_clear_model_runs_the_whole_resnet18() -> None:
    """3 of 9 taps, photograph to class scores, every SRAM access a transaction; banded and split layers among it.

    A third of the pixels in a quarter of the AMem. At full size the circuit takes its place (test_rtl_scenarios.py).
    """
    job = load_scenario(REPOSITORY / "scenarios" / "resnet18_3of9.toml", THIRD_OF_ALL_PIXELS).build()
    program = tlm.compile(job.network, job.chip)
    burst, beat = both(program, job.activations)
    assert_equal(burst, beat)
    kinds = {layer.kind for layer in beat.layers.values()}
    assert kinds == {"standard", "max-pool", "pointwise", "fused-depthwise", "average-pool", "linear"}
    assert any(layer.bands > 1 for layer in beat.layers.values())
    assert any(layer.parts > layer.bands for layer in beat.layers.values())
