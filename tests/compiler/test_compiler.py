"""The compiler: weight words, parts, placement, and a driver program in which nothing is overwritten too early."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from chip_cases import MEMORIES, SMALL_MEMORIES, NetworkCase, bank_offsets, chips, compiled, dense_weights, networks
from driver_checks import Driver
from examples import examples
from hypothesis import given
from images import weight_image
from strategies import cases, random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, StartEngine, StartTransfer, Unit, Wait
from tlm.compiler.liveness import Liveness
from tlm.compiler.parts import Part
from tlm.compiler.program import Program
from tlm.compiler.weights import pack_weights
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT, Conv2d, Layer, MaxPool2d
from tlm.network.network import Network


@examples(60)
@given(cases())
def test_weight_words_and_patterns_are_those_of_engine_md(case: object) -> None:
    layer, columns = case.layer, case.columns  # type: ignore[attr-defined]
    packed = pack_weights(layer, columns)
    image, patterns = weight_image(layer, columns)
    assert b"".join(packed.words) == image
    np.testing.assert_array_equal(packed.patterns, patterns)
    assert packed.word_count * columns // 2 == len(image)


def test_an_output_overlays_the_residual_where_nothing_else_is_free() -> None:
    """Three tensors of 8 words in 16: the third can only lie on the first."""
    keys = {"multiplier": 300, "shift": 12}
    layers = [
        Conv2d("a", np.ones((8, 8, 1, 1), np.int8), **keys),  # type: ignore[arg-type]
        Conv2d("b", np.ones((8, 8, 1, 1), np.int8), residual=INPUT, residual_multiplier=5000, **keys),  # type: ignore[arg-type]
    ]
    network = Network((8, 2, 4), layers)
    program = tlm.compile(network, ChipConfig(lanes=8, amem_words=16))
    assert program.places["b"].base_word == program.places[INPUT].base_word
    activations = np.random.default_rng(0).integers(0, 16, (8, 2, 4))
    result = tlm.simulate(program, activations)
    np.testing.assert_array_equal(result.outputs, tlm.reference.run(network, activations)["b"])


def test_what_each_part_needs_a_piece_of() -> None:
    """Nothing but the last layer's residual; nothing but the input of a layer alone whose parts have their own."""
    ones = np.ones((8, 8, 1, 1), np.int8)
    layers = [
        Conv2d("a", ones),
        Conv2d("b", ones, residual=INPUT, residual_multiplier=1),
        Conv2d("c", ones, residual="b", residual_multiplier=1),
        Conv2d("d", ones, input="b"),
    ]
    live = Liveness(Network((8, 2, 4), layers))
    pieces = [(0, 0, INPUT, True), (1, 1, INPUT, True), (1, 1, INPUT, False), (2, 3, "b", True), (3, 3, "b", True)]
    found = [live.is_piecewise(first, last, name, own) for first, last, name, own in pieces]
    assert found == [True, True, True, False, True]
    assert not live.is_piecewise(0, 1, INPUT, own_inputs=True)  # input of the one, residual of the other
    assert not live.is_piecewise(1, 1, "a", own_inputs=True)  # the residual cuts the parts
    assert not live.is_piecewise(2, 2, "b", own_inputs=True)  # input and residual
    assert not live.is_piecewise(3, 3, "b", own_inputs=False)
    assert not live.is_piecewise(0, 0, "b", own_inputs=True)  # not read at all


def test_a_residual_that_is_needed_later_is_not_overlaid() -> None:
    """The third layer reads it again: in 16 words it has to be loaded each time; 24 hold all three tensors."""
    ones = np.ones((8, 8, 1, 1), np.int8)
    layers = [
        Conv2d("a", ones),
        Conv2d("b", ones, residual=INPUT, residual_multiplier=1),
        Conv2d("c", ones, input=INPUT, residual="b", residual_multiplier=1),
    ]
    program = tlm.compile(Network((8, 2, 4), layers), ChipConfig(lanes=8, amem_words=16))
    assert INPUT not in program.places  # it gives up its words and is loaded again
    assert sum(load.tensor == INPUT for load in program.loads) == 3
    places = tlm.compile(Network((8, 2, 4), layers), ChipConfig(lanes=8, amem_words=24)).places
    assert places["b"].base_word != places[INPUT].base_word


def test_a_residual_that_is_also_the_input_is_not_overlaid() -> None:
    layer = Conv2d("a", np.ones((8, 8, 1, 1), np.int8), residual=INPUT, residual_multiplier=1)
    with pytest.raises(CompileError, match="layer 'a': even in bands of a tile of 8 pixels it needs 8 AMem words"):
        tlm.compile(Network((8, 2, 4), [layer]), ChipConfig(lanes=8, amem_words=8))
    program = tlm.compile(Network((8, 2, 4), [layer]), ChipConfig(lanes=8, amem_words=16))
    assert program.places["a"].base_word == 8


@examples(40)
@given(networks(max_layers=1), chips())
def test_no_bank_would_be_faster(case: NetworkCase, chip: ChipConfig) -> None:
    """Bases are chosen by predicted cycles; every other bank of the output takes at least as long."""
    chosen = tlm.compile(case.network, chip).predicted_cycles[0]
    for offset in range(chip.amem_banks):
        with bank_offsets(case.network, chip, {case.network.output.name: offset}):
            assert tlm.compile(case.network, chip).predicted_cycles[0] >= chosen


# -- parts ------------------------------------------------------------------------------------------------------------


@examples(80)
@given(networks(), chips(), MEMORIES)
def test_parts_are_whole_groups_that_fit(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    program = compiled(case, chip, memories)
    config = program.config
    for index, layer in enumerate(program.network.layers):
        parts = [part for part in program.parts if part.layer_index == index]
        assert [part.part_index for part in parts] == list(range(len(parts)))
        done = np.zeros((-(-layer.out_channels // config.columns), tiles_of(program, layer)), int)
        for part in parts:
            assert part.first_channel == part.first_group * config.columns
            assert part.channels == min(part.groups * config.columns, layer.out_channels - part.first_channel)
            done[part.first_group :][: part.groups, part.first_tile :][:, : part.tiles] += 1
            words = 0 if isinstance(layer, MaxPool2d) else words_of(layer, part, config.columns)
            assert part.weight_words == words
        assert done.min() == 1  # everything is computed
        if index == len(program.network.layers) - 1:
            assert done.max() == 1  # what lies between two layers may be computed twice, but not the output
    for job in program.jobs:
        assert len(job.instructions) == sum(program.parts[tag].instruction_words for tag in job.parts) + 1
        assert job.imem_word + len(job.instructions) <= config.imem_words
        for tag, word in zip(job.parts, job.wmem_words, strict=True):
            assert word + program.parts[tag].weight_words <= config.wmem_words
    assert [tag for job in program.jobs for tag in job.parts] == list(range(len(program.parts)))


def tiles_of(program: Program, layer: Layer) -> int:
    _, height, width = program.network.tensors[layer.name].shape
    return -(-height * width // program.config.lanes)


def words_of(layer: Conv2d, part: Part, columns: int) -> int:
    rows = dense_weights(layer)[part.first_channel :][: part.channels]
    groups = [rows[first : first + columns] for first in range(0, part.channels, columns)]
    return sum(int(np.any(group != 0, axis=0).sum()) for group in groups)


def test_parts_are_as_even_as_their_number_allows() -> None:
    """7 groups of 40 words, of which half of WMem holds 3: parts of 3, 2, 2 or alike, never 3, 3, 1."""
    weights = random_weights(np.random.default_rng(0), (56, 40, 1, 1), 1.0, by_tap=True)
    weights[weights == 0] = 1
    chip = ChipConfig(columns=8, wmem_words=240)
    program = tlm.compile(Network((40, 3, 3), [Conv2d("c", weights)]), chip)
    counts = [part.groups for part in program.parts]
    assert sum(counts) == 7
    assert (len(counts), max(counts)) == (3, 3)
    assert all(part.weight_words <= 120 for part in program.parts)


# -- the driver program -----------------------------------------------------------------------------------------------


@examples(100)
@given(networks(max_layers=5), chips(), SMALL_MEMORIES)
def test_the_driver_program_is_safe_at_any_speed(
    case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]
) -> None:
    Driver(compiled(case, chip, memories)).play()


def test_loads_overlap_the_computation_where_two_parts_fit() -> None:
    """Instructions and weights of all parts of the first band but the first: the engine runs when they begin."""
    weights = random_weights(np.random.default_rng(0), (64, 40, 1, 1), 1.0, by_tap=True)
    chip = ChipConfig(columns=8, wmem_words=160, host_access_ns=0, host_interrupt_ns=0, memory_gb_per_s=100.0)
    program = tlm.compile(Network((40, 20, 20), [Conv2d("c", weights)]), chip)
    of_band = [index for index, job in enumerate(program.jobs) if program.parts[job.parts[0]].first_tile == 0]
    assert of_band == list(range(8))
    running, loads = False, iter(program.loads)
    for step in program.steps:
        if isinstance(step, StartEngine):
            running = True
        elif isinstance(step, Wait) and step.unit is Unit.ENGINE:
            running = False
        elif isinstance(step, StartTransfer) and step.unit is Unit.LOAD:
            job = next(loads).job
            assert running or job not in of_band[1:]


# -- the program ------------------------------------------------------------------------------------------------------


@examples(60)
@given(networks(), chips(), SMALL_MEMORIES)
def test_each_transfer_knows_its_parts(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    """Loads belong to the parts that use them first, stores to the last part that wrote the tensor before them."""
    program = compiled(case, chip, memories)
    parts, config = list(enumerate(program.parts)), program.config
    for load, uses in zip(program.loads, program.load_uses, strict=True):
        job = program.jobs[load.job]
        if load.tensor is not None:
            readers = [tag for tag, part in parts if load.tensor in tensors_read(part) and tag >= job.parts[0]]
            assert uses == {readers[0]: load.transfer.rows * load.transfer.row_words * config.amem_word_bytes}
        elif load.transfer.sram is SramName.IMEM:
            sizes = {tag: program.parts[tag].instruction_words for tag in job.parts}
            sizes[job.parts[-1]] += 1
            assert uses == {tag: words * config.imem_word_bytes for tag, words in sizes.items()}
        else:
            loaded = [tag for tag, own in zip(job.parts, job.loads_weights, strict=True) if own]
            assert uses == {tag: program.parts[tag].weight_words * config.wmem_word_bytes for tag in loaded}
            assert sum(uses.values()) == load.transfer.row_words * config.wmem_word_bytes
    for store, uses in zip(program.stores, program.store_uses, strict=True):
        last = program.jobs[store.after_job].parts[-1]
        writers = [tag for tag, part in parts if part.output.window.tensor == store.tensor and tag <= last]
        assert uses == {writers[-1]: store.transfer.rows * store.transfer.row_words * config.amem_word_bytes}


def tensors_read(part: Part) -> set[str]:
    return {place.window.tensor for place in (part.source, part.residual) if place is not None}


@examples(20)
@given(networks(), chips())
def test_compilation_is_repeatable_and_picklable(case: NetworkCase, chip: ChipConfig) -> None:
    one, other = tlm.compile(case.network, chip), tlm.compile(case.network, chip)
    assert one.steps == other.steps
    assert one.image(case.activations) == other.image(case.activations)
    again = pickle.loads(pickle.dumps(one))
    assert (again.steps, again.jobs, again.places) == (one.steps, one.jobs, one.places)
    assert again.image(case.activations) == one.image(case.activations)


@examples(30)
@given(networks(), chips())
def test_pieces_of_the_image_do_not_overlap(case: NetworkCase, chip: ChipConfig) -> None:
    program = tlm.compile(case.network, chip)
    spans = [(chunk.offset_bytes, chunk.offset_bytes + len(chunk.data)) for chunk in program.chunks]
    spans += [(place.offset_bytes, place.offset_bytes + place.size_bytes) for place in program.tensors.values()]
    spans.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert all(start % chip.bus_bytes == 0 for start, _ in spans)


def test_tensors_that_fit_only_from_both_ends_are_placed() -> None:
    """80, 96 and 120 words in 216: the third finds room only if the second does not lie in the middle."""
    layers = [
        Conv2d("a", np.ones((96, 80, 1, 1), np.int8), shift=7),
        Conv2d("b", np.ones((120, 96, 1, 1), np.int8), shift=7),
    ]
    network = Network((80, 4, 8), layers)
    program = tlm.compile(network, ChipConfig(amem_words=216))
    spans = {name: (place.base_word, place.end_word) for name, place in program.places.items()}
    assert spans["a"][0] >= 120 >= spans["b"][1]
    values = np.arange(80 * 32).reshape(80, 4, 8) % 16
    result = tlm.simulate(program, values)
    golden = tlm.reference.run(network, values)
    assert all(np.array_equal(result.tensors[name], golden[name]) for name in golden)


# -- what fits --------------------------------------------------------------------------------------------------------


def ones(name: str, outputs: int, inputs: int, **keys: object) -> Conv2d:
    return Conv2d(name, np.ones((outputs, inputs, 1, 1), np.int8), shift=4, **keys)  # type: ignore[arg-type]


def check_program(network: Network, chip: ChipConfig) -> Program:
    """Safe at any speed, and right."""
    program = tlm.compile(network, chip)
    Driver(program).play()
    activations = np.random.default_rng(0).integers(0, 16, network.input_shape)
    result, golden = tlm.simulate(program, activations), tlm.reference.run(network, activations)
    assert all(np.array_equal(result.tensors[name], golden[name]) for name in result.tensors)
    return program


@pytest.mark.parametrize("accumulators", [False, True])
def test_an_output_that_nobody_reads_need_not_fit_the_memory(accumulators: bool) -> None:
    """2,048 words or six times as many: written piece by piece."""
    unread = ones("unread", 64, 4, accumulator_output=accumulators)
    network = Network((4, 32, 32), [unread, ones("b", 4, 4, input=INPUT)])
    assert "unread" in check_program(network, ChipConfig(amem_words=1024)).tensors


@pytest.mark.parametrize(("amem_words", "fits"), [(40, True), (39, False)])
def test_a_residual_is_loaded_by_groups_of_channels_where_it_does_not_fit(amem_words: int, fits: bool) -> None:
    """8 words for the input of a tile, 32 for the residual of a group and the output over it, not 512 for either."""
    residual = ones("b", 512, 8, input=INPUT, residual="a", residual_multiplier=3)
    network, chip = Network((8, 8, 4), [ones("a", 512, 8), residual]), ChipConfig(amem_words=amem_words, amem_banks=1)
    if fits:
        check_program(network, chip)
    else:
        with pytest.raises(CompileError, match=r"8 AMem words for .*, 32 for the output"):
            tlm.compile(network, chip)


@pytest.mark.parametrize("bus_bytes", [4, 8, 16, 32])
def test_odd_groups_of_channels_are_loaded_from_aligned_addresses(bus_bytes: int) -> None:
    """Each part loads its own channels of the input, whose planes of 8 or 4 bytes end nowhere near the bus width."""
    for channels, outputs, per_group, pixels in ((48, 48, 3, (3, 5)), (45, 72, 5, (2, 4))):
        weights = np.ones((outputs, per_group, 1, 1), np.int8)
        layer = Conv2d("g", weights, groups=channels // per_group, shift=3)
        words = channels * -(-pixels[0] * pixels[1] // 8)
        chip = ChipConfig(lanes=8, columns=8, bus_bytes=bus_bytes, amem_words=words // 8 * 8)
        program = check_program(Network((channels, *pixels), [layer]), chip)
        assert any(part.in_channels < channels for part in program.parts)


def test_a_plane_that_no_header_can_count_is_refused() -> None:
    network = Network((1, 65_535, 129), [ones("a", 1, 1)])
    with pytest.raises(CompileError, match=r"layer 'a': a channel of 'input' \(65535x129\) has 1056752 words of 8"):
        tlm.compile(network, ChipConfig(lanes=8))


def test_more_parts_than_tags_are_refused() -> None:
    network = Network((4, 32, 32), [ones("a", 8, 4)])
    with (
        mock.patch("tlm.compiler.checks.MAX_PARTS", 3),
        pytest.raises(CompileError, match=r"network: cut so that it fits, it has \d+ parts, .* number only 3;"),
    ):
        tlm.compile(network, ChipConfig(amem_words=128))
