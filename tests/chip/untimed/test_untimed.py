"""The untimed model: the same values as the golden model and the timed ones, and the same complaints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from band_programs import BandCase, BandProgram, generated
from chip_cases import SMALL_MEMORIES, NetworkCase, chips, compiled, networks
from command import SCENARIOS
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import fitting_requantisation, random_activations, random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.decode import DecodedLayer, Fetch, decode_layer
from tlm.chip.format.driver import DriverStep, SramName, StartEngine, StartTransfer, Transfer, Unit
from tlm.chip.format.isa import END_WORD, Band
from tlm.chip.untimed.chip import UntimedChip
from tlm.compiler.program import Program
from tlm.core.errors import SimulationError, UnwrittenReadError
from tlm.network.layers import INPUT, AvgPool2d, Conv2d, MaxPool2d
from tlm.network.network import Network
from tlm.scenario.loading import load_scenario


def check_tensors(found: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype == array.dtype, name  # type: ignore[attr-defined]


def check_program(program: Program, activations: np.ndarray, more: int = 1) -> None:
    """Golden model == timed model == untimed model for an input; golden model == untimed model for some others."""
    evaluator, network = tlm.Evaluator(program), program.network
    golden = tlm.reference.run(network, activations)
    check_tensors(tlm.simulate(program, activations).tensors, golden)
    check_tensors(evaluator.tensors(activations), golden)
    rng = np.random.default_rng(5)
    for _ in range(more):
        other = random_activations(rng, network.input_shape, network.signed_input)
        wanted = tlm.reference.run(network, other)
        np.testing.assert_array_equal(evaluator.output(other), wanted[network.output.name])
    check_tensors(evaluator.tensors(activations), golden)


@settings(max_examples=12)
@given(networks(max_layers=4), chips(), SMALL_MEMORIES)
def test_generated_networks(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    check_program(compiled(case, chip, memories), case.activations)


@pytest.mark.slow
@settings(max_examples=100)
@given(networks(max_layers=5), chips(), SMALL_MEMORIES)
def test_many_generated_networks(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    check_program(compiled(case, chip, memories), case.activations)


@examples(60)
@given(generated(), st.booleans())
def test_generated_bands(case: BandCase, again: bool) -> None:
    """Hand-made programs, with planes of any stride: what lies between them stays as it is."""
    hand = BandProgram(case)
    chip = UntimedChip(case.config, hand.steps)
    chip.write_memory(0, hand.data)
    for _ in range(1 + again):
        chip.run()
    golden = case.golden()
    output = hand.output(chip.read_memory(hand.output_offset_bytes, case.slots * hand.row_bytes))
    np.testing.assert_array_equal(output[:, : golden.shape[1]], golden)
    assert not output[:, golden.shape[1] :].any(), "lanes beyond the last pixel are 0"
    before, after = case.amem(), chip.read_amem(0, case.config.amem_words).reshape(case.config.amem_words, -1)
    band, base = case.whole, case.bases["output"]
    written = base + np.arange(case.slots)[:, None] * band.output_plane_words + np.arange(band.tile_count)
    kept = np.setdiff1d(np.arange(case.config.amem_words), written)
    np.testing.assert_array_equal(after[kept], before[kept])


# -- a small ResNet ---------------------------------------------------------------------------------------------------


def small_resnet() -> Network:
    """The shapes of a ResNet's parts at 28x28: strided convolution, max pooling, blocks, average, class scores."""
    rng = np.random.default_rng(18)

    def conv(name: str, outputs: int, inputs: int, kernel: int, density: float = 1.0, **keys: object) -> Conv2d:
        weights = random_weights(rng, (outputs, inputs, kernel, kernel), density, by_tap=density < 1)
        keys = {"padding": kernel // 2, **fitting_requantisation(rng, weights, False), **keys}
        return Conv2d(name, weights, **keys)  # type: ignore[arg-type]

    layers = [
        conv("conv1", 16, 3, 7, stride=2),
        MaxPool2d("pool", kernel=3, stride=2, padding=1),
        conv("block1_1", 16, 16, 3, 0.4),
        conv("block1_2", 16, 16, 3, 0.4, residual="pool", residual_multiplier=4000),
        conv("block2_down", 24, 16, 1, stride=2, input="block1_2"),
        conv("block2_1", 24, 16, 3, stride=2, input="block1_2"),
        conv("block2_2", 24, 24, 3, residual="block2_down", residual_multiplier=9000),
        AvgPool2d("mean", kernel=4),
        conv("scores", 10, 24, 1, accumulator_output=True),
    ]
    return Network((3, 28, 28), layers)


SIZES = {
    "the published chip": {},
    "little AMem": {"amem_words": 96},
    "little WMem and IMem": {"wmem_words": 512, "imem_words": 256},
    "little of all": {"amem_words": 112, "wmem_words": 384, "imem_words": 192},
    "another array": {"lanes": 8, "columns": 16, "amem_words": 512, "bus_bytes": 32},
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_small_resnet(sizes: dict[str, int]) -> None:
    network = small_resnet()
    program = tlm.compile(network, ChipConfig(**sizes))  # type: ignore[arg-type]
    activations = random_activations(np.random.default_rng(1), network.input_shape, False)
    assert len(np.unique(tlm.reference.run(network, activations)["scores"])) > 5
    check_program(program, activations, more=2)


def test_little_memory_cuts_into_bands_and_spills() -> None:
    """So the test above means what it says."""
    program = tlm.compile(small_resnet(), ChipConfig(**SIZES["little of all"]))  # type: ignore[arg-type]
    assert any(part.banded for part in program.parts)
    assert set(program.tensors) - {INPUT, "scores"}, "spilled tensors"
    assert len(program.stores) > 1


def test_instructions_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_resnet()
    program = tlm.compile(network, ChipConfig(**SIZES["little of all"]))  # type: ignore[arg-type]
    decoded: list[int] = []

    def counted(fetch: Fetch, address: int, config: ChipConfig) -> DecodedLayer:
        decoded.append(address)
        return decode_layer(fetch, address, config)

    monkeypatch.setattr("tlm.chip.untimed.engine.decode_layer", counted)
    evaluator = tlm.Evaluator(program)
    for _ in range(3):
        evaluator.output(np.zeros(network.input_shape, np.int8))
        assert len(decoded) == len(program.parts)


def test_an_output_that_overlays_its_residual() -> None:
    ones = np.ones((8, 8, 1, 1), np.int8)
    keys = {"multiplier": 300, "shift": 12}
    residual = {"residual": INPUT, "residual_multiplier": 5000}
    network = Network((8, 2, 4), [Conv2d("a", ones, **keys), Conv2d("b", ones, **residual, **keys)])  # type: ignore[arg-type]
    program = tlm.compile(network, ChipConfig(lanes=8, amem_words=16))
    assert program.places["b"].base_word == program.places[INPUT].base_word
    check_program(program, random_activations(np.random.default_rng(0), network.input_shape, False))


@pytest.mark.slow
def test_the_whole_resnet18() -> None:
    job = load_scenario(SCENARIOS / "resnet18_3of9.toml").build(golden=True)
    assert job.golden is not None
    check_tensors(tlm.Evaluator(job.network, job.chip).tensors(job.activations), job.golden)


# -- transfers --------------------------------------------------------------------------------------------------------

CHIP = ChipConfig(amem_words=64, wmem_words=64, imem_words=64, memory_bytes=4096)


def run(*steps: DriverStep, data: bytes = b"", chip: ChipConfig = CHIP) -> UntimedChip:
    machine = UntimedChip(chip, steps)
    machine.write_memory(0, data or bytes(range(256)) * 16)
    machine.run()
    return machine


def load(*transfer: object, unit: Unit = Unit.LOAD) -> StartTransfer:
    return StartTransfer(unit, Transfer(*transfer))  # type: ignore[arg-type]


def test_rows_go_where_the_descriptor_says() -> None:
    """3 rows of 2 words: 128 bytes apart off-chip, 5 words apart in AMem; and back, 64 bytes apart."""
    back = load(SramName.AMEM, 4, 1024, 2, 3, 64, 5, unit=Unit.STORE)
    chip = run(load(SramName.AMEM, 4, 256, 2, 3, 128, 5), back)
    for row in range(3):
        words = bytes((128 * row + i) % 256 for i in range(32))
        assert chip.read_amem(4 + 5 * row, 2).tobytes() == words
        assert chip.read_memory(1024 + 64 * row, 32) == words
        rest = 64 * row + 32
        assert chip.read_memory(1024 + rest, 32) == bytes((rest + i) % 256 for i in range(32))
    assert not chip.read_amem(6, 3).any()


def test_of_overlapping_rows_the_last_one_wins() -> None:
    chip = run(load(SramName.AMEM, 0, 0, 3, 4, 64, 1))
    assert chip.read_amem(0, 3).tobytes() == b"".join(bytes(range(64 * row, 64 * row + 16)) for row in range(3))
    assert chip.read_amem(3, 3).tobytes() == bytes(range(192, 240))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (load(SramName.AMEM, 60, 0, 5), r"dma\.load: SRAM word address outside the memory 64 \(0x40\)"),
        (load(SramName.WMEM, 0, 4, 2), r"dma\.load: off-chip address or row stride that is no multiple .* 4 \(0x4\)"),
        (load(SramName.AMEM, 0, 0, 0), r"dma\.load: transfer of no words, .* 0 \(0x0\)"),
        (load(SramName.AMEM, 0, 4088, 1), r"dma\.load: off-chip address outside the memory 4088 \(0xff8\)"),
        (load(SramName.AMEM, 3, 0, 1, unit=Unit.STORE), r"engine\.amem: word 3 is read, but was never written"),
        (StartEngine(64), r"engine\.sequencer: instruction fetch outside IMem at word 64"),
        (StartEngine(0), r"engine\.imem: word 0 is read, but was never written"),
    ],
)
def test_what_a_unit_refuses_is_named(step: DriverStep, message: str) -> None:
    with pytest.raises(SimulationError, match=f"^{message}"):
        run(step)


def test_off_chip_bytes_that_nobody_wrote_are_named() -> None:
    chip = UntimedChip(CHIP, [load(SramName.AMEM, 0, 0, 4)])
    chip.write_memory(0, bytes(40))
    with pytest.raises(UnwrittenReadError, match=r"^memory: beat 5 is read, but was never written"):
        chip.run()


def test_bytes_beyond_the_off_chip_memory_are_refused() -> None:
    with pytest.raises(
        SimulationError, match=r"^memory: bytes 0xff8 to 0x1008 leave the off-chip memory of 4096 bytes"
    ):
        UntimedChip(CHIP, []).write_memory(4088, bytes(16))


# -- the engine's complaints ------------------------------------------------------------------------------------------


def hand_made(**keys: object) -> BandCase:
    """A layer of 8 output channels with a residual, in a band of its second tile."""
    rng = np.random.default_rng(3)
    weights = random_weights(rng, (8, 4, 3, 3), 1.0, by_tap=False)
    layer = Conv2d(
        "c", weights, padding=1, residual="r", residual_multiplier=900, **fitting_requantisation(rng, weights, False)
    )  # fmt: skip
    case = BandCase(
        ChipConfig(lanes=8, columns=8, amem_words=256, wmem_words=64, imem_words=64),
        layer,
        random_activations(rng, (4, 6, 6), False),
        False,
        random_activations(rng, (8, 6, 6), False),
        False,
        Band(1, 1, 1, 0, 4, 1),
        {"input": 0, "residual": 64, "output": 128},
        imem_base=2,
    )
    return replace(case, **keys)  # type: ignore[arg-type]


def run_changed(case: BandCase, word: int, value: int) -> None:
    """With another instruction word."""
    hand = BandProgram(case)
    data = bytearray(hand.data)
    at = hand.instructions_offset_bytes + 8 * word
    data[at : at + 8] = value.to_bytes(8, "little")
    chip = UntimedChip(case.config, hand.steps)
    chip.write_memory(0, bytes(data))
    chip.run()


def test_the_hand_made_layer_runs() -> None:
    case = hand_made()
    run_changed(case, 0, case.instructions()[0])


@pytest.mark.parametrize("word", [0, 1, 6, 7, 15, 16])
def test_an_illegal_instruction_is_named_with_its_word(word: int) -> None:
    """Words 0..6 are the header, in which the first is named; 7..14 parameters; 15 a pattern; 16 END."""
    case = hand_made()
    value = case.instructions()[word] | 1 << 59 if word < 15 else 0
    place = 2 + (word if word > 6 else 0)
    with pytest.raises(SimulationError, match=rf"^engine\.sequencer: illegal instruction at IMem word {place} "):
        run_changed(case, word, value)


def test_a_weight_word_beyond_wmem_is_named() -> None:
    """36 words from word 40 on in a WMem of 64."""
    case = hand_made()
    operands = case.instructions()[4]
    with pytest.raises(SimulationError, match=r"^engine\.sequencer: weight fetch outside WMem at word 64"):
        run_changed(case, 4, operands & ~0xFFFFF | 40)


def test_a_weight_word_that_nobody_wrote_is_named() -> None:
    case = hand_made()
    with pytest.raises(UnwrittenReadError, match=r"^engine\.wmem: word 36 is read, but was never written"):
        run_changed(case, 4, case.instructions()[4] & ~0xFFFFF | 1)


@pytest.mark.parametrize(("first", "end", "missing"), [(0, 67, 67), (1, 200, 0), (0, 14, 14)])
def test_an_activation_that_nobody_wrote_is_named(first: int, end: int, missing: int) -> None:
    """The band reads the words 4 * channel + 0..2 of the input and the words 64..71 of the residual."""
    hand = BandProgram(hand_made())
    some = load(SramName.AMEM, first, 0, end - first)
    chip = UntimedChip(hand.case.config, [some, *hand.steps[2:]])
    chip.write_memory(0, hand.data)
    with pytest.raises(UnwrittenReadError, match=rf"^engine\.amem: word {missing} is read, but was never written"):
        chip.run()


def test_words_that_no_step_reads_need_not_be_there() -> None:
    """1x1 with stride 2 in y passes over every second row, here one word each."""
    layer = Conv2d("c", np.ones((8, 1, 1, 1), np.int8), stride=(2, 1), multiplier=1, shift=0)
    case = hand_made(
        layer=layer,
        activations=random_activations(np.random.default_rng(0), (1, 5, 8), False),
        residual=None,
        band=None,
        bases={"input": 0, "output": 128},
    )
    hand = BandProgram(case)
    rows = [load(SramName.AMEM, row, 4 * row, 1) for row in (0, 2, 4)]
    chip = UntimedChip(case.config, [*rows, *hand.steps[2:]])
    chip.write_memory(0, hand.data)
    chip.run()
    output = hand.output(chip.read_memory(hand.output_offset_bytes, case.slots * hand.row_bytes))
    np.testing.assert_array_equal(output, case.golden())


def test_a_job_of_no_layer_is_done_at_once() -> None:
    done: list[int] = []
    machine = UntimedChip(CHIP, [load(SramName.IMEM, 5, 0, 1), StartEngine(5)])
    machine.write_memory(0, END_WORD.to_bytes(8, "little"))
    machine.run(done.append)
    assert not done
