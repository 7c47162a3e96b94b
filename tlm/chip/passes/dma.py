"""The DMA, a transfer at a time.

Request flow: each channel has the registers and sockets of fidelity "cycle"; a transfer moves its bytes in bulk
payloads in the cycle in which its last access happens.
Timing: both channels, the interconnect's lane and the off-chip memory are advanced together in C (kernels/dma.c)
against the bank calendars that the SRAMs pass on. When the next completion may be near, it is estimated with what is
known; whenever something new is known (the other channel starts, the engine reserves banks), time up to now is settled
and the estimate made anew. So what is reported has happened exactly so.
Constraints: as fidelity "cycle"'s; a transfer that leaves the off-chip memory fails when it starts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from functools import partial

from simpy import Event

from tlm.chip.base import dma
from tlm.chip.config import ChipConfig
from tlm.chip.format.address_map import MEMORY_BASE
from tlm.chip.format.descriptor import Descriptor, burst_addresses, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.kernels.dma import Channel, DmaTimeline
from tlm.chip.kernels.dram import Dram
from tlm.chip.passes.payloads import BulkPayload, ReservationPayload
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Origin, Response
from tlm.core.sockets import InitiatorSocket, TargetSocket

_NEAR_CYCLES = 1024
"""A completion is looked for ahead only when it may be so near: news would make a longer look worthless."""

_SETTLE_SLOT = 8
"""Behind every slot of the SRAMs and the interconnect: whatever happens in a cycle is known then."""


class PassChannel(dma.DmaChannel):
    """One of the two channels: the transfer that is under way."""

    def __init__(self, name: str, parent: TimelineDma, config: ChipConfig, channel: Channel) -> None:
        super().__init__(name, parent, config)
        self._dma = parent
        self.channel = channel
        self._completed: Event = Event(self.clock.env)

    def complete(self) -> None:
        """Called by the DMA in the cycle of the transfer's last access."""
        self._completed.succeed()

    def move(self, descriptor: Descriptor, origin: Origin) -> Activity:
        """Do one transfer; return in the cycle of its last access."""
        refused_before = self._dma.refused(self.channel)
        self._check_memory(descriptor)
        self._dma.start(self.channel, descriptor)
        yield self._completed
        self._completed = Event(self.clock.env)
        refused = self._dma.refused(self.channel) - refused_before
        yield from self._move(descriptor, origin, refused)

    def _check_memory(self, descriptor: Descriptor) -> None:
        rows = (descriptor.rows - 1) * descriptor.memory_stride_bytes
        end = descriptor.memory_address + rows + descriptor.row_words * sram_size(descriptor.sram, self.config)[1]
        if not self._dma.in_memory(descriptor.memory_address, end):
            raise UnitFaultError(ErrorCode.MEMORY_ADDRESS, descriptor.memory_address)

    def _move(self, descriptor: Descriptor, origin: Origin, refused: int) -> Activity:
        """All bytes of the transfer, in no time."""
        size_bytes = descriptor.row_words * sram_size(descriptor.sram, self.config)[1]
        arrivals, arrived = self._dma.timeline.arrival_cycles(self.channel), 0
        for row in range(descriptor.rows):
            outside = descriptor.memory_address + row * descriptor.memory_stride_bytes
            bursts = len(burst_addresses(outside, size_bytes, self.config.burst_bytes))
            of_row, arrived = arrivals[arrived : arrived + bursts], arrived + bursts
            data = self._dma.row_data(outside, size_bytes)
            inside = descriptor.sram_word + row * descriptor.sram_stride_words
            memory = partial(BulkPayload, address=outside, data=data, arrival_cycles=of_row, origin=origin)
            sram = partial(BulkPayload, address=inside, data=data, refused=0 if row else refused, origin=origin)
            if self.channel is Channel.LOAD:
                yield from self._access(self.memory, memory(Command.READ))
                yield from self._access(self.srams[descriptor.sram], sram(Command.WRITE))
            else:
                yield from self._access(self.srams[descriptor.sram], sram(Command.READ))
                yield from self._access(self.memory, memory(Command.WRITE))
            self.address.value = inside + descriptor.row_words - 1
            self.moved_bytes.value += size_bytes

    def _access(self, socket: InitiatorSocket[MemoryPayload], payload: BulkPayload) -> Activity:
        yield from socket.b_transport(payload)
        if payload.status is not Response.OK:
            raise UnitFaultError(ErrorCode.MEMORY_ADDRESS, payload.address)


class TimelineDma(dma.Dma):
    """Two channels and the timeline that they share."""

    load: PassChannel
    store: PassChannel

    def __init__(self, name: str, parent: Module, config: ChipConfig, dram: Dram | None = None) -> None:
        super().__init__(name, parent)
        self.config = config
        self.timeline = DmaTimeline(config, dram)
        self.load = PassChannel("load", self, config, Channel.LOAD)
        self.store = PassChannel("store", self, config, Channel.STORE)

    @abstractmethod
    def announce(self) -> None:
        """A transfer has started in this cycle."""

    def in_memory(self, first: int, end: int) -> bool:
        """Whether these addresses are all off-chip memory."""
        return first >= MEMORY_BASE and end <= MEMORY_BASE + self.config.memory_bytes

    def start(self, channel: Channel, descriptor: Descriptor) -> None:
        """A channel begins to move in this cycle."""
        now = self.clock.now
        self.timeline.advance(now)
        self.timeline.start(
            channel, now, descriptor.memory_address - MEMORY_BASE, descriptor.sram, descriptor.sram_word,
            descriptor.row_words, descriptor.rows, descriptor.memory_stride_bytes, descriptor.sram_stride_words,
            self.room(descriptor),
        )  # fmt: skip
        self.announce()

    def room(self, descriptor: Descriptor) -> bytearray | None:
        """Room for a transfer's bytes on their way, if they move with the timeline."""
        return None

    def row_data(self, memory_address: int, size_bytes: int) -> bytearray:
        """Room for the bytes of a row, or those that the timeline has moved to or from this address."""
        return bytearray(size_bytes)

    def complete(self, channels: Iterable[Channel]) -> None:
        """These transfers' last accesses happen in this cycle."""
        for channel in channels:
            (self.load if channel is Channel.LOAD else self.store).complete()

    def refused(self, channel: Channel) -> int:
        """SRAM accesses of a channel that were refused so far."""
        return self.timeline.refused(channel)


class Dma(TimelineDma):
    """Against the calendars of the engine's banks."""

    def __init__(self, name: str, parent: Module, config: ChipConfig, dram: Dram | None = None) -> None:
        super().__init__(name, parent, config, dram)
        self._news: Event = Event(self.clock.env)
        self.calendars = {
            sram: TargetSocket(self, f"calendar_{sram.name.lower()}", ReservationPayload, partial(self._reserve, sram))
            for sram in SramName
        }
        self.add_process(self._settle)

    def _reserve(self, sram: SramName, payload: ReservationPayload) -> None:
        self.timeline.advance(self.clock.now)
        self.timeline.set_calendar(sram, payload.first_cycle, payload.banks)
        self.announce()
        payload.status = Response.OK

    def announce(self) -> None:
        """Something new is known: the estimate has to be made anew."""
        if not self._news.triggered:
            self._news.succeed()

    def _settle(self) -> Activity:
        """Wake up where the next transfer seems to complete, and complete it if nothing new came in between."""
        while True:
            earliest = self.timeline.earliest_completion()
            if earliest is None:
                yield self._news
                self._news = Event(self.clock.env)
                continue
            if earliest > self.clock.now + _NEAR_CYCLES:
                yield self.clock.cycles(earliest - self.clock.now) | self._news
                if self._news.triggered:
                    self._news = Event(self.clock.env)
                else:
                    self.timeline.advance(self.clock.now)
                continue
            completion = self.timeline.next_completion()
            assert completion is not None
            cycle = completion[0]
            estimate = self.clock.cycles(cycle - self.clock.now)
            yield estimate | self._news
            if self._news.triggered:
                self._news = Event(self.clock.env)
                continue
            yield self.clock.slot(_SETTLE_SLOT)
            if self.timeline.next_completion() == completion:
                self.complete(channel for _, channel in self.timeline.advance(cycle + 1))
