"""The order of the driver's steps (docs/timing.md): what waits for what, what comes first, which parts share a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from math import ceil
from typing import Any

import numpy as np
import pytest
from command import SCENARIOS
from msgspec import structs

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import Fidelity
from tlm.chip.format.driver import SramName, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.chip.system import System
from tlm.compiler.chip_costs import ChipCosts
from tlm.compiler.jobs import Job, Load, Store
from tlm.compiler.program import Program
from tlm.compiler.schedule import START_ACCESSES, WAKE_ACCESSES, schedule
from tlm.core.payload import Command, MemoryPayload
from tlm.core.sockets import Phase
from tlm.scenario.loading import load_scenario

CHIP = ChipConfig()


# -- the scheduler alone ------------------------------------------------------------------------------------------


def transfer(label: str, words: int = 1) -> Transfer:
    return Transfer(SramName.WMEM, 0, 0, words, label=label)


def load(label: str, *, words: int = 1, after_job: int = -1, after_store: int = -1) -> Load:
    return Load(transfer(label, words), 0, None, after_job, after_store)


def store(label: str, after_job: int, *, words: int = 1) -> Store:
    return Store(transfer(label, words), "t", after_job)


def job(after_load: int = -1, after_store: int = -1) -> Job:
    return Job((), 0, (), (), (), after_load, after_store)


def text(step: object) -> str:
    match step:
        case StartTransfer(_, moved):
            return moved.label
        case StartEngine(word):
            return f"run {word}"
        case Wait(unit):
            return f"wait {unit.value}"
    raise AssertionError(step)


def order(jobs: Sequence[Job], loads: Sequence[Load], stores: Sequence[Store], cycles: int | list[int] = 1) -> str:
    """The steps; "run i" starts job i."""
    numbered = [structs.replace(one, imem_word=index) for index, one in enumerate(jobs)]
    job_cycles = [cycles] * len(jobs) if isinstance(cycles, int) else cycles
    return ", ".join(map(text, schedule(CHIP, numbered, loads, stores, job_cycles).steps))


def test_each_unit_does_its_work_in_order_one_at_a_time() -> None:
    assert order([], [load("a"), load("b"), load("c")], []) == "a, wait load, b, wait load, c, wait load"
    assert order([job(), job()], [], []) == "run 0, wait engine, run 1, wait engine"
    # the second load could start earlier than the first; it does not overtake it
    assert order([job()], [load("a", after_job=0), load("b")], [], 10_000) == (
        "run 0, wait engine, a, wait load, b, wait load"
    )
    assert order([job(), job()], [], [store("x", 1), store("y", 0)]) == (
        "run 0, wait engine, run 1, wait engine, x, wait store, y, wait store"
    )


def test_a_job_waits_for_its_loads() -> None:
    assert order([job(1), job(2)], [load("a"), load("b"), load("c")], []) == (
        "a, wait load, b, wait load, run 0, c, wait engine, wait load, run 1, wait engine"
    )


def test_a_job_waits_for_stores_of_the_words_that_it_writes() -> None:
    """The second one does not, and runs beside the store."""
    stores = [store("x", 0, words=100)]
    assert order([job(), job()], [], stores) == "run 0, wait engine, run 1, x, wait engine, wait store"
    assert order([job(), job(after_store=0)], [], stores) == ("run 0, wait engine, x, wait store, run 1, wait engine")


def test_a_load_waits_for_the_job_whose_words_it_overwrites() -> None:
    assert order([job(0), job(1)], [load("a"), load("b")], [], 10_000) == (
        "a, wait load, run 0, b, wait load, wait engine, run 1, wait engine"
    )
    assert order([job(0), job(1)], [load("a"), load("b", after_job=0)], [], 10_000) == (
        "a, wait load, run 0, wait engine, b, wait load, run 1, wait engine"
    )


def test_a_load_waits_for_the_store_of_what_it_loads() -> None:
    assert order([job(), job(0)], [load("a", after_store=0)], [store("x", 0)]) == (
        "run 0, wait engine, x, wait store, a, wait load, run 1, wait engine"
    )


def test_a_store_waits_for_the_job_that_makes_its_words() -> None:
    assert order([job(), job()], [], [store("x", 0), store("y", 1)], 10_000) == (
        "run 0, wait engine, run 1, x, wait store, wait engine, y, wait store"
    )


def test_what_can_start_is_started_engine_before_loads_before_stores() -> None:
    assert order([job(), job()], [load("a", after_job=0)], [store("x", 0)], 10_000) == (
        "run 0, wait engine, run 1, a, x, wait load, wait store, wait engine"
    )


@pytest.mark.parametrize(
    ("cycles", "wanted"),
    [(10_000, "c, wait load, wait engine, b, wait load"), (100, "wait engine, b, wait load, c, wait load")],
)
def test_while_a_load_waits_one_into_another_sram_goes_first_if_it_ends_before(cycles: int, wanted: str) -> None:
    """Load b waits for job 0, load c for nothing; it takes some 50 cycles, and the driver 65 to start it."""
    c = load("c")
    loads = [
        load("a"),
        load("b", after_job=0),
        structs.replace(c, transfer=structs.replace(c.transfer, sram=SramName.IMEM)),
    ]
    found = order([job(0), job(2)], loads, [], [cycles, 1])
    assert found == f"a, wait load, run 0, {wanted}, run 1, wait engine"


def test_the_driver_waits_for_the_unit_that_should_end_first() -> None:
    """A transfer of 1,000 words takes some 5,000 cycles, one of a single word some 50."""
    assert 4_000 < ChipCosts(CHIP).load_cycles(1_000 * CHIP.wmem_word_bytes) < 6_000
    cases = {(100, 1_000, 500): "engine store load", (9_000, 1_000, 500): "store load engine",
             (9_000, 500, 1_000): "load store engine", (4_000, 500, 1_000): "load engine store"}  # fmt: skip
    for (cycles, load_words, store_words), wanted in cases.items():
        steps = order(
            [job(), job()], [load("a", words=load_words, after_job=0)], [store("x", 0, words=store_words)], [1, cycles]
        )
        waits = ", ".join(f"wait {unit}" for unit in wanted.split())
        assert steps == f"run 0, wait engine, run 1, a, x, {waits}"


def test_of_equal_ends_the_engine_s_comes_first() -> None:
    """A load that is started after the engine ends with it: its cycles and five accesses later."""
    load_only = 3 + CHIP.cycles_of_ns(CHIP.memory_latency_ns) + ceil(CHIP.memory_beat_cycles)  # two beats (timing.md)
    later = load_only + 5 * (CHIP.cycles_of_ns(CHIP.host_access_ns) + 2)
    for cycles, wanted in ((later, "engine, wait load"), (later + 1, "load, wait engine")):
        assert order([job()], [load("a")], [], cycles) == f"run 0, a, wait {wanted}"


# -- whole programs -----------------------------------------------------------------------------------------------


def split_layer(group_values: Sequence[int], **chip: Any) -> Program:
    """A point-wise layer of 64 channels on 8 columns, one group of outputs for each value of its weights."""
    values = np.repeat(np.array(group_values, np.int8), 8)[:, None, None, None]
    layer = tlm.Conv2d("c", values * np.ones((len(values), 64, 1, 1), np.int8), shift=6)
    return tlm.compile(tlm.Network((64, 8, 8), [layer]), ChipConfig(columns=8, **chip))


def labels(program: Program, unit: Unit = Unit.LOAD) -> list[str]:
    return [step.transfer.label for step in program.steps if isinstance(step, StartTransfer) and step.unit is unit]


def test_a_job_s_loads_are_instructions_weights_activations() -> None:
    program = split_layer([1, 2, 3, 4], wmem_words=128)
    wanted = [(0, "instructions"), (0, "weights"), (0, "input")]
    wanted += [(number, what) for number in (1, 2, 3) for what in ("instructions", "weights")]
    assert [(one.job, one.transfer.label.split()[0]) for one in program.loads] == wanted
    assert labels(program) == [one.transfer.label for one in program.loads]


def test_weights_that_are_there_are_not_loaded_again() -> None:
    """Groups 0 and 2 have the same words; a WMem of three groups keeps them, one of two has room for their parts."""
    program = split_layer([1, 2, 1, 2], wmem_words=128)
    assert len(program.parts) == 4
    assert sum(one.transfer.label.startswith("weights") for one in program.loads) == 2
    assert [loaded for one in program.jobs for loaded in one.loads_weights] == [True, True, False, False]
    words = [word for one in program.jobs for word in one.wmem_words]
    assert words[:2] == words[2:]
    assert len(set(words)) == 2


def test_a_part_joins_if_nothing_ends_later_by_it() -> None:
    """Two layers of one picture: apart the second one's words are loaded while the first one computes."""
    found, slow = set[tuple[bool, int]](), ChipConfig(memory_gb_per_s=0.8)
    costs = ChipCosts(slow)
    start_cycles = costs.interrupt_cycles + (WAKE_ACCESSES + START_ACCESSES[Unit.LOAD]) * costs.access_cycles

    def loads_cycles(instruction_words: int, weight_words: int) -> int:
        sizes_bytes = instruction_words * slow.imem_word_bytes, weight_words * slow.wmem_word_bytes
        return sum(start_cycles + costs.load_cycles(size) for size in sizes_bytes)

    for height in range(4, 100, 4):
        weights = [np.full((1, 32, 1, 1), value, np.int8) for value in (1, 2)]
        layers = [tlm.Conv2d("a", weights[0]), tlm.Conv2d("b", weights[1], input="input")]
        program = tlm.compile(tlm.Network((32, height, 8), layers), slow)
        first, second = program.parts
        open_cycles = loads_cycles(first.instruction_words + 1, first.weight_words)
        apart_cycles = open_cycles + loads_cycles(second.instruction_words + 1, second.weight_words)
        words = first.instruction_words + second.instruction_words + 1, first.weight_words + second.weight_words
        computing_cycles = program.choices.cycles[0]
        together = loads_cycles(*words) + computing_cycles
        apart = max(open_cycles + computing_cycles + costs.restart_cycles, apart_cycles)
        if abs(together - apart) > 20:  # cycles: the estimate also knows headers and write-backs
            found.add((together < apart, len(program.jobs)))
    assert found == {(True, 1), (False, 2)}


@pytest.mark.parametrize("words", [2048, 4096, 16_384])
@pytest.mark.parametrize("name", ["resnet18_conv3_x", "model2_1of9"])
def test_parts_that_load_few_words_join(name: str, words: int) -> None:
    """At most 1,280 words, and half of WMem."""
    job = load_scenario(SCENARIOS / f"{name}.toml").build()
    program = tlm.compile(job.network, replace(job.chip, wmem_words=words))
    joined = [one for one in program.jobs if sum(one.loads_weights) > 1]
    loaded = [[program.parts[tag].weight_words for tag in compress(one.parts, one.loads_weights)] for one in joined]
    assert loaded
    assert max(map(sum, loaded)) <= min(1280, words // 2)


def users(program: Program, load: Load) -> list[bool]:
    """Of each part of the job that a load waits for, whether it uses the words."""
    first, moved = load.transfer.sram_word, load.transfer
    end = first + (moved.rows - 1) * moved.sram_stride_words + moved.row_words
    parts = [program.parts[tag] for tag in program.jobs[load.after_job].parts]
    places = [[place for place in (one.source, one.output, one.residual) if place is not None] for one in parts]
    return [any(place.base_word < end and first < place.end_word for place in own) for own in places]


@pytest.mark.parametrize("name", ["resnet18_conv3_x", "resnet18_dense"])
def test_a_job_ends_where_a_load_waits_for_words(name: str) -> None:
    """What is loaded for the next band does not wait for parts that no longer use its words."""
    job = load_scenario(SCENARIOS / f"{name}.toml").build()
    program = tlm.compile(job.network, job.chip)
    waiting = [one for one in program.loads if one.transfer.sram is SramName.AMEM and one.after_job >= 0]
    assert waiting
    assert all(users(program, one)[-1] for one in waiting)


def accesses(program: Program, chip: ChipConfig) -> list[tuple[Command, int]]:
    """What the host reads and writes in a run, in order."""
    system, seen = System(chip, Fidelity.PASS), list[tuple[Command, int]]()

    def see(phase: Phase, _: object, payload: MemoryPayload) -> None:
        if phase is Phase.BEGIN_REQ:
            seen.append((payload.command, payload.address))

    system.host.bus.observe(see)
    system.preload(program.image(np.ones((64, 8, 8), np.int8)))
    system.run(program.steps)
    return seen


def test_the_order_never_depends_on_run_time() -> None:
    """Memories, engines and hosts of all speeds: the host does the same accesses in the same order."""
    program = split_layer([1, 2, 3, 4], wmem_words=128)
    assert len(program.jobs) == 4
    wanted = accesses(program, program.config)
    for change in (
        {"memory_latency_ns": 0.0}, {"memory_latency_ns": 5_000.0}, {"memory_gb_per_s": 0.1}, {"amem_banks": 1},
        {"pass_gap_cycles": 64}, {"host_interrupt_ns": 10_000.0}, {"host_access_ns": 0.0},
    ):  # fmt: skip
        assert accesses(program, replace(program.config, **change)) == wanted, change
