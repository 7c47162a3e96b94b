"""The DMA to the cycle: closed forms, and a recurrence over bursts for any transfer.

T is the cycle in which START is written: 5 A + 9 for the first transfer of a run, A = ceil(host_access_ns x f), since
the four operands and START take A cycles in the host, one to cross, and one back. L is the off-chip memory's latency
and b the cycles between two of its beats (tests/chip/around/test_off_chip_memory.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from transfer_bench import MEMORY_BYTES, Bench

from tlm.chip.format.driver import SramName, Unit

# -- closed forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bus_bytes", [4, 8, 16, 32])
@pytest.mark.parametrize("latency_ns", [0.0, 60.0, 1000.0])
def test_the_first_word_of_a_load(bus_bytes: int, latency_ns: float) -> None:
    """First word written in T + 3 + L + ceil((k - 1) b), k = ceil(word_bytes / bus_bytes); interrupt one later."""
    bench = Bench(bus_bytes=bus_bytes, memory_latency_ns=latency_ns)
    interrupt = bench.transfer(Unit.LOAD, sram=SramName.AMEM, sram_word=5, memory_offset_bytes=64, row_words=1)
    k = math.ceil(16 / bus_bytes)
    expected = bench.start_cycle + 3 + bench.latency + math.ceil((k - 1) * bench.beat)
    assert bench.words[Unit.LOAD] == [(expected, 5)]
    assert interrupt == expected + 1


@pytest.mark.parametrize("gb_per_s", [0.01, 0.5, 3.2, 100.0])
@pytest.mark.parametrize("bursts", [1, 2, 7])
def test_a_load_at_full_bandwidth(gb_per_s: float, bursts: int) -> None:
    """Enough bursts in flight, words no smaller than beats: interrupt in T + 4 + L + ceil((N - 1) b) for N beats."""
    bench = Bench(memory_gb_per_s=gb_per_s, dma_bursts_in_flight=8)
    interrupt = bench.transfer(Unit.LOAD, sram=SramName.WMEM, sram_word=0, memory_offset_bytes=0, row_words=4 * bursts)
    assert interrupt == bench.start_cycle + 4 + bench.latency + math.ceil((8 * bursts - 1) * bench.beat)


@pytest.mark.parametrize("gb_per_s", [0.5, 3.2, 100.0])
@pytest.mark.parametrize("latency_ns", [12.0, 60.0, 500.0])
def test_a_load_with_one_burst_in_flight(gb_per_s: float, latency_ns: float) -> None:
    """m bursts of B beats, one in flight, L + 3 >= b: interrupt in T + 1 + m (L + 3 + ceil((B - 1) b))."""
    bench = Bench(memory_gb_per_s=gb_per_s, memory_latency_ns=latency_ns, dma_bursts_in_flight=1)
    interrupt = bench.transfer(Unit.LOAD, sram=SramName.IMEM, sram_word=0, memory_offset_bytes=0, row_words=40)
    assert interrupt == bench.start_cycle + 1 + 5 * (bench.latency + 3 + math.ceil(7 * bench.beat))


def test_bursts_in_flight_hide_latency() -> None:
    """n bursts in flight, latency-bound: groups of n bursts follow each other at the round trip of one burst."""
    ends = {}
    for in_flight in (1, 2, 4):
        bench = Bench(memory_gb_per_s=100.0, memory_latency_ns=1000.0, dma_bursts_in_flight=in_flight)
        bench.transfer(Unit.LOAD, sram=SramName.AMEM, sram_word=0, memory_offset_bytes=0, row_words=32)
        ends[in_flight] = bench.interrupts[Unit.LOAD] - bench.start_cycle
    round_trip = 534 + 3 + 7
    # with b = 1 a burst follows its predecessor 8 cycles later, so of each group only the last one's lag is added
    assert ends == {1: 1 + 8 * round_trip, 2: 1 + 4 * round_trip + 8, 4: 1 + 2 * round_trip + 24}


@pytest.mark.parametrize("lanes", [8, 16, 32])
def test_words_smaller_than_the_bus_are_written_one_a_cycle(lanes: int) -> None:
    """Ample bandwidth, bursts in flight that hide L, word_bytes < bus_bytes: word j is written in T + 3 + L + j."""
    bench = Bench(lanes=lanes, bus_bytes=32, burst_bytes=256, memory_gb_per_s=100.0, dma_bursts_in_flight=4)
    bench.transfer(Unit.LOAD, sram=SramName.AMEM, sram_word=8, memory_offset_bytes=0, row_words=150)
    first = bench.start_cycle + 3 + bench.latency
    assert bench.words[Unit.LOAD] == [(first + j, 8 + j) for j in range(150)]


@pytest.mark.parametrize("sram_read_cycles", [1, 3])
@pytest.mark.parametrize("lanes", [8, 32, 64])
def test_one_burst_of_a_store(lanes: int, sram_read_cycles: int) -> None:
    """w words, one burst of B beats: read in T+1 .. T+w, interrupt in T+3+w+R+L+ceil((B-1) b), R = sram_read_cycles."""
    bench = Bench(lanes=lanes, sram_read_cycles=sram_read_cycles)
    words = 64 // (lanes // 2)
    bench.write_sram(SramName.AMEM, 0, bytes(64))
    interrupt = bench.transfer(Unit.STORE, sram=SramName.AMEM, sram_word=0, memory_offset_bytes=0, row_words=words)
    t = bench.start_cycle
    assert bench.words[Unit.STORE] == [(t + 1 + j, j) for j in range(words)]
    assert interrupt == t + 3 + words + sram_read_cycles + bench.latency + math.ceil(7 * bench.beat)


@pytest.mark.parametrize("gb_per_s", [0.01, 0.5, 3.2, 100.0])
def test_a_store_at_full_bandwidth(gb_per_s: float) -> None:
    """Enough bursts in flight, w words in the first: interrupt in T + 3 + w + R + L + ceil((N - 1) b) for N beats."""
    bench = Bench(memory_gb_per_s=gb_per_s, dma_bursts_in_flight=16)
    bench.write_sram(SramName.AMEM, 0, bytes(64 * 12))
    interrupt = bench.transfer(Unit.STORE, sram=SramName.AMEM, sram_word=0, memory_offset_bytes=0, row_words=48)
    assert interrupt == bench.start_cycle + 3 + 4 + 1 + bench.latency + math.ceil((8 * 12 - 1) * bench.beat)


# -- any transfer: a recurrence over bursts, written from the rules ------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """A transfer as drawn."""

    sram: SramName
    sram_word: int
    offset_bytes: int
    row_words: int
    rows: int
    memory_stride_bytes: int
    sram_stride_words: int

    def fields(self) -> dict[str, Any]:
        return {
            "sram": self.sram,
            "sram_word": self.sram_word,
            "memory_offset_bytes": self.offset_bytes,
            "row_words": self.row_words,
            "rows": self.rows,
            "memory_stride_bytes": self.memory_stride_bytes,
            "sram_stride_words": self.sram_stride_words,
        }

    def places(self, word_bytes: int) -> Iterator[tuple[int, int]]:
        """(SRAM word, off-chip byte) of each word in order."""
        for row in range(self.rows):
            for i in range(self.row_words):
                yield (
                    self.sram_word + row * self.sram_stride_words + i,
                    self.offset_bytes + row * self.memory_stride_bytes + i * word_bytes,
                )

    def bursts(self, word_bytes: int, burst_bytes: int) -> list[int]:
        """Sizes in bytes: rows cut at multiples of the burst length; no burst joins two rows."""
        sizes = []
        for row in range(self.rows):
            at = self.offset_bytes + row * self.memory_stride_bytes
            left = self.row_words * word_bytes
            while left:
                size = min(left, burst_bytes - at % burst_bytes)
                sizes.append(size)
                at, left = at + size, left - size
        return sizes


def load_times(bench: Bench, sizes: list[int], word_bytes: int) -> tuple[list[int], int]:
    """Cycles of the word writes, and of the interrupt.

    A burst is asked for one cycle after the one before at the earliest and when one of the n buffers is free; its beats
    reach the DMA one cycle after they are served; words are written one a cycle, from the cycle of their last byte's
    beat; a buffer is free in the cycle after its burst's last beat was used up.
    """
    bus = bench.config.bus_bytes
    free = [0] * bench.config.dma_bursts_in_flight
    request = write_cycle = bench.start_cycle
    paced = Fraction(0)
    times, got = [], 0
    for size in sizes:
        request = max(request + 1, free.pop(0))
        paced = max(paced, Fraction(request + 1 + bench.latency))
        used_up = write_cycle
        for at in range(0, size, bus):
            arrival = math.ceil(paced) + 1
            paced += bench.beat
            used_up = max(used_up, arrival)
            before, got = got, got + min(bus, size - at)
            for _ in range(got // word_bytes - before // word_bytes):
                write_cycle = used_up = max(write_cycle + 1, arrival)
                times.append(write_cycle)
        free.append(used_up + 1)
    return times, times[-1] + 1


def store_times(bench: Bench, sizes: list[int], word_bytes: int) -> tuple[list[int], int]:
    """Cycles of the word reads, and of the interrupt.

    With a free buffer, the words of the next burst are read one a cycle; the burst is asked for R cycles after its last
    read; its buffer is free in the cycle after its last answer, one cycle after the last beat was served.
    """
    bus = bench.config.bus_bytes
    free = [0] * bench.config.dma_bursts_in_flight
    reader = bench.start_cycle + 1
    request, answer, paced = 0, 0, Fraction(0)
    times, collected = [], 0
    for size in sizes:
        reader = max(reader, free.pop(0))
        while collected < size:
            times.append(reader)
            reader, collected = reader + 1, collected + word_bytes
        collected -= size
        request = max(request + 1, reader + bench.config.sram_read_cycles - 1)
        paced = max(paced, Fraction(request + 1 + bench.latency))
        for _ in range(0, size, bus):
            answer = math.ceil(paced) + 1
            paced += bench.beat
        free.append(answer + 1)
    return times, answer + 1


@st.composite
def benches(draw: st.DrawFn) -> tuple[Bench, Shape]:
    bus = draw(st.sampled_from([4, 8, 16, 32]))
    bench = Bench(
        lanes=draw(st.sampled_from([8, 16, 32, 64])),
        columns=draw(st.sampled_from([8, 16, 32, 64])),
        bus_bytes=bus,
        burst_bytes=draw(st.sampled_from([32, 64, 128, 256])),
        dma_bursts_in_flight=draw(st.sampled_from([1, 2, 4])),
        memory_gb_per_s=draw(st.sampled_from([0.02, 0.7, 3.2, 7.9, 200.0])),
        memory_latency_ns=draw(st.sampled_from([0.0, 3.0, 60.0, 700.0])),
        sram_read_cycles=draw(st.sampled_from([1, 1, 2])),
        amem_words=1024,
        wmem_words=1024,
        imem_words=1024,
    )
    sram = draw(st.sampled_from(SramName))
    row_words, rows = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    row_beats = math.ceil(row_words * bench.word_bytes(sram) / bus)
    return bench, Shape(
        sram=sram,
        sram_word=draw(st.integers(0, 300)),
        offset_bytes=bus * draw(st.integers(0, 70)),
        row_words=row_words,
        rows=rows,
        memory_stride_bytes=bus * (row_beats + draw(st.integers(0, 20))),
        sram_stride_words=row_words + draw(st.integers(0, 60)),
    )


@examples(120)
@given(benches())
def test_any_load_moves_the_right_bytes_in_the_right_cycles(case: tuple[Bench, Shape]) -> None:
    bench, shape = case
    size = bench.word_bytes(shape.sram)
    before = b"\xa5" * size * 1024
    bench.write_sram(shape.sram, 0, before)
    interrupt = bench.transfer(Unit.LOAD, **shape.fields())
    expected = bytearray(before)
    for word, byte in shape.places(size):
        expected[word * size : (word + 1) * size] = bench.image[byte : byte + size]
    assert bench.read_sram(shape.sram, 0, len(before)) == expected
    times, end = load_times(bench, shape.bursts(size, bench.config.burst_bytes), size)
    assert bench.words[Unit.LOAD] == list(zip(times, [word for word, _ in shape.places(size)], strict=True))
    assert interrupt == end


@examples(120)
@given(benches())
def test_any_store_moves_the_right_bytes_in_the_right_cycles(case: tuple[Bench, Shape]) -> None:
    bench, shape = case
    size = bench.word_bytes(shape.sram)
    content = bytes(i * 11 % 249 for i in range(size * 1024))
    bench.write_sram(shape.sram, 0, content)
    interrupt = bench.transfer(Unit.STORE, **shape.fields())
    expected = bytearray(bench.image)
    for word, byte in shape.places(size):
        expected[byte : byte + size] = content[word * size : (word + 1) * size]
    assert bench.system.read_memory(0, MEMORY_BYTES) == expected
    times, end = store_times(bench, shape.bursts(size, bench.config.burst_bytes), size)
    assert bench.words[Unit.STORE] == list(zip(times, [word for word, _ in shape.places(size)], strict=True))
    assert interrupt == end
