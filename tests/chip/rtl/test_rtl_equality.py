"""The circuit equals fidelity "cycle": values, every pass, cycles, refusals, memories, errors."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from chip_cases import NetworkCase, networks
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rtl_cases import NAMED, layer
from rtl_chip import CHIP, DEEP_CHIP, assert_same_outcome, assert_same_run, observed

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Port
from tlm.chip.fidelity import Fidelity
from tlm.chip.rtl.coupling import RtlEngine
from tlm.chip.system import System
from tlm.core.errors import CompileError
from tlm.network.network import Network
from tlm.networks.seeded import seeded_activations
from tlm.observe.faults import BitFlip, FaultTarget
from tlm.observe.watched import Watched


@pytest.mark.parametrize("name", NAMED)
def test_named_cases(name: str) -> None:
    network, around = NAMED[name]
    program = tlm.compile(network, replace(CHIP, **around))
    assert_same_run(program, seeded_activations(network.input_shape, 3, signed=network.signed_input))


@pytest.mark.parametrize("host_access_ns", {CHIP.cycles_of_ns(ns): ns for ns in range(40)}.values())
def test_the_host_asks_in_any_cycle(host_access_ns: int) -> None:
    """Once it wrote a register in the very cycle in which the DMA's last access let the circuit fall asleep."""
    layers = [layer(f"c{index}", (16, 16, 3, 3), padding=(1, 1)) for index in range(4)]
    program = tlm.compile(Network((16, 5, 5), layers), replace(CHIP, host_access_ns=host_access_ns))
    assert_same_run(program, seeded_activations((16, 5, 5), 3))


def test_the_dram_trace_is_that_of_fidelity_pass(tmp_path: Path) -> None:
    network, around = NAMED["loads beside the computation"]
    program = tlm.compile(network, replace(CHIP, **around))
    activations = seeded_activations(network.input_shape, 3)
    for fidelity in ("pass", "rtl"):
        tlm.simulate(program, activations, fidelity=fidelity, trace=tlm.TraceOptions(dram=tmp_path / fidelity))
    assert (tmp_path / "pass").read_bytes() == (tmp_path / "rtl").read_bytes() != b""


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
@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_many_generated_networks(case: NetworkCase, around: dict[str, float]) -> None:
    check(case, replace(CHIP, **around))


@pytest.mark.slow
@given(case=networks(), around=SURROUNDINGS)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_other_sides_banks_and_latencies(case: NetworkCase, around: dict[str, float]) -> None:
    check(case, replace(DEEP_CHIP, **around))


@pytest.mark.parametrize("name", ["residual overlaid by the output", "class scores", "loads beside the computation"])
def test_every_word_interrupt_and_refusal_of_three_systems(name: str) -> None:
    """Fidelity "cycle", its DMA beside the circuit, and the circuit's own."""
    network, around = NAMED[name]
    program = tlm.compile(network, replace(CHIP, **around))
    values = seeded_activations(network.input_shape, 3, signed=network.signed_input)
    clear = observed(System(program.config), program, values)
    assert len(clear.interrupts) > 3
    for system in (System(program.config, engine=RtlEngine), System(program.config, Fidelity.RTL)):
        assert observed(system, program, values) == clear


def test_a_refused_word_is_one_of_them() -> None:
    network, around = NAMED["loads beside the computation"]
    program = tlm.compile(network, replace(CHIP, **around))
    values = seeded_activations(network.input_shape, 3)
    refusals = observed(System(program.config, Fidelity.RTL), program, values).refusals
    assert refusals[Port.DMA_LOAD] > 0


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
