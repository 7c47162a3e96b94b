"""One recorded transaction."""

from __future__ import annotations

from dataclasses import dataclass

from tlm.core.payload import Response
from tlm.testing.recording import STATUSES, Recording

_IN_WORDS = ("engine.amem.", "engine.wmem.", "engine.imem.")
"""Targets whose addresses count words."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One payload at one socket. Moments are cycles since the first host access."""

    socket: str
    target: str
    what: str
    """What it asks for, and the chain of causes that it is for."""
    asked_cycle: int
    """When it was sent first; earlier than ``begin_cycle`` if an arbiter had refused it before."""
    begin_cycle: int
    accept_cycle: int
    """When the target took it."""
    end_cycle: int
    """When the answer came; -1 if none did."""
    status: str
    address: int
    """As the initiator sent it; -1 if it has none."""
    size_bytes: int

    @property
    def latency_cycles(self) -> int:
        """From ``asked_cycle`` to the answer; 0 if that came in the same cycle."""
        return self.end_cycle - self.asked_cycle

    @property
    def refused(self) -> bool:
        """An arbiter gave the cycle to somebody else; the initiator asks again."""
        return self.status == Response.RETRY.value

    def __str__(self) -> str:
        moments = f"cycle {self.begin_cycle:,}"
        if self.end_cycle < 0:
            moments = f"from cycle {self.begin_cycle:,} on, never answered"
        elif self.end_cycle != self.begin_cycle:
            moments = f"cycles {self.begin_cycle:,} .. {self.end_cycle:,}"
        asked = f", asked for since cycle {self.asked_cycle:,}" if self.asked_cycle < self.begin_cycle else ""
        answer = "" if self.status in (Response.OK.value, Response.INCOMPLETE.value) else f", answered {self.status!r}"
        answer = ", refused" if self.refused else answer
        return f"{self.socket} -> {self.target}: {self.what}; {moments}{asked}{answer}"


def transaction(recording: Recording, row: int) -> Transaction:
    """One row of a recording."""
    r = recording
    socket = int(r.socket[row])
    return Transaction(
        socket=r.sockets[socket],
        target=r.targets[socket],
        what=_what(r, row),
        asked_cycle=int(r.asked_cycle[row]),
        begin_cycle=int(r.begin_cycle[row]),
        accept_cycle=int(r.accept_cycle[row]),
        end_cycle=int(r.end_cycle[row]),
        status=STATUSES[int(r.status[row])].value,
        address=int(r.address[row]),
        size_bytes=int(r.size_bytes[row]),
    )


def _what(recording: Recording, row: int) -> str:
    size, address = int(recording.size_bytes[row]), int(recording.address[row])
    text = recording.kinds[int(recording.kind[row])].removesuffix("Payload").lower()
    if address >= 0:
        command = "write" if recording.write[row] else "read"
        target = recording.targets[int(recording.socket[row])]
        place = f"word {address}" if target.startswith(_IN_WORDS) else f"0x{address:x}"
        text = f"{command} of {size} bytes at {place}"
    origin = recording.origins[row]
    return text if origin is None else f"{text} for {origin}"
