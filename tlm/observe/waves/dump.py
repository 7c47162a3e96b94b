"""Signals of a value change dump: one settled value for each signal and cycle, in the order of time.

The blocks publish what they do in the order in which the simulator runs them, several times within a cycle. A
register in hardware shows one value a cycle, so values are collected while a cycle lasts and written when the clock
is seen to have moved on. That is also how a signal falls back by itself: what is known to hold only for this cycle
is noted for the next one, and a later word for that cycle overrules it.
"""

from __future__ import annotations

from typing import IO, Any, TypeAlias

from vcd import VCDWriter
from vcd.writer import Variable

from tlm.core.clock import Clock

Value: TypeAlias = int | str | None
"""Of a signal; None shows as z: nobody drives it."""

_PS_PER_MS = 1_000_000_000
_COUNTED_IDLE_CYCLES = 1024
"""The cycle counter runs on while nothing else changes, but for so many cycles at most, or a chip that waits for a
slow memory would fill the disk; then it shows x until something happens."""


def start_ps(cycle: int, clock_khz: int) -> int:
    """Where a cycle begins, in whole picoseconds, rounded down.

    Computed from the cycle's number, so that no rounding adds up; the same on every machine.
    """
    return cycle * _PS_PER_MS // clock_khz


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
            dump.following[self._variable] = value
            return
        dump.frame[self._variable] = value
        if dump.following:
            dump.following.pop(self._variable, None)

    def pulse(self, value: Value = 1, rest: Value = 0) -> None:
        """``value`` in the present cycle, ``rest`` after it."""
        dump = self._dump
        if dump.clock.env.now != dump.cycle:
            dump.advance()
        dump.frame[self._variable] = value
        dump.following[self._variable] = rest

    def alias(self, scope: str, name: str) -> None:
        """Let it appear at a second place too."""
        self._dump.alias(self._variable, scope, name)


class Dump:
    """The file's signals and its time.

    Args:
        stream: where the text goes.
        clock: of the simulation that is watched.
        clock_khz: core clock, from which real time follows.
        comment: for the header; must not tell the machine or the date.
    """

    def __init__(self, stream: IO[str], clock: Clock, clock_khz: int, comment: str) -> None:
        self.clock = clock
        self.cycle = 0
        """The cycle that is being collected."""
        self.frame: dict[Variable[Any], Value] = {}
        """Values of that cycle."""
        self.following: dict[Variable[Any], Value] = {}
        """Values of the cycle behind it, as far as they are known."""
        self._clock_khz = clock_khz
        # an empty date leaves the entry out: the same run must give the same bytes
        self._writer = VCDWriter(stream, timescale="1 ps", date="", comment=comment, check_values=False)
        self._counter = self._writer.register_var("clock", "cycle", "integer", 64, init=0)

    def text(self, scope: str, name: str, init: str = "-") -> Signal:
        """A signal that shows words."""
        return Signal(self, self._writer.register_var(scope, name, "string", init=init))

    def integer(self, scope: str, name: str, init: int | None = 0) -> Signal:
        """A number that viewers show in decimal: a count, an index, a word address."""
        # pyvcd takes None for "no initial value", that is x
        return Signal(self, self._writer.register_var(scope, name, "integer", 32, init="z" if init is None else init))

    def bits(self, scope: str, name: str, width: int = 1, init: int = 0) -> Signal:
        """Wires, which viewers show in hexadecimal, or as a line if there is only one."""
        index = (width - 1, 0) if width > 1 else None
        return Signal(self, self._writer.register_var(scope, name, "wire", width, init=init, bit_index=index))

    def event(self, scope: str, name: str) -> Signal:
        """Something that happens, at most once a cycle: ``set(1)``."""
        return Signal(self, self._writer.register_var(scope, name, "event"))

    def alias(self, variable: Variable[Any], scope: str, name: str) -> None:
        """See :meth:`Signal.alias`."""
        self._writer.register_alias(scope, name, variable)

    def start(self) -> None:
        """Write the declarations and initial values; nothing can be declared afterwards."""
        self._writer.flush(0)

    def advance(self) -> None:
        """Write what was collected: the clock has moved on to another cycle."""
        now = self.clock.now
        self._write(self.frame)
        self.frame, self.following, self.cycle = self.following, {}, self.cycle + 1
        if self.cycle < now:
            self._write(self.frame)
            self.frame = {}
            self._skip_to(now)

    def close(self) -> None:
        """Write the last cycle to its end: the final timestamp is the start of the cycle behind it."""
        if self.clock.now != self.cycle:
            self.advance()
        self._write(self.frame)
        self._writer.close(start_ps(self.cycle + 1, self._clock_khz))

    def _skip_to(self, now: int) -> None:
        """Count through the idle cycles between the one just written and ``now``."""
        counted = min(now, self.cycle + 1 + _COUNTED_IDLE_CYCLES)
        while self.cycle + 1 < counted:
            self.cycle += 1
            self._write({})
        if counted < now:
            self._writer.change(self._counter, start_ps(counted, self._clock_khz), "x")
        self.cycle = now

    def _write(self, values: dict[Variable[Any], Value]) -> None:
        """The changes of the cycle that was collected; uses them up."""
        change, time_ps = self._writer.change, start_ps(self.cycle, self._clock_khz)
        change(self._counter, time_ps, self.cycle)
        # each is taken out before it is written, so that Ctrl-C in between cannot make close() write an event twice
        while values:
            variable, value = values.popitem()
            change(variable, time_ps, value)
