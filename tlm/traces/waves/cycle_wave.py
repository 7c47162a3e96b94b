"""A waveform of every cycle (fidelity "cycle"), of the whole run or of a window, written while it goes on.

An observer: it subscribes to sockets and probes and changes neither a cycle nor an output. The unit of time is 1 ps
at the operating point's clock; cycle c begins at c * 1e9 // clock_khz ps [S].
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tlm.chip.cycle.engine import CycleEngine
from tlm.core.errors import TraceWarning
from tlm.observe.passes import PassRecord
from tlm.observe.watched import Watched
from tlm.traces.trace_options import TraceOptions
from tlm.traces.waves.cycle_signals import watch_system
from tlm.traces.waves.dump import RULER_CYCLES, Dump
from tlm.traces.waves.layout import cycle_layout, with_readable
from tlm.traces.waves.markers import marked_cycles
from tlm.traces.waves.rows import boxes_of, rows_with_words
from tlm.traces.waves.save_file import WAVES_PIXELS, View
from tlm.traces.waves.variables import start_ps
from tlm.traces.waves.view import Choice, Span, best_choice
from tlm.traces.waves.wave_file import WaveFile
from tlm.traces.waves.window_gate import WindowGate

_BYTES_PER_MB = 10**6
_CYCLE_PIXELS = (16, 20, 24, 32, 40, 50)
"""Widths of a cycle that a view may have, the best first: a hexadecimal digit fits into the smallest."""
_LEAD = 0.2
_ANCHORS = 12


class CycleWave:
    """Context manager around a run.

    The file grows under another name beside ``path`` and takes its place when the block is left, whichever way: after
    an error or Ctrl-C it holds everything up to that moment and ends with a timestamp.

    Args:
        watched: a run that has not started, of fidelity "cycle".
        path: .vcd or .fst; an older file is replaced.
        options: window and limit.

    Raises:
        InputError: on entry, if the file cannot be written there or the window is not in the program; on leaving, if
            the disk did not take it all.
    """

    def __init__(self, watched: Watched, path: Path, options: TraceOptions) -> None:
        assert isinstance(watched.system.engine, CycleEngine)
        self._watched = watched
        self._path = path
        self._options = options
        self._gate = WindowGate(
            options.trace_window, watched.program, watched.system.engine, watched.system.simulation.clock
        )

    def __enter__(self) -> CycleWave:
        self._file = WaveFile(self._path)
        try:
            self._dump = self._declare()
        except BaseException as error:  # no run, no file
            self._file.discard()
            if isinstance(error, OSError):
                raise self._file.refusal(error) from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        def finish() -> None:
            self._dump.close()
            choice = self._choice()
            self._file.finish(with_readable(self._groups, choice.readable), self._view(choice.span))
            if isinstance(error, OSError):  # nothing in a run but this file touches the system
                raise error

        self._file.leave(error, finish)
        self._warn()

    def _declare(self) -> Dump:
        system = self._watched.system
        config = system.config
        comment = (
            f"level cycle; cycle c begins at c * 1e9 // {config.clock_khz} ps: core clock {config.clock_khz} kHz "
            f"at {config.voltage_v:g} V; a signal has one value a cycle"
        )
        limit = self._options.limit_mb * _BYTES_PER_MB
        dump = Dump(self._file.stream, system.simulation.clock, config.clock_khz, comment, limit, self._file.date)
        watch_system(dump, self._watched)
        self._groups = cycle_layout(self._watched.program, config)
        by_name = dump.variables.by_name
        rows = [by_name[row.signal] for row in rows_with_words(dump.variables, self._groups)]
        dump.remember(rows, by_name["engine.sequencer.pass"])
        dump.start(None if self._options.window is None else self._gate)
        return dump

    def _warn(self) -> None:
        """Say what is not in the file although it was asked for."""
        cut, end = self._dump.cut_cycle, self._watched.recorder.recorded_cycles
        if cut is not None:
            warnings.warn(
                f"trace: {self._path.name} was cut in cycle {cut} of {end}, where it had grown to "
                f"{self._options.limit_mb} MB; give a window (trace.window) or another trace.limit_mb",
                TraceWarning,
                stacklevel=2,
            )
        elif not self._dump.recorded_cycles:
            warnings.warn(
                f"trace: {self._path.name} is empty: the run ended with cycle {end - 1}, before the window "
                f"{self._options.window!r} began",
                TraceWarning,
                stacklevel=2,
            )

    def _choice(self) -> Choice:
        variables, changes = self._dump.variables, self._dump.remembered
        needed, finer = (boxes_of(variables, self._groups, changes, kind) for kind in (False, True))
        return best_choice(needed, finer, self._moments(), self._watched.recorder.recorded_cycles)

    def _view(self, span: Span) -> View:
        khz, first = self._watched.system.config.clock_khz, self._dump.first_recorded_cycle
        return View(
            start_ps=start_ps(span.first_cycle, khz),
            ps_per_pixel=start_ps(1, khz) / span.pixels_per_cycle,
            markers_ps=tuple(start_ps(cycle, khz) for cycle in marked_cycles(self._watched, first)),
            cursor_ps=-1 if self._options.moment_cycle is None else start_ps(self._options.moment_cycle, khz),
        )

    def _moments(self) -> Iterator[list[Span]]:
        """Views to choose from: of what was asked for, or of the ends of passes, at first of those that wait."""
        seen, asked = self._dump.remembered, self._options.moment_cycle
        if asked is not None:
            yield [_around(asked, self._dump.first_recorded_cycle, pixels) for pixels in _CYCLE_PIXELS]
            return
        first, last = (seen[0].cycle, seen[-1].cycle) if seen else (self._dump.first_recorded_cycle, -1)
        pipeline = self._watched.system.config.pipeline_cycles
        ends = [one for one in self._passes() if first <= one.last_fetch_cycle <= last]
        waiting = [one for one in ends if one.handover_cycle > one.last_fetch_cycle + 1 + pipeline]
        for one in [*waiting[:_ANCHORS], *ends[:_ANCHORS]]:
            yield [_around(one.last_fetch_cycle, first, pixels) for pixels in _CYCLE_PIXELS]
        yield [Span(first, WAVES_PIXELS / pixels) for pixels in _CYCLE_PIXELS]

    def _passes(self) -> Iterator[PassRecord]:
        for part in self._watched.recorder.parts.values():
            yield from part.passes


def _around(cycle: int, first: int, pixels: int) -> Span:
    """A view of a cycle, in which cycles are so wide; it does not begin before the first that is known."""
    cycles = WAVES_PIXELS / pixels
    start = cycle - int(_LEAD * cycles)
    return Span(max(first, start - start % RULER_CYCLES), cycles)
