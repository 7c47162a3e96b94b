"""What the two DMA channels share: registers, the descriptor, its checks and its bursts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from simpy import Event

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import Descriptor, read_descriptor, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.format.registers import ChannelRegister, ErrorCode, UnitFaultError, UnitRegisters
from tlm.chip.payloads import Work
from tlm.chip.states import ChannelState
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Cause, MemoryPayload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket


@dataclass(frozen=True, slots=True)
class Burst:
    """A piece of a row that does not cross a multiple of the burst length."""

    address: int
    size_bytes: int
    words: tuple[int, ...]
    """SRAM words whose last byte lies in this burst."""


class DmaChannel(Module, ABC):
    """Base of the load and the store channel.

    Args:
        name: "load" or "store".
        parent: the DMA.
        config: bus, burst and SRAM sizes.
    """

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.clock = self.clock
        self._bus_bytes, self._burst_bytes = config.bus_bytes, config.burst_bytes
        self._config = config
        self.word_bytes = {sram: sram_size(sram, config)[1] for sram in SramName}
        self._free_bursts: deque[int] = deque([0] * config.dma_bursts_in_flight)
        """For each free burst buffer the first cycle in which it can be taken."""
        self._burst_freed: Event | None = None
        self._start: Event = Event(self.clock.env)
        self._transfers = 0
        self.state = Probe(self, "state", ChannelState.IDLE)
        self.address = Probe(self, "address", 0)
        self.moved_bytes = Probe(self, "moved_bytes", 0)
        self.registers = UnitRegisters(self, ChannelRegister, self._begin)
        self.memory: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "memory", MemoryPayload)
        self.srams: dict[SramName, InitiatorSocket[MemoryPayload]] = {
            sram: InitiatorSocket(self, sram.name.lower(), MemoryPayload) for sram in SramName
        }
        self.add_process(self._serve)

    @abstractmethod
    def move(self, descriptor: Descriptor, cause: Cause) -> Activity:
        """Do one transfer; return in the cycle of its last access. Raises UnitFaultError."""

    def _begin(self) -> None:
        self._start.succeed()

    def _serve(self) -> Activity:
        while True:
            yield self._start
            self._start = Event(self.clock.env)
            yield self.clock.cycles(1)
            self.state.value = ChannelState.BUSY
            cause = Cause(Work.TRANSFER, self._transfers)
            self._transfers += 1
            fault = None
            try:
                yield from self.move(read_descriptor(self.registers, self._config), cause)
            except UnitFaultError as error:
                fault = error
            yield self.clock.cycles(1)
            self.state.value = ChannelState.IDLE
            yield from self.registers.finish(fault)

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
            if payload.status is not Response.RETRY:
                break
            payload.rearm()
            yield self.clock.cycles(1)
        if payload.status is not Response.OK:
            raise UnitFaultError(ErrorCode.SRAM_ADDRESS, payload.address)
        self.moved_bytes.value += len(payload.data)
