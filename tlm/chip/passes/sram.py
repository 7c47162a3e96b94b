"""An SRAM whose banks are reserved ahead.

Request flow: data move in bulk payloads or through direct memory. The engine says in a reservation which banks it will
take in which cycles; the SRAM passes it on to the DMA, which fits its own accesses into what is left.
Timing: none here: whoever sends a bulk payload has worked it out from the reservations.
"""

from __future__ import annotations

from collections.abc import Mapping

from tlm.chip.cycle import sram
from tlm.chip.payloads import ReservationPayload
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Response
from tlm.core.sockets import InitiatorSocket, TargetSocket


class Sram(sram.Sram):
    """Sram with a socket for reservations and one that passes them on."""

    def __init__(
        self, name: str, parent: Module, *, words: int, word_bytes: int, banks: int, port_slots: Mapping[str, int]
    ) -> None:
        super().__init__(name, parent, words=words, word_bytes=word_bytes, banks=banks, port_slots=port_slots)
        self.reservations = TargetSocket(self, "reservations", ReservationPayload, self._reserve)
        self.calendar: InitiatorSocket[ReservationPayload] = InitiatorSocket(self, "calendar", ReservationPayload)

    def _reserve(self, payload: ReservationPayload) -> Activity:
        onward = ReservationPayload(payload.first_cycle, payload.banks, payload.accesses, cause=payload.cause)
        yield from self.calendar.b_transport(onward)
        payload.status = onward.status
        assert payload.status is Response.OK
