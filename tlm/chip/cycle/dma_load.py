"""The DMA's load channel: off-chip memory to SRAM.

Request flow: the descriptor is cut into bursts; up to ``dma_bursts_in_flight`` are asked for, at most one a cycle;
their beats arrive in order, words are assembled from them and written to the SRAM in order.
Timing: a word can be written from the cycle in which its last beat arrives (one cycle after the memory served it),
one word a cycle, with the lowest priority at its bank; a burst's buffer is free again in the cycle after the last
word that ends in it was written. The channel's interrupt comes in the cycle after the last write. After an error
nothing more is written, but every burst is asked for and answered before the error is reported.
"""

from __future__ import annotations

from tlm.chip.cycle.dma_channel import Burst, DmaChannel
from tlm.chip.format.descriptor import Descriptor
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.payloads import BurstBeat, Work
from tlm.core.clock import Register
from tlm.core.kernel import Activity
from tlm.core.payload import Cause, Command, MemoryPayload, Response


class LoadChannel(DmaChannel):
    """One of the two channels."""

    def move(self, descriptor: Descriptor, cause: Cause) -> Activity:
        """Read the off-chip rows and write the SRAM's."""
        bursts = list(self.bursts(descriptor))
        # a queue for each burst: an error's answer may overtake the beats of the bursts before it
        arrivals: list[Register[BurstBeat]] = [Register(self.clock, 0) for _ in bursts]
        self.clock.env.process(self._request(bursts, arrivals, cause))
        word_bytes = self.word_bytes[descriptor.sram]
        collected = bytearray()
        write_cycle = -1
        fault: UnitFaultError | None = None
        for index, burst in enumerate(bursts):
            burst_cause = Cause(Work.BURST, index, cause)
            words = iter(burst.words)
            for _ in self.beats(burst):
                beat: BurstBeat = yield arrivals[index].get()
                if beat.status is not Response.OK:
                    fault = fault or UnitFaultError(ErrorCode.MEMORY_ADDRESS, beat.address)
                    break  # a burst ends with its first error
                if fault is not None:
                    continue
                collected += beat.data
                while len(collected) >= word_bytes:
                    if write_cycle == self.clock.now:
                        yield self.clock.cycles(1)
                    word = MemoryPayload(Command.WRITE, next(words), bytes(collected[:word_bytes]), cause=burst_cause)
                    yield from self.access_word(descriptor.sram, word)
                    write_cycle = self.clock.now
                    del collected[:word_bytes]
            self.free_burst_buffer()
        if fault is not None:
            raise fault

    def _request(self, bursts: list[Burst], arrivals: list[Register[BurstBeat]], cause: Cause) -> Activity:
        for index, burst in enumerate(bursts):
            yield from self.take_burst_buffer()
            self.clock.env.process(self._fetch(burst, arrivals[index], Cause(Work.BURST, index, cause)))
            yield self.clock.cycles(1)

    def _fetch(self, burst: Burst, arrivals: Register[BurstBeat], cause: Cause) -> Activity:
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
            arrivals.put(beat)
            if beat.status is not Response.OK:
                return
