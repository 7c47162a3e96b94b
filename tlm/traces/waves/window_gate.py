"""Whether a cycle lies in the window that a waveform is written for."""

from __future__ import annotations

from collections import deque

from tlm.chip.contract import PassId
from tlm.compiler.program import Program
from tlm.core.errors import InputError
from tlm.observe.watched import Watched
from tlm.traces.trace_window import FORMS, TraceWindow

_REMEMBERED = 8
"""Spans that are kept: questions come a little later than the cycles that they are about."""


class WindowGate:
    """Listens to the engine before it runs, and answers for each cycle that is over.

    A window of passes begins with the first cycle of its first pass, or after the layer's header if that is the
    layer's first pass, and ends with the last write of its last one.

    Args:
        window: what was asked for.
        watched: what will run.

    Raises:
        InputError: the window names a layer or passes that are not in the program.
    """

    def __init__(self, window: TraceWindow, watched: Watched) -> None:
        self._clock = watched.system.simulation.clock
        self._spans: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        """(first cycle, last cycle) of the last spans that are recorded; of one that goes on the end is infinite."""
        self._passes: frozenset[PassId] = frozenset()
        self._present: PassId | None = None
        """The pass that began last."""
        if window.cycles is not None:
            self._spans.append(window.cycles)
            return
        self._passes = passes_of(window, watched.program)
        events = watched.system.engine.events
        events.layer_started.listen(lambda header: self._see_pass(PassId(header.tag, 0)))
        events.pass_started.listen(lambda started: self._see_pass(started.of_pass))
        events.pass_written.listen(self._see_written)

    def __call__(self, cycle: int) -> bool:
        """Whether it is recorded."""
        return any(first <= cycle <= last for first, last in self._spans)

    def until(self, cycle: int) -> float:
        """The first cycle behind ``cycle`` for which the answer is another one, unless an event comes before."""
        edges = [edge for first, last in self._spans for edge in (first, last + 1)]
        return min((edge for edge in edges if edge > cycle), default=float("inf"))

    @property
    def _is_open(self) -> bool:
        return bool(self._spans) and self._spans[-1][1] == float("inf")

    def _see_pass(self, which: PassId) -> None:
        self._present = which
        if which in self._passes and not self._is_open:
            self._spans.append((self._clock.now, float("inf")))

    def _see_written(self, which: PassId) -> None:
        """In the cycle of a pass's last write: is another pass of the window under way, or the next?"""
        coming = PassId(which.tag, which.pass_index + 1) if self._present == which else self._present
        if self._is_open and coming not in self._passes:
            first, _ = self._spans.pop()
            self._spans.append((first, self._clock.now))


def passes_of(window: TraceWindow, program: Program) -> frozenset[PassId]:
    """Every pass in a window of layers or passes.

    Raises:
        InputError: there is no such layer or pass.
    """
    tags, what = [tag for job in program.jobs for tag in job.parts], "the run"  # in the order of execution
    if window.layer is not None:
        names, what = [one.name for one in program.network.layers], f"layer {window.layer!r}"
        if window.layer not in names:
            forms = f"; the forms are {FORMS}" if "," in window.layer else ""  # a misspelt pass is no name either
            raise InputError(f"trace.window: {what} is not in the network; its layers: {', '.join(names)}{forms}")
        tags = [tag for tag in tags if program.parts[tag].layer_index == names.index(window.layer)]
    counts = {tag: program.parts[tag].groups * program.parts[tag].tiles for tag in tags}
    passes = [PassId(tag, index) for tag, count in counts.items() for index in range(count)]
    first, last = window.passes or (0, len(passes) - 1)
    if last >= len(passes):
        starts = [str(place) for place, one in enumerate(passes) if not one.pass_index]
        parts = f" in {len(tags)} parts, which begin with {', '.join(starts[:8])}" if len(tags) > 1 else ""
        raise InputError(
            f"trace.window: pass:{first}..{last}, but {what} has passes 0..{len(passes) - 1}{parts}; choose among these"
        )
    return frozenset(passes[first : last + 1])
