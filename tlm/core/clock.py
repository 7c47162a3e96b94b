"""Time in whole cycles, and the order of events within a cycle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from simpy import Environment, Event
from simpy.events import NORMAL, EventPriority

from tlm.core.errors import ProtocolError

T = TypeVar("T")


class _Happening(Event):
    """An event that will happen by itself; pushed into SimPy's queue, as its ``Timeout`` is, but it may have a slot."""

    _ok, _value = True, None


class Clock:
    """The simulation's time base: one unit is one core clock cycle.

    Within a cycle, events without a slot come first, in first-in-first-out order. The slots 1, 2, 3 .. follow one
    after another. So an arbiter that serves its ports in slots grants by fixed priority, without knowing what other
    requests will come in this cycle.

    A cycle has one tick, shared by all who wait for that cycle; they go on in the order in which they asked.
    """

    def __init__(self, env: Environment) -> None:
        self.env = env
        self._queue, self._order = env._queue, env._eid
        self.now = 0
        """The present cycle."""
        self._ticks: dict[int, Event] = {}
        """Of the cycles to come that somebody waits for."""

    def run(self, goal: Event) -> bool:
        """Let time pass until ``goal`` has happened; False: nothing more can happen before it.

        SimPy's own loop (``Environment.run`` and ``step``), in fewer words because nothing else ends it. It lets cycles
        begin, so SimPy's would not do.

        Raises:
            BaseException: whatever an event failed with, if nobody has dealt with it.
        """
        env, queue, ticks = self.env, self._queue, self._ticks
        while goal.callbacks is not None:  # not yet processed
            if not queue:
                return False
            cycle, _, _, event = heappop(queue)
            if cycle != self.now:  # it begins; nothing is ever scheduled between two cycles
                env._now = self.now = int(cycle)
                ticks.pop(self.now, None)
            callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]  # SimPy does the same
            for callback in callbacks:
                callback(event)
            if not event._ok and not event.defused:
                assert isinstance(event._value, BaseException)
                raise event._value
        return True  # type: ignore[unreachable]  # SimPy says that callbacks is never None

    def cycles(self, count: int) -> Event:
        """Event: ``count`` cycles from now.

        Raises:
            ValueError: the count is negative.
        """
        cycle = self.now + count
        tick = self._ticks.get(cycle)
        if tick is None:
            if count < 0:
                raise ValueError(f"Negative delay {count}")
            tick = _Happening(self.env)
            heappush(self._queue, (cycle, NORMAL, next(self._order), tick))
            if count:  # one in the present cycle is nobody else's: it may be under way already
                self._ticks[cycle] = tick
        return tick

    def slot(self, index: int) -> Event:
        """Event: slot ``index`` (1 is the first) of the present cycle."""
        event = _Happening(self.env)
        heappush(self._queue, (self.now, EventPriority(NORMAL + index), next(self._order), event))
        return event


class Pipeline(Generic[T]):
    """A chain of registers: each item leaves it ``cycles`` after it was put, in order, by a call of ``leave``."""

    __slots__ = ("_clock", "_cycles", "_items", "_leave")

    def __init__(self, clock: Clock, cycles: int, leave: Callable[[T], None]) -> None:
        self._clock = clock
        self._cycles = cycles
        self._leave = leave
        self._items: deque[T] = deque()

    def put(self, item: T) -> None:
        """Send ``item``; takes no time."""
        self._items.append(item)
        self._clock.cycles(self._cycles).callbacks.append(self._end)

    def _end(self, _: Event) -> None:
        self._leave(self._items.popleft())


class Queue(Generic[T]):
    """A channel between two processes: an item arrives in the cycle in which it was put, in order.

    It has one reader and never refuses an item.
    """

    __slots__ = ("_env", "_items", "_reader")

    def __init__(self, clock: Clock) -> None:
        self._env = clock.env
        self._items: deque[T] = deque()
        self._reader: Event | None = None

    def put(self, item: T) -> None:
        """Send ``item``; takes no time."""
        if self._reader is None:
            self._items.append(item)
        else:
            self._reader.succeed(item)
            self._reader = None

    def get(self) -> Event:
        """Event: the next item has arrived; its value is the item.

        Raises:
            ProtocolError: another reader is already waiting; its item would be lost.
        """
        if self._reader is not None:
            raise ProtocolError("a queue has two readers; give each reader a queue of its own")
        event = Event(self._env)
        if self._items:
            event.succeed(self._items.popleft())
        else:
            self._reader = event
        return event
