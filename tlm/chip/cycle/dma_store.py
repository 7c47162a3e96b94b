"""The DMA's store channel: SRAM to off-chip memory.

Request flow: SRAM words are read in order, one a cycle, with the lowest priority at their bank; when all bytes of a
burst have been read, the burst is sent, in order, up to ``dma_bursts_in_flight`` at a time.
Timing: a burst is asked for in the cycle after the read of its last word (the SRAM's data must be out), its beats
are taken at the memory's pace, and its buffer is free in the cycle after the last beat's answer. The channel's
interrupt comes in the cycle after the last answer. An error is reported when every burst was sent and answered.
"""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.chip.cycle.dma_channel import Burst, DmaChannel
from tlm.chip.format.descriptor import Descriptor
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.payloads import BurstBeat, Work
from tlm.core.clock import Register
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Cause, Command, MemoryPayload, Response


class StoreChannel(DmaChannel):
    """The other channel."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent, config)
        self._answers: Register[BurstBeat] = Register(self.clock, 0)
        self._read_cycles = config.sram_read_cycles

    def move(self, descriptor: Descriptor, cause: Cause) -> Activity:
        """Read the SRAM's rows and write the off-chip ones."""
        bursts = list(self.bursts(descriptor))
        self.clock.env.process(self._read_and_send(descriptor, bursts, cause))
        fault: UnitFaultError | None = None
        for _ in bursts:
            last: BurstBeat = yield self._answers.get()
            if last.status is not Response.OK:
                fault = fault or UnitFaultError(ErrorCode.MEMORY_ADDRESS, last.address)
        if fault is not None:
            raise fault

    def _read_and_send(self, descriptor: Descriptor, bursts: list[Burst], cause: Cause) -> Activity:
        word_bytes = self.word_bytes[descriptor.sram]
        words = descriptor.words()
        collected = bytearray()
        for index, burst in enumerate(bursts):
            burst_cause = Cause(Work.BURST, index, cause)
            yield from self.take_burst_buffer()
            while len(collected) < burst.size_bytes:
                word = MemoryPayload(Command.READ, next(words), bytearray(word_bytes), cause=burst_cause)
                yield from self.access_word(descriptor.sram, word)
                collected += word.data
                yield self.clock.cycles(1)
            data, collected = collected[: burst.size_bytes], collected[burst.size_bytes :]
            self.clock.env.process(self._send(burst, bytes(data), burst_cause))
        assert not collected  # rows are whole words

    def _send(self, burst: Burst, data: bytes, cause: Cause) -> Activity:
        yield self.clock.cycles(self._read_cycles - 1)
        beats = self.beats(burst)
        for index, (offset, size_bytes) in enumerate(beats):
            beat = BurstBeat(
                Command.WRITE, burst.address + offset, data[offset : offset + size_bytes], index, len(beats),
                cause=Cause(Work.BEAT, index, cause),
            )  # fmt: skip
            yield from self.memory.b_transport(beat)
            if beat.status is not Response.OK:
                break
        self.free_burst_buffer()
        self._answers.put(beat)
