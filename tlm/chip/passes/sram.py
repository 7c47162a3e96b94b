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
        self._word_type = np.dtype((np.void, self.word_bytes))
        self._words = np.frombuffer(self.bytes, self._word_type)
        self.reservations = TargetSocket(self, "reservations", ReservationPayload, self._reserve)
        self.calendar: InitiatorSocket[ReservationPayload] = InitiatorSocket(self, "calendar", ReservationPayload)

    def transport(self, port: Port, priority: int) -> Callable[[MemoryPayload], None]:
        """Every word of a bulk payload, in no time."""
        return partial(self._access, port)

    def _access(self, port: Port, payload: MemoryPayload) -> None:
        assert isinstance(payload, BulkPayload)
        payload.status = self._move(payload, port)
        if payload.status is OK:
            words = len(payload.data) // self.word_bytes
            served = words_of_banks(self.banks, payload.address, words, payload.stride_words)
            self.tell_accessed(Accessed(self.sram, port, served, payload.refused, pass_of(port, payload)))

    def _move(self, payload: BulkPayload, port: Port) -> Response:
        count, rest = divmod(len(payload.data), self.word_bytes)
        end = payload.address + (count - 1) * payload.stride_words + 1
        if rest or payload.address < 0 or end > self.words:
            return Response.ADDRESS_ERROR
        places = slice(payload.address, end, payload.stride_words)
        if payload.command is WRITE:
            self._words[places] = np.frombuffer(payload.data, self._word_type)
            self.written[places] = b"\1" * count
            return OK
        unwritten = self.written[places].find(0)
        if unwritten >= 0:
            self.refuse_unwritten(payload.address + unwritten * payload.stride_words, port, payload)
        assert not isinstance(payload.data, bytes)
        payload.data[:] = self._words[places].tobytes()
        return OK

    def _reserve(self, payload: ReservationPayload) -> None:
        onward = ReservationPayload(payload.first_cycle, payload.banks, payload.accesses, origin=payload.origin)
        self.calendar.transport(onward)
        payload.status = onward.status
        assert payload.status is OK
        for port in _READ_DIRECTLY:
            words = payload.accesses[port].tolist() if port in payload.accesses else ()
            if any(words):
                self.tell_accessed(Accessed(self.sram, port, words, 0, None))
