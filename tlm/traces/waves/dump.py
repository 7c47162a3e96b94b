"""Signals of a value change dump: one settled value for each signal and cycle, in the order of time.

The blocks publish what they do in the order in which the simulator runs them, several times within a cycle. A
register in hardware shows one value a cycle, so values are collected while a cycle lasts and written when the clock
is seen to have moved on. That is also how a signal falls back by itself: what is known to hold for a cycle to come
is noted for that one, and a later word for it overrules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import IO, Any, TypeAlias

from vcd.writer import Variable

from tlm.core.clock import Clock
from tlm.traces.waves import labels
from tlm.traces.waves.variables import Change, Value, Variables, start_ps

_COUNTED_IDLE_CYCLES = 1024
"""The cycle counter runs on while nothing else changes, but for so many cycles at most, or a chip that waits for a
slow memory would fill the disk; then it shows x until something happens."""

SAMPLE_CYCLES = 64
"""Averages (utilisation, power) are those of so many cycles."""

RULER_CYCLES = 10
"""The ruler shows every so many cycles the number of the cycle: it can be read where the counter is too narrow."""

REMEMBERED_CYCLES = 20_000

Frame: TypeAlias = dict[Variable[Any], Value]
"""What changes in a cycle."""

Sample: TypeAlias = Callable[[int, int], Frame]
"""sample(first cycle, end) -> averages of these cycles, which are over."""

Gate: TypeAlias = Callable[[int], bool]
"""gate(cycle) -> whether a cycle that is over is recorded."""


class Signal:
    """A variable of the dump."""

    __slots__ = ("_dump", "_variable")

    def __init__(self, dump: Dump, variable: Variable[Any]) -> None:
        self._dump = dump
        self._variable = variable

    def set(self, value: Value, late: bool = False) -> None:
        """Its value from the present cycle on; if ``late`` from the next one, unless another is set until then."""
        dump = self._dump
        if dump.clock.env.now != dump.cycle:
            dump.advance()
        if late:
            dump.coming.setdefault(dump.cycle + 1, {})[self._variable] = value
            return
        dump.frame[self._variable] = value
        if dump.coming:
            dump.forget(self._variable)

    def pulse(self, value: Value = 1, rest: Value = 0) -> None:
        """``value`` in the present cycle, ``rest`` after it."""
        dump = self._dump
        if dump.clock.env.now != dump.cycle:
            dump.advance()
        dump.frame[self._variable] = value
        dump.coming.setdefault(dump.cycle + 1, {})[self._variable] = rest

    def set_at(self, cycle: int, value: Value) -> None:
        """Its value from a cycle to come on, unless another is set until then; now if that is the present one."""
        dump = self._dump
        if dump.clock.env.now != dump.cycle:
            dump.advance()
        where = dump.frame if cycle <= dump.cycle else dump.coming.setdefault(cycle, {})
        where[self._variable] = value

    def alias(self, scope: str, name: str) -> None:
        """Let it appear at a second place too."""
        self._dump.variables.alias(self._variable, scope, name)


class State:
    """A signal whose values are names of states."""

    __slots__ = ("_signal",)

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    def set(self, name: str, late: bool = False) -> None:
        """See :meth:`Signal.set`."""
        self._signal.set(labels.code(name), late)

    def set_at(self, cycle: int, name: str) -> None:
        """See :meth:`Signal.set_at`."""
        self._signal.set_at(cycle, labels.code(name))


class Dump:
    """The file's signals and its time.

    Args:
        stream: where the text goes.
        clock: of the simulation that is watched.
        clock_khz: core clock, from which real time follows.
        comment: for the header; must not tell the machine or the date.
        limit_bytes: the file ends where it has grown to so many.
        date: for the header; "" leaves it out.
    """

    def __init__(
        self, stream: IO[str], clock: Clock, clock_khz: int, comment: str, limit_bytes: int, date: str = ""
    ) -> None:
        self.clock = clock
        self.cycle = 0
        """The cycle that is being collected."""
        self.frame: Frame = {}
        """Values of that cycle."""
        self.coming: dict[int, Frame] = {}
        """Values of cycles to come, as far as they are known."""
        self.cut_cycle: int | None = None
        """The cycle in which the file had grown to its limit; nothing is recorded from then on."""
        self.recorded_cycles = 0
        """How many cycles are in the file, those counted alone in which something happened."""
        self.first_recorded_cycle = 0
        """The first of them."""
        self.last_recorded_cycle = 0
        self.remembered: list[Change] = []
        """Changes of some variables for a while: from them the first view is chosen."""
        self._to_remember: Collection[Variable[Any]] = ()
        self._trigger: Variable[Any] | None = None
        self._left_to_remember = 0
        self._clock_khz = clock_khz
        self._limit_bytes = limit_bytes
        self.variables = Variables(stream, comment, date)
        self._counter = self.variables.integer("clock", "cycle", 0, bits=64)
        self._ruler = self.variables.integer("clock", "ruler", 0, bits=64)
        self._status = self.variables.state("clock", "trace", "recording")
        self._gate: Gate | None = None
        self._sample: Sample | None = None
        self._pending: deque[tuple[int, Frame]] = deque()
        """Cycles that are over and wait for the averages of the span in which they lie."""
        self._sampled = 0
        """First cycle without averages."""
        self._recording = True

    # -- declaring ----------------------------------------------------------------------------------------------

    def text(self, scope: str, name: str, init: str = "-") -> Signal:
        """A signal that shows words."""
        return Signal(self, self.variables.text(scope, name, init))

    def state(self, scope: str, name: str, init: str = "-") -> State:
        """A signal that shows names of :mod:`tlm.traces.waves.labels`."""
        return State(Signal(self, self.variables.state(scope, name, init)))

    def integer(self, scope: str, name: str, init: int | None = 0) -> Signal:
        """A number that viewers show in decimal: a count, an index, a word address."""
        return Signal(self, self.variables.integer(scope, name, init))

    def bits(self, scope: str, name: str, width: int = 1, init: int = 0) -> Signal:
        """Wires, which viewers show in hexadecimal, or as a line if there is only one."""
        return Signal(self, self.variables.bits(scope, name, width, init))

    def event(self, scope: str, name: str) -> Signal:
        """Something that happens, at most once a cycle: ``set(1)``."""
        return Signal(self, self.variables.event(scope, name))

    def average(self, sample: Sample) -> None:
        """Have ``sample`` asked for the averages of every :data:`SAMPLE_CYCLES` cycles."""
        self._sample = sample

    def remember(self, variables: Collection[Variable[Any]], trigger: Variable[Any]) -> None:
        """Keep the changes of these variables for :data:`REMEMBERED_CYCLES` from the first change of ``trigger`` on."""
        self._to_remember, self._trigger = frozenset(variables), trigger

    def start(self, gate: Gate | None = None) -> None:
        """Write the declarations and initial values; nothing can be declared afterwards.

        Args:
            gate: which cycles are recorded; all if None.
        """
        self._gate = gate
        self.variables.start()

    # -- time ---------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Write what was collected: the clock has moved on to another cycle."""
        now = self.clock.now
        while True:
            self._over(self.frame)
            following = self.cycle + 1
            known = min(self.coming, default=now)
            if following >= now:
                self.cycle, self.frame = now, self.coming.pop(now, {})
                return
            if known > following:
                self._skip_to(min(known, now))
            else:
                self.cycle = following
            if self.cycle >= now:
                self.frame = self.coming.pop(now, {})
                return
            self.frame = self.coming.pop(self.cycle, {})

    def close(self) -> None:
        """Write the last cycle to its end: the final timestamp is the start of the cycle behind it."""
        if self.clock.now != self.cycle:
            self.advance()
        self._over(self.frame)
        self._settle(self.cycle + 1)
        self.variables.close(start_ps(self.cycle + 1, self._clock_khz))

    def forget(self, variable: Variable[Any]) -> None:
        """What was noted for cycles to come does not hold any more."""
        for frame in self.coming.values():
            frame.pop(variable, None)

    def _skip_to(self, end: int) -> None:
        """Count through the idle cycles between the one just written and ``end``."""
        counted = min(end, self.cycle + 1 + _COUNTED_IDLE_CYCLES)
        while self.cycle + 1 < counted:
            self.cycle += 1
            self._over({})
        if counted < end:
            self._keep(counted, {self._counter: "x"})
        self.cycle = end

    def _over(self, values: Frame) -> None:
        """The present cycle is over, with these changes."""
        if self.cut_cycle is None:
            values = values | {self._counter: self.cycle}
            if not self.cycle % RULER_CYCLES:
                values[self._ruler] = self.cycle
            self._keep(self.cycle, values)

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
        if self.cut_cycle is None and self.variables.written_bytes > self._limit_bytes:
            self.cut_cycle = cycle
            self._pause(cycle, "cut")
        wanted = self.cut_cycle is None and (self._gate is None or self._gate(cycle))
        if not wanted:
            self._pause(cycle, "outside_window")
            self.variables.note(values)
            return
        if not self._recording:
            recording = {self._status: labels.code("recording")}
            self._remember(cycle, {one: one.value for one in self._to_remember} | values | recording)
            values = self._resume(time_ps, values | recording)
        if not self.recorded_cycles:
            self.first_recorded_cycle = cycle
        self.recorded_cycles += 1
        self.last_recorded_cycle = cycle
        self._remember(cycle, values)
        change = self.variables.change
        while values:
            variable, value = values.popitem()
            change(variable, time_ps, value)

    def _remember(self, cycle: int, values: Frame) -> None:
        if self._trigger in values:
            self._trigger = None
            self._left_to_remember = REMEMBERED_CYCLES
            values = {one: one.value for one in self._to_remember} | values
        if self._left_to_remember:
            self._left_to_remember -= 1
            self.remembered += [Change(cycle, *item) for item in values.items() if item[0] in self._to_remember]

    def _pause(self, cycle: int, status: str) -> None:
        """From here on everything shows x; nothing if it does already."""
        if self._recording:
            self._recording = False
            time_ps = start_ps(cycle, self._clock_khz)
            if self._left_to_remember:  # boxes end here; what follows has no words
                shown = dict.fromkeys(self._to_remember, "") | {self._status: labels.code(status)}
                self.remembered += [Change(cycle, *item) for item in shown.items()]
            self.variables.change(self._status, time_ps, labels.code(status))
            self.variables.pause(time_ps, keep=self._status)

    def _resume(self, time_ps: int, values: Frame) -> Frame:
        """Everything shows its value again, that of this cycle; what is left is to be written."""
        self._recording = True
        self.variables.note(values)
        self.variables.resume(time_ps)
        return {variable: value for variable, value in values.items() if self.variables.is_event(variable)}
