"""``tlm.evaluate`` and ``tlm.Evaluator``: shapes, types, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs
from strategies import random_activations

import tlm
from tlm.chip.config import ChipConfig
from tlm.compiler.memory_image import Chunk
from tlm.core.errors import CompileError, InputError, SimulationError
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.results.result import tensor_sha256
from tlm.runs.batch import Batch

RNG = np.random.default_rng(7)
WEIGHTS = RNG.integers(-8, 8, (9, 2, 3, 3)).astype(np.int8)
KEYS = {"padding": 1, "multiplier": 300, "shift": 13}
NETWORK = Network((2, 5, 7), [Conv2d("a", WEIGHTS, **KEYS), Conv2d("b", np.ones((4, 9, 1, 1), np.int8), **KEYS)])  # type: ignore[arg-type]
SCORES = Network((2, 3, 3), [Conv2d("s", WEIGHTS, accumulator_output=True)])
IMAGES = random_activations(RNG, (5, 2, 5, 7), False)


def golden(network: Network, images: np.ndarray) -> np.ndarray:
    return np.stack([tlm.reference.run(network, one)[network.output.name] for one in images])


def test_a_batch_keeps_its_order() -> None:
    outputs = tlm.evaluate(NETWORK, IMAGES)
    assert (outputs.shape, outputs.dtype) == ((5, 4, 5 + 2, 7 + 2), np.int8)
    np.testing.assert_array_equal(outputs, golden(NETWORK, IMAGES))
    assert len({one.tobytes() for one in outputs}) == 5
    np.testing.assert_array_equal(tlm.evaluate(NETWORK, IMAGES[::-1]), outputs[::-1])


def test_one_input_is_a_batch_of_one() -> None:
    np.testing.assert_array_equal(tlm.evaluate(NETWORK, IMAGES[2]), golden(NETWORK, IMAGES[2:3]))


def test_accumulator_output_is_int32() -> None:
    images = random_activations(RNG, (3, 2, 3, 3), False)
    outputs = tlm.evaluate(SCORES, images)
    assert (outputs.shape, outputs.dtype) == ((3, 9, 1, 1), np.int32)
    np.testing.assert_array_equal(outputs, golden(SCORES, images))
    assert outputs.min() < 0


def test_a_compiled_program_and_another_chip() -> None:
    program = tlm.compile(NETWORK, ChipConfig(amem_words=256))
    for chip in (None, ChipConfig(amem_words=512, amem_banks=8, voltage_v=0.8)):
        np.testing.assert_array_equal(tlm.evaluate(program, IMAGES, chip), golden(NETWORK, IMAGES))
    with pytest.raises(InputError, match=r"chip\.amem_words: 128, but the program was compiled for 256"):
        tlm.evaluate(program, IMAGES, ChipConfig(amem_words=128))
    with pytest.raises(InputError, match=r"chip\.lanes: 64, but the program was compiled for 32"):
        tlm.evaluate(program, IMAGES, ChipConfig(lanes=64))
    with pytest.raises(CompileError):
        tlm.evaluate(NETWORK, IMAGES, ChipConfig(imem_words=8))


def test_outputs_come_one_by_one() -> None:
    evaluator = tlm.Evaluator(NETWORK)
    taken: list[int] = []

    def inputs() -> object:
        for index, one in enumerate(IMAGES):
            taken.append(index)
            yield one

    outputs = evaluator.outputs(inputs())  # type: ignore[arg-type]
    assert taken == []
    np.testing.assert_array_equal(next(outputs), golden(NETWORK, IMAGES)[0])
    assert taken == [0]
    assert len(list(outputs)) == 4


def test_every_layer_of_one_input() -> None:
    evaluator, wanted = tlm.Evaluator(NETWORK), tlm.reference.run(NETWORK, IMAGES[1])
    evaluator.output(IMAGES[0])
    found = evaluator.tensors(IMAGES[1])
    assert list(found) == ["a", "b"]
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, wanted[name])
    kept = found["a"].copy()
    evaluator.output(IMAGES[3])
    np.testing.assert_array_equal(found["a"], kept)


def test_instructions_and_weights_come_out_of_the_off_chip_image() -> None:
    """A changed weight changes the outputs; a changed instruction is refused."""
    program = tlm.compile(NETWORK)
    outputs = []
    for chunk in program.chunks:
        changed = replace(program, chunks=tuple(_flipped(one) if one is chunk else one for one in program.chunks))
        try:
            outputs.append(tlm.evaluate(changed, IMAGES))
        except SimulationError as error:
            assert "engine.sequencer: illegal instruction at IMem word" in str(error)  # noqa: PT017
            outputs.append(None)
    assert any(one is None for one in outputs)
    assert any(one is not None and not np.array_equal(one, golden(NETWORK, IMAGES)) for one in outputs)


def _flipped(chunk: Chunk) -> Chunk:
    data = bytearray(chunk.data)
    data[7] ^= 0xF0  # the opcode of an instruction
    data[3] ^= 0x77  # two weights of a word
    return structs.replace(chunk, data=bytes(data))


def test_a_program_whose_parts_do_not_run_is_refused() -> None:
    program = tlm.compile(NETWORK)
    with pytest.raises(SimulationError, match=r"engine\.sequencer: ended after \d of \d parts"):
        tlm.evaluate(replace(program, parts=(*program.parts, program.parts[0])), IMAGES)
    with pytest.raises(SimulationError, match=r"the layer header decoded has tag 1, but part 1 of 1"):
        tlm.evaluate(replace(program, parts=program.parts[:1]), IMAGES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 2, 5, 7), np.int8), "activations: shape is (0, 2, 5, 7), but the network's input_shape is (2, 5"),
        (
            np.zeros((5, 7), np.int8),
            "activations: shape is (5, 7), but the network's input_shape is (2, 5, 7); give (N",
        ),
        (np.zeros((2, 2, 7, 5), np.int8), "input 0 of 2: activations: shape is (2, 7, 5), but the network's"),
        (np.zeros((1, 2, 5, 7)), "activations: dtype is float64, but must be an integer type"),
        ([[[1], [2, 3]]], "activations: not a rectangular array"),
        (np.full((1, 2, 5, 7), 16), "input 0 of 1: activations[0, 0, 0]: 16 is outside 0..15"),
        (np.stack([np.zeros((2, 5, 7), int), np.full((2, 5, 7), -1)]), "input 1 of 2: activations[0, 0, 0]: -1 is"),
    ],
)
def test_activations_that_do_not_fit_are_refused_before_anything_runs(images: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        tlm.evaluate(NETWORK, images)  # type: ignore[arg-type]


# -- a batch beside a timed run ---------------------------------------------------------------------------------------


def test_a_batch_has_one_fingerprint_for_all_outputs() -> None:
    program = tlm.compile(NETWORK)
    result, outputs = tlm.simulate(program, IMAGES[0]), tlm.evaluate(program, IMAGES)
    batch = Batch(result, 5)
    for one in outputs:
        batch.add(one)
    summary = batch.summary()
    assert summary.outputs_sha256 == tensor_sha256(outputs)
    assert (summary.count, summary.cycles_per_image) == (5, result.cycles)
    assert summary.total_cycles == 5 * result.cycles
    assert f"5 inputs one after another: {5 * result.cycles:,} cycles = " in summary.line(result)


def test_the_timing_of_a_batch_is_that_of_any_of_its_inputs() -> None:
    program = tlm.compile(NETWORK)
    assert len({tlm.simulate(program, one).cycles for one in (*IMAGES, np.zeros((2, 5, 7), np.int8))}) == 1


def test_an_untimed_output_that_differs_from_the_timed_one_is_named() -> None:
    batch = Batch(tlm.simulate(NETWORK, IMAGES[0]), 2)
    with pytest.raises(SimulationError, match="batch: the untimed output 'b' differs from that of the timed run"):
        batch.add(golden(NETWORK, IMAGES)[1])
