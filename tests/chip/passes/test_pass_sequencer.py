"""The sequencer of fidelity "pass" alone: decodes a layer at once, reserves its banks, runs its passes in time."""

from __future__ import annotations

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_words

from tlm.chip.contract import EngineEvents, PassFetched, Port
from tlm.chip.format.isa import header_word_count
from tlm.chip.format.registers import ErrorCode, Status, UnitRegister
from tlm.chip.passes.payloads import PassStepsPayload, TimedPassPayload
from tlm.chip.passes.sequencer import Sequencer
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.payload import Response
from tlm.core.sockets import DirectMemory

TAPS = np.zeros((8, 3, 3, 3), np.int8)
TAPS[:, 0, 0, 0] = TAPS[:, 0, 2, 2] = TAPS[:, 2, 1, 1] = 1
NETWORK = convolution(TAPS, (3, 2, 8), padding=1)
"""Two tiles of three steps; no bank is asked for twice in a cycle."""


class Bench(BlockBench):
    def __init__(self, words: list[int], written_words: int | None = None) -> None:
        data = bytearray(CHIP.imem_words * 8)
        for index, word in enumerate(words):
            data[8 * index : 8 * index + 8] = word.to_bytes(8, "little")
        written = bytearray(CHIP.imem_words)
        count = len(words) if written_words is None else written_words
        written[:count] = b"\1" * count
        imem = DirectMemory("imem", memoryview(data), memoryview(written))
        wmem = DirectMemory("wmem", memoryview(bytes(CHIP.wmem_words * 4)), memoryview(b"\1" * CHIP.wmem_words))
        self.events = EngineEvents()
        self.fetched: list[tuple[int, PassFetched]] = []
        self.handed_over: list[int] = []
        self.events.pass_fetched.listen(lambda event: self.fetched.append((self.now, event)))
        self.events.pass_handed_over.listen(lambda _: self.handed_over.append(self.now))
        super().__init__(
            lambda parent: Sequencer("sequencer", parent, CHIP, self.events),
            {"steps": self._steps, "passes": self._pass},
            {"imem": lambda: imem, "wmem": lambda: wmem},
        )

    def _steps(self, payload: PassStepsPayload) -> Activity:
        yield self.simulation.clock.cycles(payload.times.last_fetch_cycle - self.now)
        payload.status = Response.OK

    def _pass(self, payload: TimedPassPayload) -> Activity:
        yield self.simulation.clock.cycles(payload.times.handover_cycle - self.now)
        payload.status = Response.OK


def test_the_passes_happen_when_the_closed_form_says() -> None:
    """engine.md, A pass: s_0 behind header, parameters and pattern word 0; h_0 = s_0 + S + pipeline; then the gap."""
    words = layer_words(NETWORK)
    bench = Bench(words)
    assert bench.start() == Status.DONE
    s_0 = 1 + header_word_count(words[0]) + 8 + 1
    h_0 = s_0 + 3 + CHIP.pipeline_cycles
    s_1 = max(h_0 + 1 + CHIP.pass_gap_cycles, 0)
    assert [(event.first_cycle, event.steps, event.fetch_cycles) for _, event in bench.fetched] == [
        (s_0, 3, 3), (s_1, 3, 3),
    ]  # fmt: skip
    assert [cycle for cycle, _ in bench.fetched] == [s_0 + 2, s_1 + 2]
    # the second handover waits for the first write-back: eight channels, three cycles each behind the other
    first_written = h_0 + CHIP.requantiser_cycles + 8
    assert bench.handed_over == [h_0, max(s_1 + 3 + CHIP.pipeline_cycles, first_written + 1)]


def test_the_banks_of_a_layer_are_reserved_when_it_starts() -> None:
    bench = Bench(layer_words(NETWORK))
    bench.start()
    (cycle, amem), *_ = bench.sent["reserve_amem"]
    assert (cycle, amem.first_cycle) == (1, 1)
    accesses = {port: int(counts.sum()) for port, counts in amem.accesses.items()}
    of_writes = sum(bin(banks).count("1") for banks in amem.banks.tolist())
    assert accesses[Port.WRITE_BACK] == 2 * 8
    assert sum(accesses.values()) == of_writes, "a calendar shows every access once"
    ((_, wmem),) = bench.sent["reserve_wmem"]
    assert wmem.accesses[Port.FETCH].sum() == 2 * 3
    *_, (end_cycle, end) = bench.sent["reserve_imem"]
    end_bank = (len(layer_words(NETWORK)) - 1) % CHIP.imem_banks
    assert (end_cycle, end.banks.tolist()) == (bench.cycles("interrupt")[0] - 1, [1 << end_bank])


def test_each_group_s_parameters_and_weights_come_with_its_passes() -> None:
    bench = Bench(layer_words(convolution(np.ones((16, 1, 1, 1), np.int8), (1, 2, 8))))
    bench.start()
    starts = [event.first_cycle for _, event in bench.fetched]
    assert bench.cycles("parameters") == [starts[0], starts[2]]
    assert bench.cycles("weights") == starts
    first = bench.sent["weights"][0][1].first_word
    assert [payload.first_word - first for _, payload in bench.sent["weights"]] == [0, 0, 1, 1]


@pytest.mark.parametrize("word", [0, 3])
def test_an_illegal_word_stops_it_with_an_error(word: int) -> None:
    words = layer_words(NETWORK)
    words[word] = 0
    bench = Bench(words)
    assert bench.start() == Status.DONE | Status.ERROR
    assert bench.register(UnitRegister.ERROR_CODE) == ErrorCode.ILLEGAL_INSTRUCTION
    assert not bench.fetched


def test_an_instruction_that_was_never_written_is_named() -> None:
    with pytest.raises(UnwrittenReadError, match="imem bank 1: word 9 is read by the layer that starts in cycle 1"):
        Bench(layer_words(NETWORK), written_words=9).start()
