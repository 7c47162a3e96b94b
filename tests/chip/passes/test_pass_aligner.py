"""The aligner of fidelity "pass" alone: grants the array its view of AMem and takes the time of the fetches."""

from __future__ import annotations

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_payload, of_pass

from tlm.chip.contract import PassTimes
from tlm.chip.passes.aligner import Aligner
from tlm.chip.passes.payloads import LayerStepsPayload, PassStepsPayload
from tlm.core.errors import UnwrittenReadError
from tlm.core.sockets import DirectMemory

NETWORK = convolution(np.ones((8, 2, 1, 1), np.int8), (2, 2, 8))
"""Two channels of two words each."""


class Bench(BlockBench):
    def __init__(self, unwritten: int | None = None) -> None:
        self.layer = layer_payload(NETWORK)
        written = bytearray(b"\1" * CHIP.amem_words)
        if unwritten is not None:
            written[self.layer.header.input_base_word + unwritten] = 0
        self.view = DirectMemory("amem", memoryview(bytearray(CHIP.amem_words * 4)), memoryview(written))
        super().__init__(lambda parent: Aligner("aligner", parent, CHIP), direct={"amem": lambda: self.view})

    def fetch(self, tile: int, pattern: int, cycles: int) -> int:
        """The cycle in which a pass's steps are answered, sent in cycle 10."""
        times = PassTimes(10, 10 + cycles - 1, -1, -1, 2, cycles, 0, 0)
        payload = PassStepsPayload(0, tile, np.array([pattern], np.uint64), times, origin=of_pass())
        answered: list[int] = []

        def body():  # type: ignore[no-untyped-def]
            yield from self.to["layers"].b_transport(self.layer)
            yield from self.at(10, "steps", payload, answered)

        self.run(body())
        return answered[0]


@pytest.mark.parametrize("cycles", [1, 2, 7])
def test_it_is_done_with_the_last_fetch(cycles: int) -> None:
    assert Bench().fetch(0, 0b11, cycles) == 10 + cycles - 1


def test_the_array_gets_the_view_when_the_pass_begins() -> None:
    bench = Bench()
    bench.fetch(1, 0b11, 4)
    ((cycle, activations),) = bench.sent["vectors"]
    assert (cycle, activations.tile, activations.patterns.tolist()) == (10, 1, [0b11])
    assert activations.amem is bench.view


def test_a_whole_layer_goes_on_at_once() -> None:
    bench, patterns = Bench(), np.array([[0b11]], np.uint64)

    def body():  # type: ignore[no-untyped-def]
        yield from bench.to["layers"].b_transport(bench.layer)
        yield from bench.at(10, "layer_steps", LayerStepsPayload(patterns))

    bench.run(body())
    ((cycle, activations),) = bench.sent["layer_vectors"]
    assert (cycle, activations.patterns.tolist()) == (10, [[0b11]])
    assert activations.amem is bench.view


def test_only_words_that_a_step_reads_must_have_been_written() -> None:
    """Word 3 holds the second row of channel 1: tile 1 reads it, if channel 1 has a tap."""
    Bench(unwritten=3).fetch(0, 0b11, 2)
    Bench(unwritten=3).fetch(1, 0b01, 2)
    base = layer_payload(NETWORK).header.input_base_word
    with pytest.raises(UnwrittenReadError, match=f"word {base + 3} is read by the pass that starts in cycle 10"):
        Bench(unwritten=3).fetch(1, 0b11, 2)
