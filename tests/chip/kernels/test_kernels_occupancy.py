"""The engine's bank calendars, worked out ahead, against what fidelity "cycle"'s sockets show."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from band_programs import BandProgram, band_cases
from chip_cases import NetworkCase, bank_offsets, chips, networks
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import fitting_requantisation, random_activations

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import decode_header, header_word_count
from tlm.chip.kernels.geometry import Geometry, KernelError
from tlm.chip.kernels.occupancy import PartOccupancy, occupy
from tlm.chip.payloads import LayerPayload
from tlm.chip.system import System
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.payload import MemoryPayload, Response
from tlm.core.sockets import Phase
from tlm.network.layers import Conv2d
from tlm.network.network import Network


@dataclass
class Part:
    """When a part began."""

    cycle_0: int
    first_cycle: int = -1
    """s_0."""


@dataclass
class Observed:
    """Every granted access of the engine: initiator -> (cycle, word)."""

    accesses: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)

    def take(self, initiator: str, first: int, end: int) -> Iterator[tuple[int, int]]:
        """The accesses in these cycles, counted from the first; they are not there any longer."""
        both: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for cycle, word in self.accesses[initiator]:
            both[first <= cycle < end].append((cycle, word))
        self.accesses[initiator] = both[False]
        return ((cycle - first, word) for cycle, word in both[True])


def observe(program: Program, activations: npt.NDArray[np.int8]) -> Observed:
    system, seen = System(program.config), Observed()
    clock, engine = system.simulation.clock, system.engine

    def access(initiator: str, phase: Phase, _: Any, payload: Any) -> None:
        assert isinstance(payload, MemoryPayload)
        if phase is Phase.END_RESP and payload.status is Response.OK:
            seen.accesses[initiator].append((clock.now, payload.address))

    def layer(phase: Phase, _: Any, payload: Any) -> None:
        if phase is Phase.BEGIN_REQ and isinstance(payload, LayerPayload):
            seen.parts.append(Part(clock.now - payload.header.header_words))

    def of_pass(phase: Phase, _: Any, payload: Any) -> None:
        if phase is Phase.BEGIN_REQ and payload.origin.index == 0:
            seen.parts[-1].first_cycle = payload.first_cycle

    sockets = {
        "aligner_reads": engine.aligner.amem,
        "write_back": engine.requantiser.writes,
        "residual_reads": engine.requantiser.residuals,
        "weight_reads": engine.sequencer.wmem,
        "instruction_reads": engine.sequencer.imem,
    }
    for initiator, socket in sockets.items():
        seen.accesses[initiator] = []
        socket.observe(partial(access, initiator))
    engine.sequencer.layers_to_aligner.observe(layer)
    engine.sequencer.passes.observe(of_pass)
    system.preload(program.image(activations))
    system.run(program.steps)
    return seen


def worked_out(program: Program) -> Iterator[PartOccupancy]:
    """Each part's occupancy, from the words of its job."""
    config = program.config
    for job in program.jobs:
        at = 0
        for tag in job.parts:
            count = header_word_count(job.instructions[at])
            header = decode_header(job.instructions[at : at + count], config)
            assert header.tag == tag
            patterns = np.zeros((header.groups(config.columns), header.pattern_words(0, config.columns)), np.uint64)
            first, at = at, at + count
            for group in range(len(patterns)):
                at += header.group_channels(group, config.columns)
                own = job.instructions[at : at + header.pattern_words(group, config.columns)]
                patterns[group, : len(own)] = [word & ((1 << 60) - 1) for word in own]
                at += len(own)
            yield occupy(
                header.geometry(config.lanes, config.columns),
                config,
                patterns=patterns,
                output_base_word=header.output_base_word,
                residual_base_word=header.residual_base_word if header.has_residual else None,
                words_per_channel=header.slots_per_channel,
                output_plane_words=header.output_plane_words(config.lanes),
                residual_plane_words=header.residual_plane_words(config.lanes) if header.has_residual else None,
                weight_base_word=None if header.pooling else header.weight_base_word,
                program_word=job.imem_word + first,
                header_words=count,
            )


MEMORIES = {
    "amem": ("aligner_reads", "write_back", "residual_reads"),
    "wmem": ("weight_reads",),
    "imem": ("instruction_reads",),
}


def check(program: Program, activations: npt.NDArray[np.int8]) -> list[PartOccupancy]:
    """Every access of a run lies where its part's calendar says, and nothing else does."""
    seen, expected = observe(program, activations), list(worked_out(program))
    assert len(expected) == len(seen.parts)
    for part, occupancy in zip(seen.parts, expected, strict=True):
        length = len(occupancy.amem)
        for memory, initiators in MEMORIES.items():
            banks = getattr(program.config, f"{memory}_banks")
            calendar = [0] * length
            for initiator in initiators:
                counts = [0] * banks
                for cycle, word in seen.take(initiator, part.cycle_0, part.cycle_0 + length):
                    assert not calendar[cycle] >> word % banks & 1, "one access per bank and cycle"
                    calendar[cycle] |= 1 << word % banks
                    counts[word % banks] += 1
                assert getattr(occupancy, initiator).tolist() == counts, initiator
            assert getattr(occupancy, memory).tolist() == calendar, memory
        assert occupancy.amem[-1], "the last cycle is that of the last write"
        assert part.cycle_0 + occupancy.first_cycle == part.first_cycle
    ends = [job.imem_word + len(job.instructions) - 1 for job in program.jobs]
    assert [word for _, word in seen.accesses.pop("instruction_reads")] == ends
    assert not any(seen.accesses.values())
    return expected


# Nothing of it changes what the engine does; the runs are shorter.
FAST_MEMORY = {"memory_gb_per_s": 1000.0, "memory_latency_ns": 0.0, "host_access_ns": 0.0, "host_interrupt_ns": 0.0}


@examples(40)
@given(networks(), chips(**FAST_MEMORY), st.lists(st.integers(0, 7), min_size=4, max_size=4))
def test_calendars_are_what_the_sockets_show(case: NetworkCase, chip: ChipConfig, offsets: list[int]) -> None:
    with bank_offsets(case.network, chip, dict(zip(case.network.tensors, offsets, strict=False))):
        program = compile_network(case.network, chip)
    check(program, case.activations)


@examples(8)
@given(st.data(), chips(**FAST_MEMORY, amem_words=4096))
def test_calendars_of_bands_and_pooling(data: st.DataObject, chip: ChipConfig) -> None:
    check_bands(data, chip)


@pytest.mark.slow
@settings(max_examples=50)
@given(st.data(), chips(**FAST_MEMORY, amem_words=4096))
def test_calendars_of_many_bands_and_poolings(data: st.DataObject, chip: ChipConfig) -> None:
    check_bands(data, chip)


def check_bands(data: st.DataObject, chip: ChipConfig) -> None:
    case = data.draw(band_cases(chip))
    hand = BandProgram(case)
    job = SimpleNamespace(parts=(0,), imem_word=case.imem_base, instructions=tuple(case.instructions()))
    program = SimpleNamespace(config=chip, jobs=(job,), steps=hand.steps, image=lambda _: hand.data)
    check(program, case.activations)  # type: ignore[arg-type]


def one_layer(shape: tuple[int, int, int], out_channels: int, kernel: int = 1, **keys: Any) -> Network:
    rng = np.random.default_rng(5)
    weights = rng.integers(-8, 8, (out_channels, shape[0], kernel, kernel)).astype(np.int8)
    weights[:, 3:50] = 0  # empty pattern words, if there are enough channels
    layer = Conv2d("a", weights, **keys, **fitting_requantisation(rng, weights, False))
    return Network(shape, [layer])


NAMED: dict[str, tuple[Network, dict[str, int]]] = {
    "two groups of nibble planes": (one_layer((4, 5, 5), 13, accumulator_output=True), {"columns": 8}),
    "empty pattern words": (one_layer((70, 4, 9), 9, 3, padding=1), {"columns": 8}),
    "residual reads are refused": (
        one_layer((16, 9, 9), 16, residual="input", residual_multiplier=900),
        {"amem_banks": 1, "columns": 8},
    ),
    "fetches of two cycles": (one_layer((8, 17, 17), 9, 3, stride=2), {"amem_banks": 2, "lanes": 16}),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_layer(name: str) -> None:
    network, keys = NAMED[name]
    slow_host = {"host_access_ns": 2_000.0}  # so that it does not pay to cut the layer
    program = compile_network(network, ChipConfig(**{**FAST_MEMORY, **slow_host, **keys}))
    activations = random_activations(np.random.default_rng(1), network.input_shape, False)
    (part,) = check(program, activations)
    happens = {
        "empty pattern words": "empty_pattern_cycles",
        "residual reads are refused": "refused_residual_reads",
    }
    assert name not in happens or part.passes[happens[name]].sum() > 0
    assert name != "fetches of two cycles" or part.passes["fetch_cycles"].sum() > part.passes["steps"].sum()


POINT = Geometry(lanes=8, columns=8, channels=2, height=1, width=3, out_channels=2, out_height=1, out_width=3)
SMALL = ChipConfig(lanes=8, columns=8)
BOTH_STEPS = np.array([[0b11]], np.uint64)


def test_a_layer_worked_out_by_hand() -> None:
    """Header 0..4, parameters 5 and 6, pattern 7, steps 8 and 9, h = 9 + 5 + log2(8) = 17, entries 18 and 19."""
    part = occupy(
        POINT, SMALL, patterns=BOTH_STEPS, output_base_word=2, residual_base_word=7, weight_base_word=6, program_word=3
    )
    assert part.first_cycle == 8
    imem = [2, 1, 2, 1, 2, 1, 2, 1]  # words 3 .. 10 in two banks
    assert part.imem.tolist() == imem + [0] * 15
    assert part.wmem.tolist() == [0] * 8 + [1 << 2, 1 << 3] + [0] * 13
    residual, writes = [1 << 3, 1 << 0], [1 << 2, 1 << 3]
    assert part.amem.tolist() == [0] * 8 + [1 << 0, 1 << 1] + [0] * 8 + residual + [0] + writes
    assert part.passes.tolist() == [(0, 1, 9, 14, 2, 2, 0, 0, 0)]
    assert part.instruction_reads.tolist() == [4, 4]
    assert part.weight_reads.tolist() == [0, 0, 1, 1]
    assert part.aligner_reads.tolist() == [1, 1, 0, 0]
    assert part.residual_reads.tolist() == [1, 0, 0, 1]
    assert part.write_back.tolist() == [0, 0, 1, 1]


def test_the_cycles_are_exact_where_they_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is noticed, and exactly enough is taken; who says how many cycles there are must be right."""
    roomy = occupy(POINT, SMALL, patterns=BOTH_STEPS, output_base_word=2)
    monkeypatch.setattr("tlm.chip.kernels.occupancy._enough_cycles", lambda *_: 1)
    tight = occupy(POINT, SMALL, patterns=BOTH_STEPS, output_base_word=2)
    told = occupy(POINT, SMALL, patterns=BOTH_STEPS, output_base_word=2, compute_cycles=15)
    for part in (tight, told):
        assert len(part.amem) == len(part.imem) == part.first_cycle + 15
        assert part.amem.tolist() == roomy.amem.tolist()
        assert part.passes.tolist() == roomy.passes.tolist()
        assert part.write_back.tolist() == roomy.write_back.tolist()
    for wrong in (14, 16):
        with pytest.raises(KernelError, match=f"does not take compute_cycles of {wrong}"):
            occupy(POINT, SMALL, patterns=BOTH_STEPS, output_base_word=2, compute_cycles=wrong)


def test_max_pooling_reads_no_weights() -> None:
    with_weights, without = (
        occupy(POINT, SMALL, patterns=BOTH_STEPS, output_base_word=2, weight_base_word=base) for base in (0, None)
    )
    assert with_weights.wmem.any()
    assert not without.wmem.any()
    assert not without.weight_reads.any()
    assert without.amem.tolist() == with_weights.amem.tolist()


def test_calendars_are_read_only() -> None:
    part = occupy(POINT, SMALL, patterns=BOTH_STEPS, output_base_word=2)
    with pytest.raises(ValueError, match="read-only"):
        part.amem[0] = 1


@pytest.mark.parametrize("key", ["weight_base_word", "program_word", "header_words", "output_base_word"])
def test_numbers_out_of_range_are_named(key: str) -> None:
    for value in (-1, 1 << 31):
        with pytest.raises(KernelError, match=rf"{key} is {value}, but must be in 0..(2147483647|255)$"):
            occupy(POINT, SMALL, patterns=BOTH_STEPS, **{"output_base_word": 2, key: value})


def test_illegal_patterns_are_refused() -> None:
    with pytest.raises(KernelError, match="beyond channel 1 or tap 0"):
        occupy(POINT, SMALL, patterns=BOTH_STEPS * 4, output_base_word=2)
