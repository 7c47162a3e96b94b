"""What every module of a simulation shares: the clock, the processes, and the transactions that are under way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias, TypeVar

import simpy
from msgspec import Struct

from tlm.core.clock import Clock
from tlm.core.errors import DeadlockError, ElaborationError
from tlm.core.payload import Payload

T = TypeVar("T")

Activity: TypeAlias = Generator[simpy.Event, Any, None]
"""A process or a blocking transport: a generator of SimPy events."""

ActivityOf: TypeAlias = Generator[simpy.Event, Any, T]
"""A piece of a process that gives back a value: ``value = yield from ...``."""


class OpenTransaction(Struct, frozen=True):
    """A payload that was sent and not yet answered."""

    way: str
    """``path of the initiator socket -> path of the target socket``."""
    payload: Payload
    since_cycle: int

    def describe(self, now_cycle: int) -> str:
        """One line of a deadlock report."""
        phase = "accepted" if self.payload.accepted else "not accepted"
        age_cycles = now_cycle - self.since_cycle
        return f"{self.way}: {self.payload.describe()}, {phase}, open for {age_cycles} cycles"


class OpenTransactions:
    """Every payload without an answer yet, for deadlock reports."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[tuple[str, Payload], int] = {}

    def enter(self, way: str, payload: Payload) -> None:
        """Add a payload that was sent."""
        self._since[way, payload] = self._clock.now

    def leave(self, way: str, payload: Payload) -> None:
        """Remove it, because its answer has arrived."""
        del self._since[way, payload]

    def __iter__(self) -> Iterator[OpenTransaction]:
        for (way, payload), since in self._since.items():
            yield OpenTransaction(way, payload, since)


class Kernel:
    """Runs the processes of one simulation, once."""

    def __init__(self) -> None:
        self.env = simpy.Environment()
        self.clock = Clock(self.env)
        self.open_transactions = OpenTransactions(self.clock)
        self._processes: list[Callable[[], Activity]] = []
        self._started = False

    def add_process(self, body: Callable[[], Activity]) -> None:
        """Have ``body()`` run as a process from cycle 0 on."""
        self.check_not_started("a process")
        self._processes.append(body)

    def check_not_started(self, what: str) -> None:
        """Raise ElaborationError if the topology is frozen."""
        if self._started:
            raise ElaborationError(f"{what} cannot be added: the topology is frozen since the simulation started")

    def start(self) -> None:
        """Freeze the topology."""
        self._started = True

    def run(self, until: Callable[[], Activity]) -> None:
        """Run every process until the process ``until()`` ends.

        Raises:
            DeadlockError: no event is left, but ``until`` has not ended.
            TlmError: whatever a component raised.
        """
        goal = self.env.process(until())
        for body in self._processes:
            self.env.process(body())
        if not self.clock.run(goal):
            raise DeadlockError(self._deadlock_report())

    def _deadlock_report(self) -> str:
        now = self.clock.now
        lines = [transaction.describe(now) for transaction in self.open_transactions]
        waiting = (
            "\n  ".join(lines)
            if lines
            else "no transaction is open: every process waits for something that nobody will send"
        )
        return f"deadlock in cycle {now}: nothing can happen any more, but the work is not finished\n  {waiting}"
