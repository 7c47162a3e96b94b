"""Flips at any cycle: they act at their own one, and whatever fidelity is asked for shows the same."""

from __future__ import annotations

import random
import re

import numpy as np
import numpy.typing as npt
import pytest
from chip_cases import all_models
from examples import quick_of
from test_chip_faults import CASES, CHIP, PROGRAMS, loaded

import tlm
from tlm.chip.format.driver import SramName
from tlm.core.errors import TlmError
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.observe.faults import BitFlip, FaultTarget

CHANNELS, TILES, HEADER_WORDS = 4, 4, 5
SHAPE = (CHANNELS, 4, 8)
"""With 8 lanes four tiles of one word; every step of a point-wise layer takes one cycle."""


def point_wise() -> Conv2d:
    weights = np.random.default_rng(20).integers(-8, 8, (8, CHANNELS, 1, 1)).astype(np.int8)
    return Conv2d("c", weights, multiplier=300, shift=12, bias=np.arange(8), signed_output=True)


LAYER = point_wise()
ACTIVATIONS = np.random.default_rng(21).integers(0, 16, SHAPE).astype(np.int8)
PROGRAM = tlm.compile(Network(SHAPE, [LAYER]), CHIP)
UNFLIPPED = tlm.simulate(PROGRAM, ACTIVATIONS)
FIRST_CYCLES = [one.first_cycle for one in UNFLIPPED.passes["c"]]
"""s of each pass; its step on channel c fetches in cycle s + c."""


def golden(
    weights: npt.NDArray[np.int8], activations: npt.NDArray[np.int8], bias: npt.ArrayLike
) -> npt.NDArray[np.int8]:
    layer = Conv2d("c", weights, multiplier=300, shift=12, bias=bias, signed_output=True)
    return tlm.reference.run(Network(SHAPE, [layer]), activations)["c"]


def flipped_nibble(value: int, bit: int, signed: bool) -> int:
    nibble = (value & 15) ^ 1 << bit
    return nibble - 16 if signed and nibble > 7 else nibble


def mixed(before: npt.NDArray[np.int8], after: npt.NDArray[np.int8], changed_tiles: list[int]) -> npt.NDArray[np.int8]:
    """``after`` where a tile saw the flip; a tile is a row of the map here."""
    result = before.copy()
    result[:, changed_tiles] = after[:, changed_tiles]
    return result


def around(cycle: int) -> tuple[int, int]:
    """The last cycle in which a flip is seen by an access in ``cycle``, and the first in which it is not."""
    return cycle, cycle + 1


@all_models
@pytest.mark.parametrize("tile", range(TILES))
def test_a_weight_flips_between_two_steps(fidelity: str, tile: int) -> None:
    """Tiles whose step fetched the word before the flip have the old weight, the others the new one."""
    channel, column, bit = 2, 5, 3
    weights = LAYER.weights.copy()
    weights[column, channel] = flipped_nibble(int(weights[column, channel, 0, 0]), bit, signed=True)
    after = golden(weights, ACTIVATIONS, LAYER.bias)
    for cycle in around(FIRST_CYCLES[tile] + channel):
        flip = BitFlip(FaultTarget.WMEM, channel, 4 * column + bit, cycle)
        found = tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity=fidelity)
        seen = [t for t, s in enumerate(FIRST_CYCLES) if s + channel >= cycle]
        np.testing.assert_array_equal(found.outputs, mixed(UNFLIPPED.outputs, after, seen))
        assert found.cycles == UNFLIPPED.cycles
    assert not np.array_equal(after[:, tile], UNFLIPPED.outputs[:, tile])  # else nothing was shown


@all_models
@pytest.mark.parametrize("tile", range(TILES))
def test_a_pixel_flips_before_and_after_its_fetch(fidelity: str, tile: int) -> None:
    channel, lane, bit = 1, 3, 3
    activations = ACTIVATIONS.copy()
    activations[channel, tile, lane] = flipped_nibble(int(activations[channel, tile, lane]), bit, signed=False)
    after = golden(LAYER.weights, activations, LAYER.bias)
    word = PROGRAM.places["input"].base_word + channel * TILES + tile
    seen_at, unseen_at = around(FIRST_CYCLES[tile] + channel)
    for cycle, expected in ((seen_at, after), (unseen_at, UNFLIPPED.outputs)):
        flip = BitFlip(FaultTarget.AMEM, word, 4 * lane + bit, cycle)
        found = tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity=fidelity)
        np.testing.assert_array_equal(found.outputs, expected)
    assert not np.array_equal(after, UNFLIPPED.outputs)


@all_models
def test_an_output_word_flips_before_and_after_its_write(fidelity: str) -> None:
    """Channel j of a pass is written in cycle h + 4 + j; a flip before it is overwritten, one behind it stays."""
    channel, handover = 4, UNFLIPPED.passes["c"][-1].handover_cycle
    word = PROGRAM.places["c"].base_word + channel * TILES + TILES - 1
    before, behind = (
        tlm.simulate(PROGRAM, ACTIVATIONS, faults=[BitFlip(FaultTarget.AMEM, word, 0, cycle)], fidelity=fidelity)
        for cycle in around(handover + 4 + channel)
    )  # the load filled this word before, so there is a bit to flip
    np.testing.assert_array_equal(before.outputs, UNFLIPPED.outputs)
    changed = UNFLIPPED.outputs.copy()
    changed[channel, TILES - 1, 0] ^= 1
    np.testing.assert_array_equal(behind.outputs, changed)


@all_models
def test_a_parameter_flips_before_and_after_its_read(fidelity: str) -> None:
    """Eight parameter words are read in s_0 - 9 .. s_0 - 2, pattern word 0 in s_0 - 1."""
    channel, bit = 6, 10
    bias = np.arange(8)
    bias[channel] ^= 1 << bit
    after = golden(LAYER.weights, ACTIVATIONS, bias)
    for cycle, expected in zip(around(FIRST_CYCLES[0] - 9 + channel), (after, UNFLIPPED.outputs), strict=True):
        flip = BitFlip(FaultTarget.IMEM, HEADER_WORDS + channel, bit, cycle)
        found = tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity=fidelity)
        np.testing.assert_array_equal(found.outputs, expected)
    assert not np.array_equal(after, UNFLIPPED.outputs)


@all_models
@pytest.mark.parametrize("tile", range(TILES))
def test_a_pattern_bit_flips_between_two_passes(fidelity: str, tile: int) -> None:
    """A pass reads its pattern in the cycle before its first; without the last channel it is one cycle shorter."""
    weights = LAYER.weights.copy()
    weights[:, CHANNELS - 1] = 0
    after = golden(weights, ACTIVATIONS, LAYER.bias)
    for cycle in around(FIRST_CYCLES[tile] - 1):
        flip = BitFlip(FaultTarget.IMEM, HEADER_WORDS + 8, CHANNELS - 1, cycle)
        found = tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity=fidelity)
        seen = [t for t, s in enumerate(FIRST_CYCLES) if s - 1 >= cycle]
        np.testing.assert_array_equal(found.outputs, mixed(UNFLIPPED.outputs, after, seen))
        assert found.layers["c"].compute_cycles == UNFLIPPED.layers["c"].compute_cycles - len(seen)
        assert [one.steps for one in found.passes["c"]] == [CHANNELS - (t in seen) for t in range(TILES)]


@all_models
def test_an_illegal_pattern_in_the_middle_of_a_layer_stops_it_there(fidelity: str) -> None:
    """Only pass 2 and later would read it; the word's opcode is no longer PATTERN."""
    cycle = FIRST_CYCLES[2] - 1
    flip = BitFlip(FaultTarget.IMEM, HEADER_WORDS + 8, 60, cycle)
    message = rf"engine\.sequencer: illegal instruction at IMem word 13 \(0xd\) in cycle {cycle + 1}"
    with pytest.raises(TlmError, match=message):
        tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity=fidelity)


@all_models
def test_a_flip_between_two_layers_reaches_only_the_second(fidelity: str) -> None:
    case, program = CASES["two layers"], PROGRAMS["two layers"]
    before = tlm.simulate(program, case.activations, fidelity=fidelity)
    place = program.places["a"]
    flip = BitFlip(FaultTarget.AMEM, place.base_word + 2 * 2, 14, before.layers["c"].start_cycle - 1)
    result = tlm.simulate(program, case.activations, faults=[flip], fidelity=fidelity)
    np.testing.assert_array_equal(result.tensors["a"], before.tensors["a"])
    flipped = before.tensors["a"].copy()
    flipped[2].reshape(-1)[14 // 4] ^= 1 << 14 % 4  # channel 2, P = 2, word 0
    network, second = case.network, case.network.layers[1]
    acc = tlm.reference.accumulate(second, flipped)
    expected = tlm.network.golden.requantise(second, acc, case.activations)
    np.testing.assert_array_equal(result.outputs, expected)
    assert not np.array_equal(result.outputs, before.outputs)
    assert network.output.name == "c"


@all_models
def test_a_byte_flips_while_it_is_loaded(fidelity: str) -> None:
    """Early flips of an off-chip pixel are loaded, late ones are not, and the moment between lies in the transfer."""
    activations = ACTIVATIONS.copy()
    activations[3, 3, 0] ^= 8
    after = golden(LAYER.weights, activations, LAYER.bias)
    assert not np.array_equal(after, UNFLIPPED.outputs)
    address = PROGRAM.tensors["input"].offset_bytes + (3 * TILES + 3) * 4
    flips = [BitFlip(FaultTarget.MEMORY, address, 3, cycle) for cycle in range(0, FIRST_CYCLES[0], 100)]
    outputs = [tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity=fidelity).outputs for flip in flips]
    loaded_ones = [np.array_equal(found, after) for found in outputs]
    count = sum(loaded_ones)
    assert 0 < count < len(flips)
    assert loaded_ones == [True] * count + [False] * (len(flips) - count)
    assert all(np.array_equal(found, UNFLIPPED.outputs) for found in outputs[count:])


def test_only_data_that_change_before_the_run_are_shown_by_whole_passes() -> None:
    """The result names the model that ran."""
    data = PROGRAM.tensors["input"].offset_bytes
    instruction = loaded(PROGRAM, SramName.IMEM)[0]
    header_tag = 8  # a bit that changes no behaviour
    models = {
        BitFlip(FaultTarget.MEMORY, data, 0): "pass",
        BitFlip(FaultTarget.MEMORY, data, 0, cycle=1): "cycle",
        BitFlip(FaultTarget.MEMORY, instruction + 8 * HEADER_WORDS, 0): "cycle",
        BitFlip(FaultTarget.WMEM, 0, 0, cycle=FIRST_CYCLES[1]): "cycle",
        BitFlip(FaultTarget.AMEM, 0, 0): "cycle",
        BitFlip(FaultTarget.IMEM, 0, header_tag): "cycle",
    }
    for flip, model in models.items():
        for asked in (None, "pass"):
            assert tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity=asked).fidelity == model, flip
    assert tlm.simulate(PROGRAM, ACTIVATIONS).fidelity == "pass"


@pytest.mark.slow
def test_a_circuit_has_its_faults_itself() -> None:
    for flip in (BitFlip(FaultTarget.IMEM, 0, 8), BitFlip(FaultTarget.WMEM, 0, 0, cycle=FIRST_CYCLES[1])):
        assert tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip], fidelity="rtl").fidelity == "rtl"


# -- at random -------------------------------------------------------------------------------------------------------


def random_flip(rng: random.Random, name: str, cycles: int) -> BitFlip:
    program = PROGRAMS[name]
    target = rng.choice(list(FaultTarget))
    addresses, bits = {
        FaultTarget.MEMORY: (program.image_bytes, 8),
        FaultTarget.AMEM: (64, 32),
        FaultTarget.WMEM: (64, 32),
        FaultTarget.IMEM: (len(program.jobs[0].instructions), 64),
    }[target]
    return BitFlip(target, rng.randrange(addresses), rng.randrange(bits), rng.choice((0, rng.randrange(cycles))))


def outcome(fidelity: str, name: str, flips: list[BitFlip]) -> tuple[bytes, int] | str:
    """Outputs and cycles, or the error."""
    try:
        result = tlm.simulate(PROGRAMS[name], CASES[name].activations, faults=flips, fidelity=fidelity)
    except TlmError as error:
        return re.sub(r"( by \w+) for [^,]+,", r"\1,", str(error))  # a circuit does not say for what it reads
    return result.outputs.tobytes(), result.cycles


@pytest.mark.parametrize("fidelity", ["pass", pytest.param("rtl", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", quick_of(CASES, "residual"))
def test_one_behaviour_whatever_flips_and_whenever(name: str, fidelity: str) -> None:
    """80 runs for each of the four networks, 40 of the circuit: one to three flips before, in and after layers."""
    rng = random.Random(name)
    unflipped = tlm.simulate(PROGRAMS[name], CASES[name].activations)
    plain = unflipped.outputs.tobytes(), unflipped.cycles
    outcomes = []
    for _ in range(40 if fidelity == "rtl" else 80):
        flips = [random_flip(rng, name, unflipped.cycles + 10) for _ in range(rng.choice((1, 1, 3)))]
        outcomes.append(outcome("cycle", name, flips))
        assert outcome(fidelity, name, flips) == outcomes[-1], flips
    assert plain in outcomes
    assert any(isinstance(one, str) for one in outcomes)
    assert any(not isinstance(one, str) and one != plain for one in outcomes)


def test_the_layer_of_these_tests_is_what_they_say() -> None:
    assert [one.steps for one in UNFLIPPED.passes["c"]] == [CHANNELS] * TILES
    assert [one.fetch_cycles for one in UNFLIPPED.passes["c"]] == [CHANNELS] * TILES


def test_numpy_integers_name_a_bit_as_well() -> None:
    plain, of_numpy = BitFlip(FaultTarget.WMEM, 2, 23), BitFlip(FaultTarget.WMEM, *np.array([2, 23]))
    assert of_numpy == plain
    cycle = int(UNFLIPPED.layers["c"].start_cycle) - 20
    flips = [BitFlip(FaultTarget.WMEM, a, b, c) for a, b, c in ((2, 23, cycle), np.array([2, 23, cycle]))]
    outputs = [tlm.simulate(PROGRAM, ACTIVATIONS, faults=[flip]).outputs for flip in flips]
    np.testing.assert_array_equal(*outputs)
    assert not np.array_equal(outputs[0], UNFLIPPED.outputs)
