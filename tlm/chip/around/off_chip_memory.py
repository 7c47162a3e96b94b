"""The off-chip memory behind its controller.

Request flow: bursts of bus beats, reads and writes alike, in the order in which their first beats arrive.
Timing: a burst's first beat is served ``memory_latency_ns`` (rounded up to cycles) after its arrival, but not
before the bursts ahead of it are served; beats follow each other at the memory's bandwidth, at most one per cycle.
Beat times are kept in whole parts of a cycle and rounded up to the cycle, so no bandwidth is lost to rounding.
Constraints: beats are aligned to the bus width; reading a beat that was never written is an error.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from simpy import Event

from tlm.chip.config import ChipConfig
from tlm.chip.payloads import BurstBeat
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import TargetSocket


class OffChipMemory(Module):
    """``config.memory_bytes`` bytes, addressed from 0."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.beat_bytes = config.bus_bytes
        self._beat_parts, self._parts = config.memory_beat_cycles.as_integer_ratio()
        """A beat takes so many of the parts into which a cycle is divided."""
        self._latency_cycles = config.cycles_of_ns(config.memory_latency_ns)
        self.bytes = np.zeros(config.memory_bytes, np.uint8)  # the system commits a page only when it is touched
        self.written = np.zeros(-(-config.memory_bytes // config.bus_bytes), np.bool_)
        self._queue: deque[Event] = deque()
        self._free_from_parts = 0
        """When the next beat can be served."""
        self.address = Probe(self, "address", 0)
        self.busy = Probe(self, "busy", False)
        self.port = TargetSocket(self, "port", MemoryPayload, self.serve, self._debug)

    def serve(self, payload: MemoryPayload) -> Activity:
        """Serve one beat in its cycle."""
        beat, beats = (payload.beat, payload.beats) if isinstance(payload, BurstBeat) else (0, 1)
        if beat == 0:
            payload.status = self._check(payload, beats)
            if payload.status is not Response.OK:
                return
            yield from self._wait_for_turn()
        wait_cycles = -(-self._free_from_parts // self._parts) - self.clock.now
        if wait_cycles > 0:
            yield self.clock.cycles(wait_cycles)
        self._free_from_parts += self._beat_parts
        self.address.value = payload.address
        self._move(payload)
        payload.status = Response.OK
        if beat == beats - 1:
            self._next_burst()

    def _check(self, payload: MemoryPayload, beats: int) -> Response:
        if payload.address % self.beat_bytes or len(payload.data) > self.beat_bytes:
            return Response.BURST_ERROR
        end = payload.address + (beats - 1) * self.beat_bytes + len(payload.data)
        return Response.OK if payload.address >= 0 and end <= len(self.bytes) else Response.ADDRESS_ERROR

    def _wait_for_turn(self) -> Activity:
        arrival = self.clock.now
        turn = Event(self.clock.env)
        self._queue.append(turn)
        self.busy.value = True
        if self._queue[0] is turn:
            turn.succeed()
        yield turn
        self._free_from_parts = max(self._free_from_parts, (arrival + self._latency_cycles) * self._parts)

    def _next_burst(self) -> None:
        self._queue.popleft()
        if self._queue:
            self._queue[0].succeed()
        else:
            self.busy.value = False

    def _move(self, payload: MemoryPayload) -> None:
        place = slice(payload.address, payload.address + len(payload.data))
        if payload.command is Command.WRITE:
            self.bytes[place] = memoryview(payload.data)
            self.written[payload.address // self.beat_bytes] = True
            return
        if not self.written[payload.address // self.beat_bytes]:
            raise self.unwritten(payload.address, payload)
        assert not isinstance(payload.data, bytes)
        payload.data[:] = self.bytes[place].tobytes()

    def unwritten(self, address: int, payload: MemoryPayload) -> UnwrittenReadError:
        """The error for a read of a byte that was never written."""
        return UnwrittenReadError(
            f"{self.path}: byte 0x{address:x} was read in cycle {self.clock.now}"
            f"{f' for {payload.origin}' if payload.origin else ''}, but was never written; "
            "check the addresses in the program"
        )

    def _debug(self, payload: MemoryPayload) -> int:
        """Debug access to any range of bytes; takes no time, and reads bytes whether or not they were written."""
        first, end = payload.address, payload.address + len(payload.data)
        if first < 0 or end > len(self.bytes):
            payload.status = Response.ADDRESS_ERROR
            return 0
        if payload.command is Command.WRITE:
            self.bytes[first:end] = memoryview(payload.data)
            self.written[first // self.beat_bytes : -(-end // self.beat_bytes)] = True
        else:
            assert not isinstance(payload.data, bytes)
            payload.data[:] = self.bytes[first:end].tobytes()
        payload.status = Response.OK
        return len(payload.data)
