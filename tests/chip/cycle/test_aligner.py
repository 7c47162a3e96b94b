"""The aligner alone: which words it fetches in which cycle, and which pixel reaches which lane when."""

from __future__ import annotations

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_payload, of_pass
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from images import amem_image

from tlm.chip.config import ChipConfig
from tlm.chip.cycle.aligner import Aligner
from tlm.chip.payloads import StepPayload
from tlm.core.payload import MemoryPayload, Response

LATENCY_CYCLES = 1 + CHIP.sram_read_cycles + CHIP.routing_stages + CHIP.mask_cycles
"""From the last cycle of a step's fetch to the array (engine.md, A pass: e + 1 .. mask, and on to the multipliers)."""


class Bench(BlockBench):
    """The aligner before an AMem that holds one tensor and notes which words are read."""

    def __init__(self, network: object, activations: np.ndarray, chip: ChipConfig = CHIP) -> None:
        self.reads: list[tuple[int, int]] = []
        payload = layer_payload(network, chip)  # type: ignore[arg-type]
        base = payload.header.input_base_word
        self.image = amem_image(activations, chip.lanes, base, np.random.default_rng(0))
        self.word_bytes = chip.lanes // 2
        super().__init__(lambda parent: Aligner("aligner", parent, chip), {"amem": self._read})
        self.layer = payload

    def _read(self, payload: MemoryPayload) -> None:
        first = payload.address * self.word_bytes
        payload.data[:] = self.image[first : first + self.word_bytes]  # type: ignore[index]
        self.reads.append((self.now, payload.address))
        payload.status = Response.OK

    def steps(self, *steps: StepPayload) -> list[int]:
        """Serve steps one after the other; the last cycle of each fetch."""
        ends: list[int] = []

        def body():  # type: ignore[no-untyped-def]
            yield from self.to["layers"].b_transport(self.layer)
            for step in steps:
                yield from self.to["steps"].b_transport(step)
                ends.append(self.now)
                yield self.simulation.clock.cycles(1)

        self.run(body(), cycles=1 + LATENCY_CYCLES)
        return ends


def expected_lanes(
    activations: np.ndarray, tile: int, channel: int, tap: tuple[int, int], stride: int, pad: int
) -> list:
    """What each lane of a tile must get: the pixel under the tap, 0 in the padding and beyond the last pixel."""
    _, height, width = activations.shape
    out_w = (width + 2 * pad - 3) // stride + 1
    out_h = (height + 2 * pad - 3) // stride + 1
    found = []
    for pixel in range(tile * CHIP.lanes, (tile + 1) * CHIP.lanes):
        y, x = pixel // out_w * stride + tap[0] - pad, pixel % out_w * stride + tap[1] - pad
        inside = pixel < out_h * out_w and 0 <= y < height and 0 <= x < width
        found.append(int(activations[channel, y, x]) if inside else 0)
    return found


@examples(40)
@given(st.integers(3, 9), st.integers(3, 9), st.sampled_from((1, 2)), st.sampled_from((0, 1)), st.data())
def test_every_lane_gets_its_pixel(height: int, width: int, stride: int, pad: int, data: st.DataObject) -> None:
    activations = np.random.default_rng(height * width).integers(0, 16, (2, height, width))
    network = convolution(np.ones((8, 2, 3, 3), np.int8), (2, height, width), stride=stride, padding=pad)
    bench = Bench(network, activations)
    tiles = bench.layer.header.tiles(CHIP.lanes)
    tile, channel = data.draw(st.integers(0, tiles - 1)), data.draw(st.integers(0, 1))
    taps = [divmod(tap, 3) for tap in range(9)]
    bench.steps(*(StepPayload(tile, channel, 3 * y + x, origin=of_pass()) for y, x in taps))
    vectors = [list(vector.activations) for _, vector in bench.sent["vectors"]]
    assert vectors == [expected_lanes(activations, tile, channel, tap, stride, pad) for tap in taps]


def test_a_step_takes_as_many_cycles_as_its_words_in_one_bank() -> None:
    """Strided rows: words 0 and 1 lie in two banks and take one cycle, words 0 and 4 share one and take two."""
    network = convolution(np.ones((8, 1, 1, 1), np.int8), (1, 8, 16), stride=2)
    bench = Bench(network, np.ones((1, 8, 16), int))
    (end,) = bench.steps(StepPayload(0, 0, 0, origin=of_pass()))
    words = sorted(word - bench.layer.header.input_base_word for _, word in bench.reads)
    assert words == [0, 1]  # 8 pixels of one row of 16
    assert end == max(cycle for cycle, _ in bench.reads) == 0
    four = Bench(convolution(np.ones((8, 1, 1, 1), np.int8), (1, 16, 8), stride=(4, 2)), np.ones((1, 16, 8), int))
    (end,) = four.steps(StepPayload(0, 0, 0, origin=of_pass()))
    offset = four.layer.header.input_base_word
    assert [(cycle, word - offset) for cycle, word in four.reads] == [(0, 0), (1, 4)]
    assert end == 1


@pytest.mark.parametrize("key", ["sram_read_cycles", "mask_cycles", None])
def test_a_vector_leaves_after_the_sram_the_stages_and_the_mask(key: str | None) -> None:
    chip = CHIP if key is None else ChipConfig(lanes=8, columns=8, **{key: 3})  # type: ignore[arg-type]
    bench = Bench(convolution(np.ones((8, 2, 1, 1), np.int8), (2, 2, 4)), np.ones((2, 2, 4), int), chip)
    ends = bench.steps(StepPayload(0, 0, 0, origin=of_pass()), StepPayload(0, 1, 0, ends_pass=True, origin=of_pass()))
    latency = 1 + chip.sram_read_cycles + chip.routing_stages + chip.mask_cycles
    assert bench.cycles("vectors") == [end + latency for end in ends]
    assert [vector.ends_pass for _, vector in bench.sent["vectors"]] == [False, True]


def test_a_step_in_the_padding_reads_nothing_and_takes_a_cycle() -> None:
    network = convolution(np.ones((8, 1, 3, 3), np.int8), (1, 1, 8), padding=1)
    bench = Bench(network, np.ones((1, 1, 8), int))
    ends = bench.steps(StepPayload(0, 0, 0, origin=of_pass()))
    assert (bench.reads, ends) == ([], [0])
    assert list(bench.sent["vectors"][0][1].activations) == [0] * 8


def test_the_end_of_a_pass_travels_without_a_step() -> None:
    bench = Bench(convolution(np.ones((8, 1, 1, 1), np.int8), (1, 2, 4)), np.ones((1, 2, 4), int))
    ends = bench.steps(StepPayload(0, 0, 0, is_step=False, ends_pass=True, origin=of_pass()))
    ((cycle, vector),) = bench.sent["vectors"]
    assert (cycle, vector.activations, vector.ends_pass) == (ends[0] + LATENCY_CYCLES, None, True)


@pytest.mark.parametrize(("stage", "bank"), [(1, 0), (2, 3), (3, 1)])
def test_one_stage_of_one_bank_can_be_watched_alone(stage: int, bank: int) -> None:
    """Whole tiles of a 1x1 kernel move no pixel, so each stage shows the word that was read, in a cycle of its own."""
    activations = np.random.default_rng(5).integers(1, 16, (8, 1, CHIP.lanes))
    bench = Bench(convolution(np.ones((8, 8, 1, 1), np.int8), activations.shape), activations)
    seen: list[tuple[int, int]] = []
    bench.block.parts[f"stage_{stage}_bank_{bank}"].observe(lambda probe: seen.append((bench.now, probe.value)))
    ends = bench.steps(*(StepPayload(0, channel, 0, origin=of_pass()) for channel in range(8)))
    words = [
        int.from_bytes(bench.image[at * bench.word_bytes :][: bench.word_bytes], "little") for _, at in bench.reads
    ]
    expected = [
        (end + CHIP.sram_read_cycles + stage, word)
        for end, word, (_, address) in zip(ends, words, bench.reads, strict=True)
        if address % CHIP.amem_banks == bank
    ]
    assert expected
    assert seen == expected
