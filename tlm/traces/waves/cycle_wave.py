"""A waveform of every cycle (fidelity "cycle"), of the whole run or of a window, written while it goes on.

An observer: it listens to events, sockets and probes and changes neither a cycle nor an output. The unit of time is
1 ps at the operating point's clock; cycle c begins at c * 1e9 // clock_khz ps [S].
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from pathlib import Path

from tlm.core.errors import TraceWarning
from tlm.observe.watched import Watched
from tlm.traces.trace_options import TraceOptions
from tlm.traces.waves.cycle_averages import Averages
from tlm.traces.waves.cycle_causes import CauseWatcher
from tlm.traces.waves.cycle_signals import cycle_signals
from tlm.traces.waves.cycle_sources import watch
from tlm.traces.waves.dump import RULER_CYCLES, Dump, Gate
from tlm.traces.waves.gtkwave import WAVES_PIXELS, View, first_shown, marked_cycles
from tlm.traces.waves.wave_file import WaveFile
from tlm.traces.waves.window_gate import WindowGate
from tlm.traces.waves.writer import Writer

_BYTES_PER_MB = 10**6
_CYCLE_PIXELS = 16
"""Width of a cycle in the first view: a hexadecimal digit fits."""
_LEAD = 0.2


def cycle_wave(watched: Watched, path: Path, options: TraceOptions) -> AbstractContextManager[None]:
    """A context manager around a run.

    The file grows under another name beside ``path`` and takes its place when the block is left, whichever way: after
    an error or Ctrl-C it holds everything up to that moment and ends with a timestamp.

    Args:
        watched: a run that has not started, of fidelity "cycle".
        path: .vcd or .fst; an older file is replaced.
        options: window, limit, and where it opens.

    Raises:
        InputError: the file cannot be written there or the window is not in the program; on leaving, if the disk did
            not take it all.
    """
    gate = None if options.window is None else WindowGate(options.trace_window, watched)
    file = WaveFile(path)
    try:
        return file.around_run(_CycleWave(watched, file, options, gate).finish)
    except BaseException as error:  # no run, no file
        file.discard()
        if isinstance(error, OSError):
            raise file.refusal(error) from None
        raise


class _CycleWave:
    """Subscribes to the run, and finishes the file when it is left."""

    def __init__(self, watched: Watched, file: WaveFile, options: TraceOptions, gate: Gate | None) -> None:
        self._watched = watched
        self._file = file
        self._options = options
        config = watched.system.config
        comment = (
            f"level cycle; cycle c begins at c * 1e9 // {config.clock_khz} ps: core clock {config.clock_khz} kHz "
            f"at {config.voltage_v:g} V; a signal has one value a cycle"
        )
        self._signals = cycle_signals(watched.program)
        writer = Writer(file.stream, comment, self._signals, file.date)
        limit, clock = options.limit_mb * _BYTES_PER_MB, watched.system.simulation.clock
        self._dump = Dump(writer, clock, config.clock_khz, limit, gate, Averages(watched))
        watch(self._dump, self._signals, watched)
        CauseWatcher(self._dump, watched)

    def finish(self, error: BaseException | None) -> None:
        """Write the rest of the dump, and its layout."""
        self._dump.close()
        self._file.finish(self._signals, self._view(), self._watched.system.config.clock_khz)
        if isinstance(error, OSError):  # nothing in a run but this file touches the system
            raise error
        self._warn()

    def _warn(self) -> None:
        """Say what is not in the file although it was asked for."""
        cut, end = self._dump.cut_cycle, self._watched.recorder.recorded_cycles
        if cut is not None:
            warnings.warn(
                f"trace: {self._file.path.name} was cut in cycle {cut} of {end}, where it had grown to "
                f"{self._options.limit_mb} MB; give a window (trace.window) or another trace.limit_mb",
                TraceWarning,
                stacklevel=2,
            )
        elif not self._dump.recorded_cycles:
            warnings.warn(
                f"trace: {self._file.path.name} is empty: the run ended with cycle {end - 1}, before the window "
                f"{self._options.window!r} began",
                TraceWarning,
                stacklevel=2,
            )

    def _view(self) -> View:
        """Around the moment that was asked for, or the end of a pass, if possible of one that waits."""
        first, last = self._dump.first_recorded_cycle, self._dump.last_recorded_cycle
        moment = self._options.moment_cycle
        if moment is None:
            passes = [one for part in self._watched.recorder.parts.values() for one in part.passes]
            ends = [one for one in passes if first <= one.last_fetch_cycle <= last]
            ready = 1 + self._watched.system.config.pipeline_cycles
            waiting = [one for one in ends if one.handover_cycle > one.last_fetch_cycle + ready]
            moment = next((one.last_fetch_cycle for one in (*waiting, *ends)), first)
        cycles = WAVES_PIXELS / _CYCLE_PIXELS
        shown = max(first, first_shown(moment, cycles, _LEAD, RULER_CYCLES, last + 1))
        return View(shown, cycles, marked_cycles(self._watched, first), self._options.moment_cycle)
