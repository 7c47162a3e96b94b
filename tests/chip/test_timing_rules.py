"""Rules of docs/timing.md that belong to no single block: rounding, what counts, how programs start and end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, StartEngine, Unit, Wait
from tlm.chip.format.isa import Opcode
from tlm.chip.operating_point import max_frequency_mhz
from tlm.chip.system import System
from tlm.compiler.program import Program
from tlm.core.errors import DriverError, InputError
from tlm.core.payload import Command, MemoryPayload
from tlm.testing import Run

Simulate = Callable[..., Run]

# -- rounding and clock -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mhz", "ns", "cycles"),
    [
        (534.0, 60.0, 33),  # 32.04
        (534.0, 20.0, 11),
        (534.0, 100.0, 54),
        (234.0, 60.0, 15),  # 14.04
        (234.0, 20.0, 5),
        (234.0, 100.0, 24),
        (500.0, 60.0, 30),  # exact: nothing is added
        (500.0, 60.0001, 31),
        (312.5, 3.2, 1),  # the decimal 3.2, not the slightly larger binary fraction nearest to it
        (534.0, 0.0, 0),
        (534.0, 0.001, 1),
    ],
)
def test_nanoseconds_become_the_cycles_that_cover_them(mhz: float, ns: float, cycles: int) -> None:
    assert ChipConfig(frequency_mhz=mhz if mhz != 534.0 else None).cycles_of_ns(ns) == cycles


def test_the_clock_is_a_whole_number_of_khz() -> None:
    assert ChipConfig().clock_khz == 534_000
    assert ChipConfig.at(0.8).clock_khz == 234_000
    assert ChipConfig(frequency_mhz=123.4567).clock_khz == 123_457
    assert ChipConfig(frequency_mhz=500.0).time_us(1500) == 3.0


def test_voltage_to_frequency_is_the_alpha_power_law_through_the_published_points() -> None:
    """f V / (V - Vt)^1.3 is one constant at every voltage, with Vt = 0.587 V; the two points are exact."""
    assert (max_frequency_mhz(1.1), max_frequency_mhz(0.8)) == (534.0, 234.0)
    constants = [max_frequency_mhz(v) * v / (v - 0.5870) ** 1.3 for v in (0.75, 0.8, 0.9, 1.0, 1.1, 1.2)]
    assert max(constants) / min(constants) < 1.002
    assert max_frequency_mhz(1.2) > 534 > max_frequency_mhz(1.0) > 234 > max_frequency_mhz(0.75)


def test_a_clock_above_what_the_voltage_allows_is_refused() -> None:
    with pytest.raises(InputError, match="234 MHz"):
        ChipConfig(voltage_v=0.8, frequency_mhz=234.001)


# -- what counts, and how a program starts and ends ---------------------------------------------------------------


def small_program(**keys: Any) -> Program:
    """One layer, two input and three output channels, a tile and a half."""
    layer = tlm.Conv2d("c", np.ones((3, 2, 1, 1), np.int8), **keys)
    return tlm.compile(tlm.Network((2, 6, 8), [layer]), ChipConfig())


ONES = np.ones((2, 6, 8), np.int8)


def test_cycles_count_from_the_first_access_to_the_last_interrupt_inclusive(tlm_simulate: Simulate) -> None:
    run = tlm_simulate(small_program(), ONES)
    assert run.at("host.bus").first_cycle == 11  # the first access began in cycle 0
    last = max(seen.begin_cycle for seen in run.trace if seen.target.startswith("host.interrupt"))
    assert run.takes(cycles=last + 1)


@pytest.mark.parametrize(("accumulator", "slots"), [(False, 3), (True, 18)])
def test_header_words_parameters_and_the_first_pattern_are_read_one_a_cycle(
    tlm_simulate: Simulate, accumulator: bool, slots: int
) -> None:
    """START written in t: header in t+1 .. t+5, n parameter reads, pattern word 0, s_0 = t + 7 + n."""
    run = tlm_simulate(small_program(accumulator_output=accumulator), ONES)
    start = next(seen.begin_cycle for seen in run.at("interconnect.to_engine") if seen.address == 0x40)
    reads = run.at("engine.sequencer.imem")
    per_channel = slots // 3
    words = [0, 1, 2, 3, 4, *(5 + slot // per_channel for slot in range(slots)), 8]
    assert [(seen.begin_cycle, seen.address) for seen in reads[: len(words)]] == [
        (start + 1 + index, word) for index, word in enumerate(words)
    ]
    assert run.at("engine.sequencer.steps").first_cycle == start + 7 + slots
    assert run.layer("c").begin == start + 7 + slots


def test_end_is_read_after_the_last_write_and_the_interrupt_follows(tlm_simulate: Simulate) -> None:
    run = tlm_simulate(small_program(), ONES)
    last_write = run.at("engine.requantiser.writes").last_cycle
    end = run.at("engine.sequencer.imem")[-1]
    assert (end.begin_cycle, end.address) == (last_write + 1, 9)
    assert run.at("engine.sequencer.interrupt").first_cycle == last_write + 2
    assert run.layer("c").end == last_write


ILLEGAL = 0xF << 60
HEADER, PARAMETERS, PATTERN = 0, 5, 8


@pytest.mark.parametrize(
    ("words", "delay"),
    [
        ({HEADER: ILLEGAL}, 1),  # an opcode: the cycle after its read
        ({HEADER + 1: ILLEGAL}, 5),  # the rest of a header: the cycle after its fifth word
        ({PARAMETERS + 1: ILLEGAL}, 7),
        ({PATTERN: ILLEGAL}, 9),
        ({PATTERN: Opcode.PATTERN << 60 | 1 << 59}, 9),
    ],
)
def test_an_illegal_word_is_found_in_the_first_cycle_of_its_use(words: dict[int, int], delay: int) -> None:
    """Cycles from the read of the first header word to the interrupt and the error registers."""
    program = small_program()
    instructions = list(program.jobs[0].instructions)
    for place, word in words.items():
        instructions[place] = word
    system = System(program.config)
    data = b"".join(word.to_bytes(8, "little") for word in instructions)
    system.sram_socket(SramName.IMEM).debug_transport(MemoryPayload(Command.WRITE, 0, data))
    clock, moments = system.simulation.clock, []
    system.engine.sequencer.imem.observe(lambda *_: moments.append(clock.now))
    interrupts: list[int] = []
    system.engine.sequencer.registers.interrupt.observe(lambda *_: interrupts.append(clock.now))
    with pytest.raises(DriverError, match=f"in cycle {13 + 11 + 2 + delay};"):
        system.run([StartEngine(0), Wait(Unit.ENGINE)])
    assert interrupts[0] - moments[0] == delay


# -- a program on slower memories ---------------------------------------------------------------------------------


@pytest.mark.parametrize("banks", [1, 4])
def test_a_slower_memory_only_delays(tlm_simulate: Simulate, banks: int) -> None:
    """One compiled program of split layers: bandwidth halved step by step, latency doubled step by step."""
    rng = np.random.default_rng(banks)
    layers = [
        tlm.Conv2d("a", rng.integers(-8, 8, (40, 6, 3, 3)), padding=1, shift=6),
        tlm.Conv2d("b", rng.integers(-8, 8, (40, 40, 1, 1)), residual="a", residual_multiplier=1, shift=6),
    ]
    chip = ChipConfig(amem_banks=banks, columns=8, wmem_words=96, host_interrupt_ns=0.0)
    program = tlm.compile(tlm.Network((6, 5, 7), layers), chip)
    assert len(program.jobs) > 2
    activations = rng.integers(0, 16, (6, 5, 7))
    for changes in (
        [{"memory_gb_per_s": 12.8 / 2**k} for k in range(6)],
        [{"memory_latency_ns": 15.0 * 2**k} for k in range(6)],
    ):
        runs = [tlm_simulate(program, activations, replace(chip, **change)) for change in changes]
        for faster, slower in pairwise(runs):
            assert faster.cycles <= slower.cycles
        assert runs[0].cycles < runs[-1].cycles
        assert len({run.result.outputs_sha256 for run in runs}) == 1
        for name, layer in runs[0].layers.items():
            assert [run.layer(name).cycles for run in runs] == [layer.cycles] * len(runs)


def test_the_latency_of_the_srams_delays_the_pipeline_but_not_the_sequencer(tlm_simulate: Simulate) -> None:
    """sram_read_cycles is in the aligner's pipeline (and the store channel), not in the sequencer's prefetch."""
    slow = replace(ChipConfig(), sram_read_cycles=4)
    found = []
    for chip in (ChipConfig(), slow):
        run = tlm_simulate(small_program().network, ONES, chip)
        steps, vectors = run.at("engine.sequencer.steps").first_cycle, run.at("engine.aligner.vectors").first_cycle
        found.append((steps - run.at("engine.sequencer.imem").first_cycle, vectors - steps))
    assert found == [(9, 8), (9, 11)]
