"""The circuit equals fidelity "cycle": values, every pass, cycles, refusals, memories, errors."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from chip_cases import NetworkCase, networks
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rtl_chip import CHIP, DEEP_CHIP, assert_same_outcome, assert_same_run, final_srams

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import Fidelity
from tlm.core.errors import CompileError
from tlm.network.layers import Conv2d, MaxPool2d
from tlm.network.network import Network
from tlm.networks.seeded import seeded_activations
from tlm.observe.faults import BitFlip, FaultTarget
from tlm.observe.watched import Watched


def layer(name: str, shape: tuple[int, int, int, int], density: float = 1.0, **keys: object) -> Conv2d:
    rng = np.random.default_rng(sum(shape))
    weights = (rng.integers(-8, 8, shape) * (rng.random(shape) < density)).astype(np.int8)
    return Conv2d(name, weights, multiplier=300, shift=14, **keys)  # type: ignore[arg-type]


RESIDUAL = [
    layer("a", (16, 8, 1, 1)),
    layer("b", (8, 16, 3, 3), padding=(1, 1), residual="input", residual_multiplier=500),
]
NAMED: Mapping[str, tuple[Network, dict[str, float]]] = {
    "point-wise": (Network((4, 4, 4), [layer("c", (8, 4, 1, 1))]), {}),
    "padding and a second group": (Network((6, 7, 7), [layer("c", (12, 6, 3, 3), padding=(1, 1))]), {}),
    "residual overlaid by the output": (Network((8, 8, 8), RESIDUAL), {}),
    "stride with bank conflicts": (
        Network((4, 15, 15), [layer("c", (10, 4, 5, 5), stride=(2, 2), padding=(2, 2))]),
        {},
    ),
    "dilation": (Network((3, 12, 9), [layer("c", (9, 3, 3, 2), dilation=(3, 2), padding=(3, 1))]), {}),
    "no valid tap": (Network((9, 5, 5), [layer("c", (10, 9, 3, 3), density=0.0)]), {}),
    "class scores": (Network((16, 1, 1), [layer("fc", (20, 16, 1, 1), accumulator_output=True)]), {}),
    "max pooling": (Network((20, 9, 9), [MaxPool2d("p", 3, stride=2, padding=1)]), {}),
    "max pooling of signed values": (Network((20, 9, 9), [MaxPool2d("p", 3, stride=2, padding=1)], True), {}),
    "signed": (Network((6, 7, 7), [layer("c", (12, 6, 3, 3), padding=(1, 1), signed_output=True)], True), {}),
    "one channel of one pixel": (Network((1, 1, 1), [layer("c", (1, 1, 1, 1))]), {}),
    "loads beside the computation": (
        Network((16, 9, 9), [layer("c", (40, 16, 3, 3), padding=(1, 1))]),
        {"memory_gb_per_s": 12.8},
    ),
    "bands": (Network((6, 40, 40), [layer("c", (6, 6, 3, 3), padding=(1, 1))]), {}),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_cases(name: str) -> None:
    network, around = NAMED[name]
    program = tlm.compile(network, replace(CHIP, **around))
    assert_same_run(program, seeded_activations(network.input_shape, 3, signed=network.signed_input))


def test_the_case_of_bands_has_bands() -> None:
    program = tlm.compile(NAMED["bands"][0], CHIP)
    assert len({part.first_tile for part in program.parts}) > 1


SURROUNDINGS = st.fixed_dictionaries(
    {
        "memory_gb_per_s": st.sampled_from((0.4, 3.2, 100.0)),
        "memory_latency_ns": st.sampled_from((0.0, 60.0)),
        "dma_bursts_in_flight": st.sampled_from((1, 2, 5)),
        "host_interrupt_ns": st.sampled_from((0.0, 100.0)),
        "bus_bytes": st.sampled_from((4, 8, 32)),
    }
)


def check(case: NetworkCase, chip: ChipConfig) -> None:
    try:
        program = tlm.compile(case.network, chip)
    except CompileError:
        assume(False)
    assert_same_run(program, case.activations)


@given(case=networks(), around=SURROUNDINGS)
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_generated_networks(case: NetworkCase, around: dict[str, float]) -> None:
    check(case, replace(CHIP, **around))


@pytest.mark.slow
@given(case=networks(max_layers=5), around=SURROUNDINGS)
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_many_generated_networks(case: NetworkCase, around: dict[str, float]) -> None:
    check(case, replace(CHIP, **around))


@pytest.mark.slow
@given(case=networks(), around=SURROUNDINGS)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_other_sides_banks_and_latencies(case: NetworkCase, around: dict[str, float]) -> None:
    check(case, replace(DEEP_CHIP, **around))


@pytest.mark.parametrize("name", ["residual overlaid by the output", "class scores"])
def test_every_sram_word_at_the_end(name: str) -> None:
    network, _ = NAMED[name]
    program = tlm.compile(network, CHIP)
    values = seeded_activations(network.input_shape, 3, signed=network.signed_input)
    clear, circuit = (final_srams(program, values, fidelity) for fidelity in (Fidelity.CYCLE, Fidelity.RTL))
    assert clear == circuit


def random_flip(chance: random.Random, program: tlm.Program, started_cycle: int, cycles: int) -> BitFlip:
    """A bit of an SRAM word that the program may use; most often of an instruction, as the program starts."""
    target = chance.choice((FaultTarget.AMEM, FaultTarget.WMEM, FaultTarget.IMEM, FaultTarget.IMEM))
    words = {FaultTarget.AMEM: 200, FaultTarget.WMEM: 40, FaultTarget.IMEM: 30}[target]
    bits = 64 if target is FaultTarget.IMEM else 4 * program.config.lanes
    end_cycle = started_cycle + 40 if target is FaultTarget.IMEM else cycles
    return BitFlip(target, chance.randrange(words), chance.randrange(bits), chance.randrange(started_cycle, end_cycle))


def check_flips(name: str, count: int) -> None:
    network, _ = NAMED[name]
    program, chance = tlm.compile(network, CHIP), random.Random(name)
    values = seeded_activations(network.input_shape, 3, signed=network.signed_input)
    started_cycles: list[int] = []

    def watch(watched: Watched) -> None:
        clock = watched.system.simulation.clock
        watched.system.engine.events.program_started.listen(lambda _: started_cycles.append(clock.now))

    cycles = tlm.simulate(program, values, observers=[watch]).cycles
    flips = [random_flip(chance, program, started_cycles[0], cycles) for _ in range(count)]
    found = [assert_same_outcome(program, values, flip) for flip in flips]
    assert any(isinstance(one, str) for one in found)


def test_flipped_bits() -> None:
    """The same result or the same error: code, address and cycle."""
    check_flips("residual overlaid by the output", 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bands", "max pooling", "class scores", "stride with bank conflicts"])
def test_many_flipped_bits(name: str) -> None:
    check_flips(name, 60 if name != "bands" else 15)
