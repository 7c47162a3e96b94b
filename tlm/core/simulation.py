"""A simulation: the root of the modules, the clock, and the run itself with its deadlock report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simpy

from tlm.core.clock import Clock
from tlm.core.errors import DeadlockError, ElaborationError
from tlm.core.sockets import InitiatorSocket, Socket

if TYPE_CHECKING:
    from tlm.core.module import Activity, Module
    from tlm.core.payload import Payload


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A payload that was sent and not yet answered."""

    socket: InitiatorSocket[Any]
    payload: Payload
    since_cycle: int

    def describe(self, now_cycle: int) -> str:
        """One line of a deadlock report."""
        phase = "accepted" if self.payload.accepted else "not accepted"
        target = "nothing" if self.socket.peer is None else self.socket.peer.path
        age_cycles = now_cycle - self.since_cycle
        return f"{self.socket.path} -> {target}: {self.payload.describe()}, {phase}, open for {age_cycles} cycles"


class OpenTransactions:
    """Every payload that is under way, so that a standstill can be explained."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[int, tuple[InitiatorSocket[Any], Payload, int]] = {}
        self._next = 0

    def enter(self, socket: InitiatorSocket[Any], payload: Payload) -> int:
        """Note a payload; returns the key with which it leaves."""
        key = self._next = self._next + 1
        self._open[key] = (socket, payload, self._clock.env.now)  # type: ignore[assignment]
        return key

    def leave(self, key: int) -> None:
        """Its answer has arrived."""
        del self._open[key]

    def __iter__(self) -> Iterator[OpenTransaction]:
        for socket, payload, since in self._open.values():
            yield OpenTransaction(socket, payload, int(since))


class Simulation:
    """Owns one model and runs it once.

    Modules are made under it and bound to each other; :meth:`run` checks that every socket is bound and
    freezes the topology.
    """

    def __init__(self) -> None:
        self.path = ""
        self.simulation = self
        self.env = simpy.Environment()
        self.clock = Clock(self.env)
        self.open_transactions = OpenTransactions(self.clock)
        self.children: dict[str, Module] = {}
        self._processes: list[Callable[[], Activity]] = []
        self._started = False
        self._ran = False

    def add_child(self, child: Module) -> None:
        """Called by a top-level module's constructor."""
        self.check_not_started(child.name)
        if child.name in self.children:
            raise ElaborationError(f"{child.name}: there is already a top-level module of this name")
        self.children[child.name] = child

    def add_process(self, body: Callable[[], Activity]) -> None:
        """Have ``body()`` run as a process from cycle 0 on."""
        self.check_not_started("a process")
        self._processes.append(body)

    def check_not_started(self, what: str) -> None:
        """Raise ElaborationError if the topology is frozen."""
        if self._started:
            raise ElaborationError(f"{what} cannot be added: the topology is frozen since the simulation started")

    def modules(self) -> Iterator[Module]:
        """Every module, parents first."""
        for child in self.children.values():
            yield from child.walk()

    def sockets(self) -> Iterator[Socket]:
        """Every socket of every module."""
        for module in self.modules():
            yield from module.sockets.values()

    def elaborate(self) -> None:
        """Check that every socket is bound, and freeze the topology."""
        for socket in self.sockets():
            if socket.peer is None:
                raise ElaborationError(f"{socket.path}: this {socket.direction} socket is not bound to anything")
        self._started = True

    def run(self, until: Callable[[], Activity]) -> None:
        """Run every process until the process ``until()`` ends.

        Raises:
            ElaborationError: a socket is not bound, or this simulation has run before.
            DeadlockError: nothing can happen any more, but ``until`` has not ended.
            TlmError: whatever a component raised.
        """
        if self._ran:
            raise ElaborationError("this simulation has run already; build the model anew for another run")
        self._ran = True
        self.elaborate()
        goal = self.env.process(until())
        for body in self._processes:
            self.env.process(body())
        try:
            self.env.run(goal)
        except RuntimeError as error:
            # SimPy says it in a RuntimeError of its own; any other one is a fault in a component
            if "No scheduled events left" not in str(error):
                raise
            raise DeadlockError(self._deadlock_report()) from None

    def _deadlock_report(self) -> str:
        now = self.clock.now
        lines = [transaction.describe(now) for transaction in self.open_transactions]
        waiting = (
            "\n  ".join(lines)
            if lines
            else "no transaction is open: every process waits for something that nobody will send"
        )
        return f"deadlock in cycle {now}: nothing can happen any more, but the work is not finished\n  {waiting}"
