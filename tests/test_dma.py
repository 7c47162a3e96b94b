"""The DMA: 2-D transfers, their exact timing, errors, and who gives way to whom.

T is the cycle in which START is written: 5 A + 9 for the first transfer of a run, A = ceil(host_access_ns x f), since
the four operands and START take A cycles in the host, one to cross, and one back. L is the off-chip memory's latency
and b the cycles between two of its beats (tests/test_off_chip_memory.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transaction_bench import read, run_together, write

from tlm.chip import address_map as am
from tlm.chip.chip import System
from tlm.chip.config import ChipConfig
from tlm.chip.driver import DriverStep, SramName, StartTransfer, Transfer, Unit, Wait
from tlm.chip.registers import ChannelRegister, ErrorCode, UnitRegister
from tlm.core.errors import DriverError, UnwrittenReadError
from tlm.core.module import Activity
from tlm.core.observation import Phase
from tlm.core.payload import Response

MEMORY_BYTES = 1 << 16


class Bench:
    """A system with figures of what the DMA did."""

    def __init__(self, **parameters: Any) -> None:
        self.config = ChipConfig(memory_bytes=MEMORY_BYTES, **parameters)
        self.system = System(self.config)
        self.clock = self.system.simulation.clock
        self.image = bytes(i * 7 % 253 for i in range(MEMORY_BYTES))
        self.system.preload(self.image)
        self.words: dict[Unit, list[tuple[int, int]]] = {Unit.LOAD: [], Unit.STORE: []}
        """Cycle and address of each SRAM access that was served."""
        self.interrupts: dict[Unit, int] = {}
        for unit, channel in ((Unit.LOAD, self.system.dma.load), (Unit.STORE, self.system.dma.store)):
            for socket in channel.srams.values():
                socket.observe(lambda phase, _, payload, unit=unit: self._see_word(unit, phase, payload))
            channel.registers.interrupt.observe(lambda phase, _, __, unit=unit: self._see_interrupt(unit, phase))

    def _see_word(self, unit: Unit, phase: Phase, payload: Any) -> None:
        if phase is Phase.END_RESP and payload.status is Response.OK:
            self.words[unit].append((self.clock.now, payload.address))

    def _see_interrupt(self, unit: Unit, phase: Phase) -> None:
        if phase is Phase.BEGIN_REQ:
            self.interrupts[unit] = self.clock.now

    @property
    def start_cycle(self) -> int:
        """T of the first transfer."""
        return 5 * self.config.cycles_of_ns(self.config.host_access_ns) + 9

    @property
    def latency(self) -> int:
        """L."""
        return self.config.cycles_of_ns(self.config.memory_latency_ns)

    @property
    def beat(self) -> Fraction:
        """b."""
        return max(
            Fraction(1),
            Fraction(self.config.bus_bytes * self.config.clock_khz, 10**6) / Fraction(str(self.config.memory_gb_per_s)),
        )

    def run(self, *steps: DriverStep) -> None:
        self.system.run(steps)

    def transfer(self, unit: Unit, **fields: Any) -> int:
        """Run one transfer to its interrupt; returns the interrupt's cycle."""
        self.run(StartTransfer(unit, Transfer(**fields)), Wait(unit))
        return self.interrupts[unit]

    def write_sram(self, sram: SramName, word: int, data: bytes) -> None:
        self.system.sram_socket(sram).debug_transport(write(word, data))

    def read_sram(self, sram: SramName, word: int, size_bytes: int) -> bytes:
        payload = read(word, size_bytes)
        self.system.sram_socket(sram).debug_transport(payload)
        return bytes(payload.data)

    def word_bytes(self, sram: SramName) -> int:
        return self.system.engine.srams[sram].word_bytes


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


@settings(max_examples=120)
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


@settings(max_examples=120)
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


# -- contention ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sram", SramName)
def test_both_channels_work_at_once(sram: SramName) -> None:
    bench = Bench()
    size = bench.word_bytes(sram)
    stored = bytes(i * 5 % 241 for i in range(100 * size))
    bench.write_sram(sram, 0, stored)
    bench.run(
        StartTransfer(Unit.LOAD, Transfer(sram, 500, 0, row_words=100)),
        StartTransfer(Unit.STORE, Transfer(sram, 0, 0x8000, row_words=100)),
        Wait(Unit.LOAD),
        Wait(Unit.STORE),
    )
    assert bench.read_sram(sram, 500, 100 * size) == bench.image[: 100 * size]
    assert bench.system.read_memory(0x8000, 100 * size) == stored
    loads, stores = (bench.words[unit] for unit in (Unit.LOAD, Unit.STORE))
    assert loads[0][0] < stores[-1][0]  # they did overlap
    assert stores[0][0] < loads[-1][0]
    banks = {(cycle, word % bench.system.engine.srams[sram].banks) for cycle, word in loads + stores}
    assert len(banks) == 200  # never two accesses in one bank and cycle


def test_the_dma_gives_way_at_a_bank_and_delays_nobody() -> None:
    """A load's word is written in the first cycle from its arrival in which no one else takes its bank."""
    bench = Bench()
    bench.write_sram(SramName.AMEM, 0, bytes(64))
    free_from = bench.start_cycle + 100
    served: list[int] = []

    def engine() -> Activity:
        for _ in range(free_from):
            word = read(0, 16)
            yield from bench.system.engine.aligner.amem.b_transport(word)
            assert word.status is Response.OK
            served.append(bench.clock.now)
            yield bench.clock.cycles(1)

    transfer = Transfer(SramName.AMEM, 3, 0, row_words=3)  # banks 3, 0, 1
    host = bench.system.host.run([StartTransfer(Unit.LOAD, transfer), Wait(Unit.LOAD)])
    run_together(bench.system.simulation, engine(), host)
    assert served == list(range(free_from))
    first = bench.start_cycle + 3 + bench.latency + math.ceil(bench.beat)
    assert bench.words[Unit.LOAD] == [(first, 3), (free_from, 4), (free_from + 1, 5)]
    assert bench.read_sram(SramName.AMEM, 3, 48) == bench.image[:48]


# -- errors -------------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"sram": SramName.AMEM, "sram_word": 0, "memory_offset_bytes": 0, "row_words": 1}
_OUTSIDE = "off-chip address outside the memory"
_MISALIGNED = "off-chip address or row stride that is no multiple of the bus width"
_OVERSIZED = "transfer of no words, or of more words than the SRAM has"
_BEYOND = "SRAM word address outside the memory"
ERRORS: dict[str, tuple[dict[str, Any], str, int]] = {
    # fields that differ from the good descriptor, message, address
    "misaligned": ({"memory_offset_bytes": 4}, _MISALIGNED, 0x8000_0004),
    "misaligned stride": ({"rows": 2, "memory_stride_bytes": 20}, _MISALIGNED, 20),
    "no rows": ({"rows": 0}, _OVERSIZED, 0),
    "no words": ({"row_words": 0}, _OVERSIZED, 0),
    "oversized": ({"row_words": 4097, "rows": 4}, _OVERSIZED, 16_388),
    "beyond the SRAM": ({"sram_word": 16_380, "row_words": 5}, _BEYOND, 16_384),
    "stride beyond the SRAM": ({"rows": 3, "sram_stride_words": 9000}, _BEYOND, 18_000),
    "no such SRAM": ({"sram": 3}, "descriptor that names no SRAM", 3),
    "unmapped": ({"memory_offset_bytes": MEMORY_BYTES}, _OUTSIDE, 0x8001_0000),
    "unmapped above 32 bits": ({"memory_offset_bytes": 1 << 32}, _OUTSIDE, 0x1_8000_0000),
    "leaves in a later burst": ({"memory_offset_bytes": MEMORY_BYTES - 32, "row_words": 9}, _OUTSIDE, 0x8001_0000),
    "leaves in a later row": ({"rows": 2, "memory_stride_bytes": MEMORY_BYTES}, _OUTSIDE, 0x8001_0000),
}


@pytest.mark.parametrize("unit", [Unit.LOAD, Unit.STORE])
@pytest.mark.parametrize("name", ERRORS)
def test_an_error_reaches_the_driver_with_component_address_and_cycle(name: str, unit: Unit) -> None:
    """A bad descriptor is reported in T + 2."""
    fields, message, address = ERRORS[name]
    bench = Bench()
    bench.write_sram(SramName.AMEM, 0, bytes(16 * 16_384))
    with pytest.raises(DriverError) as error:
        bench.transfer(unit, **{**GOOD, **fields})
    assert str(error.value) == (
        f"dma.{unit.value}: {message} {address} (0x{address:x}) in cycle {bench.interrupts[unit]}; "
        "the driver stopped; check the program and the off-chip image"
    )
    if message != _OUTSIDE:
        assert bench.interrupts[unit] == bench.start_cycle + 2


def test_an_unmapped_load_of_one_burst_is_answered_at_once() -> None:
    """An unmapped burst of a load is asked for in T + 1, answered in T + 2, and reported in T + 3."""
    bench = Bench()
    with pytest.raises(DriverError):
        bench.transfer(Unit.LOAD, **{**GOOD, "memory_offset_bytes": MEMORY_BYTES})
    assert bench.interrupts[Unit.LOAD] == bench.start_cycle + 3


def test_a_load_from_never_written_memory_names_the_byte() -> None:
    bench = Bench()
    system = System(bench.config)
    with pytest.raises(
        UnwrittenReadError, match=r"^memory: byte 0x100 was read in cycle 99 for transfer 0 > burst 0 > beat 0"
    ):
        system.run([StartTransfer(Unit.LOAD, Transfer(SramName.AMEM, 0, 0x100, row_words=1)), Wait(Unit.LOAD)])


def test_a_store_of_never_written_words_names_the_word() -> None:
    with pytest.raises(UnwrittenReadError, match=r"^engine\.wmem bank 1: word 9 was read in cycle 65 by dma_store"):
        Bench().transfer(Unit.STORE, **{**GOOD, "sram": SramName.WMEM, "sram_word": 9})


@pytest.mark.parametrize("unit", [Unit.LOAD, Unit.STORE])
def test_a_channel_that_failed_works_again(unit: Unit) -> None:
    """A failed transfer leaves nothing behind: no beats under way, no burst buffer taken."""
    bench = Bench()
    host, base = bench.system.host, {Unit.LOAD: am.LOAD_BASE, Unit.STORE: am.STORE_BASE}[unit]
    bench.write_sram(SramName.AMEM, 0, bytes(range(256)) * 16)
    good = Transfer(SramName.AMEM, 16, 0x4000, row_words=32)
    bad = Transfer(SramName.AMEM, 64, MEMORY_BYTES - 256, row_words=128)
    codes: list[int] = []

    def body() -> Activity:
        yield from host._start_transfer(StartTransfer(unit, bad))
        yield bench.clock.cycles(3000)
        codes.append((yield from host._read(base + UnitRegister.ERROR_CODE)))
        bench.words[unit].clear()
        yield from host.run([StartTransfer(unit, good)])
        codes.append(bench.clock.now - 1)
        yield bench.clock.cycles(3000)

    bench.system.simulation.run(body)
    code, start_cycle = codes
    assert code == ErrorCode.MEMORY_ADDRESS
    if unit is Unit.LOAD:
        assert bench.read_sram(SramName.AMEM, 16, 512) == bench.image[0x4000:0x4200]
    else:
        assert bench.system.read_memory(0x4000, 512) == bytes(range(256)) * 2
    fresh = Bench()
    fresh.write_sram(SramName.AMEM, 0, bytes(range(256)) * 16)
    fresh.run(StartTransfer(unit, good), Wait(unit))
    shift = start_cycle - fresh.start_cycle
    assert bench.words[unit] == [(cycle + shift, word) for cycle, word in fresh.words[unit]]
    assert bench.interrupts[unit] == fresh.interrupts[unit] + shift


def test_the_host_may_write_the_next_descriptor_while_a_transfer_runs() -> None:
    bench = Bench(memory_latency_ns=5000.0)
    host = bench.system.host

    def body() -> Activity:
        yield from host.run([StartTransfer(Unit.LOAD, Transfer(SramName.AMEM, 0, 0, row_words=8))])
        yield from host._write(am.LOAD_BASE + ChannelRegister.SRAM, 100)
        yield from host.run([Wait(Unit.LOAD)])

    bench.system.simulation.run(body)
    assert [word for _, word in bench.words[Unit.LOAD]] == list(range(8))


def test_probes_show_what_a_channel_does() -> None:
    bench = Bench()
    states: list[tuple[int, str]] = []
    channel = bench.system.dma.load
    channel.state.observe(lambda probe: states.append((bench.clock.now, probe.value.value)))
    interrupt = bench.transfer(Unit.LOAD, **{**GOOD, "sram_word": 3, "row_words": 4})
    assert states == [(bench.start_cycle + 1, "busy"), (interrupt, "idle")]
    assert (channel.moved_bytes.value, channel.address.value) == (64, 6)
