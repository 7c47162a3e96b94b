"""The off-chip memory's contract: its port, and bytes that are read and written there."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.payloads import BurstBeat
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, WRITE, MemoryPayload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import TargetSocket


class Memory(Module):
    """Base of every model: ``config.memory_bytes`` bytes, addressed from 0."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.beat_bytes = config.bus_bytes
        self.bytes = np.zeros(config.memory_bytes, np.uint8)  # the system commits a page only when it is touched
        self._view: memoryview = self.bytes.data  # numpy is slow to move a few bytes
        self.written = np.zeros(-(-config.memory_bytes // config.bus_bytes), np.bool_)
        self.address = Probe(self, "address", 0)
        self.busy = Probe(self, "busy", False)
        self.port = TargetSocket(self, "port", MemoryPayload, self.serve, self._debug)

    def serve(self, payload: MemoryPayload) -> Activity:
        """Serve one beat in its cycle; one that belongs to no burst is a burst of its own."""
        beat, beats = (payload.beat, payload.beats) if isinstance(payload, BurstBeat) else (0, 1)
        if beat == 0:
            payload.status = self.check(payload, beats)
            if payload.status is not OK:
                return
        yield from self.wait_for_beat(payload, beat, beats)
        self.address.value = payload.address
        self.move(payload)
        payload.status = OK

    @abstractmethod
    def wait_for_beat(self, payload: MemoryPayload, beat: int, beats: int) -> Activity:
        """Come to an end in the cycle in which beat ``beat``, from 0, of a burst of so many is served."""

    def check(self, payload: MemoryPayload, beats: int) -> Response:
        """Whether a burst of so many beats, this one first, is aligned and within the memory."""
        if payload.address % self.beat_bytes or len(payload.data) > self.beat_bytes:
            return Response.BURST_ERROR
        end = payload.address + (beats - 1) * self.beat_bytes + len(payload.data)
        return OK if payload.address >= 0 and end <= len(self.bytes) else Response.ADDRESS_ERROR

    def move(self, payload: MemoryPayload) -> None:
        """Read or write the bytes of a beat.

        Raises:
            UnwrittenReadError: it reads what was never written.
        """
        place = slice(payload.address, payload.address + len(payload.data))
        if payload.command is WRITE:
            self._view[place] = payload.data
            self.written[payload.address // self.beat_bytes] = True
            return
        if not self.written[payload.address // self.beat_bytes]:
            raise self.unwritten(payload.address, payload)
        assert not isinstance(payload.data, bytes)
        payload.data[:] = self._view[place]

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
        if payload.command is WRITE:
            self.bytes[first:end] = memoryview(payload.data)
            self.written[first // self.beat_bytes : -(-end // self.beat_bytes)] = True
        else:
            assert not isinstance(payload.data, bytes)
            payload.data[:] = self.bytes[first:end].tobytes()
        payload.status = OK
        return len(payload.data)
