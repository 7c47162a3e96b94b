"""What travels through a socket: a typed payload with a response and a cause.

A payload is made by an initiator, filled in by the target, and belongs to the initiator again when transport
returns. Its response starts INCOMPLETE, so a target that forgets to answer is found at once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Response(enum.Enum):
    """How a target answered."""

    INCOMPLETE = "incomplete"
    """Nobody has answered yet."""
    OK = "ok"
    RETRY = "retry"
    """Refused in this cycle by an arbiter; the initiator asks again in a later one."""
    ADDRESS_ERROR = "address error"
    """Nothing is at this address, or the transfer leaves what is there."""
    COMMAND_ERROR = "command error"
    """The target knows the address but cannot do this there."""
    BURST_ERROR = "burst error"
    """Misaligned, or of a length that the target cannot do."""


class Command(enum.Enum):
    """What a memory-mapped payload asks for."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a payload exists: a link in a chain such as layer > pass > beat, so that traces can say who asked.

    Args:
        kind: the level of this link, a member of an enum of the model's.
        index: which one of its kind.
        parent: the larger piece of work that this one belongs to.
    """

    kind: enum.Enum
    index: int
    parent: Cause | None = None

    def find(self, kind: enum.Enum) -> Cause | None:
        """The link of the given kind in this chain, starting here."""
        link: Cause | None = self
        while link is not None and link.kind is not kind:
            link = link.parent
        return link

    def __str__(self) -> str:
        own = f"{self.kind.value} {self.index}"
        return own if self.parent is None else f"{self.parent} > {own}"


@dataclass(slots=True, eq=False)
class Payload:
    """Base of every payload; subclasses add what the two ends agree on."""

    cause: Cause | None = field(default=None, kw_only=True)
    status: Response = field(default=Response.INCOMPLETE, kw_only=True)
    accepted: bool = field(default=False, kw_only=True)
    """The target has announced END_REQ."""

    def rearm(self) -> None:
        """Make a refused payload ready to be sent again."""
        self.status = Response.INCOMPLETE
        self.accepted = False

    def describe(self) -> str:
        """One line for error messages and deadlock reports."""
        return type(self).__name__ if self.cause is None else f"{type(self).__name__} of {self.cause}"


@dataclass(slots=True, eq=False)
class MemoryPayload(Payload):
    """A read or write of ``len(data)`` bytes at an address; what an address counts is the target's to say.

    A READ fills ``data`` in place, so it must be writable then; a WRITE only reads it.
    """

    command: Command
    address: int
    data: bytearray | memoryview | bytes

    def describe(self) -> str:
        """One line for error messages and deadlock reports."""
        text = f"{self.command.value} of {len(self.data)} bytes at 0x{self.address:x}"
        return text if self.cause is None else f"{text} for {self.cause}"
