"""Every transaction of a run, recorded at all sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlm.chip.payloads import StepPayload, Work
from tlm.core.payload import MemoryPayload, Origin, Payload, Response
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.watched import Watched

_IN_WORDS = ("engine.amem.", "engine.wmem.", "engine.imem.")
"""Targets whose addresses count words."""


@dataclass(slots=True, eq=False)
class Transaction:
    """One payload at one socket. Moments are cycles since the first host access; -1 is never."""

    socket: str
    target: str
    kind: str
    """"read", "write", or what is handed over, such as "step"."""
    origin: Origin | None
    asked_cycle: int
    """When it was sent first; earlier than ``begin_cycle`` if an arbiter had refused it before."""
    begin_cycle: int
    address: int = -1
    """As the initiator sent it; -1 if it has none."""
    size_bytes: int = 0
    accept_cycle: int = -1
    """When the target took it."""
    end_cycle: int = -1
    """When the answer came."""
    status: str = Response.INCOMPLETE.value

    @property
    def latency_cycles(self) -> int:
        """From ``asked_cycle`` to the answer; 0 if that came in the same cycle."""
        return self.end_cycle - self.asked_cycle

    @property
    def served(self) -> bool:
        """It was answered with OK."""
        return self.status == Response.OK.value

    @property
    def refused(self) -> bool:
        """An arbiter gave the cycle to somebody else; the initiator asks again."""
        return self.status == Response.RETRY.value

    @property
    def what(self) -> str:
        """What it asks for, and the chain of origins that it is for."""
        text = self.kind
        if self.address >= 0:
            place = f"word {self.address}" if self.target.startswith(_IN_WORDS) else f"0x{self.address:x}"
            text = f"{self.kind} of {self.size_bytes} bytes at {place}"
        return text if self.origin is None else f"{text} for {self.origin}"

    @property
    def dma_channel(self) -> str:
        """The DMA channel that moves it, if one does: only loads read the memory, and only stores write it."""
        if self.socket.startswith("dma."):
            return self.socket.split(".")[1]
        return "store" if self.kind == "write" else "load"

    def index(self, work: Work) -> int | None:
        """Which layer's part, pass or transfer it is for."""
        link = None if self.origin is None else self.origin.find(work)
        return None if link is None else link.index

    def __str__(self) -> str:
        moments = f"cycle {self.begin_cycle:,}"
        if self.end_cycle < 0:
            moments = f"from cycle {self.begin_cycle:,} on, never answered"
        elif self.end_cycle != self.begin_cycle:
            moments = f"cycles {self.begin_cycle:,} .. {self.end_cycle:,}"
        asked = f", asked for since cycle {self.asked_cycle:,}" if self.asked_cycle < self.begin_cycle else ""
        answer = ", refused" if self.refused else f", answered {self.status!r}"
        if self.served or self.end_cycle < 0:
            answer = ""
        return f"{self.socket} -> {self.target}: {self.what}; {moments}{asked}{answer}"


class Recording:
    """An observer of :func:`tlm.simulate` that keeps the transactions of its run.

    Args:
        limit: transactions that are kept at most.
    """

    def __init__(self, limit: int) -> None:
        self.transactions: list[Transaction] = []
        """In the order in which they began."""
        self.targets: dict[str, str] = {}
        """Initiator socket -> target socket, of all that the chip has."""
        self.at: dict[str, list[Transaction]] = {}
        """Initiator socket -> its transactions."""
        self.cut_cycle: int | None = None
        """When the limit was reached; nothing is recorded from there on."""
        self._limit = limit
        self._open: dict[tuple[str, int], Transaction] = {}
        """(socket, id of a payload under way) -> its transaction."""
        self._refused: dict[tuple[str, int], tuple[Payload, int]] = {}
        """The same of refused payloads -> payload, kept so that its id stays its own, and when it was sent first."""

    def __call__(self, watched: Watched) -> None:
        """Watch every initiator socket."""
        simulation = watched.system.simulation
        self._clock = simulation.clock
        for socket in simulation.sockets():
            if isinstance(socket, InitiatorSocket):
                self.targets[socket.path] = "" if socket.peer is None else socket.peer.path
                self.at[socket.path] = []
                socket.observe(self._begin, (Phase.BEGIN_REQ,))
                socket.observe(self._accept, (Phase.END_REQ,))
                socket.observe(self._end, (Phase.END_RESP,))

    def __len__(self) -> int:
        return len(self.transactions)

    def close(self) -> None:
        """Let go of the run, which has ended."""
        self._open.clear()
        self._refused.clear()
        del self._clock

    def _begin(self, _: Phase, socket: InitiatorSocket[Any], payload: Payload) -> None:
        now, key = self._clock.now, (socket.path, id(payload))
        if len(self.transactions) >= self._limit:
            self.cut_cycle = now if self.cut_cycle is None else self.cut_cycle
            return
        asked_cycle = self._refused.pop(key)[1] if key in self._refused else now
        kind = type(payload).__name__.removesuffix("Payload").lower()
        if isinstance(payload, StepPayload) and not payload.is_step:
            kind = "end of a pass"
        one = Transaction(socket.path, self.targets[socket.path], kind, payload.origin, asked_cycle, now)
        if isinstance(payload, MemoryPayload):
            one.kind, one.address, one.size_bytes = payload.command.value, payload.address, len(payload.data)
        self.transactions.append(one)
        self.at[socket.path].append(one)
        self._open[key] = one

    def _accept(self, _: Phase, socket: InitiatorSocket[Any], payload: Payload) -> None:
        one = self._open.get((socket.path, id(payload)))
        if one is not None:
            one.accept_cycle = self._clock.now

    def _end(self, _: Phase, socket: InitiatorSocket[Any], payload: Payload) -> None:
        key = socket.path, id(payload)
        one = self._open.pop(key, None)
        if one is not None:
            one.end_cycle, one.status = self._clock.now, payload.status.value
            if one.refused:
                self._refused[key] = payload, one.asked_cycle
