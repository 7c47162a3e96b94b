"""Sockets: the connections between modules.

An initiator socket is bound to exactly one target socket of the same payload type. It offers blocking transport (a
generator that takes simulated time), debug transport (zero time, unobserved: preload and inspection) and the direct
memory interface (a read-only view that the target may revoke).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

from tlm.core.errors import ElaborationError, ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module, Part
from tlm.core.payload import INCOMPLETE, Payload

P = TypeVar("P", bound=Payload)


class Phase(enum.Enum):
    """TLM-2.0's four moments of a transaction, seen at the socket where it starts."""

    BEGIN_REQ = "begin request"
    """The initiator has sent the payload."""
    END_REQ = "end request"
    """The target has accepted it; at the latest just before BEGIN_RESP."""
    BEGIN_RESP = "begin response"
    """The target has answered."""
    END_RESP = "end response"
    """The initiator has the answer."""


PhaseObserver: TypeAlias = "Callable[[Phase, InitiatorSocket[Any], P], None]"
"""Called in the cycle of the phase. An observer must not change anything; its exception stops the run."""


def _no_events() -> Activity:
    yield from ()


_NO_TIME = _no_events()
"""What is left to wait for after a transport that took no time; any number of callers may wait for it."""
next(_NO_TIME, None)  # it has ended: threads may share it


class DirectMemory:
    """A read-only view of a target's bytes, valid until the target revokes it.

    Whoever works on the view stands for accesses: their timing, counters and checks stay its duty.

    Args:
        owner: the target's path, for messages.
        view: its bytes.
        written: one byte per addressable word, 0 where nobody has written yet.
    """

    def __init__(self, owner: str, view: memoryview, written: memoryview) -> None:
        self._owner = owner
        self._view: memoryview | None = view.toreadonly()
        self._written = written.toreadonly()

    @property
    def written(self) -> memoryview:
        """Which words hold something that was written: what the holder checks before it reads."""
        return self._written

    @property
    def valid(self) -> bool:
        """False once revoked."""
        return self._view is not None

    @property
    def view(self) -> memoryview:
        """The bytes.

        Raises:
            ProtocolError: the view was revoked; ask the socket for a new one.
        """
        if self._view is None:
            raise ProtocolError(
                f"{self._owner}: a direct memory view was used after it had been revoked; ask for a new one"
            )
        return self._view

    def revoke(self) -> None:
        """Called by the target that granted the view."""
        self._view = None


class Socket(Part):
    """What both kinds share: a payload type, and the socket that it is bound to."""

    direction = ""

    def __init__(self, owner: Module, name: str, payload_type: type[Payload]) -> None:
        super().__init__(owner, name)
        self.payload_type = payload_type
        self.peer: Socket | None = None

    def __repr__(self) -> str:
        return f"<{self.direction} socket {self.path} of {self.payload_type.__name__}>"


class TargetSocket(Socket, Generic[P]):
    """The end that serves.

    Args:
        owner: the module that serves.
        name: unique among the owner's sockets.
        payload_type: what is served.
        transport: generator function ``transport(payload)``; must set ``payload.status`` before it returns. A plain
            function may answer the payload, which takes no time, or return a generator of what is left to do.
        debug: function ``debug(payload) -> bytes moved``, zero simulated time, if the target can be inspected.
        direct: function that grants a view of the target's memory, if it has one.
    """

    direction = "target"

    def __init__(
        self,
        owner: Module,
        name: str,
        payload_type: type[P],
        transport: Callable[[P], Activity | None],
        debug: Callable[[P], int] | None = None,
        direct: Callable[[], DirectMemory] | None = None,
    ) -> None:
        super().__init__(owner, name, payload_type)
        self.transport = transport
        self.debug = debug
        self.direct = direct

    def accept(self, payload: P) -> None:
        """Announce END_REQ: the target has taken the payload and works on it.

        Raises:
            ProtocolError: it had accepted this payload before.
        """
        if payload.accepted:
            raise ProtocolError(f"{self.path}: {payload.describe()} was accepted twice; accept it once")
        assert isinstance(self.peer, InitiatorSocket)
        self.peer.end_request(payload)


class InitiatorSocket(Socket, Generic[P]):
    """The end that asks."""

    direction = "initiator"

    def __init__(self, owner: Module, name: str, payload_type: type[P]) -> None:
        super().__init__(owner, name, payload_type)
        self._begin_req: tuple[PhaseObserver[Any], ...] = ()
        self._end_req: tuple[PhaseObserver[Any], ...] = ()
        self._begin_resp: tuple[PhaseObserver[Any], ...] = ()
        self._end_resp: tuple[PhaseObserver[Any], ...] = ()
        self._end_watched = False
        self._transport: Callable[[P], Activity | None]  # the target's: every socket is bound before the start
        self._open = owner.kernel.open_transactions
        self._way = ""

    def bind(self, target: TargetSocket[P]) -> None:
        """Connect to a target, once, before the simulation starts.

        Raises:
            ElaborationError: wrong direction, another payload type, either end bound already, or too late.
        """
        self.owner.kernel.check_not_started(f"{self.path}: bind")
        if target.direction != TargetSocket.direction:
            raise ElaborationError(
                f"{self.path}: cannot bind to {target!r}; an initiator socket binds to a target socket"
            )
        if target.payload_type is not self.payload_type:
            raise ElaborationError(
                f"{self.path}: carries {self.payload_type.__name__}, "
                f"but {target.path} serves {target.payload_type.__name__}"
            )
        for end in (self, target):
            if end.peer is not None:
                raise ElaborationError(f"{end.path}: is already bound to {end.peer.path}")
        self.peer, target.peer = target, self
        self._way = f"{self.path} -> {target.path}"
        self._transport = target.transport

    def observe(self, observer: PhaseObserver[P], phases: Iterable[Phase] = Phase) -> None:
        """Call ``observer(phase, socket, payload)`` at these phases (all by default) of every transaction from here.

        The initiator may send the payload again after its answer: an observer that keeps one keeps a copy.
        """
        for phase in phases:
            key = f"_{phase.name.lower()}"
            setattr(self, key, (*getattr(self, key), observer))
        self._end_watched = bool(self._end_req or self._begin_resp or self._end_resp)

    def b_transport(self, payload: P) -> Activity:
        """Send a payload and wait for the answer: ``yield from socket.b_transport(payload)``.

        A target that takes no time has answered when the call returns, and there is nothing to wait for. Write ``yield
        from`` all the same: whether a target takes time is its own affair.

        Raises:
            ProtocolError: the payload had been answered before, or the target did not answer it.
        """
        if payload.status is not INCOMPLETE:
            raise ProtocolError(
                f"{self.path}: {payload.describe()} was sent with status {payload.status.value!r}; rearm it first"
            )
        accepted_before = payload.accepted
        if accepted_before:
            payload.accepted = False  # a forwarded payload is accepted hop by hop
        if self._begin_req:
            for observer in self._begin_req:
                observer(Phase.BEGIN_REQ, self, payload)
        taking = self._transport(payload)
        if taking is not None:
            return self._wait(taking, payload, accepted_before)
        if self._end_watched or payload.status is INCOMPLETE:
            self._end(payload)
        if payload.accepted is not accepted_before:
            payload.accepted = accepted_before
        return _NO_TIME

    def transport(self, payload: P) -> None:
        """Send a payload to a target that takes no time, from a function that cannot wait.

        Raises:
            ProtocolError: as in :meth:`b_transport`, or the target takes time.
        """
        waiting = self.b_transport(payload)
        if waiting is not _NO_TIME and any(True for _ in waiting):
            raise ProtocolError(f"{self.path}: {payload.describe()} takes time, but its sender cannot wait")

    def _wait(self, taking: Activity, payload: P, accepted_before: bool) -> Activity:
        self._open.enter(self._way, payload)
        yield from taking
        self._open.leave(self._way, payload)
        if self._end_watched or payload.status is INCOMPLETE:
            self._end(payload)
        payload.accepted = accepted_before

    def _end(self, payload: P) -> None:
        if payload.status is INCOMPLETE:
            raise ProtocolError(
                f"{self._target.path}: returned from {payload.describe()} without an answer; set its status"
            )
        if self._end_req and not payload.accepted:
            self.end_request(payload)
        for observer in self._begin_resp:
            observer(Phase.BEGIN_RESP, self, payload)
        for observer in self._end_resp:
            observer(Phase.END_RESP, self, payload)

    def end_request(self, payload: P) -> None:
        """Called by the target's socket (or at the answer, if the target never said it)."""
        payload.accepted = True
        for observer in self._end_req:
            observer(Phase.END_REQ, self, payload)

    def debug_transport(self, payload: P) -> int:
        """Zero-time, unobserved access for preload and inspection; returns the bytes moved.

        Raises:
            ProtocolError: the target cannot be inspected.
        """
        debug = self._target.debug
        if debug is None:
            raise ProtocolError(f"{self._target.path}: has no debug transport")
        return debug(payload)

    def direct_memory(self) -> DirectMemory:
        """A read-only view of the target's memory.

        Raises:
            ProtocolError: the target grants none.
        """
        direct = self._target.direct
        if direct is None:
            raise ProtocolError(f"{self._target.path}: grants no direct memory interface")
        return direct()

    @property
    def _target(self) -> TargetSocket[Any]:
        if not isinstance(self.peer, TargetSocket):
            raise ElaborationError(f"{self.path}: is not bound to anything; bind it to a target socket")
        return self.peer
