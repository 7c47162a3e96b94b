"""An SRAM whose banks are reserved ahead.

Request flow: data move in bulk payloads or through direct memory. The engine says in a reservation which banks it will
take in which cycles; the SRAM passes it on to the DMA, which fits its own accesses into what is left.
Timing: none here; the sender of a bulk payload has computed it from the reservations.
Constraints: reading a word that was never written is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tlm.chip.base.sram import SramBase, pass_of, words_of_banks
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, EngineEvents, Port
from tlm.chip.format.driver import SramName
from tlm.chip.passes.payloads import BulkPayload, ReservationPayload
from tlm.core.module import Module
from tlm.core.payload import OK, WRITE, MemoryPayload, Response
from tlm.core.sockets import InitiatorSocket, TargetSocket

_READ_DIRECTLY = (Port.ALIGNER, Port.FETCH)
"""Their words come through direct memory, so their accesses are told when they are reserved."""


class Sram(SramBase):
    """Words move in bulk."""

    def __init__(self, sram: SramName, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(sram, parent, config, events)
        self.reservations = TargetSocket(self, "reservations", ReservationPayload, self._reserve)
        self.calendar: InitiatorSocket[ReservationPayload] = InitiatorSocket(self, "calendar", ReservationPayload)

    def transport(self, port: Port, priority: int) -> Callable[[MemoryPayload], None]:
        """Every word of a bulk payload, in no time."""
        return partial(self._access, port)

    def _access(self, port: Port, payload: MemoryPayload) -> None:
        assert isinstance(payload, BulkPayload)
        row_words, size = payload.row_words, self.word_bytes
        rows, rest = divmod(len(payload.data), row_words * size)
        end = payload.address + (rows - 1) * payload.stride_words + row_words
        if rest or payload.address < 0 or end > self.words:
            payload.status = Response.ADDRESS_ERROR
            return
        self._move(payload, port, rows)
        served = words_of_banks(self.banks, payload.address, rows, payload.stride_words, row_words)
        self.tell_accessed(Accessed(self.sram, port, served, payload.refused, pass_of(port, payload)))
        payload.status = OK

    def _move(self, payload: BulkPayload, port: Port, rows: int) -> None:
        stride, size = payload.stride_words, self.word_bytes
        row_bytes = payload.row_words * size
        words = np.ndarray((rows, row_bytes), np.uint8, self.bytes, payload.address * size, (stride * size, 1))
        flags = np.ndarray((rows, payload.row_words), np.bool_, self.written, payload.address, (stride, 1))
        if payload.command is WRITE:
            words[...] = np.frombuffer(payload.data, np.uint8).reshape(rows, row_bytes)
            flags[...] = True
            return
        if not flags.all():
            row, word = divmod(int(np.argmin(flags)), payload.row_words)
            self.refuse_unwritten(payload.address + row * stride + word, port, payload)
        assert not isinstance(payload.data, bytes)
        payload.data[:] = words.tobytes()

    def _reserve(self, payload: ReservationPayload) -> None:
        onward = ReservationPayload(payload.first_cycle, payload.banks, payload.accesses, origin=payload.origin)
        self.calendar.transport(onward)
        payload.status = onward.status
        assert payload.status is OK
        for port in _READ_DIRECTLY:
            words = payload.accesses[port].tolist() if port in payload.accesses else ()
            if any(words):
                self.tell_accessed(Accessed(self.sram, port, words, 0, None))
