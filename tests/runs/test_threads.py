"""Threads that share public objects get what one alone would get."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tlm

THREADS = 6


@pytest.fixture(autouse=True)
def hasty() -> Iterator[None]:
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module")
def network() -> tlm.Network:
    rng = np.random.default_rng(0)
    layers = [
        tlm.Conv2d("a", rng.integers(-8, 8, (40, 6, 3, 3)), padding=1, multiplier=300, shift=14),
        tlm.MaxPool2d("p", 2),
        tlm.Conv2d("b", rng.integers(-8, 8, (8, 40, 1, 1)), multiplier=30, shift=14),
    ]
    return tlm.Network((6, 20, 24), layers)


@pytest.fixture(scope="module")
def inputs() -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, 16, (8, 6, 20, 24)))


@pytest.fixture(scope="module")
def golden(network: tlm.Network, inputs: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
    return [tlm.reference.run(network, one) for one in inputs]


def in_threads(work: Callable[[int], Any], times: int) -> list[Any]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(times)))


def test_threads_share_an_evaluator(network: tlm.Network, inputs: list[np.ndarray], golden: list[Any]) -> None:
    evaluator = tlm.Evaluator(network)
    found = in_threads(lambda index: evaluator.output(inputs[index % 8]), 240)
    assert [index for index, one in enumerate(found) if not np.array_equal(one, golden[index % 8]["b"])] == []


def test_threads_share_an_evaluator_for_every_layer(
    network: tlm.Network, inputs: list[np.ndarray], golden: list[Any]
) -> None:
    evaluator = tlm.Evaluator(network)
    for index, tensors in enumerate(in_threads(lambda index: evaluator.tensors(inputs[index % 8]), 80)):
        for name, expected in golden[index % 8].items():
            assert np.array_equal(tensors[name], expected), (index, name)


@pytest.mark.parametrize("fidelity", ["pass", "cycle"])
def test_threads_share_a_program(network: tlm.Network, fidelity: str) -> None:
    small = tlm.Network((6, 4, 6), network.layers[:2])
    inputs = np.random.default_rng(2).integers(0, 16, (4, 6, 4, 6))
    program = tlm.compile(small, tlm.ChipConfig(amem_words=64))
    alone = [tlm.simulate(program, one, fidelity=fidelity) for one in inputs]
    found = in_threads(lambda index: tlm.simulate(program, inputs[index % 4], fidelity=fidelity), 6)
    for index, result in enumerate(found):
        expected = tlm.reference.run(small, inputs[index % 4])
        assert result.cycles == alone[index % 4].cycles
        assert all(np.array_equal(result.tensors[name], one) for name, one in expected.items()), index


def test_threads_compile_and_evaluate_one_network(
    network: tlm.Network, inputs: list[np.ndarray], golden: list[Any]
) -> None:
    alone = tlm.compile(network)

    def work(index: int) -> bool:
        program = tlm.compile(network)
        same = (program.chunks, program.steps, program.parts) == (alone.chunks, alone.steps, alone.parts)
        again = tlm.reference.run(network, inputs[index % 8])["b"]
        output = tlm.evaluate(network, inputs[index % 8])[0]
        return same and np.array_equal(again, output) and np.array_equal(output, golden[index % 8]["b"])

    assert all(in_threads(work, THREADS * 3))


def test_an_evaluator_that_was_used_can_be_pickled(
    network: tlm.Network, inputs: list[np.ndarray], golden: list[Any]
) -> None:
    evaluator = tlm.Evaluator(network)
    evaluator.output(inputs[1])
    assert np.array_equal(pickle.loads(pickle.dumps(evaluator)).output(inputs[0]), golden[0]["b"])
