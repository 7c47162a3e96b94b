"""Whether a cycle lies in the window that a waveform is written for."""

from __future__ import annotations

from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.states import RequantiserState
from tlm.compiler.program import Program
from tlm.core.clock import Clock
from tlm.core.sockets import Phase
from tlm.traces.trace_window import TraceWindow

_REMEMBERED = 8
"""Spans that are kept: questions come a little later than the cycles that they are about."""


class WindowGate:
    """Subscribes to the engine before it runs, and answers for each cycle that is over.

    A window of passes begins with the first cycle of its first pass, or behind the layer's header if that is the
    layer's first pass, and ends with the last write of its last one.

    Args:
        window: what was asked for.
        program: what will run.
        engine: what is watched.
        clock: of the simulation.

    Raises:
        InputError: the window names a layer or passes that are not in the program.
    """

    def __init__(self, window: TraceWindow, program: Program, engine: CycleEngine, clock: Clock) -> None:
        self._cycles = window.cycles
        self._passes = window.passes_of(program)
        self._clock = clock
        self._sequencer = engine.sequencer
        self._spans: list[tuple[int, int]] = []
        """(first cycle, end) of the last spans that have ended."""
        self._since: int | None = None
        self._wanted = self._passes or frozenset()
        self._written = (-1, -1)
        """The pass that was handed over last."""
        if self._passes is not None:
            engine.sequencer.passes.observe(lambda *_: self._see_handover(), (Phase.END_RESP,))
            engine.sequencer.layer.observe(lambda _: self._see_place(0))
            engine.sequencer.pass_index.observe(lambda changed: self._see_place(changed.value))
            engine.requantiser.state.observe(lambda changed: self._see_drained(changed.value))

    def __call__(self, cycle: int) -> bool:
        """Whether it is recorded."""
        if self._cycles is not None:
            return self._cycles[0] <= cycle <= self._cycles[1]
        if self._passes is None or (self._since is not None and cycle >= self._since):
            return True
        return any(first <= cycle < end for first, end in self._spans)

    def _see_place(self, index: int) -> None:
        if self._since is None and (self._sequencer.layer.value, index) in self._wanted:
            self._since = self._clock.now

    def _see_handover(self) -> None:
        self._written = self._sequencer.layer.value, self._sequencer.pass_index.value

    def _see_drained(self, state: RequantiserState) -> None:
        """In the cycle of a pass's last write: is another pass of the window under way, or the next?"""
        if state is RequantiserState.IDLE and self._since is not None:
            place = self._sequencer.layer.value, self._sequencer.pass_index.value
            if place == self._written:
                place = place[0], place[1] + 1
            if place not in self._wanted:
                self._end()

    def _end(self) -> None:
        assert self._since is not None
        self._spans = [*self._spans[1 - _REMEMBERED :], (self._since, self._clock.now + 1)]
        self._since = None
