"""Time in whole cycles, and the order of events within a cycle."""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

from simpy import Environment, Event, Timeout
from simpy.events import NORMAL, EventPriority

from tlm.core.errors import ProtocolError

T = TypeVar("T")


class _Delivery(Event):
    """An event that can be triggered for a later time (SimPy's ``succeed`` means now)."""

    def deliver(self, value: Any, delay: int, priority: EventPriority = NORMAL) -> None:
        self._ok = True
        self._value = value
        self.env.schedule(self, priority, delay)


class Clock:
    """The simulation's time base: one unit is one core clock cycle.

    Within a cycle, events without a slot come first, in first-in-first-out order. The slots 1, 2, 3 .. follow one
    after another. So an arbiter that serves its ports in slots grants by fixed priority, without knowing what other
    requests will come in this cycle.
    """

    def __init__(self, env: Environment) -> None:
        self.env = env

    @property
    def now(self) -> int:
        """The present cycle."""
        return self.env.now  # type: ignore[return-value]  # nothing is ever scheduled between two cycles

    def cycles(self, count: int) -> Timeout:
        """Event: ``count`` cycles from now."""
        return Timeout(self.env, count)

    def slot(self, index: int) -> Event:
        """Event: slot ``index`` (1 is the first) of the present cycle."""
        event = _Delivery(self.env)
        event.deliver(None, 0, EventPriority(NORMAL + index))
        return event


class Register(Generic[T]):
    """A clocked channel between two processes: an item arrives ``cycles`` after it was put, in order.

    It has one reader and never refuses an item: the writer must know that the reader keeps pace.
    """

    __slots__ = ("_clock", "_cycles", "_queue", "_reader")

    def __init__(self, clock: Clock, cycles: int = 1) -> None:
        self._clock = clock
        self._cycles = cycles
        self._queue: deque[tuple[int, T]] = deque()
        self._reader: _Delivery | None = None

    def put(self, item: T) -> None:
        """Send ``item``; takes no time."""
        if self._reader is not None:
            self._reader.deliver(item, self._cycles)
            self._reader = None
        else:
            self._queue.append((self._clock.now + self._cycles, item))

    def get(self) -> Event:
        """Event: the next item has arrived; its value is the item.

        Raises:
            ProtocolError: another reader is already waiting; its item would be lost.
        """
        if self._reader is not None:
            raise ProtocolError("a register has two readers; give each reader a register of its own")
        event = _Delivery(self._clock.env)
        if self._queue:
            due, item = self._queue.popleft()
            event.deliver(item, max(0, due - self._clock.now))
        else:
            self._reader = event
        return event
