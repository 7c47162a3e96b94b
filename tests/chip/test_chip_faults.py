"""Flipped bits: the outputs equal those predicted from equally flipped memories, or a named error comes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from chip_cases import NetworkCase, all_models, bank_offsets, both, networks, pass_first_of_all
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from memory_machine import ExpectedError, Machine, UnpredictableError
from strategies import fitting_requantisation

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, StartTransfer, Unit
from tlm.chip.format.isa import END_WORD
from tlm.compiler.program import Program
from tlm.core.errors import InputError, TlmError
from tlm.network.layers import INPUT, Conv2d
from tlm.network.network import Network
from tlm.observe.faults import BitFlip, FaultTarget


@pytest.fixture(autouse=True)
def _each_model_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of whole passes stay what they are: no flip here comes between two accesses of a pass or transfer."""
    monkeypatch.setattr("tlm.runs.simulate.whole_passes_show", lambda faults, program: True)


CHIP = ChipConfig(
    lanes=8, columns=8, amem_words=256, wmem_words=256, imem_words=64, memory_bytes=1 << 16, host_interrupt_ns=2_000
)
"""Small memories, so that no flipped header asks for long work; a slow host, so that layers join in one job."""


def small_layer(name: str, shape: tuple[int, ...], seed: int, **keys: Any) -> Conv2d:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-8, 8, shape).astype(np.int8)
    return Conv2d(name, weights, **fitting_requantisation(rng, weights, keys.get("signed_output", False)), **keys)


def cases() -> dict[str, NetworkCase]:
    rng = np.random.default_rng(3)
    residual = small_layer(
        "c", (3, 3, 3, 3), 1, padding=1, residual=INPUT, residual_multiplier=5000, signed_output=True
    )
    pruned = np.where(rng.random((1, 5, 3, 3)) < 0.4, rng.integers(-8, 8, (10, 5, 3, 3)), 0)
    sparse = Conv2d("c", pruned.astype(np.int8), stride=(2, 1), padding=((1, 0), (2, 1)), multiplier=900, shift=14)
    scores = small_layer("c", (2, 4, 1, 1), 2, accumulator_output=True)
    two = [small_layer("a", (4, 3, 1, 1), 4), small_layer("c", (3, 4, 1, 1), 5, residual=INPUT, residual_multiplier=1)]
    return {
        "residual": NetworkCase(Network((3, 3, 5), [residual], True), rng.integers(-8, 8, (3, 3, 5))),
        "sparse": NetworkCase(Network((5, 4, 6), [sparse]), rng.integers(0, 16, (5, 4, 6))),
        "scores": NetworkCase(Network((4, 2, 5), [scores]), rng.integers(0, 16, (4, 2, 5))),
        "two layers": NetworkCase(Network((3, 2, 6), two), rng.integers(0, 16, (3, 2, 6))),
    }


CASES = cases()
PROGRAMS = {name: tlm.compile(case.network, CHIP) for name, case in CASES.items()}


def loaded(program: Program, sram: SramName) -> tuple[int, int]:
    """Off-chip bytes (first, end) that the first load of an SRAM fetches."""
    for step in program.steps:
        if isinstance(step, StartTransfer) and step.unit is Unit.LOAD and step.transfer.sram is sram:
            size = {SramName.AMEM: 4, SramName.WMEM: 4, SramName.IMEM: 8}[sram]
            first = step.transfer.memory_offset_bytes
            return first, first + step.transfer.row_words * size
    raise AssertionError(f"nothing is loaded into {sram.name}")


def check_flips(fidelity: str, program: Program, activations: npt.NDArray[Any], *flips: BitFlip) -> str:
    """Run with the flips and compare with the prediction; says what happened."""
    machine = Machine(program, activations, flips)
    try:
        expected = machine.run()
    except ExpectedError as why:
        with pytest.raises(TlmError):
            tlm.simulate(program, activations, faults=flips, fidelity=fidelity)
        return f"error: {why}"
    except UnpredictableError:
        with suppress(TlmError):  # tensors overlap: any outcome, as long as it ends
            tlm.simulate(program, activations, faults=flips, fidelity=fidelity)
        return "no prediction"
    try:
        found = tlm.simulate(program, activations, faults=flips, fidelity=fidelity).outputs
    except TlmError as error:
        raise AssertionError(f"{flips}: the golden model has an answer, but the chip stopped: {error}") from error
    np.testing.assert_array_equal(found, expected, err_msg=str(flips))
    return "outputs"


def unflipped(name: str) -> npt.NDArray[Any]:
    return Machine(PROGRAMS[name], CASES[name].activations).run()


@all_models
@pytest.mark.parametrize("name", CASES)
def test_without_a_flip_the_prediction_is_the_golden_model(fidelity: str, name: str) -> None:
    golden = tlm.reference.run(CASES[name].network, CASES[name].activations)["c"]
    np.testing.assert_array_equal(unflipped(name), golden)
    assert check_flips(fidelity, PROGRAMS[name], CASES[name].activations) == "outputs"


def flip_instruction_bits(fidelity: str, name: str, words: Sequence[int], every: int = 1, shift: int = 0) -> list[str]:
    """Every so many bits of some words; a word's first is so many further than that of the word before."""
    program, activations = PROGRAMS[name], CASES[name].activations
    first = loaded(program, SramName.IMEM)[0]
    flips = [
        BitFlip(FaultTarget.MEMORY, first + 8 * word + bit // 8, bit % 8)
        for word in words
        for bit in range(word * shift % every, 64, every)
    ]
    return [check_flips(fidelity, program, activations, flip) for flip in flips]


@all_models
@pytest.mark.parametrize("name", ["residual", "sparse", "scores"])
def test_header_bits(fidelity: str, name: str) -> None:
    """Signs, sizes, bases, multiplier and padding go through the golden model, the rest must be named.

    Every fifth bit: fields are wider, and test_every_instruction_bit flips them all.
    """
    outcomes = flip_instruction_bits(fidelity, name, range(5), every=5)
    assert outcomes.count("outputs") >= 2
    assert sum(outcome.startswith("error:") for outcome in outcomes) > 20


@pass_first_of_all
@pytest.mark.parametrize("name", ["residual", "sparse", "scores"])
def test_parameter_pattern_and_end_bits(fidelity: str, name: str) -> None:
    words = range(5, len(PROGRAMS[name].jobs[0].instructions))
    outcomes = flip_instruction_bits(fidelity, name, words, every=23)
    assert outcomes.count("outputs") > len(words)
    assert any(outcome.startswith("error:") for outcome in outcomes)


@both
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_instruction_bit(fidelity: str, name: str) -> None:
    """In fidelity "cycle" every third, another one in the next word; a header's decoder is that of "pass"."""
    words, every = range(len(PROGRAMS[name].jobs[0].instructions)), 3 if fidelity == "cycle" else 1
    outcomes = flip_instruction_bits(fidelity, name, words, every, shift=1)
    assert outcomes.count("outputs") > 10 * len(words) // every


@pass_first_of_all
@pytest.mark.parametrize("sram", [SramName.AMEM, SramName.WMEM])
@pytest.mark.parametrize("name", CASES)
def test_activation_and_weight_bits_in_the_off_chip_image(fidelity: str, name: str, sram: SramName) -> None:
    first, end = loaded(PROGRAMS[name], sram)
    changed = 0
    for address in range(first, min(end, first + 70), 5):
        flip = BitFlip(FaultTarget.MEMORY, address, address % 8)
        assert check_flips(fidelity, PROGRAMS[name], CASES[name].activations, flip) == "outputs"
        flipped = Machine(PROGRAMS[name], CASES[name].activations, [flip]).run()
        changed += not np.array_equal(flipped, unflipped(name))
    assert changed > 0


SRAMS = {FaultTarget.AMEM: SramName.AMEM, FaultTarget.WMEM: SramName.WMEM, FaultTarget.IMEM: SramName.IMEM}


def cycle_before_the_engine(fidelity: str, name: str) -> int:
    """A cycle in which everything is loaded and no header word is read yet (a first run tells; flips come later)."""
    program = PROGRAMS[name]
    layer = next(iter(tlm.simulate(program, CASES[name].activations, fidelity=fidelity).layers.values()))
    slots = min(8, layer.output_shape[0]) * (6 if program.network.layers[0].accumulator_output else 1)
    return layer.start_cycle - (5 + slots + 1) - 5


@all_models
@pytest.mark.parametrize("target", SRAMS)
@pytest.mark.parametrize("name", CASES)
def test_bits_of_an_sram_after_its_load(fidelity: str, name: str, target: FaultTarget) -> None:
    program, cycle = PROGRAMS[name], cycle_before_the_engine(fidelity, name)
    first, end = loaded(program, SRAMS[target])
    size = 8 if target is FaultTarget.IMEM else 4
    outcomes = set()
    for word in range(0, (end - first) // size, 5):
        for bit in (word * 5 % (8 * size), (word * 11 + 3) % (8 * size)):
            outcomes.add(check_flips(fidelity, program, CASES[name].activations, BitFlip(target, word, bit, cycle)))
    assert "outputs" in outcomes


@both
@examples(30)
@given(networks(max_layers=2), st.data())
def test_data_bits_of_generated_networks(fidelity: str, case: NetworkCase, data: st.DataObject) -> None:
    """Up to three flips in weights, activations and parameters, several jobs and the published array."""
    program = tlm.compile(case.network, ChipConfig(lanes=16, memory_bytes=1 << 20))
    spots = [(chunk.offset_bytes, len(chunk.data)) for chunk in program.chunks if chunk.label.startswith("weights")]
    spots.append((program.input_offset_bytes, program.output_offset_bytes - program.input_offset_bytes))
    for job in program.jobs:
        base = next(c.offset_bytes for c in program.chunks if c.data[:8] == job.instructions[0].to_bytes(8, "little"))
        spots += [(base + 8 * i, 5) for i, word in enumerate(job.instructions) if word >> 60 == 8]
    flips = []
    for first, size in data.draw(st.lists(st.sampled_from(spots), min_size=1, max_size=3)):
        address = data.draw(st.integers(first, first + size - 1))
        flips.append(BitFlip(FaultTarget.MEMORY, address, data.draw(st.integers(0, 7))))
    assert check_flips(fidelity, program, case.activations, *flips) == "outputs"


# -- what flips mean, without the machine ---------------------------------------------------------------------------


def simple(weights: npt.NDArray[np.int8], **keys: Any) -> tuple[Network, Program]:
    network = Network((weights.shape[1], 4, 4), [Conv2d("c", weights, **keys)])
    return network, tlm.compile(network, CHIP)


@all_models
def test_a_cleared_pattern_bit_shifts_the_weights_behind_it(fidelity: str) -> None:
    """Taps 1..8 of channel 0 then see the weights of taps 0..7."""
    rng = np.random.default_rng(8)
    weights = rng.integers(1, 8, (8, 1, 3, 3)).astype(np.int8)
    activations = rng.integers(0, 16, (1, 4, 4))
    network, program = simple(weights, padding=1, accumulator_output=True)
    pattern_word = loaded(program, SramName.IMEM)[0] + 8 * (5 + 8)
    shifted = np.zeros_like(weights)
    shifted.reshape(8, 9)[:, 1:] = weights.reshape(8, 9)[:, :8]
    expected = tlm.reference.run(
        Network((1, 4, 4), [Conv2d("c", shifted, padding=1, accumulator_output=True)]), activations
    )
    found = tlm.simulate(program, activations, faults=[BitFlip(FaultTarget.MEMORY, pattern_word, 0)], fidelity=fidelity)
    np.testing.assert_array_equal(found.outputs, expected["c"])
    assert not np.array_equal(found.outputs, tlm.reference.run(network, activations)["c"])
    assert found.layers["c"].steps == 8 * 2


@all_models
def test_a_pattern_bit_beyond_the_last_channel_is_illegal(fidelity: str) -> None:
    _, program = simple(np.ones((8, 2, 1, 1), np.int8))
    pattern_word = loaded(program, SramName.IMEM)[0] + 8 * (5 + 8)
    with pytest.raises(TlmError, match=r"engine\.sequencer: illegal instruction at IMem word 13 \(0xd\) in cycle \d+"):
        tlm.simulate(
            program,
            np.ones((2, 4, 4), np.int8),
            faults=[BitFlip(FaultTarget.MEMORY, pattern_word, 2)],
            fidelity=fidelity,
        )


@all_models
def test_a_flip_after_its_last_use_changes_nothing(fidelity: str) -> None:
    case, program = CASES["sparse"], PROGRAMS["sparse"]
    before = tlm.simulate(program, case.activations, fidelity=fidelity)
    flips = [BitFlip(target, 0, 0, before.layers["c"].end_cycle + 1) for target in (FaultTarget.WMEM, FaultTarget.IMEM)]
    after = tlm.simulate(program, case.activations, faults=flips, fidelity=fidelity)
    np.testing.assert_array_equal(after.outputs, before.outputs)
    assert after.cycles == before.cycles


@all_models
def test_an_output_that_changes_before_it_is_stored_is_named(fidelity: str) -> None:
    case, program = CASES["sparse"], PROGRAMS["sparse"]
    end_cycle = tlm.simulate(program, case.activations, fidelity=fidelity).layers["c"].end_cycle
    flip = BitFlip(FaultTarget.AMEM, program.places["c"].base_word, 0, end_cycle + 3)
    with pytest.raises(TlmError, match=r"dma\.store: the stored output 'c' differs"):
        tlm.simulate(program, case.activations, faults=[flip], fidelity=fidelity)


@all_models
@pytest.mark.parametrize("bit", [6, 5])
def test_a_read_of_a_never_written_word_names_bank_address_and_cycle(fidelity: str, bit: int) -> None:
    """The header's input base is moved into a part of AMem that nobody writes; s_0 is the first fetch."""
    _, program = simple(np.ones((8, 2, 1, 1), np.int8))
    activations = np.ones((2, 4, 4), np.int8)
    s_0 = tlm.simulate(program, activations, fidelity=fidelity).layers["c"].start_cycle
    word = 1 << bit
    placement = loaded(program, SramName.IMEM)[0] + 8 * 3
    message = rf"(?i)engine\..*amem bank {word % 4}[:,] word {word} (was|is) read .*in cycle {s_0}.* was never written"
    with pytest.raises(TlmError, match=message):
        tlm.simulate(
            program, activations, faults=[BitFlip(FaultTarget.MEMORY, placement + bit // 8, bit % 8)], fidelity=fidelity
        )


def run_with_instruction_flips(fidelity: str, *places: tuple[int, int]) -> None:
    """(instruction word, bit) pairs of a small program: five header words, 8 parameters, a pattern, END."""
    _, program = simple(np.ones((8, 2, 1, 1), np.int8))
    first = loaded(program, SramName.IMEM)[0]
    flips = [BitFlip(FaultTarget.MEMORY, first + 8 * word + bit // 8, bit % 8) for word, bit in places]
    tlm.simulate(program, np.ones((2, 4, 4), np.int8), faults=flips, fidelity=fidelity)


@all_models
def test_never_written_weights_are_named(fidelity: str) -> None:
    with pytest.raises(TlmError, match=r"engine\.wmem bank 0: word 128 (was|is) read .*in cycle \d+"):
        run_with_instruction_flips(fidelity, (4, 7))


@all_models
def test_weights_outside_wmem_are_named(fidelity: str) -> None:
    with pytest.raises(TlmError, match=r"engine\.sequencer: weight fetch outside WMem at word 256 \(0x100\) in cycle"):
        run_with_instruction_flips(fidelity, (4, 8))


@all_models
def test_never_written_instructions_are_named(fidelity: str) -> None:
    """END (1) becomes LAYER (2); the header's second word was never loaded."""
    with pytest.raises(TlmError, match=r"engine\.imem bank 1: word 15 (was|is) read .*in cycle \d+"):
        run_with_instruction_flips(fidelity, (14, 60), (14, 61))


def flips_to_end(program: Program, word: int) -> list[BitFlip]:
    """Flips that turn an instruction of the first job into END."""
    difference = program.jobs[0].instructions[word] ^ END_WORD
    first = loaded(program, SramName.IMEM)[0] + 8 * word
    return [BitFlip(FaultTarget.MEMORY, first + bit // 8, bit % 8) for bit in range(64) if difference >> bit & 1]


@all_models
def test_an_output_that_was_never_computed_is_named(fidelity: str) -> None:
    case, program = CASES["sparse"], PROGRAMS["sparse"]
    with pytest.raises(TlmError, match=r"engine\.amem bank \d: word \d+ (was|is) read .*dma.store"):
        tlm.simulate(program, case.activations, faults=flips_to_end(program, 0), fidelity=fidelity)


@all_models
def test_parts_that_do_not_run_are_named(fidelity: str) -> None:
    """The output overlays the residual, so its words have been written when the engine ends before its first part."""
    case = CASES["two layers"]
    with bank_offsets(case.network, CHIP, {"c": -2 * 3 - 2 * 4}):
        program = tlm.compile(case.network, CHIP)
    assert program.places["c"].base_word == program.places[INPUT].base_word
    with pytest.raises(TlmError, match=r"engine\.sequencer: ended after 0 of 2 parts of the program"):
        tlm.simulate(program, case.activations, faults=flips_to_end(program, 0), fidelity=fidelity)


@all_models
def test_a_wrong_tag_is_named(fidelity: str) -> None:
    with pytest.raises(TlmError, match=r"layer header decoded in cycle \d+ has tag 8, but part 0 of 1"):
        run_with_instruction_flips(fidelity, (0, 12))


@all_models
@pytest.mark.parametrize(
    "flip",
    [
        BitFlip(FaultTarget.AMEM, 256, 0),
        BitFlip(FaultTarget.AMEM, -1, 0),
        BitFlip(FaultTarget.WMEM, 0, 32),
        BitFlip(FaultTarget.IMEM, 0, 64),
        BitFlip(FaultTarget.MEMORY, 0, 8),
        BitFlip(FaultTarget.MEMORY, 1 << 16, 0),
        BitFlip(FaultTarget.MEMORY, 0, -1),
        BitFlip(FaultTarget.MEMORY, 0, 0, -1),
    ],
)
def test_a_flip_that_does_not_exist_is_refused(fidelity: str, flip: BitFlip) -> None:
    _, program = simple(np.ones((8, 2, 1, 1), np.int8))
    with pytest.raises(InputError, match=re.escape(f"fault {flip}: there is no such bit")):
        tlm.simulate(program, np.ones((2, 4, 4), np.int8), faults=[flip], fidelity=fidelity)
