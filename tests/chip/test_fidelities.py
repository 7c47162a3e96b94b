"""Fidelity "pass" equals "cycle": values, every pass, cycles, conflicts, traffic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from chip_cases import NetworkCase, chips, networks
from fidelities import assert_equal, both
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import Fidelity
from tlm.chip.system import System
from tlm.core.errors import CompileError
from tlm.core.payload import Payload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.networks.blocks import PwDwPw, build_block
from tlm.networks.resnet18 import resnet18_block
from tlm.networks.seeded import seeded_activations

SMALL_WMEM = st.sampled_from((None, 16, 32, 64, 128, 256))


def check(case: NetworkCase, chip: ChipConfig) -> None:
    try:
        program = tlm.compile(case.network, chip)
    except CompileError:
        assume(False)
    assert_equal(*both(program, case.activations))


def with_wmem(chip: ChipConfig, words: int | None) -> ChipConfig:
    """A WMem so small that layers are split and loads overlap the computation."""
    return chip if words is None else replace(chip, wmem_words=words)


@given(case=networks(), chip=chips(), words=SMALL_WMEM)
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
def test_generated_networks(case: NetworkCase, chip: ChipConfig, words: int | None) -> None:
    check(case, with_wmem(chip, words))


@pytest.mark.slow
@given(case=networks(max_layers=5), chip=chips(), words=SMALL_WMEM)
@settings(max_examples=120, suppress_health_check=list(HealthCheck))
def test_many_generated_networks(case: NetworkCase, chip: ChipConfig, words: int | None) -> None:
    check(case, with_wmem(chip, words))


def layer(name: str, shape: tuple[int, int, int, int], density: float = 1.0, **keys: object) -> Conv2d:
    rng = np.random.default_rng(sum(shape))
    weights = (rng.integers(1, 8, shape) * (rng.random(shape) < density)).astype(np.int8)
    return Conv2d(name, weights, multiplier=300, shift=14, **keys)  # type: ignore[arg-type]


NAMED: Mapping[str, tuple[Network, dict[str, object]]] = {
    "split by WMem while the array computes": (
        Network((40, 9, 9), [layer("c", (96, 40, 3, 3), padding=(1, 1))]),
        {"wmem_words": 1024, "memory_gb_per_s": 12.8},
    ),
    "starving memory": (
        Network((40, 9, 9), [layer("c", (96, 40, 3, 3), padding=(1, 1))]),
        {"wmem_words": 1024, "memory_gb_per_s": 0.2},
    ),
    "one bank everywhere": (
        Network(
            (16, 8, 8),
            [
                layer("a", (32, 16, 1, 1)),
                layer("b", (16, 32, 3, 3), padding=(1, 1), residual="input", residual_multiplier=500),
            ],
        ),
        {"amem_banks": 1, "wmem_banks": 1, "imem_banks": 1},
    ),
    "write-back starves": (Network((96, 32, 32), [layer("c", (32, 96, 1, 1))]), {"amem_banks": 2}),
    "stride with bank conflicts": (
        Network((8, 31, 31), [layer("c", (40, 8, 7, 7), stride=(2, 2), padding=(3, 3))]),
        {},
    ),
    "weights loaded beside slow fetches": (
        Network((8, 31, 31), [layer("c", (24, 8, 7, 7), stride=(2, 2), padding=(3, 3))]),
        {"columns": 8, "wmem_words": 1024, "wmem_banks": 1, "memory_gb_per_s": 12.8},
    ),
    "no valid tap": (Network((9, 5, 5), [layer("c", (40, 9, 3, 3), density=0.0)]), {}),
    "class scores": (
        Network((64, 1, 1), [layer("fc", (100, 64, 1, 1), accumulator_output=True)]),
        {"wmem_words": 128},
    ),
    "small array": (
        Network((12, 7, 7), [layer("c", (20, 12, 3, 3), padding=(1, 1))]),
        {"lanes": 8, "columns": 8, "wmem_words": 128},
    ),
    "large array": (Network((12, 20, 20), [layer("c", (130, 12, 3, 3))]), {"lanes": 64, "columns": 64}),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_cases(name: str) -> None:
    network, keys = NAMED[name]
    chip = ChipConfig(**keys)  # type: ignore[arg-type]
    values = seeded_activations(network.input_shape, 3, signed=False)
    assert_equal(*both(tlm.compile(network, chip), values))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_named_cases_of_the_circuit(name: str) -> None:
    """On eight columns: circuits of all sizes take too long to build."""
    network, keys = NAMED[name]
    program = tlm.compile(network, ChipConfig(**{"lanes": 8, **keys, "columns": 8}))  # type: ignore[arg-type]
    values = seeded_activations(network.input_shape, 3, signed=False)
    assert_equal(*(tlm.simulate(program, values, fidelity=fidelity) for fidelity in ("pass", "rtl")))


@pytest.mark.slow
@pytest.mark.parametrize("taps", [1, 3, 9])
def test_the_main_job(taps: int) -> None:
    _check_block(resnet18_block("conv3_2", taps), "cycle")


@pytest.mark.slow
@pytest.mark.parametrize("fidelity", ["cycle", "rtl"])
@pytest.mark.parametrize("taps", [1, 3, 9])
@pytest.mark.parametrize("stage", ["conv2_2", "conv4_2", "conv5_2"])
def test_a_block_of_each_stage(stage: str, taps: int, fidelity: str) -> None:
    _check_block(resnet18_block(stage, taps), fidelity)


def _check_block(block: PwDwPw, fidelity: str) -> None:
    values = seeded_activations(block.input_shape, 0, signed=False)
    network = build_block(block, values, seed=0, signed_input=False)
    program = tlm.compile(network, ChipConfig())
    assert_equal(*(tlm.simulate(program, values, fidelity=model) for model in (fidelity, "pass")))


def _transactions(taps: int, wmem_words: int) -> int:
    """Payloads that cross a socket in a burst run of the main block, every layer in one part and in a job of its own.

    WMem is large enough and the host slow, so that the compiler sees no reason to cut layers.
    """
    block = resnet18_block("conv3_2", taps)
    values = seeded_activations(block.input_shape, 0, signed=False)
    program = tlm.compile(build_block(block, values), ChipConfig(wmem_words=wmem_words, host_access_ns=20_000.0))
    assert [part.layer_index for part in program.parts] == [0, 1]
    assert len(program.jobs) == 2
    system, seen = System(program.config, Fidelity.PASS), 0

    def count(phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        nonlocal seen
        seen += phase is Phase.BEGIN_REQ

    for socket in system.simulation.sockets():
        if isinstance(socket, InitiatorSocket):
            socket.observe(count)
    system.preload(program.image(values))
    system.run(program.steps)
    return seen


def test_what_a_pass_costs_does_not_grow_with_its_cycles() -> None:
    """200 passes of 128 and 128 steps, or of 128 and 1,152: the same number of transactions."""
    few, many = _transactions(1, wmem_words=1024), _transactions(9, wmem_words=32_768)
    assert few == many
    assert few < 10 * 200


@pytest.mark.slow
def test_a_program_on_another_chip() -> None:
    network, keys = NAMED["split by WMem while the array computes"]
    program = tlm.compile(network, ChipConfig(**keys))  # type: ignore[arg-type]
    values = seeded_activations(network.input_shape, 3, signed=False)
    for change in (
        {"amem_banks": 8},
        {"memory_latency_ns": 300.0},
        {"dma_bursts_in_flight": 4},
        {"pass_gap_cycles": 9},
    ):
        assert_equal(*both(program, values, replace(program.config, **change)))
