"""The smallest programs found that something better makes slower; docs/anomalies.md tells why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from chip_cases import bank_offsets
from fidelities import assert_equal, both

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.kernels.dma import Channel, DmaTimeline
from tlm.chip.kernels.geometry import Geometry
from tlm.chip.kernels.timing import predict
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.results.result import Result


def test_a_residual_read_falls_out_of_step_with_the_writes() -> None:
    """Two AMem banks refuse a write, which freezes reads and writes alike; four refuse a residual read alone."""
    second_channel = np.zeros((7, 2, 1, 1), np.int8)
    second_channel[:, 1] = 1
    padding = ((1, 1), (0, 0))
    layers = [
        Conv2d("r", np.ones((7, 2, 1, 1), np.int8), padding=padding, shift=3),
        Conv2d("c", second_channel, input="input", padding=padding, residual="r", residual_multiplier=1, shift=3),
    ]
    network, chip = Network((2, 4, 3), layers), ChipConfig(lanes=8, columns=8, amem_banks=2)
    with bank_offsets(network, chip, {"r": 2, "c": 5}):
        program = tlm.compile(network, chip)
    values, found = np.full((2, 4, 3), 3), []
    for banks in (1, 2, 4, 8):
        beat, burst = both(program, values, replace(chip, amem_banks=banks))
        assert_equal(beat, burst)
        layer, first = burst.layers["c"], burst.passes["c"][0]
        assert (layer.input_base_word, layer.residual_base_word, layer.output_base_word) == (0, 6, 32)
        found.append((layer.compute_cycles, first.refused_writes, first.refused_residual_reads))
    assert found == [(61, 2, 6), (43, 1, 0), (44, 0, 2), (43, 0, 0)]


def test_the_largest_loss_to_a_residual_that_was_found() -> None:
    """16 lanes, 32 columns: of 414 cycles with two banks four make 553."""
    geometry = Geometry(16, 32, 4, 9, 14, 35, 9, 12, kernel_h=3, kernel_w=3, pad_top=1, input_base_word=5)
    cycles = [
        predict(
            geometry, amem_banks=banks, pipeline_cycles=12, pass_gap_cycles=1, requantiser_cycles=3,
            output_base_word=5, residual_base_word=7, patterns=np.array([[268517376], [34494021697]], np.uint64),
        ).compute_cycles
        for banks in (1, 2, 4, 8)
    ]  # fmt: skip
    assert cycles == [673, 414, 553, 551]


def ends(chip: ChipConfig, load: tuple[int, int], store: tuple[int, int]) -> tuple[int, int]:
    """Last cycles of a load to WMem and of a store from AMem, each (first cycle, words)."""
    timeline, last = DmaTimeline(chip), {}
    starts = [(*load, SramName.WMEM, Channel.LOAD), (*store, SramName.AMEM, Channel.STORE)]
    for cycle, words, sram, channel in sorted(starts, key=lambda one: one[0]):
        last.update({done: ended for ended, done in timeline.advance(cycle)})
        timeline.start(channel, cycle, 0, sram, 0, words, 1, 0, 0)
    last.update({done: ended for ended, done in timeline.advance(1000)})
    return last[Channel.LOAD], last[Channel.STORE]


# 500 MHz: 2 ns are a cycle; 8 bytes a beat, 4 beats a burst, two beats a word
PAIR = {"frequency_mhz": 500.0, "burst_bytes": 32, "dma_bursts_in_flight": 1, "memory_bytes": 1 << 14}


@pytest.mark.parametrize(
    ("chip", "better", "load", "store", "before", "after"),
    [
        ((3.0, 16.0), {"memory_gb_per_s": 6.0}, (19, 1), (0, 4), (31, 36), (33, 31)),
        ((3.0, 4.0), {"memory_latency_ns": 2.0}, (13, 2), (0, 4), (21, 27), (25, 19)),
        ((2.0, 4.0), {"dma_bursts_in_flight": 2}, (11, 1), (0, 3), (17, 21), (20, 16)),
    ],
)
def test_a_store_that_is_sooner_at_the_memory_delays_a_load(
    chip: tuple[float, float],
    better: dict[str, Any],
    load: tuple[int, int],
    store: tuple[int, int],
    before: tuple[int, int],
    after: tuple[int, int],
) -> None:
    slow = ChipConfig(memory_gb_per_s=chip[0], memory_latency_ns=chip[1], **PAIR)  # type: ignore[arg-type]
    assert ends(slow, load, store) == before
    assert ends(replace(slow, **better), load, store) == after


class Split:
    """One layer on 8 columns, split into jobs by a small WMem; weights of no two groups are equal."""

    def __init__(
        self, shape: tuple[int, int, int], out_channels: int, kernel_w: int = 1, accumulators: bool = True, **keys: Any
    ) -> None:
        group = 1 + np.arange(out_channels) // 8
        weights = group[:, None, None, None] * np.ones((out_channels, shape[0], 1, kernel_w), np.int64)
        layer = Conv2d("c", weights, shift=0 if accumulators else 3, accumulator_output=accumulators)
        self.chip = ChipConfig(**{"columns": 8, "host_access_ns": 0.0, "host_interrupt_ns": 0.0, **keys})
        self.values, self.program = np.full(shape, 3), tlm.compile(Network(shape, [layer]), self.chip)

    def run(self, **better: Any) -> Result:
        beat, burst = both(self.program, self.values, replace(self.chip, **better))
        assert_equal(beat, burst)
        return burst


@pytest.mark.parametrize(
    ("split", "better", "before", "after"),
    [
        (
            Split((8, 4, 3), 30, 2, lanes=16, wmem_words=32, wmem_banks=1, bus_bytes=4, memory_gb_per_s=2.094,
                  memory_latency_ns=2.0, host_interrupt_ns=20.0),
            {"memory_gb_per_s": 4.188},
            847,
            856,
        ),
        (
            Split((1, 1, 1), 28, 1, False, lanes=32, wmem_words=32, imem_banks=1, wmem_banks=1, bus_bytes=4,
                  memory_gb_per_s=2.67, memory_latency_ns=8.0),
            {"dma_bursts_in_flight": 4},
            368,
            384,
        ),
        (
            Split((5, 1, 1), 22, lanes=8, wmem_words=32, bus_bytes=4, memory_latency_ns=8.0, dma_bursts_in_flight=1),
            {"imem_banks": 8},
            607,
            610,
        ),
    ],
    ids=("bandwidth", "bursts in flight", "IMem banks"),
)  # fmt: skip
def test_a_whole_program_gets_slower(split: Split, better: dict[str, Any], before: int, after: int) -> None:
    assert len(split.program.jobs) > 1
    assert (split.run().cycles, split.run(**better).cycles) == (before, after)


def test_a_faster_engine_makes_a_program_slower() -> None:
    """Twice the AMem banks: the stores come sooner, and meet the loads of the next weights at the memory."""
    split = Split((3, 4, 6), 46, 3, lanes=16, wmem_words=32, memory_gb_per_s=4.188, memory_latency_ns=8.0)
    four, eight = split.run(), split.run(amem_banks=8)
    assert four.layers["c"].compute_cycles >= eight.layers["c"].compute_cycles
    assert (four.cycles, eight.cycles) == (942, 948)
