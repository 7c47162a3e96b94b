"""The off-chip memory that serves whole transfers."""

from __future__ import annotations

import numpy as np

from tlm.chip.around import off_chip_memory
from tlm.chip.passes.payloads import BulkPayload
from tlm.core.kernel import Activity
from tlm.core.payload import Command, MemoryPayload, Response


class OffChipMemory(off_chip_memory.OffChipMemory):
    """A bulk payload takes no time: its initiator has worked out when its beats are served."""

    def serve(self, payload: MemoryPayload) -> Activity:
        """All beats of a bulk payload, or one beat."""
        if isinstance(payload, BulkPayload):
            payload.status = self._move_all(payload)
        else:
            yield from super().serve(payload)

    def _move_all(self, payload: BulkPayload) -> Response:
        """Consecutive bytes, in no time."""
        first, end = payload.address, payload.address + len(payload.data)
        if first < 0 or end > len(self.bytes):
            return Response.ADDRESS_ERROR
        beats = slice(first // self.beat_bytes, -(-end // self.beat_bytes))
        if payload.command is Command.WRITE:
            self.bytes[first:end] = memoryview(payload.data)
            self.written[beats] = True
            return Response.OK
        if not self.written[beats].all():
            beat = beats.start + int(np.argmin(self.written[beats]))
            raise self.unwritten(beat * self.beat_bytes, payload)
        assert not isinstance(payload.data, bytes)
        payload.data[:] = self.bytes[first:end].tobytes()
        return Response.OK
