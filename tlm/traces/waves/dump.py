"""A dump that grows with a run: one settled value for each signal and cycle, in the order of time.

The blocks publish what they do in the order in which the simulator runs them, several times within a cycle. A
register in hardware shows one value a cycle, so values are collected while a cycle lasts and written when the clock
is seen to have moved on. That is also how a signal falls back by itself: what is known to hold for a cycle to come
is noted for that one, and a later word for it overrules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from tlm.core.clock import Clock
from tlm.traces.waves.signal_kinds import Value, start_ps
from tlm.traces.waves.writer import Writer

_COUNTED_IDLE_CYCLES = 1024
"""The cycle counter runs on while nothing else changes, but for so many cycles at most, or a chip that waits for a
slow memory would fill the disk; then it shows x until something happens."""

SAMPLE_CYCLES = 64
"""Averages (utilisation, power) are those of so many cycles."""

RULER_CYCLES = 10
"""The ruler shows every so many cycles the number of the cycle: it can be read where the counter is too narrow."""

Frame: TypeAlias = dict[str, Value]
"""What changes in a cycle: signal -> value."""

Sample: TypeAlias = Callable[[int, int], Frame]
"""sample(first cycle, end) -> averages of these cycles, which are over."""

Gate: TypeAlias = Callable[[int], bool]
"""gate(cycle) -> whether a cycle that is over is recorded."""


class Dump:
    """Collects and writes; its signals include ``clock.cycle``, ``clock.ruler`` and ``clock.trace``.

    Its writer must be set before anything happens.

    Args:
        clock: of the simulation that is watched.
        clock_khz: core clock, from which real time follows.
        limit_bytes: the file ends where it has grown to so many.
        gate: which cycles are recorded; all if None.
        sample: asked for the averages of every :data:`SAMPLE_CYCLES` cycles.
    """

    def __init__(
        self,
        clock: Clock,
        clock_khz: int,
        limit_bytes: int,
        gate: Gate | None = None,
        sample: Sample | None = None,
    ) -> None:
        self.clock = clock
        self.writer: Writer
        self.cut_cycle: int | None = None
        """The cycle in which the file had grown to its limit; nothing is recorded from then on."""
        self.recorded_cycles = 0
        """How many cycles are in the file, those counted alone in which something happened."""
        self.first_recorded_cycle = 0
        self.last_recorded_cycle = 0
        self._clock_khz = clock_khz
        self._limit_bytes = limit_bytes
        self._gate = gate
        self._sample = sample
        self._cycle = 0
        """The cycle that is being collected."""
        self._frame: Frame = {}
        """Values of that cycle."""
        self._coming: dict[int, Frame] = {}
        """Values of cycles to come, as far as they are known."""
        self._pending: deque[tuple[int, Frame]] = deque()
        """Cycles that are over and wait for the averages of the span in which they lie."""
        self._sampled = 0
        """First cycle without averages."""
        self._recording = True

    # -- what a signal shows --------------------------------------------------------------------------------------

    def set(self, name: str, value: Value, late: bool = False) -> None:
        """A signal's value from the present cycle on; if ``late`` from the next one, unless it is set until then."""
        self._advance()
        if late:
            self._coming.setdefault(self._cycle + 1, {})[name] = value
            return
        self._frame[name] = value
        for frame in self._coming.values():  # what was noted for cycles to come does not hold any more
            frame.pop(name, None)

    def pulse(self, name: str, value: Value = 1) -> None:
        """``value`` in the present cycle, 0 after it."""
        self._advance()
        self._frame[name] = value
        self._coming.setdefault(self._cycle + 1, {})[name] = 0

    def set_at(self, cycle: int, name: str, value: Value) -> None:
        """Its value from a cycle to come on, unless it is set until then; now if that is the present one."""
        self._advance()
        frame = self._frame if cycle <= self._cycle else self._coming.setdefault(cycle, {})
        frame[name] = value

    def close(self) -> None:
        """Write the last cycle to its end: the final timestamp is the start of the cycle after it."""
        self._advance()
        self._over(self._frame)
        self._settle(self._cycle + 1)
        self.writer.close(start_ps(self._cycle + 1, self._clock_khz))

    # -- time -----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Write what was collected if the clock has moved on to another cycle."""
        now = self.clock.now
        while self._cycle < now:
            self._over(self._frame)
            following = min((now, *self._coming))
            if following > self._cycle + 1:
                self._count_idle(following)
            self._cycle = following
            self._frame = self._coming.pop(following, {})

    def _count_idle(self, end: int) -> None:
        """Count through the cycles between the present one and ``end``, in which nothing changes."""
        first, counted = self._cycle + 1, min(end, self._cycle + 1 + _COUNTED_IDLE_CYCLES)
        for self._cycle in range(first, counted):
            self._over({})
        if counted < end:
            self._keep(counted, {"clock.cycle": "x"})

    def _over(self, values: Frame) -> None:
        """The present cycle is over, with these changes."""
        if self.cut_cycle is None:
            values = values | {"clock.cycle": self._cycle}
            if not self._cycle % RULER_CYCLES:
                values["clock.ruler"] = self._cycle
            self._keep(self._cycle, values)

    def _keep(self, cycle: int, values: Frame) -> None:
        end = cycle - cycle % SAMPLE_CYCLES
        if end > self._sampled:
            self._settle(end)
        self._pending.append((cycle, values))

    def _settle(self, end: int) -> None:
        """All cycles before ``end`` get their averages and are written."""
        while self._pending and self._pending[0][0] < self._sampled:  # what Ctrl-C has left of the span before
            self._write(*self._pending.popleft())
        averages = self._sample(self._sampled, end) if self._sample is not None and end > self._sampled else {}
        if averages:
            if self._pending and self._pending[0][0] == self._sampled:
                self._pending[0][1].update(averages)
            else:
                self._pending.appendleft((self._sampled, averages))
        self._sampled = end
        # each is taken out before it is written, so that Ctrl-C in between cannot make close() write an event twice
        while self._pending:
            self._write(*self._pending.popleft())

    def _write(self, cycle: int, values: Frame) -> None:
        time_ps = start_ps(cycle, self._clock_khz)
        if self.cut_cycle is None and self.writer.written_bytes > self._limit_bytes:
            self.cut_cycle = cycle
            self._pause(time_ps, "cut")
        if self.cut_cycle is not None or not (self._gate is None or self._gate(cycle)):
            self._pause(time_ps, "outside_window")
            self.writer.note(values)
            return
        if not self._recording:
            self._recording = True
            values = self.writer.resume(time_ps, values | {"clock.trace": "recording"})
        if not self.recorded_cycles:
            self.first_recorded_cycle = cycle
        self.recorded_cycles += 1
        self.last_recorded_cycle = cycle
        for name in sorted(values):  # whatever the order in which the simulator ran the blocks
            self.writer.change(time_ps, name, values.pop(name))

    def _pause(self, time_ps: int, status: str) -> None:
        """From here on everything shows x; nothing if it does already."""
        if self._recording:
            self._recording = False
            self.writer.change(time_ps, "clock.trace", status)
            self.writer.pause(time_ps, keep="clock.trace")
