"""The whole chip's cycles: engine.md's closed form, the per-cycle script, independent counts, and DMA beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice, pairwise, product
from typing import Any

import numpy as np
import pytest
from chip_cases import (
    MODELS,
    SLOW_CYCLE,
    NetworkCase,
    all_models,
    bank_offsets,
    both,
    chips_of,
    closed_form,
    dense_weights,
    oracle_passes,
)
from cycle_oracle import Pass
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_activations, random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.network.layers import INPUT, Conv2d
from tlm.network.network import Network
from tlm.observe.passes import PassRecord
from tlm.results.result import Result
from tlm.testing import Run

Simulate = Callable[..., Run]
all_simulated = pytest.mark.parametrize("tlm_fidelity", MODELS)
"""For tests that simulate by the fixture."""
KINDS = ("pointwise", "standard", "strided", "residual", "accumulator", "patterns")
DENSITIES = {"patterns": (0.0, 0.01, 0.1, 0.3)}
SLOTS = {True: 6, False: 1}


@st.composite
def layers(draw: st.DrawFn, kind: str) -> tuple[NetworkCase, dict[str, int]]:
    """A layer of a kind, and by how many words its tensors are moved apart (their banks meet as they come)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = (1, 1) if kind in ("pointwise", "accumulator") else draw(st.sampled_from(((3, 3), (1, 4), (2, 2))))
    if kind in ("residual", "patterns"):
        kernel = draw(st.sampled_from(((1, 1), (3, 3))))
    shape = draw(st.integers(1, 70 // (kernel[0] * kernel[1]))), draw(st.integers(1, 12)), draw(st.integers(1, 20))
    groups = draw(st.sampled_from([n for n in (1, 1, 1, 2, 5) if shape[0] % n == 0]))
    outputs = shape[0] if kind == "residual" else groups * draw(st.integers(1, 70 // groups))
    density = draw(st.sampled_from(DENSITIES.get(kind, (0.1, 0.5, 1.0, 1.0))))
    weights = random_weights(rng, (outputs, shape[0] // groups, *kernel), density, by_tap=True)
    keys: dict[str, Any] = {"groups": groups, "accumulator_output": kind == "accumulator"}
    if kind == "residual":
        keys["padding"] = kernel[0] // 2
        keys |= {"residual": INPUT, "residual_multiplier": 1}
    elif kernel != (1, 1):
        keys["padding"] = tuple((draw(st.integers(0, 4)), draw(st.integers(k - 1, 4))) for k in kernel)
    if kind == "strided":
        keys |= {"stride": draw(st.tuples(st.integers(1, 3), st.integers(2, 3)))}
    elif kind == "standard":
        span = [(k - 1) * 2 < n + k - 1 for k, n in zip(kernel, shape[1:], strict=True)]
        keys |= {"dilation": tuple(draw(st.integers(1, 2)) if fits else 1 for fits in span)}
    network = Network(shape, [Conv2d("c", weights, **keys)])
    offsets = draw(st.tuples(st.integers(0, 7), st.integers(0, 7)))
    return NetworkCase(network, random_activations(rng, shape, False)), dict(zip((INPUT, "c"), offsets, strict=True))


def figures(passes: Sequence[PassRecord]) -> list[tuple[int, int, int, int]]:
    """s, e, h and last write of each pass, counted from s_0."""
    origin = passes[0].first_cycle
    moments = ((p.first_cycle, p.last_fetch_cycle, p.handover_cycle, p.last_write_cycle) for p in passes)
    return [tuple(cycle - origin for cycle in moment) for moment in moments]  # type: ignore[misc]


def expected_figures(passes: Sequence[Pass]) -> list[tuple[int, int, int, int]]:
    return [(p.s, p.e, p.h, p.last_write) for p in passes]


def refused(result: Result) -> int:
    """Accesses of the engine that were refused; fetches of several cycles and DMA are no refusals."""
    return sum(result.bank_conflicts.get(key, 0) for key in ("write_back", "residual"))


def check_counts(program: Program, result: Result, name: str) -> None:
    """Steps, passes and MACs of a layer, counted from its weights alone."""
    network, chip = program.network, program.config
    layer = next(layer for layer in network.layers if layer.name == name)
    outputs, rows, columns = network.tensors[name].shape
    pixels, dense = rows * columns, dense_weights(layer)
    tiles = -(-pixels // chip.lanes)
    groups = [dense[first : first + chip.columns] for first in range(0, outputs, chip.columns)]
    valid = [int(np.any(group != 0, axis=0).sum()) for group in groups]
    found = result.layers[name]
    assert found.steps == tiles * sum(valid)
    assert found.passes == tiles * len(groups)
    assert found.macs == sum(steps * pixels * len(group) for steps, group in zip(valid, groups, strict=True))
    assert found.dense_macs == pixels * layer.weights.size
    assert found.weight_words == sum(valid)


def check_layer(fidelity: str, case: NetworkCase, chip: ChipConfig, offsets: dict[str, int]) -> None:
    slow_host = replace(chip, host_access_ns=100_000.0)  # so that it does not pay to cut the layer
    with bank_offsets(case.network, chip, offsets):
        program = tlm.compile(case.network, slow_host)
    result, layer = tlm.simulate(program, case.activations, fidelity=fidelity), case.network.layers[-1]
    expected, found = oracle_passes(program, 0), result.layers["c"]
    assert figures(result.passes["c"]) == expected_figures(expected)
    assert found.compute_cycles == expected[-1].last_write + 1
    assert found.predicted_compute_cycles == found.compute_cycles
    empty_words = sum(p.counts["empty_words"] for p in expected)
    assert found.fetch_cycles == sum(p.e - p.s + 1 for p in expected) - empty_words
    assert refused(result) == sum(p.counts["refused_writes"] + p.counts["refused_residual_reads"] for p in expected)
    unrefused = closed_form(expected, layer, chip)
    assert found.compute_cycles >= unrefused if refused(result) else found.compute_cycles == unrefused
    check_counts(program, result, "c")
    places = (found.input_base_word, found.output_base_word, found.residual_base_word)
    assert places[:2] == (program.places[INPUT].base_word, program.places["c"].base_word)
    assert places[2] == (None if layer.residual is None else places[0])


def check_kind(fidelity: str, kind: str, number: settings) -> None:
    @number
    @given(layers(kind), chips_of(fidelity))
    def check(case: tuple[NetworkCase, dict[str, int]], chip: ChipConfig) -> None:
        check_layer(fidelity, case[0], chip, case[1])

    check()


@both
@pytest.mark.parametrize("kind", KINDS)
def test_generated_layers(fidelity: str, kind: str) -> None:
    check_kind(fidelity, kind, settings(max_examples=4))


@all_models
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_generated_layers(fidelity: str, kind: str) -> None:
    check_kind(fidelity, kind, settings(max_examples=40 if fidelity == "pass" else 15))


# -- DMA beside the computation -----------------------------------------------------------------------------------

EAGER = ChipConfig(host_access_ns=0, host_interrupt_ns=0)
"""A host that costs little, so that jobs are not joined and loads start while the array computes."""


def split_case(kind: str, seed: int, columns: int, lanes: Sequence[int]) -> tuple[NetworkCase, ChipConfig]:
    """A layer of 5 groups whose weights do not fit WMem together: each part is loaded beside the one before."""
    rng = np.random.default_rng(seed)
    side, taps = int(rng.integers(4, 9)), 1 if kind == "pointwise" else 3
    channels = int(rng.integers(10, 20)) if taps > 1 else int(rng.integers(60, 100))
    outputs = 5 * columns - int(rng.integers(0, columns))
    keys: dict[str, Any] = {"padding": taps // 2, "accumulator_output": kind == "accumulator"}
    first = Conv2d("a", random_weights(rng, (outputs, channels, 1, 1), 0.1, by_tap=True))
    if kind == "residual":
        keys |= {"residual": "a", "residual_multiplier": 1}
    weights = random_weights(rng, (outputs, outputs, taps, taps), 0.5, by_tap=True)
    network = Network((channels, side, side), [first, Conv2d("c", weights, input="a", **keys)])
    words = -(-int(np.count_nonzero(weights.any(axis=0))) * 2 // 8) * 8 + 16
    chip = replace(EAGER, columns=columns, wmem_words=words, lanes=int(rng.choice(lanes)))
    return NetworkCase(network, random_activations(rng, network.input_shape, False)), chip


SPLIT_KINDS = ("pointwise", "standard", "residual", "accumulator")
SPLIT = [
    pytest.param(fidelity, kind, seed, marks=() if quick and fidelity != "rtl" else pytest.mark.slow)
    for fidelity, kind, seed in product(("cycle", "pass", "rtl"), SPLIT_KINDS, range(3))
    if (quick := (kind, seed) == ("pointwise", 0)) or fidelity != "rtl" or seed == 0
]
"""Of the circuit one seed: each case has a WMem of its own."""


@pytest.mark.parametrize(("fidelity", "kind", "seed"), SPLIT)
def test_parts_computed_beside_loads(fidelity: str, kind: str, seed: int) -> None:
    """DMA has the lowest priority: each part takes what it takes with resident data."""
    # a circuit of more lanes takes longer to build
    case, chip = split_case(kind, seed, columns=8, lanes=(8,) if fidelity == "rtl" else (8, 16, 32))
    with bank_offsets(case.network, chip, {"a": seed, "c": seed * 2}):
        program = tlm.compile(case.network, chip)
    result = tlm.simulate(program, case.activations, fidelity=fidelity)
    assert result.layers["c"].parts > 1
    for index, layer in enumerate(case.network.layers):
        tags = [tag for tag, part in enumerate(program.parts) if part.layer_index == index]
        expected, found = [oracle_passes(program, tag) for tag in tags], iter(result.passes[layer.name])
        assert [figures(list(islice(found, len(part)))) for part in expected] == [*map(expected_figures, expected)]
        assert result.layers[layer.name].compute_cycles == sum(part[-1].last_write + 1 for part in expected)
    assert result.layers["c"].input_base_word is None
    assert result.layers["c"].output_base_word is None
    lost_to_the_engine = result.bank_conflicts.get("dma_load", 0) + result.bank_conflicts.get("dma_store", 0)
    assert lost_to_the_engine > 0  # both were at work at once
    check_counts(program, result, "c")


# -- worked figures -----------------------------------------------------------------------------------------------


def pointwise(channels: int, outputs: int, height: int, width: int, kernel: int = 1) -> NetworkCase:
    layer = Conv2d("c", np.ones((outputs, channels, kernel, kernel), np.int8), padding=kernel // 2)
    activations = np.random.default_rng(0).integers(0, 16, (channels, height, width)).astype(np.int8)
    return NetworkCase(Network((channels, height, width), [layer]), activations)


@all_simulated
@pytest.mark.parametrize(
    ("offset", "cycles"),
    [(0, 3520), (1, 4233), *(pytest.param(offset, 3520, marks=pytest.mark.slow) for offset in (2, 3))],
)
def test_the_worked_example_of_engine_md(tlm_simulate: Simulate, offset: int, cycles: int) -> None:
    """96 -> 32 at 32x32, published array [P], assumed banks [A]: P = 32 is a multiple of the banks."""
    case, chip = pointwise(96, 32, 32, 32), ChipConfig()
    with bank_offsets(case.network, chip, {"c": offset}):
        program = tlm.compile(case.network, chip)
    assert program.places["c"].base_word % 4 == offset
    run = tlm_simulate(program, case.activations)
    assert run.layer("c").takes(cycles=cycles)
    assert (refused(run.result) > 0) == (cycles == 4233)


@pytest.mark.parametrize("tlm_fidelity", [SLOW_CYCLE, *MODELS[1:]])
def test_the_compiler_avoids_the_starving_placement(tlm_simulate: Simulate) -> None:
    case = pointwise(96, 32, 32, 32)
    run = tlm_simulate(case.network, case.activations)
    assert run.layer("c").takes(cycles=3520)
    assert run.at("engine.requantiser.writes").latency.exactly(0)


@all_simulated
@pytest.mark.parametrize(("channels", "kernel", "steps"), [(64, 3, 576), (512, 1, 512)])
def test_passes_follow_each_other_at_s_plus_13(tlm_simulate: Simulate, channels: int, kernel: int, steps: int) -> None:
    """97.8 % and 97.5 % of the peak [S] in the steady state of dense passes."""
    case = pointwise(channels, 32, 5, 32, kernel)
    passes = tlm_simulate(case.network, case.activations).layer("c").passes
    inner = [(now, after) for now, after in pairwise(passes) if now.record.last_fetch_cycle - now.begin + 1 == steps]
    assert len(inner) > 2
    for now, after in inner:
        assert after.begin == now.begin + steps + 13


@all_simulated
@pytest.mark.parametrize(("outputs", "accumulator"), [(40, False), (5, False), (3, True)])
def test_a_following_layer_starts_in_the_cycle_after_the_last_write(
    tlm_simulate: Simulate, outputs: int, accumulator: bool
) -> None:
    """Five header words, a parameter word per entry slot of the first group, pattern word 0, then s_0."""
    first = Conv2d("a", np.ones((3, 4, 1, 1), np.int8))
    second = Conv2d("b", np.ones((outputs, 3, 1, 1), np.int8), accumulator_output=accumulator)
    network = Network((4, 3, 3), [first, second])
    program = tlm.compile(network, replace(ChipConfig(), host_interrupt_ns=10_000))  # one job
    assert len(program.jobs) == 1
    run = tlm_simulate(program, np.ones((4, 3, 3), np.int8))
    assert run.layer("b").begin == run.layer("a").end + 1 + 5 + min(outputs, 32) * SLOTS[accumulator] + 1


@all_simulated
def test_a_layer_without_a_valid_tap_takes_one_cycle_per_pattern_word(tlm_simulate: Simulate) -> None:
    """130 channels, 3 pattern words: S = 3, h = 2 + 10, last write h + 3 + 8; the bias is written."""
    layer = Conv2d("c", np.zeros((8, 130, 1, 1), np.int8), bias=7)
    run = tlm_simulate(Network((130, 4, 8), [layer]), np.full((130, 4, 8), 15))
    assert run.layer("c").takes(cycles=2 + 10 + 3 + 8 + 1)
    found = run.layer("c").figures
    assert (found.steps, found.fetch_cycles, found.passes) == (0, 0, 1)
    assert set(run.outputs.ravel().tolist()) == {7}


@all_simulated
def test_stride_two_fetches_in_two_cycles_where_its_words_share_a_bank(tlm_simulate: Simulate) -> None:
    """16 pixels of a row: words 0 and 2 hold the even ones at 8 lanes, both in bank 0 of 2."""
    layer = Conv2d("c", np.ones((8, 1, 1, 1), np.int8), stride=(2, 2))
    network, chip = Network((1, 1, 32), [layer]), ChipConfig(lanes=8, columns=8, amem_banks=1)
    one = tlm_simulate(network, np.ones((1, 1, 32), np.int8), chip)
    assert (one.layer("c").figures.steps, one.layer("c").figures.fetch_cycles) == (2, 4)
    assert one.at("engine.sequencer.steps").latency.exactly(1)
    assert not one.bank_never_conflicted("amem", 0)
    four = tlm_simulate(network, np.ones((1, 1, 32), np.int8), replace(chip, amem_banks=4))
    assert (four.layer("c").figures.steps, four.layer("c").figures.fetch_cycles) == (2, 2)
    assert four.layer("c").no_stall("bank_conflict")
    assert four.bank_never_conflicted("amem")
