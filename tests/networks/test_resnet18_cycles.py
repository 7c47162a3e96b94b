"""Whole ResNet-18: every pass of every part is when the independent per-cycle script says, halo and all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chip_cases import oracle_passes
from command import SCENARIOS

import tlm
from tlm.compiler.program import Program
from tlm.reproduction.counts import LARGE_AMEM_WORDS, executed_steps
from tlm.results.result import Result
from tlm.scenario.loading import Job, load_scenario

TAPS = {"resnet18_1of9": 397_104, "resnet18_3of9": 621_360, "resnet18_9of9": 1_294_128, "resnet18_dense": 1_959_472}
"""Scenario -> steps of its unsplit layers, pooling and classifier apart [S] (chip.md)."""


def run(name: str, amem_words: int = 16_384) -> tuple[Job, Program, Result]:
    job = load_scenario(SCENARIOS / f"{name}.toml").build()
    program = tlm.compile(job.network, tlm.ChipConfig(amem_words=amem_words))
    return job, program, tlm.simulate(program, job.activations)


@pytest.fixture(scope="module")
def whole() -> tuple[Program, Result]:
    return run("resnet18_3of9")[1:]


def check_passes(program: Program, result: Result, layers: Iterator[str]) -> None:
    for name in layers:
        index = next(i for i, layer in enumerate(program.network.layers) if layer.name == name)
        seen = iter(result.passes[name])
        for tag in program.parts_of_layer[index]:
            expected = oracle_passes(program, tag)
            found = [next(seen) for _ in expected]
            start = found[0].first_cycle - expected[0].s
            for one, other in zip(found, expected, strict=True):
                assert (one.group, one.tile, one.steps) == (other.group, other.tile, other.counts["steps"])
                times = one.first_cycle, one.last_fetch_cycle, one.handover_cycle, one.last_write_cycle
                assert times == tuple(start + cycle for cycle in (other.s, other.e, other.h, other.last_write))
            assert program.predicted_cycles[tag] == expected[-1].last_write - expected[0].s + 1
        assert next(seen, None) is None


@pytest.mark.slow
def test_a_block_in_bands_is_timed_pass_by_pass(whole: tuple[Program, Result]) -> None:
    program, result = whole
    names = ["conv3_1.shortcut", "conv3_1.pw1", "conv3_1.dwpw2"]
    assert [result.layers[name].bands for name in names] == [1, 2, 2]
    check_passes(program, result, iter(names))


@pytest.mark.slow
def test_the_whole_network_is_timed_pass_by_pass(whole: tuple[Program, Result]) -> None:
    program, result = whole
    check_passes(program, result, (layer.name for layer in program.network.layers))


def counted_steps(result: Result) -> int:
    """Steps of all layers but pooling and the classifier."""
    layers = result.layers.values()
    return sum(layer.steps for layer in layers if layer.kind not in ("max-pool", "average-pool", "linear"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TAPS)
def test_steps_come_out_exactly_where_amem_holds_everything(name: str) -> None:
    _, program, result = run(name, amem_words=LARGE_AMEM_WORDS)
    assert counted_steps(result) == TAPS[name]
    assert executed_steps(result) == (TAPS[name], TAPS[name])
    assert all(layer.steps == layer.unsplit_steps for layer in result.layers.values())
    # the stem computes in bands of whole tiles while the rest of its input is loaded
    assert [layer.name for layer in result.layers.values() if layer.bands > 1] == ["conv1"]
    assert len(program.tensors) == 2  # input and output


@pytest.mark.slow
@pytest.mark.parametrize("name", TAPS)
def test_the_published_amem_costs_less_than_three_percent_of_steps(name: str) -> None:
    _, program, result = run(name)
    excess = counted_steps(result) - TAPS[name]
    assert 0 < excess < 0.03 * TAPS[name]
    assert excess == sum(layer.steps - layer.unsplit_steps for layer in result.layers.values())
    assert len(program.tensors) == 2  # nothing is spilled
