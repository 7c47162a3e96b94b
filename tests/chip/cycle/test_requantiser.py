"""The requantiser alone: words, write-back one entry a cycle, freezes, refused residual reads."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest
from block_bench import CHIP, BlockBench, convolution, layer_payload, of_pass
from images import nibbles, word
from oracles import requantised

import tlm
from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.contract import EngineEvents
from tlm.chip.cycle.requantiser import Requantiser
from tlm.chip.format.isa import Parameter
from tlm.chip.payloads import DrainPayload, FlushPayload, ParameterPayload, PassPayload
from tlm.core.kernel import Activity
from tlm.core.payload import MemoryPayload, Response

RNG = np.random.default_rng(7)
ACCUMULATORS = RNG.integers(-4000, 4000, (8, 8))
PARAMETERS = [
    Parameter(int(b), int(m), 14) for b, m in zip(RNG.integers(-99, 99, 8), RNG.integers(1, 99, 8), strict=True)
]
PLAIN = convolution(np.ones((8, 4, 1, 1), np.int8), (4, 2, 4), multiplier=3)
RESIDUAL = tlm.Network(
    (8, 2, 4),
    [tlm.Conv2d("r", np.ones((8, 8, 1, 1), np.int8), multiplier=3, residual="input", residual_multiplier=300)],
)
RESIDUAL_WORDS = [RNG.integers(0, 16, 8).tolist() for _ in range(8)]


class Bench(BlockBench):
    """The requantiser before an AMem that refuses what is asked in some cycles."""

    def __init__(
        self,
        network: tlm.Network = PLAIN,
        chip: ChipConfig = CHIP,
        refused_writes: Collection[int] = (),
        refused_reads: Collection[int] = (),
    ) -> None:
        self._refused_writes, self._refused_reads = refused_writes, refused_reads
        self.written: list[tuple[int, int, list[int]]] = []
        self.events = EngineEvents()
        self.ended: list[int] = []
        self.events.pass_written.listen(lambda _: self.ended.append(self.now))
        self.layer = layer_payload(network, chip)
        super().__init__(
            lambda parent: Requantiser("requantiser", parent, chip, self.events),
            {"writes": self._write, "residuals": self._read},
        )

    def _write(self, payload: MemoryPayload) -> None:
        payload.status = Response.RETRY if self.now in self._refused_writes else Response.OK
        if payload.status is Response.OK:
            self.written.append((self.now, payload.address, nibbles(bytes(payload.data), False)))

    def _read(self, payload: MemoryPayload) -> None:
        payload.status = Response.RETRY if self.now in self._refused_reads else Response.OK
        channel = payload.address - self.layer.header.residual_base_word
        payload.data[:] = word(RESIDUAL_WORDS[channel])  # type: ignore[index]

    def play(self, pixels: int = 8, passes: int = 1) -> tuple[list[int], list[int]]:
        """Passes handed over as soon as they are taken, from cycle 0; cycles of the handovers, and of the flush."""
        handovers: list[int] = []
        flushed: list[int] = []

        def body() -> Activity:
            yield from self.to["layers"].b_transport(self.layer)
            for slot, parameter in enumerate(PARAMETERS):
                yield from self.to["parameters"].b_transport(ParameterPayload(slot, parameter))
            for _ in range(passes):
                accumulators = kernels.new_accumulators(8, 8)
                accumulators[0:64] = ACCUMULATORS.ravel().tolist()
                of = PassPayload(0, 0, 0, pixels, 8, origin=of_pass())
                yield from self.to["passes"].b_transport(DrainPayload(accumulators, of, origin=of_pass()))
                handovers.append(self.now)
            yield from self.to["flushes"].b_transport(FlushPayload())
            flushed.append(self.now)

        self.run(body())
        return handovers, flushed


def expected(channel: int, residual: bool = False, pixels: int = 8) -> list[int]:
    bias, multiplier, shift = PARAMETERS[channel].bias, PARAMETERS[channel].multiplier, PARAMETERS[channel].shift
    added = [300 * value if residual else 0 for value in RESIDUAL_WORDS[channel]]
    values = [
        requantised(int(acc), bias, multiplier, shift, (0, 15), more)
        for acc, more in zip(ACCUMULATORS[channel], added, strict=True)
    ]
    return values[:pixels] + [0] * (8 - pixels)


@pytest.mark.parametrize("pixels", [8, 5])
def test_each_channel_becomes_a_word(pixels: int) -> None:
    bench = Bench()
    bench.play(pixels)
    base = bench.layer.header.output_base_word
    assert [(address, values) for _, address, values in bench.written] == [
        (base + channel, expected(channel, pixels=pixels)) for channel in range(8)
    ]


@pytest.mark.parametrize("requantiser_cycles", [1, 3, 6])
def test_entries_follow_each_other_and_are_written_some_cycles_later(requantiser_cycles: int) -> None:
    """Entry j enters in h + 1 + j and is written ``requantiser_cycles`` later; the flush ends behind the last write."""
    bench = Bench(chip=ChipConfig(lanes=8, columns=8, requantiser_cycles=requantiser_cycles))
    (handover,), (flushed,) = bench.play()
    assert [cycle for cycle, _, _ in bench.written] == [handover + 1 + j + requantiser_cycles for j in range(8)]
    assert bench.ended == [bench.written[-1][0]]
    assert flushed == bench.written[-1][0] + 1


def test_the_next_pass_is_taken_behind_the_last_write() -> None:
    bench = Bench()
    handovers, _ = bench.play(passes=2)
    assert handovers[1] == bench.written[7][0] + 1


def test_a_residual_word_is_read_as_its_channel_enters() -> None:
    bench = Bench(RESIDUAL)
    (handover,), _ = bench.play()
    assert bench.cycles("residuals") == [handover + 1 + j for j in range(8)]
    assert [values for _, _, values in bench.written] == [expected(channel, residual=True) for channel in range(8)]


def test_a_refused_write_freezes_everything() -> None:
    """Write 0 is due in cycle 4 and refused twice: nothing enters, nothing is read, everything is two cycles later."""
    bench = Bench(RESIDUAL, refused_writes=(4, 5))
    (handover,), _ = bench.play()
    assert handover == 0
    assert [cycle for cycle, _, _ in bench.written] == [4 + 2 + j for j in range(8)]
    assert not {4, 5} & set(bench.cycles("residuals"))


def test_a_refused_residual_read_delays_only_its_entry() -> None:
    """Entry 2, due in cycle 3, is refused once: entries 0 and 1 are written on time, the others a cycle later."""
    bench = Bench(RESIDUAL, refused_reads=(3,))
    bench.play()
    assert [cycle for cycle, _, _ in bench.written] == [4, 5, 7, 8, 9, 10, 11, 12]
    assert [values for _, _, values in bench.written] == [expected(channel, residual=True) for channel in range(8)]


def test_accumulator_output_is_six_planes_a_channel() -> None:
    network = convolution(np.ones((8, 4, 1, 1), np.int8), (4, 2, 4), accumulator_output=True)
    bench = Bench(network)

    def body() -> Activity:
        yield from bench.to["layers"].b_transport(bench.layer)
        for slot in range(8 * 6):
            yield from bench.to["parameters"].b_transport(ParameterPayload(slot, PARAMETERS[slot // 6]))
        accumulators = kernels.new_accumulators(8, 8)
        accumulators[0:64] = ACCUMULATORS.ravel().tolist()
        of = PassPayload(0, 0, 0, 8, 8, origin=of_pass())
        yield from bench.to["passes"].b_transport(DrainPayload(accumulators, of, origin=of_pass()))
        yield from bench.to["flushes"].b_transport(FlushPayload())

    bench.run(body())
    planes = np.array([values for _, _, values in bench.written]).reshape(8, 6, 8)
    sums = sum(planes[:, plane] << (4 * plane) for plane in range(6))
    wanted = (ACCUMULATORS + [[one.bias] for one in PARAMETERS]) % (1 << 24)
    np.testing.assert_array_equal(sums, wanted)
