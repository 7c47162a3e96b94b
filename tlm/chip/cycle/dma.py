"""The DMA, beat by beat and word by word.

Request flow, load: the descriptor is cut into bursts; up to ``dma_bursts_in_flight`` are asked for, at most one a
cycle; their beats arrive in order, words are assembled from them and written to the SRAM in order. Store: SRAM
words are read in order, one a cycle; when all bytes of a burst have been read, the burst is sent, in order, up to
``dma_bursts_in_flight`` at a time. Both have the lowest priority at the SRAM's banks.
Timing, load: a word can be written from the cycle in which its last beat arrives (one cycle after the memory served
it), one word a cycle; a burst's buffer is free again in the cycle after the last word that ends in it was written.
Store: a burst is asked for in the cycle after the read of its last word (the SRAM's data must be out), its beats
are taken at the memory's pace, and its buffer is free in the cycle after the last beat's answer. A channel's
interrupt comes in the cycle after its last access.
Constraints: after an error nothing more is written, but every burst is asked for and answered before the error is
reported.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from msgspec import Struct
from simpy import Event

from tlm.chip.base import dma
from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import Descriptor, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.payloads import BurstBeat, Work
from tlm.core.clock import Queue
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, READ, RETRY, WRITE, MemoryPayload, Origin

_BEAT = Work.BEAT


class Burst(Struct, frozen=True):
    """A piece of a row that does not cross a multiple of the burst length."""

    address: int
    size_bytes: int
    words: tuple[int, ...]
    """SRAM words whose last byte lies in this burst."""


class Channel(dma.DmaChannel):
    """What load and store share: bursts, their buffers, and word accesses."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent, config)
        self._bus_bytes, self._burst_bytes = config.bus_bytes, config.burst_bytes
        self.word_bytes = {sram: sram_size(sram, config)[1] for sram in SramName}
        self._free_bursts: deque[int] = deque([0] * config.dma_bursts_in_flight)
        """For each free burst buffer the first cycle in which it can be taken."""
        self._burst_freed: Event | None = None

    def bursts(self, descriptor: Descriptor) -> Iterator[Burst]:
        """The bursts of a transfer, in order: within a row, cut at multiples of the burst length."""
        word_bytes = self.word_bytes[descriptor.sram]
        for row in range(descriptor.rows):
            first = descriptor.memory_address + row * descriptor.memory_stride_bytes
            first_word = descriptor.sram_word + row * descriptor.sram_stride_words
            position, end = first, first + descriptor.row_words * word_bytes
            while position < end:
                stop = min(end, (position // self._burst_bytes + 1) * self._burst_bytes)
                words = range((position - first) // word_bytes, (stop - first) // word_bytes)
                yield Burst(position, stop - position, tuple(first_word + word for word in words))
                position = stop

    def beats(self, burst: Burst) -> list[tuple[int, int]]:
        """(offset, bytes) of the beats of a burst; the last may be short."""
        return [(at, min(self._bus_bytes, burst.size_bytes - at)) for at in range(0, burst.size_bytes, self._bus_bytes)]

    def take_burst_buffer(self) -> Activity:
        """Wait for a free burst buffer and take it: there is one for each burst in flight."""
        if not self._free_bursts:
            self._burst_freed = Event(self.clock.env)
            yield self._burst_freed
        usable_cycle = self._free_bursts.popleft()
        if usable_cycle > self.clock.now:
            yield self.clock.cycles(usable_cycle - self.clock.now)

    def free_burst_buffer(self) -> None:
        """A burst has ended in this cycle; its buffer can be used from the next."""
        self._free_bursts.append(self.clock.now + 1)
        if self._burst_freed is not None and not self._burst_freed.triggered:
            self._burst_freed.succeed()

    def access_word(self, sram: SramName, payload: MemoryPayload) -> Activity:
        """One SRAM word, asked for again in the next cycle as long as the bank is taken."""
        self.address.value = payload.address
        while True:
            yield from self.srams[sram].b_transport(payload)
            if payload.status is not RETRY:
                break
            payload.rearm()
            yield self.clock.cycles(1)
        if payload.status is not OK:
            raise UnitFaultError(ErrorCode.SRAM_ADDRESS, payload.address)
        self.moved_bytes.value += len(payload.data)


class LoadChannel(Channel):
    """Off-chip memory to SRAM."""

    def move(self, descriptor: Descriptor, origin: Origin) -> Activity:
        """Read the off-chip rows and write the SRAM's."""
        bursts = list(self.bursts(descriptor))
        # a queue for each burst: an error's answer may overtake the beats of the bursts before it
        arrivals: list[Queue[BurstBeat]] = [Queue(self.clock) for _ in bursts]
        self.clock.env.process(self._request(bursts, arrivals, origin))
        word_bytes = self.word_bytes[descriptor.sram]
        collected = bytearray()
        write_cycle = -1
        fault: UnitFaultError | None = None
        for index, burst in enumerate(bursts):
            burst_origin = Origin(Work.BURST, index, origin)
            words = iter(burst.words)
            for _ in self.beats(burst):
                beat: BurstBeat = yield arrivals[index].get()
                if beat.status is not OK:
                    fault = fault or UnitFaultError(ErrorCode.MEMORY_ADDRESS, beat.address)
                    break  # a burst ends with its first error
                if fault is not None:
                    continue
                collected += beat.data
                while len(collected) >= word_bytes:
                    if write_cycle == self.clock.now:
                        yield self.clock.cycles(1)
                    word = MemoryPayload(WRITE, next(words), bytes(collected[:word_bytes]))
                    word.origin = burst_origin
                    yield from self.access_word(descriptor.sram, word)
                    write_cycle = self.clock.now
                    del collected[:word_bytes]
            self.free_burst_buffer()
        if fault is not None:
            raise fault

    def _request(self, bursts: list[Burst], arrivals: list[Queue[BurstBeat]], origin: Origin) -> Activity:
        for index, burst in enumerate(bursts):
            yield from self.take_burst_buffer()
            self.clock.env.process(self._fetch(burst, arrivals[index], Origin(Work.BURST, index, origin)))
            yield self.clock.cycles(1)

    def _fetch(self, burst: Burst, arrivals: Queue[BurstBeat], origin: Origin) -> Activity:
        beats = self.beats(burst)
        for index, (offset, size_bytes) in enumerate(beats):
            beat = BurstBeat(READ, burst.address + offset, bytearray(size_bytes), index, len(beats))
            beat.origin = Origin(_BEAT, index, origin)
            yield from self.memory.b_transport(beat)
            arrivals.put(beat)
            if beat.status is not OK:
                return


class StoreChannel(Channel):
    """SRAM to off-chip memory."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent, config)
        self._answers: Queue[BurstBeat] = Queue(self.clock)
        self._read_cycles = config.sram_read_cycles

    def move(self, descriptor: Descriptor, origin: Origin) -> Activity:
        """Read the SRAM's rows and write the off-chip ones."""
        bursts = list(self.bursts(descriptor))
        self.clock.env.process(self._read_and_send(descriptor, bursts, origin))
        fault: UnitFaultError | None = None
        for _ in bursts:
            last: BurstBeat = yield self._answers.get()
            if last.status is not OK:
                fault = fault or UnitFaultError(ErrorCode.MEMORY_ADDRESS, last.address)
        if fault is not None:
            raise fault

    def _read_and_send(self, descriptor: Descriptor, bursts: list[Burst], origin: Origin) -> Activity:
        word_bytes = self.word_bytes[descriptor.sram]
        words = descriptor.words()
        collected = bytearray()
        for index, burst in enumerate(bursts):
            burst_origin = Origin(Work.BURST, index, origin)
            yield from self.take_burst_buffer()
            while len(collected) < burst.size_bytes:
                word = MemoryPayload(READ, next(words), bytearray(word_bytes))
                word.origin = burst_origin
                yield from self.access_word(descriptor.sram, word)
                collected += word.data
                yield self.clock.cycles(1)
            data, collected = collected[: burst.size_bytes], collected[burst.size_bytes :]
            self.clock.env.process(self._send(burst, bytes(data), burst_origin))
        assert not collected  # rows are whole words

    def _send(self, burst: Burst, data: bytes, origin: Origin) -> Activity:
        yield self.clock.cycles(self._read_cycles - 1)
        beats = self.beats(burst)
        for index, (offset, size_bytes) in enumerate(beats):
            beat = BurstBeat(WRITE, burst.address + offset, data[offset : offset + size_bytes], index, len(beats))
            beat.origin = Origin(_BEAT, index, origin)
            yield from self.memory.b_transport(beat)
            if beat.status is not OK:
                break
        self.free_burst_buffer()
        self._answers.put(beat)


class Dma(dma.Dma):
    """Two channels."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.load = LoadChannel("load", self, config)
        self.store = StoreChannel("store", self, config)
