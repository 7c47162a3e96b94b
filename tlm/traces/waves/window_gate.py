"""Whether a cycle lies in the window that a waveform is written for."""

from __future__ import annotations

from collections import deque

from tlm.chip.engine import PassId
from tlm.observe.watched import Watched
from tlm.traces.trace_window import TraceWindow

_REMEMBERED = 8
"""Spans that are kept: questions come a little later than the cycles that they are about."""


class WindowGate:
    """Listens to the engine before it runs, and answers for each cycle that is over.

    A window of passes begins with the first cycle of its first pass, or behind the layer's header if that is the
    layer's first pass, and ends with the last write of its last one.

    Args:
        window: what was asked for.
        watched: what will run.

    Raises:
        InputError: the window names a layer or passes that are not in the program.
    """

    def __init__(self, window: TraceWindow, watched: Watched) -> None:
        self._cycles = window.cycles
        self._passes = window.passes_of(watched.program)
        self._clock = watched.system.simulation.clock
        self._spans: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        """(first cycle, end) of the last spans that have ended."""
        self._since: int | None = None
        self._present: tuple[int, int] | None = None
        """The pass that began last."""
        events = watched.system.engine.events
        events.layer_started.listen(lambda header: self._see_pass(PassId(header.tag, 0)))
        events.pass_started.listen(lambda started: self._see_pass(started.of_pass))
        events.pass_written.listen(self._see_written)

    def __call__(self, cycle: int) -> bool:
        """Whether it is recorded."""
        if self._cycles is not None:
            return self._cycles[0] <= cycle <= self._cycles[1]
        if self._passes is None or (self._since is not None and cycle >= self._since):
            return True
        return any(first <= cycle < end for first, end in self._spans)

    def _see_pass(self, which: PassId) -> None:
        self._present = which
        if self._since is None and self._passes is not None and which in self._passes:
            self._since = self._clock.now

    def _see_written(self, which: PassId) -> None:
        """In the cycle of a pass's last write: is another pass of the window under way, or the next?"""
        tag, index = which
        coming = (tag, index + 1) if self._present == which else self._present
        if self._since is not None and self._passes is not None and coming not in self._passes:
            self._spans.append((self._since, self._clock.now + 1))
            self._since = None
