"""Runs that differ only in time: the same results as if each computed its values, and nothing computed twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from chip_cases import NetworkCase
from command import SCENARIOS
from deep_networks import deep_networks, smallest_program
from dram_cases import with_dram
from driver_checks import Driver
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from strategies import random_activations

import tlm
from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.compiler.program import Program
from tlm.results.result import Result
from tlm.results.result_json import result_json
from tlm.runs.order import values_are_timeless
from tlm.runs.simulate import simulate
from tlm.runs.values_once import ValuesOnce
from tlm.scenario.loading import load_scenario

CHIP = ChipConfig(lanes=8, columns=8, memory_bytes=1 << 20)
NETWORK = tlm.Network(
    (8, 6, 6),
    [
        tlm.Conv2d("a", np.ones((24, 8, 3, 3), np.int8), padding=1, multiplier=9, shift=9),
        tlm.MaxPool2d("p", 3, stride=1, padding=1),
        tlm.Conv2d("b", np.ones((24, 24, 1, 1), np.int8), residual="a", residual_multiplier=99, multiplier=9, shift=9),
        tlm.Conv2d("c", np.ones((5, 24, 6, 6), np.int8), accumulator_output=True),
    ],
)
OTHER_TIMES = (
    {"memory_gb_per_s": 0.8},
    {"memory_latency_ns": 7.3},
    {"voltage_v": 0.8, "frequency_mhz": None},
    {"amem_banks": 1},
    {"pass_gap_cycles": 1},
    {"host_access_ns": 0.0, "dma_bursts_in_flight": 1},
)


def images_of(network: tlm.Network, seed: int = 0) -> np.ndarray:
    return random_activations(np.random.default_rng(seed), network.input_shape, network.signed_input)


@contextmanager
def counted_passes() -> Iterator[list[int]]:
    """How often the kernels of the MAC array were called, for a pass or for a layer."""
    calls = [0]

    def counting(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls[0] += 1
            return real(*arguments)

        return call

    with (
        mock.patch.object(kernels.MacPass, "__call__", counting(kernels.MacPass.__call__)),
        mock.patch.object(kernels, "mac_layer", counting(kernels.mac_layer)),
    ):
        yield calls


def assert_same(found: Result, wanted: Result) -> None:
    assert result_json(found) == result_json(wanted)
    assert found.passes == wanted.passes
    assert [*found.tensors] == [*wanted.tensors]
    for name, tensor in wanted.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)


def check_on(program: Program, activations: np.ndarray, chips: list[ChipConfig]) -> None:
    """The first run computes, those on the other chips do not, and all are as if they had."""
    values = ValuesOnce()
    assert_same(values.simulate(program, activations), simulate(program, activations))
    for chip in chips:
        wanted = simulate(program, activations, chip)
        with counted_passes() as calls:
            assert_same(values.simulate(program, activations, chip), wanted)
        assert not calls[0]


def test_runs_that_differ_in_time_compute_no_values_again():
    check_on(tlm.compile(NETWORK, CHIP), images_of(NETWORK), [replace(CHIP, **keys) for keys in OTHER_TIMES])


@pytest.mark.parametrize("memory", ["fixed", "dram"])
def test_runs_of_equal_cycles_are_simulated_once_and_priced_anew(memory: str):
    slow = replace(CHIP, memory_model=memory, host_access_ns=0.0, host_interrupt_ns=0.0)
    program, activations, values = tlm.compile(NETWORK, slow), images_of(NETWORK), ValuesOnce()
    values.simulate(program, activations)
    same_cycles = [slow]
    if memory == "fixed":  # as many cycles of latency and for a beat at half the clock
        slower = {"voltage_v": 1.0, "frequency_mhz": 267.0, "memory_latency_ns": 120.0, "memory_gb_per_s": 1.6}
        same_cycles.append(replace(slow, **slower))
    tables = tlm.EnergyConfig(), tlm.EnergyConfig(multiply_pj=1.0, off_chip_read_pj=7.0, leakage_ma=3.0)
    for chip in same_cycles:
        for table in tables:
            with mock.patch("tlm.runs.values_once.simulate_timing") as simulated:
                found = values.simulate(program, activations, chip, energy=table)
            assert not simulated.called
            wanted = simulate(program, activations, chip, energy=table)
            assert_same(found, wanted)
            assert found.counts == wanted.counts


@pytest.mark.parametrize("keys", OTHER_TIMES)
def test_other_cycles_another_network_or_prediction_are_simulated_again(keys: dict[str, Any]):
    program, activations, values = tlm.compile(NETWORK, CHIP), images_of(NETWORK), ValuesOnce()
    shift = np.zeros((24, 8, 3, 3), np.int8)
    shift[:, :, 1, 1] = 1
    otherwise = tlm.Network(NETWORK.input_shape, [replace(NETWORK.layers[0], weights=shift), *NETWORK.layers[1:]])
    others = (
        (program, replace(CHIP, **keys)),
        (replace(program, network=otherwise), CHIP),  # the same words, said to be another kind of layer
        (replace(program, predicted_total_cycles=1), CHIP),
    )
    for own, chip in others:
        values.simulate(program, activations)
        assert_same(values.simulate(own, activations, chip), simulate(own, activations, chip))


def test_so_does_a_batch():
    batch = np.stack([images_of(NETWORK, seed) for seed in range(3)])
    check_on(tlm.compile(NETWORK, CHIP, batch=3), batch, [replace(CHIP, **keys) for keys in OTHER_TIMES[:3]])


@given(case=deep_networks(max_side=9), data=st.data())
@settings(max_examples=3)
def test_so_do_networks_cut_to_small_memories_with_dram_too(case: NetworkCase, data: st.DataObject):
    program = smallest_program(case.network, CHIP)
    slow = replace(program.config, memory_gb_per_s=0.8)
    check_on(program, case.activations, [slow, data.draw(with_dram(program.config))])


def test_energies_and_an_equal_program_of_another_compilation_are_only_time():
    program, activations, values = tlm.compile(NETWORK, CHIP), images_of(NETWORK), ValuesOnce()
    values.simulate(program, activations)
    table = tlm.EnergyConfig(multiply_pj=1.0)
    again = tlm.compile(NETWORK, replace(CHIP, pass_gap_cycles=4))
    assert again.steps == program.steps
    with counted_passes() as calls:
        found = values.simulate(again, activations, energy=table)
    assert not calls[0]
    assert_same(found, simulate(again, activations, energy=table))


def test_other_weights_another_input_and_another_fidelity_compute():
    program, activations, values = tlm.compile(NETWORK, CHIP), images_of(NETWORK), ValuesOnce()
    values.simulate(program, activations)
    other = tlm.Network(
        NETWORK.input_shape, [replace(NETWORK.layers[0], weights=-NETWORK.layers[0].weights), *NETWORK.layers[1:]]
    )
    for own, image in ((tlm.compile(other, CHIP), activations), (program, 15 - activations)):
        found = values.simulate(own, image)
        assert_same(found, simulate(own, image))
        assert found.outputs_sha256 != values.simulate(program, activations).outputs_sha256
    assert values.simulate(program, activations, fidelity="cycle").fidelity == "cycle"


def test_only_so_many_are_kept():
    program, values = tlm.compile(NETWORK, CHIP), ValuesOnce(most_images=2)
    for seed in (0, 1, 0, 2):
        values.simulate(program, images_of(NETWORK, seed))
    for seed, computes in ((0, False), (2, False), (1, True)):
        with counted_passes() as calls:
            values.simulate(program, images_of(NETWORK, seed))
        assert (calls[0] > 0) is computes


def test_images_of_a_batch_count_each():
    batch, values = tlm.compile(NETWORK, CHIP, 3), ValuesOnce(most_images=2)
    images = np.stack([images_of(NETWORK, seed) for seed in range(3)])
    values.simulate(tlm.compile(NETWORK, CHIP), images_of(NETWORK))
    values.simulate(batch, images)
    for program, own, computes in ((batch, images, False), (tlm.compile(NETWORK, CHIP), images_of(NETWORK), True)):
        with counted_passes() as calls:
            values.simulate(program, own)
        assert (calls[0] > 0) is computes


def test_values_of_a_program_that_time_could_change_are_always_computed():
    program, activations, values = tlm.compile(NETWORK, CHIP), images_of(NETWORK), ValuesOnce()
    with mock.patch("tlm.runs.values_once.values_are_timeless", return_value=False), counted_passes() as calls:
        first = values.simulate(program, activations)
        once = calls[0]
        slow = values.simulate(program, activations, replace(CHIP, memory_latency_ns=200.0))
    assert calls[0] == 2 * once > 0
    assert slow.outputs_sha256 == first.outputs_sha256


# -- the order of a program --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18_3of9_0v8", "resnet18_conv4_2_9of9"])
def test_time_changes_no_value_of_what_is_shipped(name: str):
    job = load_scenario(SCENARIOS / f"{name}.toml").build(golden=False)
    assert values_are_timeless(tlm.compile(job.network, job.chip))


@given(case=deep_networks(), data=st.data())
@settings(max_examples=6)
def test_a_wait_that_is_needed_is_missed(case: NetworkCase, data: st.DataObject):
    """Whatever the tests' own check of drivers refuses, this one does as well; and it refuses no compiled program."""
    program = smallest_program(case.network, CHIP)
    assert values_are_timeless(program)
    waits = [index for index, step in enumerate(program.steps[:-1]) if isinstance(step, Wait)]
    left_out = data.draw(st.sampled_from(waits))
    damaged = replace(program, steps=(*program.steps[:left_out], *program.steps[left_out + 1 :]))
    try:
        Driver(damaged).play()
    except AssertionError:
        assert not values_are_timeless(damaged)


@pytest.mark.parametrize("unit", [Unit.LOAD, Unit.STORE])
def test_a_transfer_must_not_touch_what_the_engine_writes(unit: Unit):
    program = tlm.compile(NETWORK, CHIP)
    engine = next(index for index, step in enumerate(program.steps) if isinstance(step, StartEngine))
    parts = [program.parts[tag] for tag in program.jobs[0].parts]
    free = max(place.end_word for part in parts for place in (part.source, part.output, part.residual) if place)
    for word, is_apart in ((free, True), (parts[-1].output.end_word - 1, False)):
        moved = StartTransfer(unit, Transfer(SramName.AMEM, word, 0, 1))
        steps = (*program.steps[: engine + 1], moved)
        assert values_are_timeless(replace(program, steps=steps)) is is_apart


def test_a_layer_must_not_overwrite_what_it_reads():
    """Over a residual alone, word by word at its place, an output may lie (engine.md, Layout)."""
    weights = np.ones((8, 8, 1, 1), np.int8)
    network = tlm.Network((8, 8, 8), [tlm.Conv2d("a", weights, multiplier=9, residual="input", residual_multiplier=9)])
    program = tlm.compile(network, CHIP)
    (part,), source = program.parts, program.parts[0].source
    aside = structs.replace(source, base_word=part.output.end_word)
    for output, residual, is_apart in (
        (part.output, source, True),
        (source, source, False),
        (part.output, part.output, True),
        (structs.replace(aside, base_word=aside.base_word + 1), aside, False),
    ):
        moved = structs.replace(part, output=output, residual=residual)
        assert values_are_timeless(replace(program, parts=(moved,))) is is_apart
