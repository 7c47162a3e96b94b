"""The DMA's load channel: off-chip memory to SRAM.

Request flow: the descriptor is cut into bursts; up to ``dma_bursts_in_flight`` are asked for, at most one a cycle;
their beats arrive in order, words are assembled from them and written to the SRAM in order.
Timing: a word can be written from the cycle in which its last beat arrives (one cycle after the memory served it),
one word a cycle, with the lowest priority at its bank; a burst's buffer is free again in the cycle after the last
word that ends in it was written. The channel's interrupt comes in the cycle after the last write.
"""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.chip.descriptor import Descriptor
from tlm.chip.dma_channel import Burst, DmaChannel
from tlm.chip.payloads import BurstBeat, Work
from tlm.chip.registers import ErrorCode, UnitFaultError
from tlm.core.clock import Register
from tlm.core.module import Activity, Module
from tlm.core.payload import Cause, Command, MemoryPayload, Response


class LoadChannel(DmaChannel):
    """One of the two channels."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent, config)
        self._arrivals: Register[BurstBeat] = Register(self.clock, 0)

    def move(self, descriptor: Descriptor, cause: Cause) -> Activity:
        """Read the off-chip rows and write the SRAM's."""
        bursts = list(self.bursts(descriptor))
        self.clock.env.process(self._request(bursts, cause))
        word_bytes = self.word_bytes[descriptor.sram]
        collected = bytearray()
        write_cycle = -1
        for index, burst in enumerate(bursts):
            burst_cause = Cause(Work.BURST, index, cause)
            words = iter(burst.words)
            for _ in self.beats(burst):
                beat: BurstBeat = yield self._arrivals.get()
                if beat.status is not Response.OK:
                    raise UnitFaultError(ErrorCode.MEMORY_ADDRESS, beat.address)
                collected += beat.data
                while len(collected) >= word_bytes:
                    if write_cycle == self.clock.now:
                        yield self.clock.cycles(1)
                    word = MemoryPayload(Command.WRITE, next(words), bytes(collected[:word_bytes]), cause=burst_cause)
                    yield from self.access_word(descriptor.sram, word)
                    write_cycle = self.clock.now
                    del collected[:word_bytes]
            self.free_burst_buffer()

    def _request(self, bursts: list[Burst], cause: Cause) -> Activity:
        for index, burst in enumerate(bursts):
            yield from self.take_burst_buffer()
            self.clock.env.process(self._fetch(burst, Cause(Work.BURST, index, cause)))
            yield self.clock.cycles(1)

    def _fetch(self, burst: Burst, cause: Cause) -> Activity:
        beats = self.beats(burst)
        for index, (offset, size_bytes) in enumerate(beats):
            beat = BurstBeat(
                Command.READ,
                burst.address + offset,
                bytearray(size_bytes),
                index,
                len(beats),
                cause=Cause(Work.BEAT, index, cause),
            )
            yield from self.memory.b_transport(beat)
            self._arrivals.put(beat)
            if beat.status is not Response.OK:
                return
