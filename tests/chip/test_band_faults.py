"""Flipped bits of bands, of max pooling and of windows of tensors: what the memory contents then mean, or an error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from band_programs import BandCase, BandProgram
from chip_cases import NetworkCase, both, networks, pass_first_of_all
from examples import examples
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st
from memory_machine import ExpectedError, Machine, UnpredictableError
from strategies import fitting_requantisation

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import StartTransfer
from tlm.chip.format.isa import Band
from tlm.compiler.program import Program
from tlm.core.errors import CompileError, TlmError
from tlm.network.layers import INPUT, Conv2d, MaxPool2d
from tlm.observe.faults import BitFlip, FaultTarget

CHIP = ChipConfig(
    lanes=8, columns=8, amem_words=256, wmem_words=256, imem_words=64, memory_bytes=1 << 16, memory_gb_per_s=1000.0,
    memory_latency_ns=0, host_access_ns=0, host_interrupt_ns=0,
)  # fmt: skip


def conv_case(**keys: Any) -> BandCase:
    """5x5 input of 4 words a plane, tiles 1 and 2 of 4, whose rows 1 .. 4 are words 0 .. 3."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-8, 8, (3, 3, 3, 3)).astype(np.int8)
    layer = Conv2d("c", weights, padding=1, **keys, **fitting_requantisation(rng, weights, False))
    residual = rng.integers(-8, 8, (3, 5, 5)).astype(np.int8) if layer.residual else None
    band = Band(1, 2, 3, 0, 4, 0 if residual is None else 2)
    bases = {"input": 5, "residual": 20, "output": 40}
    activations, signed = rng.integers(0, 16, (3, 5, 5)).astype(np.int8), residual is not None
    return BandCase(CHIP, layer, activations, False, residual, signed, band, bases, weight_base=3)


def pool_case(signed: bool, band: Band | None) -> BandCase:
    rng = np.random.default_rng(5)
    layer = MaxPool2d("p", 2, stride=1, padding=1, channels=9, signed_output=signed)
    low = -8 if signed else 0
    valid = np.ones((9, 4), np.int8)
    activations = rng.integers(low, low + 16, (9, 5, 5)).astype(np.int8)
    return BandCase(CHIP, layer, activations, signed, None, False, band, {"input": 2, "output": 60}, valid)


CASES = {
    "residual": conv_case(residual="r", residual_multiplier=3000),
    "scores": conv_case(accumulator_output=True),
    "pooling": pool_case(True, None),
    "banded pooling": pool_case(False, Band(3, 2, 4, 1, 3, 0)),
}
PROGRAMS = {name: BandProgram(case) for name, case in CASES.items()}


class Hand:
    """A hand-written program in the place of a compiled one."""

    def __init__(self, program: BandProgram) -> None:
        self.config, self.steps, self.parts, self.network = CHIP, program.steps, (None,), self
        self.image_bytes = len(program.data) + program.case.slots * program.row_bytes
        self._data = program.data

    def check_activations(self, activations: Any) -> Any:
        return activations

    def image(self, _: Any) -> bytes:
        return self._data


def check_flips(fidelity: str, name: str, *flips: BitFlip) -> str:
    program = PROGRAMS[name]
    machine = Machine(Hand(program), CASES[name].activations, flips)  # type: ignore[arg-type]
    try:
        machine.play()
    except ExpectedError as why:
        if str(why) not in ("a part that is not the next one", "not every part ran"):  # the driver knows of no parts
            with pytest.raises(TlmError):
                program.run(fidelity, flips)
        return f"error: {why}"
    except UnpredictableError:
        with suppress(TlmError):
            program.run(fidelity, flips)
        return "no prediction"
    expected = program.output(bytes(machine.image[program.output_offset_bytes :]))
    np.testing.assert_array_equal(program.run(fidelity, flips).output, expected, err_msg=str(flips))
    return "outputs"


@pass_first_of_all
@pytest.mark.parametrize("name", CASES)
def test_without_a_flip_the_prediction_is_the_golden_model(fidelity: str, name: str) -> None:
    golden = CASES[name].golden()
    machine = Machine(Hand(PROGRAMS[name]), CASES[name].activations)  # type: ignore[arg-type]
    machine.play()
    stored = PROGRAMS[name].output(bytes(machine.image[PROGRAMS[name].output_offset_bytes :]))
    np.testing.assert_array_equal(stored[:, : golden.shape[1]], golden)
    assert check_flips(fidelity, name) == "outputs"


@pass_first_of_all
@pytest.mark.parametrize("name", CASES)
def test_bits_of_the_first_and_the_band_words(fidelity: str, name: str) -> None:
    """Every seventh: test_every_instruction_bit flips them all."""
    words = [0, 1, 3] if CASES[name].band is None else [0, 1, 3, 5, 6]
    outcomes = flip_bits(fidelity, name, words, every=7)
    assert outcomes.count("outputs") >= 1
    assert sum(outcome.startswith("error:") for outcome in outcomes) > 3 * len(words)


@pass_first_of_all
@pytest.mark.parametrize("name", ["pooling", "banded pooling"])
def test_parameter_and_pattern_bits_of_pooling(fidelity: str, name: str) -> None:
    first = CASES[name].header().header_words
    outcomes = flip_bits(fidelity, name, range(first, len(CASES[name].instructions())), every=29)
    assert outcomes.count("outputs") > 8
    assert any(outcome.startswith("error:") for outcome in outcomes)


@both
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_instruction_bit(fidelity: str, name: str) -> None:
    """In fidelity "cycle" every third, another one in the next word; a header's decoder is that of "pass"."""
    every = 3 if fidelity == "cycle" else 1
    outcomes = flip_bits(fidelity, name, range(len(CASES[name].instructions())), every, shift=1)
    assert outcomes.count("outputs") > 100 // every


def flip_bits(fidelity: str, name: str, words: Any, every: int = 1, shift: int = 0) -> list[str]:
    """Every so many bits of some words; a word's first is so many further than that of the word before."""
    first = PROGRAMS[name].instructions_offset_bytes
    return [
        check_flips(fidelity, name, BitFlip(FaultTarget.MEMORY, first + 8 * word + bit // 8, bit % 8))
        for word in words
        for bit in range(word * shift % every, 64, every)
    ]


# -- compiled programs that move windows of tensors -----------------------------------------------------------------


def image_spots(program: Program) -> list[tuple[int, int]]:
    """(first byte, bytes) of what a run loads: weights, and the input with what lies between its planes."""
    spots = [(chunk.offset_bytes, len(chunk.data)) for chunk in program.chunks if chunk.label.startswith("weights")]
    source = program.tensors[INPUT]
    return [*spots, (source.offset_bytes, source.size_bytes)]


@both
@examples(10, suppress_health_check=[HealthCheck.filter_too_much])
@given(networks(), st.sampled_from((48, 64, 96, 128)), st.data())
def test_data_bits_where_windows_move(fidelity: str, case: NetworkCase, amem_words: int, data: st.DataObject) -> None:
    """Networks in an AMem too small for them: bands, spilled tensors, descriptors of several rows."""
    try:
        program = tlm.compile(case.network, ChipConfig(lanes=16, amem_words=amem_words, memory_bytes=1 << 20))
    except CompileError:
        assume(False)
    transfers = [step.transfer for step in program.steps if isinstance(step, StartTransfer)]
    assume(any(one.rows > 1 for one in transfers) or len(program.stores) > 1)
    flips = []
    for first, size in data.draw(st.lists(st.sampled_from(image_spots(program)), max_size=3)):
        address = data.draw(st.integers(first, first + size - 1))
        flips.append(BitFlip(FaultTarget.MEMORY, address, data.draw(st.integers(0, 7))))
    expected = Machine(program, case.activations, flips).run()
    if not flips:
        output = case.network.output.name
        np.testing.assert_array_equal(expected, tlm.reference.run(case.network, case.activations)[output])
    found = tlm.simulate(program, case.activations, faults=flips, fidelity=fidelity).outputs
    np.testing.assert_array_equal(found, expected, err_msg=str(flips))
