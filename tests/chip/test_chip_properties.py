"""What must hold for every compiled program, whatever it computes."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chip_cases import MEMORIES, NetworkCase, chips, compiled, networks, pass_first
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, StartTransfer, Unit
from tlm.core.errors import InputError
from tlm.network.layers import INPUT, Conv2d
from tlm.network.network import Network
from tlm.results.result import Result
from tlm.results.result_json import result_json


def assert_same_tensors(one: Result, other: Result) -> None:
    assert list(one.tensors) == list(other.tensors)
    for name, tensor in one.tensors.items():
        np.testing.assert_array_equal(tensor, other.tensors[name], err_msg=name)


def compute_cycles(result: Result) -> dict[str, int]:
    return {name: layer.compute_cycles for name, layer in result.layers.items()}


# -- memory: slower is never faster, and never different --------------------------------------------------------------


def check_slower_memory(fidelity: str, case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    program = compiled(case, chip, memories)
    config = program.config
    base = tlm.simulate(program, case.activations, fidelity=fidelity)
    for slower in (
        replace(config, memory_gb_per_s=config.memory_gb_per_s / 2),
        replace(config, memory_latency_ns=config.memory_latency_ns * 2 + 1),
        replace(config, memory_gb_per_s=config.memory_gb_per_s / 2, memory_latency_ns=config.memory_latency_ns * 2),
    ):
        result = tlm.simulate(program, case.activations, chip=slower, fidelity=fidelity)
        assert result.cycles >= base.cycles, slower
        assert_same_tensors(result, base)
        assert compute_cycles(result) == compute_cycles(base)
        assert result.traffic == base.traffic


@pass_first
@settings(max_examples=2)
@given(networks(), chips(), MEMORIES)
def test_a_slower_memory_never_shortens_a_run(
    fidelity: str, case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]
) -> None:
    check_slower_memory(fidelity, case, chip, memories)


@pytest.mark.slow
@settings(max_examples=100)
@given(networks(), chips(host_access_ns=0.0, host_interrupt_ns=0.0), MEMORIES)
def test_a_slower_memory_never_shortens_many_runs(
    case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]
) -> None:
    """With a host that costs nothing, so that jobs are many and transfers overlap with everything.

    In fidelity "pass"; test_both_models_agree_on_many_runs carries it over to "cycle".
    """
    check_slower_memory("pass", case, chip, memories)


def reloading_network() -> Network:
    """Two layers whose weights fit WMem neither together nor alone, and a stored output of several parts."""
    rng = np.random.default_rng(4)
    first = Conv2d("a", random_weights(rng, (48, 40, 1, 1), 0.8, by_tap=True), multiplier=200, shift=14)
    second = Conv2d("b", random_weights(rng, (60, 48, 1, 1), 0.8, by_tap=True), multiplier=200, shift=14)
    return Network((40, 5, 5), [first, second])


RELOADING = ChipConfig(lanes=16, columns=8, wmem_words=104, host_access_ns=5, host_interrupt_ns=10)


@pass_first
@pytest.mark.parametrize("key", ["memory_gb_per_s", "memory_latency_ns"])
def test_cycles_grow_steadily_as_the_memory_slows_down(fidelity: str, key: str) -> None:
    network = reloading_network()
    program = tlm.compile(network, RELOADING)
    activations = np.random.default_rng(1).integers(0, 16, network.input_shape)
    values = [12.8 / 4**i for i in range(4)] if key == "memory_gb_per_s" else [7.5 * 4**i for i in range(4)]
    results = [
        tlm.simulate(program, activations, chip=replace(RELOADING, **{key: value}), fidelity=fidelity)
        for value in values
    ]
    cycles = [result.cycles for result in results]
    assert cycles == sorted(cycles)
    assert cycles[-1] > 2 * cycles[0]
    for result in results:
        assert_same_tensors(result, results[0])


# -- pruning ----------------------------------------------------------------------------------------------------------


def pruned_block(taps: int, channels: int = 40) -> Network:
    """PW-DW-PW as PW and a sum over the depth-wise kernels' remaining taps of shifted PWs."""
    rng = np.random.default_rng(9)
    depthwise = rng.integers(1, 7, (channels, 1, 3, 3)).astype(np.int8)
    for channel, kernel in enumerate(depthwise.reshape(channels, 9)):
        kernel[np.random.default_rng(channel).permutation(9)[taps:]] = 0
    pointwise = rng.integers(1, 8, (channels, channels, 1, 1))
    fused = np.sign(depthwise.reshape(1, channels, 3, 3)) * pointwise
    keys: dict[str, Any] = {"multiplier": 40, "shift": 14}
    first = Conv2d("expand", pointwise.astype(np.int8), **keys)
    second = Conv2d("fused", fused.astype(np.int8), padding=1, residual=INPUT, residual_multiplier=8192, **keys)
    return Network((channels, 8, 8), [first, second])


@pass_first
def test_fewer_taps_take_fewer_cycles(fidelity: str) -> None:
    """9/9 > 3/9 > 1/9, and the second layer's steps are exactly in proportion."""
    activations = np.random.default_rng(2).integers(0, 16, (40, 8, 8))
    nine, three, one = (tlm.simulate(pruned_block(taps), activations, fidelity=fidelity) for taps in (9, 3, 1))
    assert nine.cycles > three.cycles > one.cycles
    assert nine.compute_cycles > three.compute_cycles > one.compute_cycles
    assert [r.layers["fused"].steps for r in (nine, three, one)] == [40 * 2 * 2 * taps for taps in (9, 3, 1)]
    assert nine.dense_macs == three.dense_macs == one.dense_macs
    assert nine.traffic.load_bytes > three.traffic.load_bytes > one.traffic.load_bytes


# -- sums and bounds --------------------------------------------------------------------------------------------------


def descriptor_bytes(program: tlm.Program, unit: Unit) -> int:
    """Bytes that a program's descriptors of one channel move."""
    config = program.config
    sizes = {
        SramName.AMEM: config.lanes // 2,
        SramName.WMEM: config.columns // 2,
        SramName.IMEM: 8,
    }
    transfers = [step.transfer for step in program.steps if isinstance(step, StartTransfer) and step.unit is unit]
    return sum(one.rows * one.row_words * sizes[one.sram] for one in transfers)


@pass_first
@examples(30)
@given(networks(), chips(), MEMORIES)
def test_sums_and_bounds(fidelity: str, case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    program = compiled(case, chip, memories)
    result = tlm.simulate(program, case.activations, fidelity=fidelity)
    layers = result.layers.values()
    assert sum(layer.load_bytes for layer in layers) == result.traffic.load_bytes
    assert sum(layer.store_bytes for layer in layers) == result.traffic.store_bytes
    assert result.traffic.load_bytes == descriptor_bytes(program, Unit.LOAD)
    assert result.traffic.store_bytes == descriptor_bytes(program, Unit.STORE)
    assert 0 <= result.utilization <= result.compute_utilization <= 1
    assert result.compute_cycles == sum(layer.compute_cycles for layer in layers) < result.cycles
    before = -1
    for layer in layers:
        assert 0 <= layer.utilization <= 1
        assert 0 <= layer.density <= 1
        assert layer.steps <= layer.fetch_cycles <= layer.compute_cycles
        assert layer.compute_cycles == layer.predicted_compute_cycles
        assert layer.compute_cycles <= layer.end_cycle - layer.start_cycle + 1
        assert before < layer.start_cycle < layer.end_cycle < result.cycles
        before = layer.end_cycle
    assert result.time_us == pytest.approx(result.cycles / (chip.clock_khz / 1000))


# -- the same again ---------------------------------------------------------------------------------------------------


def check_models_agree(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    program = compiled(case, chip, memories)
    beat, burst = (tlm.simulate(program, case.activations, fidelity=fidelity) for fidelity in ("cycle", "pass"))
    assert_same_tensors(beat, burst)
    assert beat.cycles == burst.cycles
    assert beat.layers == burst.layers
    assert beat.passes == burst.passes
    assert beat.traffic == burst.traffic
    assert beat.bank_conflicts == burst.bank_conflicts


@settings(max_examples=4)
@given(networks(), chips(), MEMORIES)
def test_both_models_agree_on_every_figure(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    check_models_agree(case, chip, memories)


@pytest.mark.slow
@settings(max_examples=80)
@given(networks(), chips(host_access_ns=0.0, host_interrupt_ns=0.0), MEMORIES)
def test_both_models_agree_on_many_runs(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    check_models_agree(case, chip, memories)


@pass_first
@examples(15)
@given(networks(), chips())
def test_two_runs_are_identical(fidelity: str, case: NetworkCase, chip: ChipConfig) -> None:
    one = tlm.simulate(case.network, case.activations, chip=chip, fidelity=fidelity)
    other = tlm.simulate(case.network, case.activations, chip=chip, fidelity=fidelity)
    assert one.cycles == other.cycles
    assert pickle.dumps(one) == pickle.dumps(other)
    assert result_json(one) == result_json(other)


RUN_PICKLED = """
import pickle, sys, tlm
from tlm.results.result_json import result_json
program, activations = pickle.load(open(sys.argv[1], "rb"))
result = tlm.simulate(program, activations, fidelity=sys.argv[2])
sys.stdout.write(result_json(result))
"""


@pytest.mark.parametrize(
    ("fidelity", "hash_seed"), [("cycle", "0"), pytest.param("pass", "4711", marks=pytest.mark.slow)]
)
def test_a_pickled_program_runs_alike_in_another_process(fidelity: str, tmp_path: Path, hash_seed: str) -> None:
    network = reloading_network()
    program = tlm.compile(network, RELOADING)
    activations = np.random.default_rng(1).integers(0, 16, network.input_shape)
    path = tmp_path / "program.pickle"
    path.write_bytes(pickle.dumps((program, activations)))
    run = subprocess.run(
        [sys.executable, *(["-S"] if sys.flags.no_site else []), "-c", RUN_PICKLED, str(path), fidelity],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == result_json(tlm.simulate(program, activations, fidelity=fidelity))


@pass_first
def test_a_result_survives_pickling(fidelity: str) -> None:
    network = reloading_network()
    result = tlm.simulate(network, np.ones(network.input_shape, np.int8), fidelity=fidelity)
    again = pickle.loads(pickle.dumps(result))
    assert_same_tensors(result, again)
    assert again.layers == result.layers
    assert again.chip == result.chip


# -- capacities -------------------------------------------------------------------------------------------------------


@pass_first
@pytest.mark.parametrize(
    ("memories", "parts"),
    [
        ({}, (1, 1)),
        ({"wmem_words": 104}, (6, 8)),
        ({"wmem_words": 256}, (1, 3)),
        ({"imem_words": 40}, (6, 7)),
        ({"wmem_words": 48, "imem_words": 24}, (6, 8)),
        ({"amem_words": 296}, (1, 1)),
    ],
)
def test_outputs_do_not_depend_on_capacities(
    fidelity: str, memories: Mapping[str, int], parts: tuple[int, int]
) -> None:
    network = reloading_network()
    activations = np.random.default_rng(1).integers(0, 16, network.input_shape)
    slow_host = replace(RELOADING, wmem_words=16_384, host_access_ns=2_000.0)  # cuts layers only where they do not fit
    chip = replace(slow_host, **memories)
    result = tlm.simulate(network, activations, chip=chip, fidelity=fidelity)
    golden = tlm.reference.run(network, activations)
    for name, tensor in result.tensors.items():
        np.testing.assert_array_equal(tensor, golden[name])
    assert tuple(layer.parts for layer in result.layers.values()) == parts
    steps = [layer.steps for layer in result.layers.values()]
    roomy = tlm.simulate(network, activations, chip=slow_host, fidelity=fidelity)
    assert steps == [layer.steps for layer in roomy.layers.values()]


@pass_first
def test_a_program_runs_on_a_chip_with_larger_memories(fidelity: str) -> None:
    network = reloading_network()
    program = tlm.compile(network, RELOADING)
    larger = replace(RELOADING, wmem_words=512, amem_words=32_768, imem_words=32_768)
    activations = np.ones(network.input_shape, np.int8)
    one, other = (
        tlm.simulate(program, activations, fidelity=fidelity),
        tlm.simulate(program, activations, chip=larger, fidelity=fidelity),
    )
    assert_same_tensors(one, other)
    assert one.cycles == other.cycles


@pass_first
@pytest.mark.parametrize(
    ("key", "value"), [("lanes", 32), ("columns", 16), ("bus_bytes", 16), ("wmem_words", 96), ("memory_bytes", 1 << 20)]
)
def test_a_program_is_refused_by_a_chip_that_it_does_not_fit(fidelity: str, key: str, value: int) -> None:
    network = reloading_network()
    program = tlm.compile(network, RELOADING)
    compiled = getattr(RELOADING, key)
    message = rf"chip\.{key}: {value}, but the program was compiled for {compiled}; compile it for this chip"
    with pytest.raises(InputError, match=message):
        tlm.simulate(
            program, np.ones(network.input_shape, np.int8), chip=replace(RELOADING, **{key: value}), fidelity=fidelity
        )


# -- operating points -------------------------------------------------------------------------------------------------


@examples(100)
@given(
    st.decimals(0, 100_000, places=3, allow_nan=False).map(float),
    st.sampled_from((0.75, 0.8, 0.9, 1.0, 1.1, 1.2)),
    st.none() | st.integers(1, 100),
)
def test_a_duration_takes_the_fewest_cycles_that_cover_it(ns: float, voltage_v: float, mhz: int | None) -> None:
    """One rounding rule at every operating point [A]: the ceiling, exactly."""
    chip = ChipConfig(voltage_v=voltage_v, frequency_mhz=mhz)
    cycles, duration = chip.cycles_of_ns(ns), Fraction(str(ns))
    period_ns = Fraction(1_000_000, chip.clock_khz)
    assert (cycles - 1) * period_ns < duration <= cycles * period_ns


@pytest.mark.parametrize(
    ("voltage_v", "mhz", "latency_cycles", "beat_cycles"),
    [(1.1, 534, 33, Fraction(1335, 1000)), (0.8, 234, 15, Fraction(1))],
)
def test_the_published_operating_points(voltage_v: float, mhz: int, latency_cycles: int, beat_cycles: Fraction) -> None:
    """534 and 234 MHz [P]; 60 ns are 32.04 and 14.04 cycles [S]; 8 bytes at 3.2 GB/s 2.5 ns, at least a cycle [S]."""
    chip = ChipConfig.at(voltage_v=voltage_v)
    assert chip.clock_khz == mhz * 1000
    assert chip.cycles_of_ns(60) == latency_cycles == math.ceil(60 * mhz / 1000)
    assert chip.memory_beat_cycles == beat_cycles
    assert chip.time_us(mhz * 7) == 7


@pass_first
def test_an_operating_point_changes_time_but_no_compute_cycle_and_no_value(fidelity: str) -> None:
    network = reloading_network()
    activations = np.random.default_rng(1).integers(0, 16, network.input_shape)
    program = tlm.compile(network, RELOADING)
    results = [
        tlm.simulate(program, activations, chip=replace(RELOADING, voltage_v=v, frequency_mhz=None), fidelity=fidelity)
        for v in (1.1, 0.8, 0.75)
    ]
    for result in results:
        assert_same_tensors(result, results[0])
        assert compute_cycles(result) == compute_cycles(results[0])
        assert result.time_us == result.cycles * 1000 / result.chip.clock_khz
    assert [r.time_us for r in results] == sorted(r.time_us for r in results)
    assert {f.name for f in fields(results[1].chip)} == {f.name for f in fields(ChipConfig)}
