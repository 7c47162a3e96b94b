"""Payloads: typed messages through a socket, with a response and an origin.

An initiator makes a payload, the target fills it in, and it belongs to the initiator again when transport returns.
Its response starts as INCOMPLETE, so a target that forgets to answer is found at once.
"""

from __future__ import annotations

import enum

from msgspec import Struct


class Response(enum.Enum):
    """How a target answered."""

    INCOMPLETE = "incomplete"
    """No answer yet."""
    OK = "ok"
    RETRY = "retry"
    """An arbiter refused it in this cycle; the initiator sends it again in a later one."""
    ADDRESS_ERROR = "address error"
    """No target has this address, or the transfer exceeds the target's range."""
    COMMAND_ERROR = "command error"
    """The target has this address but does not support the command there."""
    BURST_ERROR = "burst error"
    """Misaligned, or of a length that the target does not support."""


INCOMPLETE, OK, RETRY = Response.INCOMPLETE, Response.OK, Response.RETRY
"""What every transaction needs: Python 3.11 is slow to find a member in an Enum's class."""


class Command(enum.Enum):
    """The operation of a memory-mapped payload."""

    READ = "read"
    WRITE = "write"


READ, WRITE = Command
"""As above."""


class Origin(Struct, frozen=True):
    """The origin of a payload: a link in a chain such as layer > pass > beat, for traces and messages.

    Args:
        kind: the level of this link, a member of the model's enum.
        index: its number within its kind.
        parent: the larger piece of work that contains this one.
    """

    kind: enum.Enum
    index: int
    parent: Origin | None = None

    def find(self, kind: enum.Enum) -> Origin | None:
        """The link of the given kind in this chain, starting here."""
        link: Origin | None = self
        while link is not None and link.kind is not kind:
            link = link.parent
        return link

    def __str__(self) -> str:
        own = f"{self.kind.value} {self.index}"
        return own if self.parent is None else f"{self.parent} > {own}"


class Payload(Struct, eq=False, kw_only=True):
    """Base of every payload; subclasses add the fields that initiator and target share.

    Where very many are made, ``origin`` is set after the call: Python 3.11 is slow to call a class with keywords. An
    initiator may send one payload again and again, rearmed.
    """

    origin: Origin | None = None
    status: Response = INCOMPLETE
    accepted: bool = False
    """Whether the target has announced END_REQ."""

    def rearm(self) -> None:
        """Make a refused payload ready to be sent again."""
        self.status = INCOMPLETE
        self.accepted = False

    def describe(self) -> str:
        """One line for error messages and deadlock reports."""
        return type(self).__name__ if self.origin is None else f"{type(self).__name__} of {self.origin}"


class MemoryPayload(Payload, eq=False):
    """A read or write of ``len(data)`` bytes at an address; the target defines the unit of the address.

    A READ fills ``data`` in place, so ``data`` must be writable; a WRITE only reads it.
    """

    command: Command
    address: int
    data: bytearray | memoryview | bytes

    def describe(self) -> str:
        """One line for error messages and deadlock reports."""
        text = f"{self.command.value} of {len(self.data)} bytes at 0x{self.address:x}"
        return text if self.origin is None else f"{text} for {self.origin}"
