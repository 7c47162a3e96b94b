"""The compiler: weight words, parts, placement, and a driver program in which nothing is overwritten too early."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from chip_cases import MEMORIES, NetworkCase, bank_offsets, chips, compiled, dense_weights, networks
from hypothesis import given, settings
from images import weight_image
from strategies import cases, random_weights

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.driver import SramName, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.compiler.layout import TensorPlace
from tlm.compiler.program import Job, Program
from tlm.compiler.weights import pack_weights
from tlm.core.errors import CompileError
from tlm.layers import INPUT, Conv2d
from tlm.network import Network


@settings(max_examples=60)
@given(cases())
def test_weight_words_and_patterns_are_those_of_engine_md(case: object) -> None:
    layer, columns = case.layer, case.columns  # type: ignore[attr-defined]
    packed = pack_weights(layer, columns)
    image, patterns = weight_image(layer, columns)
    assert b"".join(packed.words) == image
    np.testing.assert_array_equal(packed.patterns, patterns)
    assert packed.word_count * columns // 2 == len(image)


@settings(max_examples=80)
@given(networks(), chips(), MEMORIES)
def test_live_tensors_never_overlap(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    """But for an output that lies exactly on the residual that it consumes."""
    program = compiled(case, chip, memories)
    network, places = program.network, program.places
    for index, layer in enumerate(network.layers):
        live = needed_in(network, index)
        for name in live - {layer.name}:
            if overlap(places[layer.name], places[name]):
                assert name == layer.residual, (layer.name, name)
                assert name not in needed_in(network, index + 1)
                assert name != network.input_of(layer).name
                assert places[name].base_word == places[layer.name].base_word
                assert places[name].words == places[layer.name].words
        assert 0 <= places[layer.name].base_word <= places[layer.name].end_word <= program.config.amem_words


def needed_in(network: Network, index: int) -> set[str]:
    """Tensors that a layer writes or that it or a later layer reads; the output is needed to the end."""
    later = network.layers[index:]
    names = {network.input_of(layer).name for layer in later} | {layer.residual for layer in later if layer.residual}
    made = {INPUT, *(layer.name for layer in network.layers[: index + 1])}
    written = {network.layers[index].name} if index < len(network.layers) else set()
    return (names | {network.output.name}) & made | written


def overlap(one: TensorPlace, other: TensorPlace) -> bool:
    return one.base_word < other.end_word and other.base_word < one.end_word


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


def test_a_residual_that_is_needed_later_is_not_overlaid() -> None:
    """The third layer reads it again, so there is no room in 16 words; 24 hold all three."""
    ones = np.ones((8, 8, 1, 1), np.int8)
    layers = [
        Conv2d("a", ones),
        Conv2d("b", ones, residual=INPUT, residual_multiplier=1),
        Conv2d("c", ones, input=INPUT, residual="b", residual_multiplier=1),
    ]
    with pytest.raises(CompileError, match="tensor 'b' needs 8 consecutive AMem words"):
        tlm.compile(Network((8, 2, 4), layers), ChipConfig(lanes=8, amem_words=16))
    places = tlm.compile(Network((8, 2, 4), layers), ChipConfig(lanes=8, amem_words=24)).places
    assert places["b"].base_word != places[INPUT].base_word


def test_a_residual_that_is_also_the_input_is_not_overlaid() -> None:
    layer = Conv2d("a", np.ones((8, 8, 1, 1), np.int8), residual=INPUT, residual_multiplier=1)
    with pytest.raises(CompileError, match="tensor 'a' needs 8 consecutive AMem words"):
        tlm.compile(Network((8, 2, 4), [layer]), ChipConfig(lanes=8, amem_words=8))
    program = tlm.compile(Network((8, 2, 4), [layer]), ChipConfig(lanes=8, amem_words=16))
    assert program.places["a"].base_word == 8


@settings(max_examples=40)
@given(networks(max_layers=1), chips())
def test_no_bank_would_be_faster(case: NetworkCase, chip: ChipConfig) -> None:
    """Bases are chosen by predicted cycles; every other bank of the output takes at least as long."""
    chosen = tlm.compile(case.network, chip).predicted_cycles[0]
    for offset in range(chip.amem_banks):
        with bank_offsets(case.network, chip, {case.network.output.name: offset}):
            assert tlm.compile(case.network, chip).predicted_cycles[0] >= chosen


# -- parts ------------------------------------------------------------------------------------------------------------


@settings(max_examples=80)
@given(networks(), chips(), MEMORIES)
def test_parts_are_whole_groups_that_fit(case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]) -> None:
    program = compiled(case, chip, memories)
    config = program.config
    for index, layer in enumerate(program.network.layers):
        parts = [part for part in program.parts if part.layer_index == index]
        assert [part.part_index for part in parts] == list(range(len(parts)))
        groups = [g for part in parts for g in range(part.first_group, part.first_group + part.groups)]
        assert groups == list(range(-(-layer.out_channels // config.columns)))
        assert sum(part.channels for part in parts) == layer.out_channels
        dense = dense_weights(layer)
        for part in parts:
            assert part.first_channel == part.first_group * config.columns
            rows = [
                dense[first : min(first + config.columns, layer.out_channels)]
                for first in range(part.first_channel, part.first_channel + part.channels, config.columns)
            ]
            assert part.weight_words == sum(int(np.any(group != 0, axis=0).sum()) for group in rows)
    for job in program.jobs:
        assert len(job.instructions) == sum(program.parts[tag].instruction_words for tag in job.parts) + 1
        assert job.imem_word + len(job.instructions) <= config.imem_words
        assert job.wmem_word + sum(program.parts[tag].weight_words for tag in job.parts) <= config.wmem_words
    assert [tag for job in program.jobs for tag in job.parts] == list(range(len(program.parts)))


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


@dataclass
class Driver:
    """Plays a driver program's order and refuses what could go wrong at any speed."""

    program: Program
    ended: int = -1
    started: int = -1
    loading: Transfer | None = None
    storing: Transfer | None = None
    resident: list[tuple[int, SramName, range]] = field(default_factory=list)
    loaded: list[Transfer] = field(default_factory=list)
    stored: list[Transfer] = field(default_factory=list)

    def play(self) -> None:
        for step in self.program.steps:
            match step:
                case StartTransfer(Unit.LOAD, transfer):
                    self._load(transfer)
                case StartTransfer(_, transfer):
                    self._store(transfer)
                case StartEngine(word):
                    self._start(word)
                case Wait(Unit.LOAD):
                    assert self.loading is not None
                    self.loaded.append(self.loading)
                    self.loading = None
                case Wait(Unit.STORE):
                    assert self.storing is not None
                    self.storing = None
                case Wait(Unit.ENGINE):
                    assert self.ended < self.started
                    self.ended = self.started
        assert self.loading is None
        assert self.storing is None
        assert self.ended == len(self.program.jobs) - 1

    def _load(self, transfer: Transfer) -> None:
        """One at a time, and never over words of a job that has not ended."""
        assert self.loading is None
        words = range(transfer.sram_word, transfer.sram_word + transfer.row_words)
        for job, sram, owned in self.resident:
            if sram is transfer.sram and job > self.ended:
                assert words.stop <= owned.start or owned.stop <= words.start, (transfer, job)
        self.loading = transfer
        self.resident.append((self._job_of(transfer), transfer.sram, words))

    def _job_of(self, transfer: Transfer) -> int:
        """The first job that is not yet running and to which these words belong."""
        for index in range(self.started + 1, len(self.program.jobs)):
            job = self.program.jobs[index]
            first = {SramName.IMEM: job.imem_word, SramName.WMEM: job.wmem_word}.get(transfer.sram)
            if first is None or (first == transfer.sram_word and self._words(job, transfer.sram) == transfer.row_words):
                return index
        raise AssertionError(f"{transfer} belongs to no job")

    def _words(self, job: Job, sram: SramName) -> int:
        if sram is SramName.IMEM:
            return len(job.instructions)
        return sum(self.program.parts[tag].weight_words for tag in job.parts)

    def _start(self, word: int) -> None:
        """One at a time, in order, with everything loaded."""
        assert self.ended == self.started
        self.started += 1
        job = self.program.jobs[self.started]
        assert word == job.imem_word
        here = [(one.sram, one.sram_word, one.row_words) for one in self.loaded]
        assert (SramName.IMEM, job.imem_word, len(job.instructions)) in here
        if words := self._words(job, SramName.WMEM):
            assert (SramName.WMEM, job.wmem_word, words) in here
        assert any(one.sram is SramName.AMEM for one in self.loaded)

    def _store(self, transfer: Transfer) -> None:
        """Only what jobs that have ended computed."""
        assert self.storing is None
        program, place = self.program, self.program.places[self.program.network.output.name]
        plane = place.words // program.network.output.shape[0]
        done = [program.parts[tag] for job in program.jobs[: self.ended + 1] for tag in job.parts]
        last = len(program.network.layers) - 1
        firsts = {place.base_word + part.first_channel * plane for part in done if part.layer_index == last}
        assert transfer.sram_word in firsts
        self.storing = transfer
        self.stored.append(transfer)


@settings(max_examples=100)
@given(networks(), chips(), MEMORIES)
def test_the_driver_program_is_safe_at_any_speed(
    case: NetworkCase, chip: ChipConfig, memories: Mapping[str, int]
) -> None:
    program = compiled(case, chip, memories)
    driver = Driver(program)
    driver.play()
    place = program.places[program.network.output.name]
    words = [word for one in driver.stored for word in range(one.sram_word, one.sram_word + one.row_words)]
    assert words == list(range(place.base_word, place.end_word))


def test_loads_overlap_the_computation_where_two_parts_fit() -> None:
    """Instructions and weights of the next three jobs; only the first of these loads begins before the engine does."""
    weights = np.ones((64, 40, 1, 1), np.int8)
    chip = ChipConfig(columns=8, wmem_words=160, host_access_ns=0, host_interrupt_ns=0)
    program = tlm.compile(Network((40, 6, 6), [Conv2d("c", weights)]), chip)
    assert len(program.jobs) == 4
    running, overlapped = False, 0
    for step in program.steps:
        if isinstance(step, StartEngine):
            running = True
        elif isinstance(step, Wait) and step.unit is Unit.ENGINE:
            running = False
        elif isinstance(step, StartTransfer) and step.unit is Unit.LOAD:
            overlapped += running
    assert overlapped == 2 * 3 - 1


# -- the program ------------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(networks(), chips())
def test_compilation_is_repeatable_and_picklable(case: NetworkCase, chip: ChipConfig) -> None:
    one, other = tlm.compile(case.network, chip), tlm.compile(case.network, chip)
    assert one.steps == other.steps
    assert one.image(case.activations) == other.image(case.activations)
    again = pickle.loads(pickle.dumps(one))
    assert (again.steps, again.jobs, again.places) == (one.steps, one.jobs, one.places)
    assert again.image(case.activations) == one.image(case.activations)


@settings(max_examples=30)
@given(networks(), chips())
def test_pieces_of_the_image_do_not_overlap(case: NetworkCase, chip: ChipConfig) -> None:
    program = tlm.compile(case.network, chip)
    spans = [(chunk.offset_bytes, chunk.offset_bytes + len(chunk.data)) for chunk in program.chunks]
    spans += [
        (program.input_offset_bytes, program.output_offset_bytes),
        (program.output_offset_bytes, program.image_bytes),
    ]
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
