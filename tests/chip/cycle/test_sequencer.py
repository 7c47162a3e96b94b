"""The sequencer alone: what it fetches, decodes and tells the data path, in which cycle."""

from __future__ import annotations

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_words

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents
from tlm.chip.cycle.sequencer import Sequencer
from tlm.chip.format.isa import header_word_count
from tlm.chip.format.registers import ErrorCode, Status, UnitRegister
from tlm.chip.payloads import FlushPayload, PassPayload, StepPayload
from tlm.core.kernel import Activity
from tlm.core.payload import MemoryPayload, Response

TAPS = np.zeros((8, 3, 3, 3), np.int8)
TAPS[:, 0, 0, 0] = TAPS[:, 0, 2, 2] = TAPS[:, 2, 1, 1] = 1  # channel 1 has no tap
NETWORK = convolution(TAPS, (3, 2, 8), padding=1)
TWO_GROUPS = convolution(np.ones((16, 1, 1, 1), np.int8), (1, 2, 8))
HANDOVER_CYCLES = 5
FLUSH_CYCLES = 7


class Bench(BlockBench):
    """The sequencer before IMem, and a data path whose steps, handovers and flushes take so many cycles."""

    def __init__(self, words: list[int], step_cycles: int = 1, chip: ChipConfig = CHIP) -> None:
        self._words, self._step_cycles = words, step_cycles
        self.events = EngineEvents()
        self.told: list[tuple[int, str]] = []
        for name in ("program_started", "layer_started", "pass_started", "pass_fetched", "pass_handed_over"):
            getattr(self.events, name).listen(lambda _, name=name: self.told.append((self.now, name)))
        answers = {
            "imem": self._fetch, "wmem": self._weights, "steps": self._step, "passes": self._handover,
            "flushes": self._flush,
        }  # fmt: skip
        super().__init__(lambda parent: Sequencer("sequencer", parent, chip, self.events), answers)

    def _fetch(self, payload: MemoryPayload) -> None:
        if payload.address >= len(self._words):
            payload.status = Response.ADDRESS_ERROR
            return
        payload.data[:] = self._words[payload.address].to_bytes(8, "little")  # type: ignore[index]
        payload.status = Response.OK

    def _weights(self, payload: MemoryPayload) -> None:
        payload.data[:] = bytes([payload.address] * len(payload.data))  # type: ignore[index]
        payload.status = Response.OK

    def _step(self, payload: StepPayload) -> Activity:
        yield self.simulation.clock.cycles(self._step_cycles - 1)
        payload.status = Response.OK

    def _handover(self, payload: PassPayload) -> Activity:
        yield self.simulation.clock.cycles(HANDOVER_CYCLES)
        payload.status = Response.OK

    def _flush(self, payload: FlushPayload) -> Activity:
        yield self.simulation.clock.cycles(FLUSH_CYCLES)
        payload.status = Response.OK

    def addresses(self, socket: str) -> list[int]:
        return [payload.address for _, payload in self.sent[socket]]


def test_the_words_of_a_layer_are_read_one_a_cycle_up_to_the_first_pass() -> None:
    """START in cycle 0; header words from cycle 1 on, then parameters, then pattern word 0 in the cycle before s."""
    words = layer_words(NETWORK)
    bench = Bench(words)
    assert bench.start() == Status.DONE
    header = header_word_count(words[0])
    before_s = header + 8 + 1
    assert bench.cycles("imem")[:before_s] == list(range(1, before_s + 1))
    assert bench.addresses("imem")[:before_s] == list(range(before_s))
    assert bench.cycles("steps")[0] == before_s + 1
    assert (before_s + 1, "pass_started") in bench.told


def test_every_valid_tap_is_a_step_with_its_weight_word() -> None:
    bench = Bench(layer_words(NETWORK))
    bench.start()
    steps = [(step.tile, step.channel, step.tap, step.ends_pass) for _, step in bench.sent["steps"]]
    of_tile = [(0, 0, False), (0, 8, False), (2, 4, True)]
    assert steps == [(tile, *one) for tile in (0, 1) for one in of_tile]
    base = bench.addresses("wmem")[0]
    assert bench.addresses("wmem") == [base, base + 1, base + 2] * 2  # each pass begins again
    assert [payload.word[0] for _, payload in bench.sent["weights"]] == bench.addresses("wmem")


@pytest.mark.parametrize("step_cycles", [1, 3])
def test_a_step_lasts_as_long_as_its_fetch_and_reads_its_weights_in_the_last_cycle(step_cycles: int) -> None:
    bench = Bench(layer_words(NETWORK), step_cycles)
    bench.start()
    first = bench.cycles("steps")[0]
    assert bench.cycles("steps")[:3] == [first + step * step_cycles for step in range(3)]
    assert bench.cycles("wmem")[:3] == [first + (step + 1) * step_cycles - 1 for step in range(3)]
    assert bench.cycles("passes")[0] == first + 3 * step_cycles - 1  # e


@pytest.mark.parametrize("gap_cycles", [1, 3, 9])
def test_the_next_pass_starts_a_gap_behind_the_handover(gap_cycles: int) -> None:
    bench = Bench(layer_words(NETWORK), chip=ChipConfig(lanes=8, columns=8, pass_gap_cycles=gap_cycles))
    bench.start()
    handover = bench.cycles("passes")[0] + HANDOVER_CYCLES
    assert bench.cycles("steps")[3] == handover + 1 + gap_cycles
    assert (handover, "pass_handed_over") in bench.told


def test_a_new_group_s_parameters_are_read_behind_the_handover() -> None:
    """Eight parameters need more than the gap: s = h + 1 + max(gap, n + 1)."""
    bench = Bench(layer_words(TWO_GROUPS))
    bench.start()
    passes = bench.cycles("passes")
    handover = passes[1] + HANDOVER_CYCLES  # tiles 0 and 1 of group 0
    assert [cycle for cycle in bench.cycles("parameters") if cycle > handover] == list(
        range(handover + 2, handover + 10)  # each in the cycle behind its read
    )
    assert bench.cycles("steps")[2] == handover + 1 + 9


def test_the_interrupt_comes_behind_end() -> None:
    bench = Bench(layer_words(NETWORK))
    bench.start()
    flushed = bench.cycles("flushes")[0] + FLUSH_CYCLES
    assert bench.cycles("imem")[-1] == flushed  # END, in the cycle behind the last write
    assert bench.cycles("interrupt") == [flushed + 1]


@pytest.mark.parametrize("word", [0, 3])
def test_an_illegal_word_stops_it_with_an_error(word: int) -> None:
    words = layer_words(NETWORK)
    words[word] = 0
    bench = Bench(words)
    faults: list[object] = []
    bench.events.program_ended.listen(faults.append)
    assert bench.start() == Status.DONE | Status.ERROR
    assert bench.register(UnitRegister.ERROR_CODE) == ErrorCode.ILLEGAL_INSTRUCTION
    assert bench.register(UnitRegister.ERROR_CYCLE) == bench.cycles("interrupt")[0]
    assert "steps" not in bench.sent
    assert len(faults) == 1
    assert faults != [None]


def test_a_fetch_outside_imem_stops_it_with_an_error() -> None:
    words = layer_words(NETWORK)[:-1]  # no END
    bench = Bench(words)
    assert bench.start() == Status.DONE | Status.ERROR
    assert bench.register(UnitRegister.ERROR_CODE) == ErrorCode.PROGRAM_ADDRESS
    assert bench.register(UnitRegister.ERROR_ADDRESS) == len(words)


def test_max_pooling_reads_no_weights() -> None:
    bench = Bench(layer_words(tlm.Network((3, 2, 8), [tlm.MaxPool2d("p", (1, 2), stride=(1, 2))])))
    assert bench.start() == Status.DONE
    assert "wmem" not in bench.sent
    assert {step.channel for _, step in bench.sent["steps"]} == {0, 1, 2}
